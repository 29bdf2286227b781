import { ownCopy } from '../own-copy.ts';
import { printable } from '../printable.ts';
import {
  AT,
  afterLastCode,
  COLON,
  CR,
  decimal,
  endOfWord,
  indexOfCode,
  isSpace,
  LF,
  SLASH,
  SPACE,
  skipSpace,
  TAB,
  trimEnd,
} from '../scan.ts';
import {
  COMMA,
  endOfQuoted,
  GREATER,
  hasName,
  isFold,
  isTokenCode,
  LESS,
  nameBytes,
  parameter,
  QUOTE,
  SEMICOLON,
} from './grammar.ts';
import { isSipError, type SipError, type SipErrorReason, type SipMessage } from './message.ts';
import { MAX_TOLD, told, withoutPasswords } from './told.ts';
import { mayShowTheWay } from './way.ts';

/** Start-line and headers of one message, and where its body begins. */
export interface Head {
  /**
   * Complete but for `sdp`, which whoever has the body fills in. An error when the message must not be used but
   * its length can still be relied on.
   */
  readonly message: { -readonly [Field in keyof SipMessage]: SipMessage[Field] } | SipError;
  /** Offset in the text of the first byte after the empty line, or its length when there is no empty line. */
  readonly bodyStart: number;
  /** Value of Content-Length in bytes, -1 without one. */
  readonly contentLength: number;
  /** Header values as written, '' when absent. */
  readonly contentType: string;
  readonly contentDisposition: string;
  readonly contentEncoding: string;
}

/** RFC 3261 20.14 gives no bound; a message of 2 GiB or more is none. */
const MAX_CONTENT_LENGTH = 2 ** 31 - 1;
/** CSeq (of which RFC 3261 8.1.1.5 allows the half), delta-seconds (20.19) and RSeq (RFC 3262 7.1). */
const MAX_UINT32 = 2 ** 32 - 1;

/** Characters of a Call-ID, a tag, a branch, a sent-by or a method. Longer ones are nobody's and would be kept. */
const MAX_IDENTIFIER = 1024;
/** Strings of a longer message do not share its text: whoever keeps one must not keep 64 kB alive. */
const MAX_SHARED = 2048;
const NO_BODY = { kind: 'none' } as const;

const CALL_ID = 0;
const CSEQ = 1;
const FROM = 2;
const TO = 3;
const VIA = 4;
const CONTENT_LENGTH = 5;
const CONTENT_TYPE = 6;
const CONTENT_DISPOSITION = 7;
const RSEQ = 8;
const RACK = 9;
const CONTENT_ENCODING = 10;
const EXPIRES = 11;
const SESSION_EXPIRES = 12;
const CONTACT = 13;
const RECORD_ROUTE = 14;
const SLOTS = 15;
const NOT_READ = -1;
const QUESTION = 0x3f;
const OPEN_BRACKET = 0x5b;
const CLOSE_BRACKET = 0x5d;

const NAMES: readonly string[] = [
  'call-id',
  'cseq',
  'from',
  'to',
  'via',
  'content-length',
  'content-type',
  'content-disposition',
  'rseq',
  'rack',
  'content-encoding',
  'expires',
  'session-expires',
  'contact',
  'record-route',
];

const NAME_BYTES = NAMES.map(nameBytes);

/** Start and end of each header's value in the text being read, -1 when not seen. Valid during one readHead. */
const starts = new Int32Array(SLOTS);
const ends = new Int32Array(SLOTS);

/**
 * Reads start-line and headers from `bytes`, beginning at `from`; `text` is `bytes` decoded as latin1. Only the
 * headers of SipMessage are looked at; all others are stepped over, malformed or not (RFC 3261 8.2.2 wants that).
 * The answer is an error of its own, rather than one inside a Head, when not even the length of the message is
 * known. With `crlfOnly` a line that ends in LF alone is an error: on a stream it makes framing a matter of
 * opinion. Strings in the answer may share memory with a `text` of at most MAX_SHARED characters. Time is linear in `bytes`.
 */
