import { AT, COLON, isSpace } from '../scan.ts';
import { GREATER, LESS } from './grammar.ts';

/** Characters of a value that are looked at where it is only told: nobody reads more, and work is bounded. */
export const MAX_TOLD = 512;

/**
 * [start, end) of a message for people: at most MAX_TOLD characters, and no password of a URI, not even the
 * beginning of one that was cut.
 */
export function told(text: string, start: number, end: number): string {
  const cut = Math.min(end, start + MAX_TOLD);
  return withoutPasswords(text.slice(start, cut), cut < end);
}

/**
 * URIs without the password that one may have (RFC 3261 19.1.1): nobody reads it here, and it is no one's to
 * read. Between `sip:user:` and `@` becomes `***`; with `isCut` the end of the text may be inside a password and
 * counts as `@`. One pass from left to right.
 */
export function withoutPasswords(text: string, isCut: boolean): string {
  if (!mayHavePassword(text, isCut)) return text;
  let shown = '';
  let copied = 0;
  /** Whether a scheme stands before `i` in its word, and where behind `scheme:user:` a password may begin. */
  let hasScheme = false;
  let password = -1;
  for (let i = 0; i <= text.length; i++) {
    const code = i < text.length ? text.charCodeAt(i) : isCut ? AT : LESS;
    if (code === COLON) {
      if (!hasScheme) hasScheme = endsInScheme(text, i);
      else if (password < 0) password = i + 1;
    } else if (code === AT || code === LESS || code === GREATER || isSpace(code)) {
      if (code === AT && password >= 0) {
        shown += `${text.slice(copied, password)}***`;
        copied = i;
      }
      hasScheme = false;
      password = -1;
    }
  }
  return shown === '' ? text : shown + text.slice(copied);
}

/** Whether two colons stand before an `@`: without the second there is no password, as in nearly every URI. */
function mayHavePassword(text: string, isCut: boolean): boolean {
  const first = text.indexOf(':');
  const second = first < 0 ? -1 : text.indexOf(':', first + 1);
  return second >= 0 && (isCut || text.indexOf('@', second) >= 0);
}

/** Whether `sip` or `sips`, in any case, and no longer word ends at `end`. */
function endsInScheme(text: string, end: number): boolean {
  const length = letter(text, end - 1) === 's' ? 4 : 3;
  for (let i = 0; i < length; i++) {
    if (letter(text, end - length + i) !== 'sips'[i]) return false;
  }
  return !isWord(text.charCodeAt(end - length - 1));
}

function letter(text: string, index: number): string {
  return String.fromCharCode(text.charCodeAt(index) | 0x20);
}

/** False for NaN, which stands before the first character. */
function isWord(code: number): boolean {
  const lower = code | 0x20;
  return (lower >= 0x61 && lower <= 0x7a) || (code >= 0x30 && code <= 0x39) || code === 0x5f;
}
