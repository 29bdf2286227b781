import { Buffer } from 'node:buffer';
import { bodyStart, fieldOf, isBlank, lineEnd, linesOf, mapBody } from './lines.ts';
import { withoutPasswords } from './told.ts';

/** What stands in the place of a secret. */
const REMOVED = 'removed';

/** Header fields whose value proves who somebody is (RFC 3261 20.7, 20.28, RFC 3310, RFC 8760). */
const CREDENTIALS = new Set([
  'authorization',
  'proxy-authorization',
  'authentication-info',
  'proxy-authentication-info',
]);
const LENGTH = new Set(['content-length', 'l']);

/** Bodies of which is known what in them is secret; all others (DTMF digits, texts, pictures) are removed whole. */
const READABLE = new Set(['application/sdp', 'application/trickle-ice-sdpfrag', 'message/sipfrag']);
/** Up to the next white space behind these stands a key: RFC 4568 9.2, RFC 8839 5.4, RFC 4567 3.1, RFC 3830. */
const INLINE = 'inline:';
const BEFORE_KEYS = [INLINE, 'ice-pwd:', 'mikey '];

/**
 * A SIP message without what nobody but its parties may know: credentials, passwords of URIs, keys of media and of ICE, and
 * bodies that are no description. Its Content-Length is right; all else is as it was. Time is linear in the bytes.
 */
export function withoutSecrets(message: Buffer): Buffer {
  return rewritten(
    message,
    (line, isFirst) => (isFirst ? withoutPasswords(line, false) : cleanHeader(line)),
    (type, body) => (isReadable(type, body) ? cleanText(body) : gone(body)),
  );
}

/** A message with other header lines and other bodies, and the Content-Length that goes with them. */
export function rewritten(
  message: Buffer,
  header: (line: string, isFirst: boolean) => string,
  write: Parameters<typeof mapBody>[2],
): Buffer {
  const text = message.toString('latin1');
  const start = bodyStart(text);
  const lines = linesOf(text.slice(0, start));
  const body = mapBody(lines, text.slice(start), write);
  const head = lines.map((line, index) => {
    const field = index === 0 ? null : fieldOf(line);
    if (field === null || !LENGTH.has(field.name)) return header(line, index === 0);
    return `${field.before}${body.length}${field.after}`;
  });
  return Buffer.from(head.join('') + body, 'latin1');
}

/** Whether a body of this type is one of those that are left. */
export function isReadable(type: string, body: string): boolean {
  return READABLE.has(type) || (type === '' && body.startsWith('v=0'));
}

/** What stands in the place of any other. */
export function gone(body: string): string {
  return `${REMOVED}: ${body.length} bytes\r\n`;
}

function cleanHeader(line: string): string {
  const field = fieldOf(line);
  if (field === null || !CREDENTIALS.has(field.name)) return withoutPasswords(line, false);
  return `${field.before}${schemeOf(field.value)} response="${REMOVED}"${field.after}`;
}

/** `Digest`: the first word, where it is one. */
function schemeOf(value: string): string {
  const space = value.indexOf(' ');
  const word = space < 0 ? '' : value.slice(0, Math.min(space, 32));
  return word !== '' && !word.includes('=') ? word : 'Digest';
}

/** Lines of SDP, and of headers that are quoted in a body. */
function cleanText(text: string): string {
  return linesOf(text)
    .map((line) => (line.startsWith('k=') ? `k=${REMOVED}${lineEnd(line)}` : withoutKeys(cleanHeader(line))))
    .join('');
}

/** `KEY|2^20|1:32`, the key in base64: zeros of the same length, since readers of captures take it apart. */
function zeroKey(text: string): string {
  const bar = text.indexOf('|');
  const key = bar < 0 ? text : text.slice(0, bar);
  const padding = key.endsWith('==') ? '==' : key.endsWith('=') ? '=' : '';
  return 'A'.repeat(key.length - padding.length) + padding + (bar < 0 ? '' : text.slice(bar));
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
    result += line.slice(copied, start) + (mark === INLINE ? zeroKey(line.slice(start, end)) : REMOVED);
    copied = end;
    at = end;
  }
  return result + line.slice(copied);
}