export function readHead(
  bytes: Uint8Array,
  text: string,
  from: number,
  maxHeaders: number,
  crlfOnly: boolean,
): Head | SipError {
  const length = text.length;
  const startLineFeed = text.indexOf('\n', from);
  const startLineEnd = trimEnd(bytes, from, startLineFeed < 0 ? length : startLineFeed);
  const startLine = readStartLine(bytes, text, from, startLineEnd);
  if (isSipError(startLine)) return startLine;
  if (crlfOnly && !endsInCrlf(bytes, startLineFeed)) return bareLineFeed(text, from, startLineFeed);

  starts.fill(-1);
  let conflicting: SipError | null = null;
  const mayAsk = mayShowTheWay(startLine);
  let asksForTls = false;
  let headers = 0;
  let position = startLineFeed < 0 ? length : startLineFeed + 1;
  while (position < length) {
    const first = bytes[position]!;
    if (first === LF || (first === CR && bytes[position + 1]! === LF)) {
      if (crlfOnly && first === LF) return bareLineFeed(text, position, position);
      position += first === LF ? 1 : 2;
      break;
    }
    headers++;
    let lineFeed = text.indexOf('\n', position);
    if (crlfOnly && !endsInCrlf(bytes, lineFeed)) return bareLineFeed(text, position, lineFeed);
    while (lineFeed >= 0 && isFold(bytes[lineFeed + 1]!)) {
      lineFeed = text.indexOf('\n', lineFeed + 1);
      if (crlfOnly && !endsInCrlf(bytes, lineFeed)) return bareLineFeed(text, position, lineFeed);
    }
    const end = lineFeed < 0 ? length : lineFeed;
    const second = bytes[position + 1]!;
    const isCompact = second === COLON || second === SPACE || second === TAB;
    const slot = isCompact ? compactSlotOf(first | 0x20) : slotOf(bytes, position, first | 0x20);
    if (slot !== NOT_READ) {
      const nameEnd = isCompact ? position + 1 : endOfName(bytes, position, NAME_BYTES[slot]!);
      const valueStart = startOfValue(bytes, nameEnd, end);
      if (valueStart >= 0) {
        const valueEnd = trimEnd(bytes, valueStart, end);
        if (mayAsk && slot >= CONTACT) asksForTls ||= namesTls(bytes, valueStart, valueEnd);
        if (starts[slot]! < 0) {
          starts[slot] = valueStart;
          ends[slot] = valueEnd;
        } else if (!mayDiffer(slot) && headerValue(text, slot) !== text.slice(valueStart, valueEnd)) {
          conflicting ??= conflict(text, slot, valueStart, valueEnd);
          if (slot === CONTENT_LENGTH) return conflicting;
        }
      }
    }
    position = end + 1;
  }
  const contentLength = readContentLength(bytes, crlfOnly);
  if (contentLength === INVALID) {
    const found = printable(headerValue(text, CONTENT_LENGTH));
    return sipError('bad-content-length', `expected a decimal number below 2**31, found "${found}"`);
  }
  return {
    message:
      headers > maxHeaders
        ? sipError('too-many-headers', `more than ${maxHeaders} headers`)
        : (conflicting ?? assemble(bytes, text, startLine, asksForTls)),
    bodyStart: Math.min(position, length),
    contentLength,
    contentType: headerValue(text, CONTENT_TYPE),
    contentDisposition: headerValue(text, CONTENT_DISPOSITION),
    contentEncoding: headerValue(text, CONTENT_ENCODING),
  };
}

/** An error with its detail cut to the 200 characters of SipError. */
export function sipError(error: SipErrorReason, detail: string): SipError {
  return { error, detail: detail.length > 200 ? `${detail.slice(0, 197)}...` : detail };
}

function same(text: string): string {
  return text;
}

function endsInCrlf(bytes: Uint8Array, lineFeed: number): boolean {
  return lineFeed > 0 && bytes[lineFeed - 1]! === CR;
}

function bareLineFeed(text: string, start: number, lineFeed: number): SipError {
  const end = Math.min(lineFeed < 0 ? text.length : lineFeed, start + MAX_TOLD);
  const [name = ''] = text.slice(start, end).split(':', 1);
  return sipError('malformed-header', `expected CRLF at the end of the line "${printable(name)}"`);
}

