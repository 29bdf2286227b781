import type { Buffer } from 'node:buffer';
import { uint16 } from './uint16.ts';

export type PayloadKind = 'rtp' | 'rtcp' | 'stun' | 'turn' | 'dtls' | 'zrtp' | 't38';

/**
 * What a UDP payload is by its content: the first byte chooses (RFC 7983), then the fixed fields and lengths of
 * that protocol must fit. Null when nothing does.
 *
 * One packet is weak evidence for `rtp` and `rtcp`, whose headers have two fixed bits (now and then a DNS query
 * passes), and weaker for `t38`: believe the first two of a flow that createMediaRecognizer has watched, and the
 * last only in a flow that SDP announced as udptl. There, isUdptl also finds the packets that look like RTP.
 */
export function classifyMedia(payload: Buffer): PayloadKind | null {
  if (payload.length < 4) return null;
  const first = payload[0]!;
  if (first >= 128 && first <= 191) {
    if (isRtcp(payload)) return 'rtcp';
    if (isRtp(payload)) return 'rtp';
  } else if (first <= 3) {
    if (isStun(payload) || isOldStun(payload)) return 'stun';
  } else if (first >= 16 && first <= 19) {
    if (isZrtp(payload)) return 'zrtp';
  } else if (first >= 20 && first <= 25) {
    if (isDtls(payload)) return 'dtls';
  } else if (first >= 64 && first <= 79) {
    if (isTurnChannel(payload)) return 'turn';
  }
  return isUdptl(payload) ? 't38' : null;
}

/** Whether the payload between these offsets is RTP by its content, as `classifyMedia` has it. */
export function isRtpAt(bytes: Buffer, start: number, end: number): boolean {
  return isRtpBetween(bytes, start, end) && !isRtcpBetween(bytes, start, end);
}

interface RtpHeader {
  readonly payloadType: number;
  readonly sequence: number;
  /** Unsigned. */
  readonly ssrc: number;
}

/** The fixed header of RTP (RFC 3550 section 5.1), or null when the payload is no RTP by its content. */
export function readRtp(payload: Buffer): RtpHeader | null {
  if (payload.length < 12 || isRtcp(payload) || !isRtp(payload)) return null;
  return {
    payloadType: payload[1]! & 0x7f,
    sequence: payload.readUInt16BE(2),
    ssrc: payload.readUInt32BE(8),
  };
}

const MAX_DROPOUT = 3000;

/**
 * Watches the payloads of one flow (one direction of one 5-tuple) and says what it carries once that is proven,
 * null before: `rtp` by two packets of one SSRC whose sequence numbers follow each other (RFC 3550 appendix
 * A.1), `rtcp` and `turn` by two packets with the same SSRC or channel, the protocols with a cookie by one.
 * Never `t38`. Where ICE checks come before media, the media wins.
 */
export function createMediaRecognizer(): (payload: Buffer) => PayloadKind | null {
  let proven: PayloadKind | null = null;
  let ssrc: number | null = null;
  let sequence = 0;
  let sender: number | null = null;
  let channel: number | null = null;

  function isProven(kind: PayloadKind, payload: Buffer): boolean {
    if (kind === 'rtp') {
      const before = ssrc;
      const step = (payload.readUInt16BE(2) - sequence) & 0xffff;
      ssrc = payload.readUInt32BE(8);
      sequence = payload.readUInt16BE(2);
      return ssrc === before && step > 0 && step < MAX_DROPOUT;
    }
    if (kind === 'rtcp') {
      const before = sender;
      sender = payload.readUInt32BE(4);
      return sender === before;
    }
    if (kind === 'turn') {
      const before = channel;
      channel = payload.readUInt16BE(0);
      return channel === before;
    }
    return kind !== 't38';
  }

  return (payload) => {
    if (proven !== null && proven !== 'stun') return proven;
    const kind = classifyMedia(payload);
    if (kind !== null && isProven(kind, payload)) proven = kind;
    return proven;
  };
}

/** Version 2, a payload type that RFC 5761 leaves to RTP, contributing sources and extension within the packet. */
function isRtp(payload: Buffer): boolean {
  return isRtpBetween(payload, 0, payload.length);
}

function isRtpBetween(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 12 || bytes[start]! >> 6 !== 2) return false;
  const type = bytes[start + 1]! & 0x7f;
  if (type >= 64 && type <= 95) return false;
  let at = start + 12 + (bytes[start]! & 0x0f) * 4;
  if ((bytes[start]! & 0x10) !== 0) {
    if (at + 4 > end) return false;
    at += 4 + uint16(bytes, at + 2) * 4;
  }
  return at <= end;
}

/**
 * Version 2, an assigned packet type (RFC 5761 section 4), and the first packet of the compound within the
 * payload. Of SRTCP no more than that is in the clear.
 */
function isRtcp(payload: Buffer): boolean {
  return isRtcpBetween(payload, 0, payload.length);
}

