import type { Buffer } from 'node:buffer';
import { type Address, type Family, formatIPv4, formatIPv6 } from '../../address/address.ts';
import type { Mirrored } from '../../packet/mirrored.ts';
import { CHUNK, CHUNK_HEAD, FAMILY, HEAD, isHep3, KIND, PROTOCOL } from './chunks.ts';
import { type HepFault, packetOf, timeOf } from './copy.ts';
import { decodeOldHep } from './legacy.ts';

/** More chunks than any sender writes. */
const MOST_CHUNKS = 64;

interface Draft {
  family: Family | null;
  protocol: number | null;
  source: Address | null;
  destination: Address | null;
  sourcePort: number | null;
  destinationPort: number | null;
  seconds: number | null;
  microseconds: number;
  kind: number | null;
  agent: number | null;
  key: Buffer | null;
  payload: Buffer | null;
  isCompressed: boolean;
}

/**
 * One message of HEP version 3, 2 or 1, as it came in a datagram or was cut out of a stream. What it points to are windows
 * on `bytes`, and its addresses may be of two families, as one that names nobody stands for the sender. Chunks of other
 * vendors and types that say nothing about the message are passed over. Never throws; work is linear in the bytes.
 */
export function decodeHep(bytes: Buffer): Mirrored | HepFault {
  if (!isHep3(bytes)) return decodeOldHep(bytes);
  const length = bytes.readUInt16BE(4);
  if (length < HEAD || length > bytes.length) {
    return { fault: `a length of ${length} where ${bytes.length} bytes came` };
  }
  const draft: Draft = {
    ...{ family: null, protocol: null, source: null, destination: null, sourcePort: null },
    ...{ destinationPort: null, seconds: null, microseconds: 0, kind: null, key: null, payload: null },
    ...{ agent: null, isCompressed: false },
  };
  let count = 0;
  for (let at = HEAD; at < length; ) {
    if (++count > MOST_CHUNKS) return { fault: `more than ${MOST_CHUNKS} chunks` };
    if (at + CHUNK_HEAD > length) return { fault: `${length - at} bytes behind the last chunk` };
    const size = bytes.readUInt16BE(at + 4);
    if (size < CHUNK_HEAD || at + size > length) return { fault: `a chunk of ${size} bytes at byte ${at}` };
    if (bytes.readUInt16BE(at) === 0) {
      const type = bytes.readUInt16BE(at + 2);
      if (!take(draft, type, bytes.subarray(at + CHUNK_HEAD, at + size))) {
        return { fault: `chunk ${type} has ${size - CHUNK_HEAD} bytes` };
      }
    }
    at += size;
  }
  return finish(draft);
}

/** False where the value is not as long as its type asks. */
function take(draft: Draft, type: number, value: Buffer): boolean {
  const size = SIZES[type];
  if (size !== undefined && value.length !== size) return false;
  if (type === CHUNK.family) {
    const family = value[0]!;
    draft.family = family === FAMILY[4] ? 4 : family === FAMILY[6] ? 6 : null;
  } else if (type === CHUNK.protocol) draft.protocol = value[0]!;
  else if (type === CHUNK.sourceIPv4) draft.source = formatIPv4(value, 0);
  else if (type === CHUNK.destinationIPv4) draft.destination = formatIPv4(value, 0);
  else if (type === CHUNK.sourceIPv6) draft.source = formatIPv6(value, 0);
  else if (type === CHUNK.destinationIPv6) draft.destination = formatIPv6(value, 0);
  else if (type === CHUNK.sourcePort) draft.sourcePort = value.readUInt16BE(0);
  else if (type === CHUNK.destinationPort) draft.destinationPort = value.readUInt16BE(0);
  else if (type === CHUNK.seconds) draft.seconds = value.readUInt32BE(0);
  else if (type === CHUNK.microseconds) draft.microseconds = value.readUInt32BE(0);
  else if (type === CHUNK.kind) draft.kind = value[0]!;
  else if (type === CHUNK.agent && value.length === 4) draft.agent = value.readUInt32BE(0);
  else if (type === CHUNK.key) draft.key = value;
  else if (type === CHUNK.payload) draft.payload = value;
  else if (type === CHUNK.compressedPayload) draft.isCompressed = true;
  return true;
}

const SIZES: Readonly<Record<number, number>> = {
  [CHUNK.family]: 1,
  [CHUNK.protocol]: 1,
  [CHUNK.sourceIPv4]: 4,
  [CHUNK.destinationIPv4]: 4,
  [CHUNK.sourceIPv6]: 16,
  [CHUNK.destinationIPv6]: 16,
  [CHUNK.sourcePort]: 2,
  [CHUNK.destinationPort]: 2,
  [CHUNK.seconds]: 4,
  [CHUNK.microseconds]: 4,
  [CHUNK.kind]: 1,
};

function finish(draft: Draft): Mirrored | HepFault {
  const { source, destination, sourcePort, destinationPort, kind, agent, key, payload } = draft;
  if (payload === null) return { fault: draft.isCompressed ? 'a payload that is compressed' : 'no payload' };
  if (source === null || destination === null) return { fault: 'no source or no destination address' };
  if (sourcePort === null || destinationPort === null) return { fault: 'no source or no destination port' };
  const seenAt = draft.seconds === null ? null : timeOf(draft.seconds, draft.microseconds);
  if (seenAt === null && draft.seconds !== null) return { fault: `${draft.microseconds} microseconds` };
  return {
    packet: packetOf({ source, sourcePort, destination, destinationPort, payload }),
    transport: draft.protocol === PROTOCOL.udp ? 'udp' : 'tcp',
    isSip: kind === KIND.sip,
    ...{ seenAt, agent, key },
  };
}