function conflict(text: string, slot: number, start: number, end: number): SipError {
  const second = printable(told(text, start, end));
  return sipError('conflicting-header', `${NAMES[slot]} is "${toldValue(text, slot)}" and also "${second}"`);
}

function toldValue(text: string, slot: number): string {
  return printable(told(text, starts[slot]!, ends[slot]!));
}

/** Whether a second header with another value does no harm: the first one counts (Via: the topmost). */
function mayDiffer(slot: number): boolean {
  return slot === VIA || slot >= CONTACT || slot === EXPIRES || slot === SESSION_EXPIRES;
}

/** RFC 3261 7.3.3, RFC 4028 section 10. */
function compactSlotOf(letter: number): number {
  switch (letter) {
    case 0x63: // c
      return CONTENT_TYPE;
    case 0x65: // e
      return CONTENT_ENCODING;
    case 0x66: // f
      return FROM;
    case 0x69: // i
      return CALL_ID;
    case 0x6c: // l
      return CONTENT_LENGTH;
    case 0x6d: // m
      return CONTACT;
    case 0x74: // t
      return TO;
    case 0x76: // v
      return VIA;
    case 0x78: // x
      return SESSION_EXPIRES;
    default:
      return NOT_READ;
  }
}

/** The one header of ours that the line at `start` can be, going by two or three letters; NOT_READ for most. */
function slotOf(bytes: Uint8Array, start: number, letter: number): number {
  switch (letter) {
    case 0x63: // c
      return slotOfC(bytes, start);
    case 0x65: // e
      return EXPIRES;
    case 0x66: // f
      return FROM;
    case 0x72: // r
      return slotOfR(bytes, start);
    case 0x73: // s
      return SESSION_EXPIRES;
    case 0x74: // t
      return TO;
    case 0x76: // v
      return VIA;
    default:
      return NOT_READ;
  }
}

function slotOfR(bytes: Uint8Array, start: number): number {
  switch (bytes[start + 1]! | 0x20) {
    case 0x65: // re
      return RECORD_ROUTE;
    case 0x73: // rs
      return RSEQ;
    default:
      return RACK;
  }
}

function slotOfC(bytes: Uint8Array, start: number): number {
  switch (bytes[start + 1]! | 0x20) {
    case 0x61: // ca
      return CALL_ID;
    case 0x73: // cs
      return CSEQ;
  }
  if ((bytes[start + 4]! | 0x20) === 0x61) return CONTACT; // conta
  switch (bytes[start + 8]! | 0x20) {
    case 0x6c: // content-l
      return CONTENT_LENGTH;
    case 0x74: // content-t
      return CONTENT_TYPE;
    case 0x64: // content-d
      return CONTENT_DISPOSITION;
    case 0x65: // content-e
      return CONTENT_ENCODING;
    default:
      return NOT_READ;
  }
}

/** Index after `name` if it stands at `start`, else -1. */
function endOfName(bytes: Uint8Array, start: number, name: Uint8Array): number {
  return hasName(bytes, start, name) ? start + name.length : -1;
}

/** Where the value starts after a header name that ends at `nameEnd`; -1 without a colon there, or without a name. */
function startOfValue(bytes: Uint8Array, nameEnd: number, end: number): number {
  if (nameEnd < 0) return -1;
  const i = skipSpace(bytes, nameEnd, end);
  return i < end && bytes[i] === COLON ? skipSpace(bytes, i + 1, end) : -1;
}

function headerValue(text: string, slot: number): string {
  return starts[slot]! < 0 ? '' : text.slice(starts[slot], ends[slot]);
}

interface StartLine {
  readonly method: string;
  readonly status: number;
  readonly subject: string;
}

const VERSION = nameBytes('sip/2.0');
const SIP_SLASH = nameBytes('sip/');
const BRANCH = nameBytes('branch');
const TAG = nameBytes('tag');

