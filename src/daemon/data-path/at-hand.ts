import { Buffer } from 'node:buffer';
import { readSync, writeSync } from 'node:fs';
import type { Libc } from '../../../native-bindings/engine.ts';
import { mapSharedMemory } from '../../../native-bindings/shared-memory.ts';
import { type HeldPacket, LONGEST_WAY, type Succession } from '../../intercept/interceptor.ts';
import { FINGERPRINT, fingerprintOf } from '../../packet/fingerprint.ts';

/**
 * The packets that a data path has at hand lie in memory that the supervisor gave it and that outlives it, so that a
 * packet it dies on is not lost, and is not read a second time.
 *
 * All integers are u32, little endian, but for the fingerprints:
 *
 *      0  packets at hand
 *      4  the one in work, counted from 0
 *      8  how far its work is: 1 not released, 2 released
 *     12  not 0: it is what the data path died of (written by the supervisor)
 *     16  how many packets data paths died of, since the supervisor was started
 *     64  fingerprints of the latest of them, 8 bytes each
 *   1024  for each packet at hand: its length, the length of its way back, its way back (32 bytes), its bytes
 */
const COUNT = 0;
const STEP = 8;
const GUILTY = 12;
const DEATHS = 16;
const FINGERPRINTS = 64;
const PACKETS = 1024;
const STATE_SIZE = 12;
const FORGOTTEN = STATE_SIZE + 4;
const PACKET_HEAD = 8 + LONGEST_WAY;
const STEPS = { work: 1, released: 2 } as const;

/** Packets remembered that data paths died of; past it the oldest is forgotten. */
export const MOST_REMEMBERED = 64;
/** The most that an interceptor hands over at a time, each as long as a packet can be. */
const MOST_PACKETS = 64;
const LONGEST_PACKET = 65_536;
/** Bytes of the memory. Only what was written takes room. */
export const AT_HAND_SIZE = PACKETS + MOST_PACKETS * (PACKET_HEAD + LONGEST_PACKET);

/** What the data path notes down about its packets. */
export interface AtHand {
  /** These are at hand now, the first in work. */
  take(packets: readonly HeldPacket[]): void;
  /** The one in work has been released; what is left to do for it holds up nobody. */
  released(): void;
  /** The one with this index is in work. */
  begin(index: number): void;
  /** None is at hand. */
  done(): void;
}

/** What a data path finds of the one before it. */
export interface Inheritance {
  /** What it died of, and whether that was released already; null when it died of something else. */
  readonly culprit: { readonly packet: HeldPacket; readonly released: boolean } | null;
  /** The packets that it had received and not released, in order. */
  readonly unread: readonly HeldPacket[];
  /** Fingerprints of packets that are not to be read. */
  readonly remembered: ReadonlySet<string>;
  /** How many packets data paths died of since the supervisor was started. */
  readonly deaths: number;
}

/** The data path's side. `write` puts bytes into the memory. */
function createAtHand(write: (offset: number, bytes: Uint8Array) => void, { wayOf }: Succession): AtHand {
  const state = Buffer.alloc(STATE_SIZE);
  const head = Buffer.alloc(PACKET_HEAD);

  function note(count: number, index: number, step: number): void {
    state.writeUInt32LE(count, 0);
    state.writeUInt32LE(index, 4);
    state.writeUInt32LE(step, 8);
    write(COUNT, state);
  }

  let count = 0;
  let current = 0;
  return {
    take(packets) {
      count = 0;
      let offset = PACKETS;
      for (const packet of packets) {
        const { bytes } = packet;
        const way = wayOf(packet);
        if (offset + PACKET_HEAD + bytes.length > AT_HAND_SIZE || way.length > LONGEST_WAY) break;
        head.writeUInt32LE(bytes.length, 0);
        head.writeUInt32LE(way.length, 4);
        head.set(way, 8);
        write(offset, head);
        write(offset + PACKET_HEAD, bytes);
        offset += PACKET_HEAD + bytes.length;
        count++;
      }
      current = 0;
      note(count, current, STEPS.work);
    },
    released: () => note(count, current, STEPS.released),
    begin(index) {
      current = index;
      note(count, current, STEPS.work);
    },
    done: () => note(0, 0, 0),
  };
}

