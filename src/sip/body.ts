import { Buffer } from 'node:buffer';
import { COLON, CR, indexOfCode, isSpace, LF, skipSpace, trimEnd } from '../scan.ts';
import { isFold, nameBytes, parameter, SEMICOLON } from './grammar.ts';
import type { SdpBody } from './message.ts';

/** What the headers of a message, or of one part of a multipart body, say about the body; '' when absent. */
interface BodyHeaders {
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly contentEncoding: string;
}

/** Parts of a message that are looked at, all levels together. */
const MAX_PARTS = 64;
/** Nesting of multipart in multipart that is still followed. */
const MAX_DEPTH = 3;

type Unusable = Extract<SdpBody, { kind: 'unusable' }>;

const NONE: SdpBody = { kind: 'none' };

const BOUNDARY = nameBytes('boundary');

/**
 * The session description in a body: one application/sdp with disposition `session`, which is its default
 * (RFC 3261 20.11), alone or as a part of multipart/mixed, alternative or related (RFC 2046 5.1). A body of any
 * other type has none, whatever its text looks like; one without a type has one if it begins with `v=0`. Views into `bytes` are returned, nothing is copied; time is
 * linear in `bytes`.
 */
export function readBody(headers: BodyHeaders, bytes: Buffer): SdpBody {
  if (headers.contentType === 'application/sdp' && headers.contentDisposition === '') {
    if (headers.contentEncoding === '') return { kind: 'sdp', bytes };
  }
  if (headers.contentType === '') {
    const isBare = isSession(headers) && !isEncoded(headers, '') && beginsLikeSdp(bytes);
    return isBare ? { kind: 'sdp', bytes } : NONE;
  }
  const found: Found = { parts: 0, sdp: null, fragment: null, problem: null };
  visit(headers, '', bytes, 0, found);
  return found.problem ?? found.sdp ?? found.fragment ?? NONE;
}

/** `v=0` and a line end: nothing else that a SIP message carries begins so. */
function beginsLikeSdp(bytes: Buffer): boolean {
  return bytes.toString('latin1', 0, 3) === 'v=0' && (bytes[3] === CR || bytes[3] === LF);
}

interface Found {
  parts: number;
  sdp: SdpBody | null;
  fragment: SdpBody | null;
  problem: Unusable | null;
}

function visit(
  headers: BodyHeaders,
  transferEncoding: string,
  bytes: Buffer,
  depth: number,
  found: Found,
): void {
  const type = firstWord(headers.contentType);
  switch (type) {
    case 'application/sdp':
      if (!isSession(headers)) return;
      if (isEncoded(headers, transferEncoding)) fail(found, 'encoded-body');
      else if (found.sdp !== null) fail(found, 'several-sdp');
      else found.sdp = { kind: 'sdp', bytes };
      return;
    case 'application/trickle-ice-sdpfrag':
      if (isEncoded(headers, transferEncoding)) fail(found, 'encoded-body');
      else found.fragment ??= { kind: 'sdpfrag', bytes };
      return;
    case 'application/pkcs7-mime':
    case 'multipart/signed':
    case 'multipart/encrypted':
      fail(found, 'encoded-body');
      return;
    case 'multipart/mixed':
    case 'multipart/alternative':
    case 'multipart/related':
      if (depth === MAX_DEPTH) fail(found, 'nested-body');
      else if (isEncoded(headers, transferEncoding)) fail(found, 'encoded-body');
      else visitParts(headers.contentType, bytes, depth + 1, found);
  }
}

/** The first problem found is the one reported. */
function fail(found: Found, reason: Unusable['reason']): void {
  found.problem ??= { kind: 'unusable', reason };
}

/** RFC 3261 20.11: `session` is the default for SDP; `early-session` (RFC 3959) is another session altogether. */
function isSession(headers: BodyHeaders): boolean {
  const disposition = firstWord(headers.contentDisposition);
  return disposition === '' || disposition === 'session';
}

function isEncoded(headers: BodyHeaders, transferEncoding: string): boolean {
  const encoding = firstWord(headers.contentEncoding);
  const transfer = firstWord(transferEncoding);
  return (
    (encoding !== '' && encoding !== 'identity') ||
    (transfer !== '' && transfer !== 'binary' && transfer !== '8bit' && transfer !== '7bit')
  );
}

/** What stands before the first parameter, in lower case and without white space (`application / sdp` is legal). */
function firstWord(value: string): string {
  let word = '';
  for (let i = 0; i < value.length && word.length < 64; i++) {
    const code = value.charCodeAt(i);
    if (code === SEMICOLON) break;
    if (!isSpace(code)) word += value[i]!;
  }
  return word.toLowerCase();
}