function readStartLine(bytes: Uint8Array, text: string, start: number, end: number): StartLine | SipError {
  if (hasName(bytes, start, SIP_SLASH)) return readStatusLine(bytes, text, start, end);
  let i = start;
  while (i < end && isTokenCode(bytes[i]!)) i++;
  const methodEnd = i;
  while (i < end && isFold(bytes[i]!)) i++;
  const subjectStart = i;
  i = endOfWord(bytes, i, end);
  const subjectEnd = i;
  i = skipSpace(bytes, i, end);
  if (methodEnd === start || subjectStart === methodEnd || !hasName(bytes, end - 7, VERSION)) {
    return badStartLine(bytes, text, start, end);
  }
  if (subjectEnd === subjectStart || i !== end - 7) {
    return sipError('malformed-start-line', `white space in the URI of "${lineOf(text, start, end)}"`);
  }
  const subject = told(text, subjectStart, subjectEnd);
  return { method: text.slice(start, methodEnd), status: 0, subject };
}

function readStatusLine(bytes: Uint8Array, text: string, start: number, end: number): StartLine | SipError {
  const codeStart = skipSpace(bytes, start + VERSION.length, end);
  const codeEnd = endOfWord(bytes, codeStart, end);
  const status = codeEnd - codeStart === 3 ? decimal(bytes, codeStart, codeEnd, 699) : -1;
  if (!hasName(bytes, start, VERSION) || codeStart === start + VERSION.length || status < 100) {
    return sipError(
      'malformed-start-line',
      `expected SIP/2.0 and a status from 100 to 699, found "${lineOf(text, start, end)}"`,
    );
  }
  return { method: '', status, subject: told(text, skipSpace(bytes, codeEnd, end), end) };
}

function badStartLine(bytes: Uint8Array, text: string, start: number, end: number): SipError {
  const line = lineOf(text, start, end);
  const lastWord = text.lastIndexOf(' ', end - 1) + 1;
  return lastWord > start && hasName(bytes, lastWord, SIP_SLASH)
    ? sipError('malformed-start-line', `expected METHOD URI SIP/2.0, found "${line}"`)
    : sipError('not-sip', `expected a SIP start-line, found "${line}"`);
}

function lineOf(text: string, start: number, end: number): string {
  return printable(told(text, start, end));
}

function malformed(text: string, slot: number, expected: string): SipError {
  const found = toldValue(text, slot);
  return sipError('malformed-header', `${NAMES[slot]}: expected ${expected}, found "${found}"`);
}

const ABSENT = -1;
const INVALID = -2;

/** On a stream a Content-Length without a number frames nothing; in a datagram it says nothing. */
function readContentLength(bytes: Uint8Array, stream: boolean): number {
  const start = starts[CONTENT_LENGTH]!;
  if (start < 0 || (!stream && start === ends[CONTENT_LENGTH]!)) return ABSENT;
  const length = decimal(bytes, start, ends[CONTENT_LENGTH]!, MAX_CONTENT_LENGTH);
  return length < 0 ? INVALID : length;
}

