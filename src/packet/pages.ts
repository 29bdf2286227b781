import { Buffer } from 'node:buffer';

/**
 * Bytes of a stream by their position, in pages, with a bit for each byte that is known. Writing, comparing and
 * looking for the end of a run are linear in the bytes touched whatever the order of the writes, so segments of
 * one byte each in reverse order cost no more than any others.
 */
const PAGE_BYTES = 512;
/** What one page is charged with: its bytes, its bits and its objects. */
export const PAGE_COST = 768;
const WORDS = PAGE_BYTES / 32;

interface Page {
  readonly bytes: Buffer;
  /** Bit i of word w says that byte 32 * w + i is known. */
  readonly known: Uint32Array;
}

/** The pages of one stream, by page number (position divided by PAGE_BYTES). */
export type Pages = Map<number, Page>;

const spare: Page[] = [];
const MAX_SPARE = 2048;

function newPage(): Page {
  const page = spare.pop();
  if (page !== undefined) return page;
  return { bytes: Buffer.allocUnsafeSlow(PAGE_BYTES), known: new Uint32Array(WORDS) };
}

function freePage(page: Page): void {
  if (spare.length >= MAX_SPARE) return;
  page.known.fill(0);
  spare.push(page);
}

/** How many pages a write of `length` bytes at `position` would add. */
export function pagesNeeded(pages: Pages, position: number, length: number): number {
  let needed = 0;
  const last = Math.floor((position + length - 1) / PAGE_BYTES);
  for (let number = Math.floor(position / PAGE_BYTES); number <= last; number++) {
    if (!pages.has(number)) needed++;
  }
  return needed;
}

/**
 * Stores those of `bytes` that are not known yet; the first copy of a byte stays. False when a byte that was
 * known has another value now.
 */
export function writeOnce(pages: Pages, position: number, bytes: Buffer): boolean {
  let agrees = true;
  for (let done = 0; done < bytes.length; ) {
    const at = position + done;
    const number = Math.floor(at / PAGE_BYTES);
    const from = at - number * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES - from, bytes.length - done);
    let page = pages.get(number);
    if (page === undefined) {
      page = newPage();
      pages.set(number, page);
    }
    if (!writePage(page, from, bytes, done, length)) agrees = false;
    done += length;
  }
  return agrees;
}

function writePage(page: Page, from: number, bytes: Buffer, start: number, length: number): boolean {
  const known = countKnown(page, from, from + length);
  if (known === 0) {
    bytes.copy(page.bytes, from, start, start + length);
    markKnown(page, from, from + length);
    return true;
  }
  if (known === length) {
    return page.bytes.compare(bytes, start, start + length, from, from + length) === 0;
  }
  let agrees = true;
  for (let i = 0; i < length; i++) {
    const value = bytes[start + i]!;
    if (!isKnown(page, from + i)) page.bytes[from + i] = value;
    else if (page.bytes[from + i] !== value) agrees = false;
  }
  markKnown(page, from, from + length);
  return agrees;
}

/** Whether the bytes that are known at `position` are those of `bytes`. */
export function agreesWith(pages: Pages, position: number, bytes: Buffer): boolean {
  for (let done = 0; done < bytes.length; ) {
    const at = position + done;
    const number = Math.floor(at / PAGE_BYTES);
    const from = at - number * PAGE_BYTES;
    const length = Math.min(PAGE_BYTES - from, bytes.length - done);
    const page = pages.get(number);
    if (page !== undefined) {
      for (let i = 0; i < length; i++) {
        if (isKnown(page, from + i) && page.bytes[from + i] !== bytes[done + i]) return false;
      }
    }
    done += length;
  }
  return true;
}

/** The first position at or after `position` that is not known. */
export function endOfRun(pages: Pages, position: number): number {
  let at = position;
  for (;;) {
    const number = Math.floor(at / PAGE_BYTES);
    const page = pages.get(number);
    if (page === undefined) return at;
    const end = endOfRunInPage(page, at - number * PAGE_BYTES);
    at = number * PAGE_BYTES + end;
    if (end < PAGE_BYTES) return at;
  }
}

/** The first position at or after `position` that is known, or null. */
export function startOfRun(pages: Pages, position: number): number | null {
  let first: number | null = null;
  const own = Math.floor(position / PAGE_BYTES);
  for (const [number, page] of pages) {
    if (number < own) continue;
    const found = startOfRunInPage(page, number === own ? position - own * PAGE_BYTES : 0);
    if (found === PAGE_BYTES) continue;
    const at = number * PAGE_BYTES + found;
    if (first === null || at < first) first = at;
  }
  return first;
}

/** A copy of the bytes from `start` to `end`, all of which are known. */
export function readRun(pages: Pages, start: number, end: number): Buffer {
  const run = Buffer.allocUnsafe(end - start);
  for (let at = start; at < end; ) {
    const number = Math.floor(at / PAGE_BYTES);
    const from = at - number * PAGE_BYTES;
    const to = Math.min(PAGE_BYTES, end - number * PAGE_BYTES);
    pages.get(number)?.bytes.copy(run, at - start, from, to);
    at += to - from;
  }
  return run;
}

/** Gives back the pages from that of position `from` on that lie wholly before position `to`. */
export function dropBetween(pages: Pages, from: number, to: number): void {
  const end = Math.floor(to / PAGE_BYTES);
  for (let number = Math.floor(from / PAGE_BYTES); number < end; number++) {
    const page = pages.get(number);
    if (page === undefined) continue;
    pages.delete(number);
    freePage(page);
  }
}

export function dropAll(pages: Pages): void {
  for (const page of pages.values()) freePage(page);
  pages.clear();
}

/** The bits of a word from bit `low` up to, not including, bit `high`. */
function mask(low: number, high: number): number {
  const upTo = high >= 32 ? 0xffffffff : (1 << high) - 1;
  return (upTo & (0xffffffff << low)) >>> 0;
}

function markKnown(page: Page, from: number, to: number): void {
  for (let word = from >>> 5; word << 5 < to; word++) {
    const base = word << 5;
    page.known[word] = (page.known[word]! | mask(Math.max(0, from - base), to - base)) >>> 0;
  }
}

function countKnown(page: Page, from: number, to: number): number {
  let count = 0;
  for (let word = from >>> 5; word << 5 < to; word++) {
    const base = word << 5;
    count += bitCount(page.known[word]! & mask(Math.max(0, from - base), to - base));
  }
  return count;
}

function isKnown(page: Page, at: number): boolean {
  return (page.known[at >>> 5]! & (1 << (at & 31))) !== 0;
}

function endOfRunInPage(page: Page, from: number): number {
  let at = from;
  while (at < PAGE_BYTES) {
    const unknown = ~page.known[at >>> 5]! & mask(at & 31, 32);
    if (unknown !== 0) return (at & ~31) + lowestBit(unknown);
    at = (at & ~31) + 32;
  }
  return PAGE_BYTES;
}

function startOfRunInPage(page: Page, from: number): number {
  let at = from;
  while (at < PAGE_BYTES) {
    const known = page.known[at >>> 5]! & mask(at & 31, 32);
    if (known !== 0) return (at & ~31) + lowestBit(known);
    at = (at & ~31) + 32;
  }
  return PAGE_BYTES;
}

function lowestBit(word: number): number {
  return 31 - Math.clz32(word & -word);
}

function bitCount(word: number): number {
  let bits = word - ((word >>> 1) & 0x55555555);
  bits = (bits & 0x33333333) + ((bits >>> 2) & 0x33333333);
  return Math.imul((bits + (bits >>> 4)) & 0x0f0f0f0f, 0x01010101) >>> 24;
}