/** Opens the memory behind `descriptor` for a data path, and takes out of it what the one before left. */
export function inherit(
  libc: Libc,
  descriptor: number,
  succession: Succession,
): { readonly atHand: AtHand; readonly inheritance: Inheritance } {
  const write = mapSharedMemory(libc, descriptor, AT_HAND_SIZE);
  const inheritance = readInheritance(descriptor, write, succession);
  return { atHand: createAtHand(write, succession), inheritance };
}

function readInheritance(
  descriptor: number,
  write: (offset: number, bytes: Uint8Array) => void,
  { takeOver }: Succession,
): Inheritance {
  const header = readAt(descriptor, 0, PACKETS);
  const packets = packetsIn(descriptor, header.readUInt32LE(COUNT)).map(({ bytes, way }) =>
    takeOver(bytes, way),
  );
  const index = header.readUInt32LE(COUNT + 4);
  const released = header.readUInt32LE(STEP) === STEPS.released;
  const inWork = packets[index];
  const guilty = inWork !== undefined && header.readUInt32LE(GUILTY) !== 0;
  let deaths = header.readUInt32LE(DEATHS);
  if (guilty) {
    const fingerprint = Buffer.from(fingerprintOf(inWork.bytes), 'hex');
    fingerprint.copy(header, FINGERPRINTS + (deaths % MOST_REMEMBERED) * FINGERPRINT);
    header.writeUInt32LE(++deaths, DEATHS);
  }
  header.writeUInt32LE(0, COUNT);
  header.writeUInt32LE(0, GUILTY);
  write(0, header);
  const remembered = new Set<string>();
  for (let at = 0; at < Math.min(deaths, MOST_REMEMBERED); at++) {
    const from = FINGERPRINTS + at * FINGERPRINT;
    remembered.add(header.toString('hex', from, from + FINGERPRINT));
  }
  return {
    culprit: guilty ? { packet: inWork, released } : null,
    unread: packets.slice(guilty || released ? index + 1 : index),
    remembered,
    deaths,
  };
}

/** The supervisor's side, after the end of a data path: the fingerprint of the packet that it had in work; null without one. */
export function packetInWork(descriptor: number): string | null {
  const state = readAt(descriptor, 0, STATE_SIZE);
  if (state.length < STATE_SIZE) return null;
  const inWork = packetsIn(descriptor, state.readUInt32LE(COUNT))[state.readUInt32LE(COUNT + 4)];
  return inWork === undefined ? null : fingerprintOf(inWork.bytes);
}

/** The packet in work is what the data path died of: the next is not to read it. */
export function blamePacket(descriptor: number): void {
  writeSync(descriptor, Buffer.from([1, 0, 0, 0]), 0, 4, GUILTY);
}

/** What the last data path had at hand is gone with the socket that it came from. */
export function forgetPackets(descriptor: number): void {
  writeSync(descriptor, Buffer.alloc(FORGOTTEN), 0, FORGOTTEN, COUNT);
}

/** The packets at hand, in order, each with its way back; where one cannot be read, those before it. */
function packetsIn(
  descriptor: number,
  count: number,
): readonly { readonly bytes: Buffer; readonly way: Buffer }[] {
  const packets = [];
  let offset = PACKETS;
  for (let left = count; left > 0; left--) {
    const head = readAt(descriptor, offset, PACKET_HEAD);
    if (head.length < PACKET_HEAD) break;
    const length = head.readUInt32LE(0);
    const bytes = length > LONGEST_PACKET ? null : readAt(descriptor, offset + PACKET_HEAD, length);
    if (bytes === null || bytes.length < length) break;
    packets.push({ bytes, way: head.subarray(8, 8 + Math.min(head.readUInt32LE(4), LONGEST_WAY)) });
    offset += PACKET_HEAD + length;
  }
  return packets;
}

function readAt(descriptor: number, offset: number, length: number): Buffer {
  const bytes = Buffer.alloc(length);
  return bytes.subarray(0, readSync(descriptor, bytes, 0, length, offset));
}