function assemble(
  bytes: Uint8Array,
  text: string,
  startLine: StartLine,
  asksForTls: boolean,
): Head['message'] {
  for (let slot = CALL_ID; slot <= VIA; slot++) {
    if (starts[slot]! < 0) return sipError('missing-header', `no ${NAMES[slot]}`);
  }
  const callId = headerValue(text, CALL_ID);
  if (callId === '') return malformed(text, CALL_ID, 'an identifier');

  const cseqStart = starts[CSEQ]!;
  const cseqEnd = ends[CSEQ]!;
  const numberEnd = endOfWord(bytes, cseqStart, cseqEnd);
  const cseq = decimal(bytes, cseqStart, numberEnd, MAX_UINT32);
  const methodStart = skipSpace(bytes, numberEnd, cseqEnd);
  const cseqMethod = text.slice(methodStart, cseqEnd);
  if (cseq < 0 || cseqMethod === '' || !isToken(bytes, methodStart, cseqEnd))
    return malformed(text, CSEQ, 'a number below 2**32 and a method');
  if (startLine.status === 0 && cseqMethod !== startLine.method) {
    return malformed(text, CSEQ, `the method of the request, ${printable(startLine.method, 40)}`);
  }

  const fromTag = readTag(bytes, text, starts[FROM]!, ends[FROM]!);
  if (fromTag === null) return malformed(text, FROM, 'an address with every quote and < closed');
  const toTag = readTag(bytes, text, starts[TO]!, ends[TO]!);
  if (toTag === null) return malformed(text, TO, 'an address with every quote and < closed');

  const viaEnd = ends[VIA]!;
  const sentByStart = startOfSentBy(bytes, starts[VIA]!, viaEnd);
  const sentByEnd = endOfSentBy(bytes, sentByStart, viaEnd);
  const branch = parameter(bytes, text, sentByEnd, viaEnd, BRANCH, true);
  if (sentByEnd === sentByStart || branch === null) {
    return malformed(text, VIA, 'SIP/2.0/transport host:port;parameters');
  }

  const sentBy = text.slice(sentByStart, trimEnd(bytes, sentByStart, sentByEnd));
  const longest = Math.max(callId.length, fromTag.length, toTag.length, branch.length, sentBy.length);
  if (Math.max(longest, cseqMethod.length) > MAX_IDENTIFIER) {
    const which = 'Call-ID, tag, branch, sent-by or method';
    return sipError('malformed-header', `a ${which} of more than ${MAX_IDENTIFIER} characters`);
  }

  const own = text.length > MAX_SHARED ? ownCopy : same;
  const message = {
    method: startLine.method,
    status: startLine.status,
    subject: own(startLine.subject),
    callId: own(callId),
    fromTag: own(fromTag),
    toTag: own(toTag),
    cseq,
    cseqMethod,
    branch: own(branch),
    sentBy: own(sentBy),
    contact: own(contactHost(bytes, text)),
    rseq: readNumber(bytes, RSEQ),
    rack: starts[RACK]! < 0 ? null : readRack(bytes, text, starts[RACK]!, ends[RACK]!),
    sessionExpires: readNumber(bytes, SESSION_EXPIRES),
    expires: readNumber(bytes, EXPIRES),
    from: own(displayText(text, FROM)),
    to: own(displayText(text, TO)),
    sdp: NO_BODY,
  };
  return asksForTls ? { ...message, asksForTls } : message;
}

/**
 * The tag of a From or To value; '' without one, null when a quoted string or a `<` is never closed. Without <>
 * everything after the first semicolon belongs to the header, not to the URI (RFC 3261 20.10); a semicolon before
 * a `<` may also be one of a name that should stand in quotes.
 */
function readTag(bytes: Uint8Array, text: string, start: number, end: number): string | null {
  let i = start;
  while (i < end) {
    const code = bytes[i]!;
    if (code === SEMICOLON) {
      // What has no colon is no URI, but a name.
      const open = indexOfCode(bytes, COLON, start, i) === i ? indexOfCode(bytes, LESS, i, end) : end;
      if (indexOfCode(bytes, GREATER, open, end) === end) break;
      i = open;
      continue;
    }
    if (code === LESS) {
      i = text.indexOf('>', i) + 1;
      if (i === 0 || i > end) return null;
      i = startOfParameters(bytes, i, end);
      break;
    }
    if (code === QUOTE) {
      i = endOfQuoted(bytes, i, end);
      if (i < 0) return null;
    }
    i++;
  }
  return i < 0 ? null : (parameter(bytes, text, i, end, TAG) ?? '');
}

/** The first semicolon behind an address in <>, and behind what stands there though nothing should; -1 for a quote that is open. */
function startOfParameters(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i] !== SEMICOLON) {
    if (bytes[i] === QUOTE) i = endOfQuoted(bytes, i, end);
    else if (bytes[i] === LESS) i = indexOfCode(bytes, GREATER, i, end);
    if (i < 0) return -1;
    i++;
  }
  return Math.min(i, end);
}

function isToken(bytes: Uint8Array, start: number, end: number): boolean {
  let i = start;
  while (i < end && isTokenCode(bytes[i]!)) i++;
  return i === end;
}

/** Past `SIP / 2.0 / UDP ` of a Via value, or `end`. */
function startOfSentBy(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  for (let slashes = 0; slashes < 2 && i < end; i++) {
    if (bytes[i] === SLASH) slashes++;
  }
  const transport = skipSpace(bytes, i, end);
  return skipSpace(bytes, endOfWord(bytes, transport, end), end);
}