function isRtcpBetween(bytes: Buffer, start: number, end: number): boolean {
  if (end - start < 8 || bytes[start]! >> 6 !== 2) return false;
  const type = bytes[start + 1]!;
  const assigned = (type >= 192 && type <= 195) || (type >= 200 && type <= 213);
  return assigned && (uint16(bytes, start + 2) + 1) * 4 <= end - start;
}

/** RFC 8489 section 5: magic cookie, and a length that is a multiple of 4 and fits. */
function isStun(payload: Buffer): boolean {
  if (payload.length < 20 || payload.readUInt32BE(4) !== 0x2112_a442) return false;
  const length = payload.readUInt16BE(2);
  return length % 4 === 0 && 20 + length <= payload.length;
}

/** RFC 3489 11.1: binding and shared secret, their responses and errors. */
const OLD_TYPES: ReadonlySet<number> = new Set([0x0001, 0x0101, 0x0111, 0x0002, 0x0102, 0x0112]);
const MAX_OLD_ATTRIBUTES = 32;

/** RFC 3489, which has no cookie: a known type, and attributes of its own that end exactly where the message ends. */
function isOldStun(payload: Buffer): boolean {
  if (payload.length < 20 || !OLD_TYPES.has(payload.readUInt16BE(0))) return false;
  if (20 + payload.readUInt16BE(2) !== payload.length) return false;
  let at = 20;
  for (let count = 0; at < payload.length; count++) {
    if (count === MAX_OLD_ATTRIBUTES || at + 4 > payload.length) return false;
    const type = payload.readUInt16BE(at);
    if ((type === 0 || type > 0x0015) && type < 0x8000) return false;
    at += 4 + ((payload.readUInt16BE(at + 2) + 3) & ~3);
  }
  return at === payload.length;
}

/** RFC 8656 section 12.4: a channel number from 0x4000 to 0x4fff, and a length that fits up to padding. */
function isTurnChannel(payload: Buffer): boolean {
  const end = 4 + payload.readUInt16BE(2);
  return end <= payload.length && payload.length < end + 4;
}

/** RFC 6189 section 5: the cookie "ZRTP", and a message that starts with 0x505a. */
function isZrtp(payload: Buffer): boolean {
  return (
    payload.length >= 28 && payload.readUInt32BE(4) === 0x5a52_5450 && payload.readUInt16BE(12) === 0x505a
  );
}

/** RFC 6347 section 4.1: a version of DTLS 1.0 or 1.2 (1.3 sends 1.2's), and the first record within the payload. */
function isDtls(payload: Buffer): boolean {
  if (payload.length < 13) return false;
  const version = payload.readUInt16BE(1);
  return (version === 0xfeff || version === 0xfefd) && 13 + payload.readUInt16BE(11) <= payload.length;
}

const MAX_RECOVERED = 32;

/**
 * UDPTL (ITU-T T.38 section 9.1 and annex A): sequence number, primary packet, then either earlier packets or
 * parity, in aligned PER. There is no magic number; every length must fit and the last one must end the payload.
 */
export function isUdptl(payload: Buffer): boolean {
  const primary = openTypeAt(payload, 2);
  if (primary === null || !isInternetFax(payload, primary)) return false;
  const choice = payload[primary.end];
  if (choice === 0x00) return endsAfterList(payload, primary.end + 1);
  if (choice !== 0x80 || payload[primary.end + 1] !== 1) return false;
  return endsAfterList(payload, primary.end + 3);
}

interface OpenType {
  readonly start: number;
  readonly end: number;
}

/** A PER length of one byte below 128, or of two with the highest bit set, then that many bytes. */
function openTypeAt(payload: Buffer, at: number): OpenType | null {
  if (at >= payload.length) return null;
  const short = payload[at]!;
  if (short >= 0xc0) return null;
  if (short >= 0x80 && at + 1 >= payload.length) return null;
  const length = short < 0x80 ? short : ((short & 0x3f) << 8) | payload[at + 1]!;
  const start = at + (short < 0x80 ? 1 : 2);
  return start + length <= payload.length ? { start, end: start + length } : null;
}

/** An indicator is a byte or two without data; a data message carries at least a count of its fields. */
function isInternetFax(payload: Buffer, { start, end }: OpenType): boolean {
  const length = end - start;
  if (length === 0) return false;
  const hasField = (payload[start]! & 0x80) !== 0;
  const isData = (payload[start]! & 0x40) !== 0;
  if (hasField) return isData && length >= 2;
  return length <= 2;
}

function endsAfterList(payload: Buffer, at: number): boolean {
  const count = payload[at];
  if (count === undefined || count > MAX_RECOVERED) return false;
  let end = at + 1;
  for (let i = 0; i < count; i++) {
    const item = openTypeAt(payload, end);
    if (item === null) return false;
    end = item.end;
  }
  return end === payload.length;
}