/**
 * Visits each part between the delimiter lines (RFC 2046 5.1.1); text before the first and after the last is none.
 * Without the closing delimiter the last part ends with the body.
 */
function visitParts(contentType: string, bytes: Buffer, depth: number, found: Found): void {
  const boundary = boundaryOf(contentType);
  if (boundary === '') {
    fail(found, 'malformed-body');
    return;
  }
  const dashes = `--${boundary}`;
  const text = bytes.toString('latin1');
  let partStart = -1;
  let line = 0;
  while (line < text.length) {
    const lineFeed = text.indexOf('\n', line);
    const lineEnd = lineFeed < 0 ? text.length : lineFeed;
    if (text.startsWith(dashes, line)) {
      const afterBoundary = line + dashes.length;
      const isLast = text.startsWith('--', afterBoundary);
      const rest = isLast ? afterBoundary + 2 : afterBoundary;
      if (skipSpace(bytes, rest, lineEnd) === lineEnd) {
        if (partStart >= 0)
          visitPart(text, bytes, partStart, beforeLineBreak(bytes, partStart, line), depth, found);
        if (isLast) return;
        partStart = lineEnd + 1;
      }
    }
    line = lineEnd + 1;
  }
  if (partStart < 0) fail(found, 'malformed-body');
  else visitPart(text, bytes, Math.min(partStart, bytes.length), bytes.length, depth, found);
}

/** The line break before a delimiter belongs to the delimiter. */
function beforeLineBreak(bytes: Buffer, start: number, delimiter: number): number {
  let end = delimiter;
  if (end > start && bytes[end - 1] === LF) end--;
  if (end > start && bytes[end - 1] === CR) end--;
  return end;
}

/** The boundary parameter, 1 to 70 characters (RFC 2046 5.1.1), without its quotes; '' when there is none. */
function boundaryOf(contentType: string): string {
  const semicolon = contentType.indexOf(';');
  if (semicolon < 0) return '';
  const bytes = Buffer.from(contentType, 'latin1');
  const value = parameter(bytes, contentType, semicolon, bytes.length, BOUNDARY) ?? '';
  const boundary = value.startsWith('"') ? value.slice(1, -1) : value;
  return boundary.length > 70 || boundary.includes('\\') ? '' : boundary;
}

function visitPart(
  text: string,
  bytes: Buffer,
  start: number,
  end: number,
  depth: number,
  found: Found,
): void {
  if (++found.parts > MAX_PARTS) {
    fail(found, 'malformed-body');
    return;
  }
  const fields = new Map<string, string>();
  let line = start;
  while (line < end) {
    const lineEnd = endOfHeader(bytes, line, end);
    if (trimEnd(bytes, line, lineEnd) === line) {
      line = lineEnd + 1;
      break;
    }
    const colon = indexOfCode(bytes, COLON, line, lineEnd);
    if (colon < lineEnd) {
      const name = text.slice(line, trimEnd(bytes, line, colon)).toLowerCase();
      const valueStart = skipSpace(bytes, colon + 1, lineEnd);
      const value = text.slice(valueStart, trimEnd(bytes, valueStart, lineEnd));
      if (name.startsWith('content-') && (fields.get(name) ?? value) !== value) {
        fail(found, 'malformed-body');
        return;
      }
      fields.set(name, value);
    }
    line = lineEnd + 1;
  }
  const headers = {
    contentType: fields.get('content-type') ?? '',
    contentDisposition: fields.get('content-disposition') ?? '',
    contentEncoding: fields.get('content-encoding') ?? '',
  };
  const transferEncoding = fields.get('content-transfer-encoding') ?? '';
  visit(headers, transferEncoding, bytes.subarray(Math.min(line, end), end), depth, found);
}

/** Index of the LF that ends the header at `start` with all its continuation lines, or `end`. */
function endOfHeader(bytes: Buffer, start: number, end: number): number {
  let lineFeed = bytes.indexOf(LF, start);
  if (bytes[start] === LF || (bytes[start] === CR && lineFeed === start + 1)) {
    return Math.min(lineFeed, end);
  }
  while (lineFeed >= 0 && lineFeed < end && isFold(bytes[lineFeed + 1]!)) {
    lineFeed = bytes.indexOf(LF, lineFeed + 1);
  }
  return lineFeed < 0 || lineFeed > end ? end : lineFeed;
}
