import { EQUALS, isSpace, SPACE, skipSpace, TAB } from '../scan.ts';

export const QUOTE = 0x22;
export const COMMA = 0x2c;
export const COLON = 0x3a;
export const SEMICOLON = 0x3b;
export const LESS = 0x3c;
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

/** Whether the text at `start` is `name` (given in lower case), whatever its case. */
export function hasName(text: string, start: number, name: string): boolean {
  for (let i = 0; i < name.length; i++) {
    const code = text.charCodeAt(start + i);
    const wanted = name.charCodeAt(i);
    if (code !== wanted && (code < 0x41 || (code | 0x20) !== wanted)) return false;
  }
  return true;
}

/** Index of the quote that ends the quoted-string opened at `start` (RFC 3261 25.1), or -1. */
export function endOfQuoted(text: string, start: number, end: number): number {
  for (let i = start + 1; i < end; i++) {
    const code = text.charCodeAt(i);
    if (code === QUOTE) return i;
    if (code === BACKSLASH) i++;
  }
  return -1;
}

/**
 * The value of the parameter `name` (lower case) in the `;name=value` list at `start`, quotes included; '' when
 * it is not there, null when the list is malformed before it is found. The list ends at `end` or at a comma.
 */
export function parameter(text: string, start: number, end: number, name: string): string | null {
  let i = skipSpace(text, start, end);
  while (i < end && text.charCodeAt(i) === SEMICOLON) {
    const nameStart = skipSpace(text, i + 1, end);
    if (nameStart === end) return '';
    i = nameStart;
    while (i < end && isTokenCode(text.charCodeAt(i))) i++;
    const nameEnd = i;
    if (nameEnd === nameStart) return null;
    i = skipSpace(text, i, end);
    let valueStart = i;
    if (i < end && text.charCodeAt(i) === EQUALS) {
      i = valueStart = skipSpace(text, i + 1, end);
      if (i < end && text.charCodeAt(i) === QUOTE) {
        i = endOfQuoted(text, i, end) + 1;
        if (i === 0) return null;
      } else {
        i = endOfParameter(text, i, end);
      }
    }
    if (nameEnd - nameStart === name.length && hasName(text, nameStart, name)) {
      return text.slice(valueStart, i);
    }
    i = skipSpace(text, i, end);
  }
  return i === end || text.charCodeAt(i) === COMMA ? '' : null;
}

function endOfParameter(text: string, start: number, end: number): number {
  let i = start;
  while (i < end) {
    const code = text.charCodeAt(i);
    if (code === SEMICOLON || code === COMMA || isSpace(code)) return i;
    i++;
  }
  return end;
}
