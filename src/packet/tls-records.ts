import type { Buffer } from 'node:buffer';
import { directionKey } from './direction.ts';
import { type PacketView, TCP_RST, TCP_SYN } from './ip.ts';

/** Content types of TLS records (RFC 8446 5.1; 24 is heartbeat's, RFC 6520). */
export const HANDSHAKE = 0x16;
export const APPLICATION_DATA = 0x17;
const FIRST_TYPE = 0x14;
const LAST_TYPE = 0x18;
/** Of every version's records; behind it 1 for TLS 1.0, 3 for all from 1.2 on. */
export const MAJOR_VERSION = 3;
/** Bytes of a record behind its head: RFC 5246 6.2.3, which allows the most. */
export const LONGEST_RECORD = 2 ** 14 + 2048;

const HEAD = 5;
/** Directions of connections that are followed; the one that was idle longest makes room. */
const MOST_DIRECTIONS = 4096;
/** Bytes before the end of what was seen of which a copy is known to be one. */
const REMEMBERED = 2 ** 24;

/** Where a direction stands. */
interface Direction {
  /** Sequence numbers of what was seen without a hole: the first byte, and the one behind the last. */
  from: number;
  end: number;
  /** Of the record that is not whole yet: bytes of its head that came, and bytes that are to come behind it. */
  headLength: number;
  readonly head: Uint8Array;
  left: number;
}

/** Records of TLS, which nobody here can read, followed by their lengths from segment to segment. */
export interface TlsRecords {
  /**
   * How many records of data end in this segment: with its last byte a record can be read by its receiver. What was seen before
   * counts no more. Behind a hole they are followed again from the next segment on that begins as a record does. Never throws; work
   * is linear in the bytes of heads.
   */
  endingIn(segment: PacketView): number;
}

/** `shortest`: of records with fewer bytes behind their head none counts. */
export function createTlsRecords(shortest: number): TlsRecords {
  const directions = new Map<string, Direction>();

  function endingIn(segment: PacketView): number {
    const { payload, tcp } = segment;
    if (tcp === null) return 0;
    const key = directionKey(segment);
    if ((tcp.flags & (TCP_SYN | TCP_RST)) !== 0) directions.delete(key);
    if (payload.length === 0) return 0;
    const known = directions.get(key);
    const isBefore = known !== undefined && distance(tcp.seq, known.from) > 0;
    const goesOn = known !== undefined && !isBefore && distance(tcp.seq, known.end) >= 0;
    if (!goesOn && !beginsRecord(payload)) {
      if (!isBefore) directions.delete(key);
      return 0;
    }
    const direction = goesOn ? known : newDirection(tcp.seq);
    const ended = advance(direction, payload, tcp.seq);
    // What fills a hole, or comes once more from before it, says nothing of what follows behind it.
    if (isBefore) return ended ?? 0;
    directions.delete(key);
    if (ended === null) return 0;
    directions.set(key, direction);
    if (directions.size > MOST_DIRECTIONS) directions.delete(directions.keys().next().value!);
    return ended;
  }

  /** Takes what of a segment is new; null where that is no TLS. */
  function advance(direction: Direction, payload: Buffer, seq: number): number | null {
    const seen = distance(seq, direction.end);
    if (seen >= payload.length) return 0;
    const ended = follow(direction, payload, seen);
    direction.end = (direction.end + payload.length - seen) | 0;
    if (distance(direction.from, direction.end) > REMEMBERED) {
      direction.from = (direction.end - REMEMBERED) | 0;
    }
    return ended;
  }

  /** Takes the bytes from `at` on; null where they are no records. */
  function follow(direction: Direction, payload: Buffer, at: number): number | null {
    const { head } = direction;
    let ended = 0;
    for (let place = at; place < payload.length; ) {
      if (direction.headLength < HEAD) {
        head[direction.headLength++] = payload[place++]!;
        if (direction.headLength < HEAD) continue;
        if (!isHead(head)) return null;
        direction.left = lengthIn(head);
      }
      const taken = Math.min(direction.left, payload.length - place);
      place += taken;
      direction.left -= taken;
      if (direction.left > 0) break;
      direction.headLength = 0;
      if (head[0] === APPLICATION_DATA && lengthIn(head) >= shortest) ended++;
    }
    return ended;
  }

  return { endingIn };
}

function newDirection(seq: number): Direction {
  return { from: seq, end: seq, headLength: 0, head: new Uint8Array(HEAD), left: 0 };
}

/** Bytes from one place of a stream to another, modulo 2^32 (RFC 9293 3.4); negative where the other is before it. */
function distance(seq: number, other: number): number {
  return (other - seq) | 0;
}

function beginsRecord(payload: Buffer): boolean {
  return payload.length >= HEAD && isHead(payload);
}

function isHead(bytes: Uint8Array): boolean {
  const type = bytes[0]!;
  return (
    type >= FIRST_TYPE && type <= LAST_TYPE && bytes[1] === MAJOR_VERSION && lengthIn(bytes) <= LONGEST_RECORD
  );
}

function lengthIn(head: Uint8Array): number {
  return (head[3]! << 8) | head[4]!;
}
