import { Buffer } from 'node:buffer';
import type { Address } from '../address/address.ts';
import type { MessageHappening } from '../inspector/happening.ts';
import type { Transport } from '../sip/message.ts';

/**
 * The latest signalling of calls, byte for byte, in memory that both threads have: the data path writes into it after it has
 * released a packet, and nobody asks it anything. A ring, of one writer and any number of readers. All integers are little
 * endian; positions count the bytes written since the start, and only grow:
 *
 *      0  i64  where the oldest entry begins
 *      8  i64  where the next one will
 *     16       the ring. Entries begin at multiples of 16:
 *              u32 length of the entry, u32 length of its description, f64 time in ms of the daemon's clock,
 *              the description, the message. A length of 0: the next entry is at the beginning of the ring.
 *
 * Before the writer overwrites an entry it moves the first position past it, so that a reader that still finds its entry
 * behind that position after it was copied has it whole.
 */
const OLDEST = 0;
const NEXT = 1;
const RING = 16;
const HEAD = 16;
const ALIGNMENT = 16;
/** Names of legs that are noted of one message. */
const MOST_LEGS = 8;

/** A message as it stands in the recording. */
export interface RecordedMessage {
  /** ms of the daemon's clock. */
  readonly at: number;
  readonly transport: Transport;
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  /** Ids of the legs that it was taken for; empty for an ACK after a failure, say. */
  readonly legs: readonly string[];
  readonly callId: string;
  /** The message, headers and body, with all that is secret in it; null once it was overwritten. */
  readonly bytes: () => Buffer | null;
}

export interface Recorder {
  /** `bytes` is the message that `happening` tells of. */
  take(happening: MessageHappening, bytes: Uint8Array): void;
}

export interface Recording {
  /** Oldest first. What is overwritten meanwhile is left out. */
  messages(): Generator<RecordedMessage>;
}

/** Memory for a recording of `size` bytes. */
export function recordingMemory(size: number): SharedArrayBuffer {
  return new SharedArrayBuffer(RING + aligned(size));
}

function aligned(length: number): number {
  return Math.ceil(length / ALIGNMENT) * ALIGNMENT;
}

function viewOf(memory: SharedArrayBuffer) {
  return {
    positions: new BigInt64Array(memory, 0, 2),
    ring: Buffer.from(memory, RING),
    size: memory.byteLength - RING,
  };
}

/** The writer's side: one thread only. A message that would take a fourth of the ring is left out. */
export function createRecorder(memory: SharedArrayBuffer): Recorder {
  const { positions, ring, size } = viewOf(memory);
  let oldest = Number(Atomics.load(positions, OLDEST));
  let next = Number(Atomics.load(positions, NEXT));

  /** Gives up entries until there are `length` bytes to write to. */
  function makeRoom(length: number): void {
    if (next + length - oldest <= size) return;
    while (next + length - oldest > size) oldest += spanAt(ring, size, oldest);
    Atomics.store(positions, OLDEST, BigInt(oldest));
  }

  return {
    take(happening, bytes) {
      const description = describe(happening);
      const length = aligned(HEAD + description.length + bytes.length);
      if (length > size / 4) return;
      const left = size - (next % size);
      if (left < length) {
        makeRoom(left);
        ring.writeUInt32LE(0, next % size);
        next += left;
      }
      makeRoom(length);
      const at = next % size;
      ring.writeUInt32LE(HEAD + description.length + bytes.length, at);
      ring.writeUInt32LE(description.length, at + 4);
      ring.writeDoubleLE(happening.at, at + 8);
      ring.write(description, at + HEAD, 'latin1');
      ring.set(bytes, at + HEAD + description.length);
      next += length;
      Atomics.store(positions, NEXT, BigInt(next));
    },
  };
}

/** How far it is from the entry at this position to the next one. */
function spanAt(ring: Buffer, size: number, position: number): number {
  const at = position % size;
  const length = ring.readUInt32LE(at);
  return length === 0 ? size - at : aligned(length);
}

/** `udp 192.0.2.1 5060 198.51.100.1 5060 LEG,LEG CALL-ID`: the Call-ID may hold anything. */
function describe({ transport, packet, legIds, message }: MessageHappening): string {
  const { source, sourcePort, destination, destinationPort } = packet;
  const legs = legIds.length > MOST_LEGS ? legIds.slice(0, MOST_LEGS) : legIds;
  return `${transport} ${source} ${sourcePort} ${destination} ${destinationPort} ${legs.join()} ${message.callId}`;
}

/** A reader's side. */
export function openRecording(memory: SharedArrayBuffer): Recording {
  const { positions, ring, size } = viewOf(memory);
  const isThere = (position: number) => position >= Number(Atomics.load(positions, OLDEST));

  function* messages(): Generator<RecordedMessage> {
    let position = Number(Atomics.load(positions, OLDEST));
    while (position < Number(Atomics.load(positions, NEXT))) {
      const at = position % size;
      const length = ring.readUInt32LE(at);
      const described = ring.readUInt32LE(at + 4);
      const time = ring.readDoubleLE(at + 8);
      const isWhole = length > HEAD + described && at + length <= size;
      const description = isWhole ? ring.toString('latin1', at + HEAD, at + HEAD + described) : '';
      if (!isThere(position)) {
        position = Number(Atomics.load(positions, OLDEST));
        continue;
      }
      const own = position;
      if (length > 0) {
        yield {
          at: time,
          ...readDescription(description),
          bytes() {
            const bytes = Buffer.from(ring.subarray(at + HEAD + described, at + length));
            return isThere(own) ? bytes : null;
          },
        };
      }
      position = own + (length === 0 ? size - at : aligned(length));
      if (!isThere(position)) position = Number(Atomics.load(positions, OLDEST));
    }
  }

  return { messages };
}

function readDescription(text: string): Omit<RecordedMessage, 'at' | 'bytes'> {
  const [transport, source, sourcePort, destination, destinationPort, legs] = text.split(' ', 6) as [
    Transport,
    ...string[],
  ];
  const before = [transport, source, sourcePort, destination, destinationPort, legs];
  return {
    transport,
    source: source!,
    sourcePort: Number(sourcePort),
    destination: destination!,
    destinationPort: Number(destinationPort),
    legs: legs === '' ? [] : legs!.split(','),
    callId: text.slice(before.reduce((sum, word) => sum + word!.length + 1, 0)),
  };
}
