import { Buffer } from 'node:buffer';
import { withoutPasswords } from './told.ts';

/** What stands in the place of a secret. */
export const REMOVED = 'removed';

/** Header fields whose value proves who somebody is (RFC 3261 20.7, 20.28, RFC 3310, RFC 8760). */
const CREDENTIALS = new Set([
  'authorization',
  'proxy-authorization',
  'authentication-info',
  'proxy-authentication-info',
]);
const LENGTH = new Set(['content-length', 'l']);
const TYPE = new Set(['content-type', 'c']);
const ENCODING = new Set(['content-encoding', 'e']);

/** Bodies of which is known what in them is secret; all others (DTMF digits, texts, pictures) are removed whole. */
const READABLE = new Set(['application/sdp', 'application/trickle-ice-sdpfrag', 'message/sipfrag']);
/** Up to the next white space behind these stands a key: RFC 4568 9.2, RFC 8839 5.4, RFC 4567 3.1, RFC 3830. */
const BEFORE_KEYS = ['inline:', 'ice-pwd:', 'mikey '];

/**
 * A SIP message without what nobody but its parties may know: credentials, passwords of URIs, keys of media and of ICE, and
 * bodies that are no description. Its Content-Length is right; all else is as it was. Time is linear in the bytes.
 */
export function withoutSecrets(message: Buffer): Buffer {
  const text = message.toString('latin1');
  const bodyStart = bodyOf(text);
  const lines = headerLines(text, bodyStart);
  const body = cleanBody(text.slice(bodyStart), lines);
  const head = lines.map((line, index) =>
    index === 0 ? withoutPasswords(line, false) : cleanHeader(line, body.length),
  );
  return Buffer.from(head.join('') + body, 'latin1');
}

/** Index behind the empty line, or the end. */
function bodyOf(text: string): number {
  for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) {
    if (text[at + 1] === '\n') return at + 2;
    if (text[at + 1] === '\r' && text[at + 2] === '\n') return at + 3;
  }
  return text.length;
}

/** Lines with their ends; a line that goes on in the next (RFC 3261 7.3.1) is one. */
function headerLines(text: string, end: number): string[] {
  const lines: string[] = [];
  let start = 0;
  while (start < end) {
    let lineFeed = text.indexOf('\n', start);
    while (
      lineFeed >= 0 &&
      lineFeed + 1 < end &&
      (text[lineFeed + 1] === ' ' || text[lineFeed + 1] === '\t')
    ) {
      lineFeed = text.indexOf('\n', lineFeed + 1);
    }
    const next = lineFeed < 0 || lineFeed >= end ? end : lineFeed + 1;
    lines.push(text.slice(start, next));
    start = next;
  }
  return lines;
}

interface Field {
  /** In small letters. */
  readonly name: string;
  /** Up to the value: name, colon, white space. */
  readonly before: string;
  readonly value: string;
  /** The line's end. */
  readonly after: string;
}

/** Null where it is no header field. */
function fieldOf(line: string): Field | null {
  const colon = line.indexOf(':');
  if (colon < 0) return null;
  let [start, end] = [colon + 1, line.length];
  while (end > start && isBlank(line[end - 1]!)) end--;
  while (start < end && isBlank(line[start]!)) start++;
  const name = line.slice(0, colon).trim().toLowerCase();
  return { name, before: line.slice(0, start), value: line.slice(start, end), after: line.slice(end) };
}

function isBlank(character: string): boolean {
  return character === ' ' || character === '\t' || character === '\r' || character === '\n';
}

function cleanHeader(line: string, length: number): string {
  const field = fieldOf(line);
  if (field === null) return withoutPasswords(line, false);
  const { name, before, value, after } = field;
  if (CREDENTIALS.has(name)) return `${before}${schemeOf(value)} response="${REMOVED}"${after}`;
  if (LENGTH.has(name)) return `${before}${length}${after}`;
  return withoutPasswords(line, false);
}

/** `Digest`: the first word, where it is one. */
function schemeOf(value: string): string {
  const space = value.indexOf(' ');
  const word = space < 0 ? '' : value.slice(0, Math.min(space, 32));
  return word !== '' && !word.includes('=') ? word : 'Digest';
}

