import type { Buffer } from 'node:buffer';
import { COLON, indexOfCode, isFiller, isSpace, LF, skipFillers, trimEnd } from '../scan.ts';
import { isFold, isTokenCode, LESS } from './grammar.ts';

/** The longest method and the longest URI scheme that are looked at, in bytes. */
const MAX_WORD = 64;
/** The longest request line that is looked at, in bytes. */
const MAX_LINE = 8192;
/** First bytes of a status line, and of the last word of a request line. */
const VERSION = [0x73, 0x69, 0x70, 0x2f];
/** RFC 8489 section 5. */
const STUN_MAGIC_COOKIE = 0x2112a442;
const STUN_HEADER_BYTES = 20;

export type Recognition = 'sip' | 'other' | 'undecided';

/**
 * Whether a payload begins like a SIP message: `METHOD scheme:... SIP/2.0` or `SIP/2.0`, of any version number,
 * possibly after line breaks and NULs. Looks at the first line only, and beyond its second word only if that is a URI.
 * A request of HTTP or RTSP is not SIP. Meant to find SIP on any port.
 */
export function looksLikeSip(payload: Buffer): boolean {
  return recogniseStart(payload) === 'sip';
}

/** The same for the first bytes of a stream, of which more may come: `undecided` until they are enough. */
export function recogniseStart(bytes: Buffer): Recognition {
  const end = bytes.length;
  const line = skipFillers(bytes, 0, end);
  const matched = matchVersion(bytes, line, end);
  if (matched === VERSION.length) return 'sip';
  if (line + matched === end) return 'undecided';

  let i = endOfToken(bytes, line, end);
  if (i === end) return i - line > MAX_WORD ? 'other' : 'undecided';
  if (i === line || !isFold(bytes[i]!)) return 'other';
  while (i < end && isFold(bytes[i]!) && i - line < 2 * MAX_WORD) i++;
  if (i < end && bytes[i] === LESS) i++;
  const scheme = i;
  i = endOfToken(bytes, scheme, end);
  if (i === end) return i - scheme > MAX_WORD ? 'other' : 'undecided';
  if (i === scheme || bytes[i] !== COLON) return 'other';

  const limit = Math.min(end, line + MAX_LINE + 1);
  const lineFeed = indexOfCode(bytes, LF, i, limit);
  if (lineFeed === limit) return end - line < MAX_LINE ? 'undecided' : 'other';
  const version = trimEnd(bytes, i, lineFeed) - 'SIP/2.0'.length;
  return isSpace(bytes[version - 1]!) && matchVersion(bytes, version, end) === VERSION.length
    ? 'sip'
    : 'other';
}

/**
 * Whether a payload only keeps a flow alive: nothing but line breaks (RFC 5626 3.5.1) or zero bytes, an empty
 * datagram, or a STUN message (RFC 5626 3.5.2).
 */
export function isKeepalive(payload: Buffer): boolean {
  const first = payload[0];
  if (first === undefined) return true;
  if (isFiller(first) && skipFillers(payload, 1, payload.length) === payload.length) return true;
  return first < 4 && payload.length >= STUN_HEADER_BYTES && payload.readUInt32BE(4) === STUN_MAGIC_COOKIE;
}

function endOfToken(bytes: Buffer, start: number, end: number): number {
  const limit = Math.min(end, start + MAX_WORD + 1);
  let i = start;
  while (i < limit && isTokenCode(bytes[i]!)) i++;
  return i;
}

/** How many of the bytes of `SIP/` are at `start`, in any case. */
function matchVersion(bytes: Buffer, start: number, end: number): number {
  let count = 0;
  while (
    count < VERSION.length &&
    start + count < end &&
    (bytes[start + count]! | 0x20) === (VERSION[count]! | 0x20)
  ) {
    count++;
  }
  return count;
}