function endOfSentBy(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i]! !== SEMICOLON && bytes[i]! !== COMMA) i++;
  return i;
}

/**
 * The host of the first Contact: what follows the user part, up to a port or a parameter. A name in quotes may contain
 * anything, a user part semicolons and question marks (RFC 3261 25.1).
 */
function contactHost(bytes: Uint8Array, text: string): string {
  const end = ends[CONTACT]!;
  let start = starts[CONTACT]!;
  if (start < 0) return '';
  if (bytes[start] === QUOTE) start = endOfQuoted(bytes, start, end);
  if (start < 0) return '';
  const scheme = indexOfCode(bytes, COLON, start, end);
  if (scheme === end) return '';
  const isBracketed = indexOfCode(bytes, LESS, start, scheme) < scheme;
  const uriEnd = indexOfCode(bytes, isBracketed ? GREATER : COMMA, scheme, end);
  const host = afterLastCode(bytes, AT, scheme + 1, uriEnd);
  if (bytes[host] === OPEN_BRACKET)
    return textBetween(text, host + 1, indexOfCode(bytes, CLOSE_BRACKET, host, uriEnd));
  let i = host;
  while (i < uriEnd && bytes[i] !== COLON && bytes[i] !== SEMICOLON && bytes[i] !== QUESTION) i++;
  return textBetween(text, host, trimEnd(bytes, host, i));
}

const SIPS = nameBytes('sips:');
const TRANSPORT = nameBytes('transport=');
const TLS = nameBytes('tls');
const WSS = nameBytes('wss');

/** Whether a URI in this value is one of TLS, by its scheme or by the parameter that stands for it (RFC 3261 26.2.2, RFC 7118). */
function namesTls(bytes: Uint8Array, start: number, end: number): boolean {
  for (let i = start; i < end; i++) {
    const letter = bytes[i]! | 0x20;
    if (letter === 0x73 && hasName(bytes, i, SIPS)) return true;
    if (letter === 0x74 && hasName(bytes, i, TRANSPORT)) {
      const value = i + TRANSPORT.length;
      if (hasName(bytes, value, TLS) || hasName(bytes, value, WSS)) return true;
    }
  }
  return false;
}

/** What is longer than any host name (RFC 1035 2.3.4) is none. */
function textBetween(text: string, start: number, end: number): string {
  return end - start > 255 ? '' : text.slice(start, end);
}

/** The number a header begins with, null when it is absent, no number, or over 32 bits. */
function readNumber(bytes: Uint8Array, slot: number): number | null {
  const start = starts[slot]!;
  if (start < 0) return null;
  let end = start;
  while (end < ends[slot]! && bytes[end]! !== SEMICOLON && !isSpace(bytes[end]!)) end++;
  const number = decimal(bytes, start, end, MAX_UINT32);
  return number < 0 ? null : number;
}

/** RAck of RFC 3262 7.2: RSeq, CSeq and method, each after white space. */
function readRack(bytes: Uint8Array, text: string, start: number, end: number): SipMessage['rack'] {
  const rseqEnd = endOfWord(bytes, start, end);
  const cseqStart = skipSpace(bytes, rseqEnd, end);
  const cseqEnd = endOfWord(bytes, cseqStart, end);
  const rseq = decimal(bytes, start, rseqEnd, MAX_UINT32);
  const cseq = decimal(bytes, cseqStart, cseqEnd, MAX_UINT32);
  const method = text.slice(skipSpace(bytes, cseqEnd, end), end);
  const isMethod = method !== '' && method.length <= MAX_IDENTIFIER;
  return rseq < 0 || cseq < 0 || !isMethod ? null : { rseq, cseq, method };
}

/** A header value for people: on one line, where each fold becomes one space, and cut to MAX_TOLD. */
function displayText(text: string, slot: number): string {
  const start = starts[slot]!;
  const end = Math.min(ends[slot]!, start + MAX_TOLD);
  const value = text.slice(start, end);
  return withoutPasswords(value.includes('\n') ? unfolded(value) : value, end < ends[slot]!);
}

function unfolded(value: string): string {
  return value
    .split('\n')
    .map((line) => line.trim())
    .join(' ');
}