function firstOf(lines: readonly string[], names: ReadonlySet<string>): string {
  for (const line of lines) {
    const field = fieldOf(line);
    if (field !== null && names.has(field.name)) return field.value;
  }
  return '';
}

function cleanBody(body: string, headers: readonly string[]): string {
  const encoding = firstOf(headers, ENCODING).toLowerCase();
  if (body === '') return '';
  if (encoding !== '' && encoding !== 'identity') return gone(body);
  const type = firstOf(headers, TYPE);
  if (typeOf(type).startsWith('multipart/')) return cleanParts(body, type);
  return isReadable(type, body) ? cleanText(body) : gone(body);
}

function isReadable(type: string, body: string): boolean {
  return READABLE.has(typeOf(type)) || (type === '' && body.startsWith('v=0'));
}

function typeOf(value: string): string {
  const semicolon = value.indexOf(';');
  return (semicolon < 0 ? value : value.slice(0, semicolon))
    .replaceAll(' ', '')
    .replaceAll('\t', '')
    .toLowerCase();
}

function gone(body: string): string {
  return `${REMOVED}: ${body.length} bytes\r\n`;
}

/** The parts of a multipart body (RFC 2046 5.1), also those of parts within. */
function cleanParts(body: string, type: string): string {
  const delimiters = new Set<string>();
  noteBoundary(delimiters, type);
  let result = '';
  let part: string[] = [];
  for (const line of headerLines(body, body.length)) {
    const word = line.trimEnd();
    if (!delimiters.has(word) && !(word.endsWith('--') && delimiters.has(word.slice(0, -2)))) {
      part.push(line);
      if (fieldOf(line)?.name === 'content-type') noteBoundary(delimiters, fieldOf(line)!.value);
      continue;
    }
    result += cleanPart(part) + line;
    part = [];
  }
  return result + cleanPart(part);
}

/** Of a parameter `boundary`, with or without quotes. */
function noteBoundary(delimiters: Set<string>, type: string): void {
  const at = type.toLowerCase().indexOf('boundary=');
  if (at < 0 || delimiters.size >= 8) return;
  const value = type.slice(at + 'boundary='.length);
  const end = value.startsWith('"') ? value.indexOf('"', 1) : value.indexOf(';');
  delimiters.add(`--${(end < 0 ? value : value.slice(value.startsWith('"') ? 1 : 0, end)).trim()}`);
}

/** Headers, an empty line, and what it holds, before the next delimiter. */
function cleanPart(lines: readonly string[]): string {
  const blank = lines.findIndex((line) => line.trim() === '');
  if (blank < 0) return lines.join('');
  const headers = lines.slice(0, blank + 1);
  const body = lines.slice(blank + 1).join('');
  const type = firstOf(headers, TYPE);
  const isPlain = firstOf(headers, new Set(['content-transfer-encoding'])).toLowerCase() !== 'base64';
  const isMultipart = typeOf(type).startsWith('multipart/');
  const kept =
    body === '' || isMultipart || (isPlain && isReadable(type, body)) ? cleanText(body) : gone(body);
  return headers.join('') + kept;
}

/** Lines of SDP, and of headers that are quoted in a body. */
function cleanText(text: string): string {
  return headerLines(text, text.length)
    .map((line) => {
      if (line.startsWith('k=')) return `k=${REMOVED}${endOf(line)}`;
      const name = fieldOf(line)?.name ?? '';
      return CREDENTIALS.has(name) ? cleanHeader(line, 0) : withoutPasswords(withoutKeys(line), false);
    })
    .join('');
}

function endOf(line: string): string {
  return line.endsWith('\r\n') ? '\r\n' : line.endsWith('\n') ? '\n' : '';
}

function withoutKeys(line: string): string {
  const small = line.toLowerCase();
  let result = '';
  let copied = 0;
  for (let at = 0; at < line.length; at++) {
    const mark = BEFORE_KEYS.find((one) => small.startsWith(one, at));
    if (mark === undefined) continue;
    const start = at + mark.length;
    let end = start;
    while (end < line.length && !isBlank(line[end]!)) end++;
    result += line.slice(copied, start) + REMOVED;
    copied = end;
    at = end;
  }
  return result + line.slice(copied);
}
