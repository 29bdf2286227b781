import { EQUALS, isSpace, SPACE, skipSpace, TAB } from '../scan.ts';

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const SEMICOLON = 0x3b;
export const LESS = 0x3c;
export const GREATER = 0x3e;
const BACKSLASH = 0x5c;

/** White space that makes a line the continuation of the one before (RFC 3261 7.3.1). */
export function isFold(code: number): boolean {
  return code === SPACE || code === TAB;
}

/** `token` of RFC 3261 25.1. */
export function isTokenCode(code: number): boolean {
  return TOKEN[code] === 1;
}

const TOKEN = new Uint8Array(256);
for (const char of "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-.!%*_+`'~") {
  TOKEN[char.charCodeAt(0)] = 1;
}

/** The bytes of a name given in lower case, for `hasName`. */
export function nameBytes(name: string): Uint8Array {
  return Uint8Array.from(name, (char) => char.charCodeAt(0));
}

/** Whether `name` stands at `start`, in upper or lower case. */
export function hasName(bytes: Uint8Array, start: number, name: Uint8Array): boolean {
  const length = name.length;
  if (start < 0 || start + length > bytes.length) return false;
  for (let i = 0; i < length; i++) {
    const code = bytes[start + i]!;
    const wanted = name[i]!;
    if (code !== wanted && (code < 0x41 || (code | 0x20) !== wanted)) return false;
  }
  return true;
}

/** Index of the quote that ends the quoted-string opened at `start` (RFC 3261 25.1), or -1. */
export function endOfQuoted(bytes: Uint8Array, start: number, end: number): number {
  for (let i = start + 1; i < end; i++) {
    const code = bytes[i]!;
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  return -1;
}

/**
 * The value of the parameter `name` in the `;name=value` list at `start`, quotes included, as a part of `text`,
 * which is `bytes` decoded; '' when it is not there, null when a quoted string in the list is never closed. The list
 * ends at `end` or at a comma. What is no parameter is stepped over, up to the next semicolon; with `strict` an
 * empty one makes the list malformed, too (null).
 */
export function parameter(
  bytes: Uint8Array,
  text: string,
  start: number,
  end: number,
  name: Uint8Array,
  strict = false,
): string | null {
  let i = skipSpace(bytes, start, end);
  while (i < end && bytes[i] === SEMICOLON) {
    const nameStart = skipSpace(bytes, i + 1, end);
    if (nameStart === end) return '';
    i = nameStart;
    while (i < end && isTokenCode(bytes[i]!)) i++;
    const nameEnd = i;
    if (nameEnd === nameStart && strict) return null;
    i = skipSpace(bytes, i, end);
    let valueStart = i;
    if (i < end && bytes[i] === EQUALS) {
      i = valueStart = skipSpace(bytes, i + 1, end);
      if (i < end && bytes[i] === QUOTE) {
        i = endOfQuoted(bytes, i, end) + 1;
        if (i === 0) return null;
      } else {
        i = endOfParameter(bytes, i, end);
      }
    }
    if (nameEnd - nameStart === name.length && hasName(bytes, nameStart, name)) {
      return text.slice(valueStart, i);
    }
    while (i < end && bytes[i] !== SEMICOLON && bytes[i] !== COMMA) {
      i = bytes[i] === QUOTE ? endOfQuoted(bytes, i, end) + 1 : i + 1;
      if (i === 0) return null;
    }
  }
  return i === end || bytes[i] === COMMA || !strict ? '' : null;
}

function endOfParameter(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end) {
    const code = bytes[i]!;
    if (isSpace(code) || code === SEMICOLON || code === COMMA) return i;
    i++;
  }
  return end;
}
