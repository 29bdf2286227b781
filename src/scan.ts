/**
 * Scanning of protocol text, byte by byte: no regular expression, no backtracking. Every function looks at
 * [start, end) only and moves in one direction only.
 */

export const TAB = 0x09;
export const LF = 0x0a;
export const CR = 0x0d;
export const SPACE = 0x20;
export const SLASH = 0x2f;
export const COLON = 0x3a;
export const EQUALS = 0x3d;
export const AT = 0x40;

/**
 * White space: space, tab, CR and LF, so that a folded header value (RFC 3261 7.3.1) reads like an unfolded one,
 * and every other control character, none of which is part of a word.
 */
export function isSpace(code: number): boolean {
  return code <= SPACE;
}

/** Line breaks and NULs: what keepalives are made of, and what no message begins with. */
export function isFiller(code: number): boolean {
  return code === CR || code === LF || code === 0;
}

/** Index of the first character that is no filler, or `end`. */
export function skipFillers(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && isFiller(bytes[i]!)) i++;
  return i;
}

/** Index of the first character that is no white space, or `end`. */
export function skipSpace(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && isSpace(bytes[i]!)) i++;
  return i;
}

/** Index of the first character that is white space, or `end`. */
export function endOfWord(bytes: Uint8Array, start: number, end: number): number {
  let i = start;
  while (i < end && !isSpace(bytes[i]!)) i++;
  return i;
}

/** Index of the first `code`, or `end`. */
export function indexOfCode(bytes: Uint8Array, code: number, start: number, end: number): number {
  let i = start;
  while (i < end && bytes[i] !== code) i++;
  return i;
}

/** Index after the last `code`, or `start`. */
export function afterLastCode(bytes: Uint8Array, code: number, start: number, end: number): number {
  let i = end;
  while (i > start && bytes[i - 1] !== code) i--;
  return i;
}

/** Index after the last character that is no white space, or `start`. */
export function trimEnd(bytes: Uint8Array, start: number, end: number): number {
  let i = end;
  while (i > start && isSpace(bytes[i - 1]!)) i--;
  return i;
}

/**
 * The decimal digits of [start, end) as a number; -1 when there are none, when anything else is among them, or
 * when the value is above `max`. Leading zeros count for nothing.
 */
export function decimal(bytes: Uint8Array, start: number, end: number, max: number): number {
  if (start >= end) return -1;
  let value = 0;
  for (let i = start; i < end; i++) {
    const digit = bytes[i]! - 0x30;
    if (digit < 0 || digit > 9) return -1;
    value = value * 10 + digit;
    if (value > max) return -1;
  }
  return value;
}
