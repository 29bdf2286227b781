import { Buffer } from 'node:buffer';
import { CR, LF } from '../scan.ts';
import { recogniseStart } from './recognise.ts';

/** Looks for the next message in a stream whose framing is lost. */
export interface MessageSearch {
  /**
   * Takes the next bytes of the stream. Returns what begins with a start-line and has a whole header block, to the
   * end of the bytes so far; null where there is no such thing yet. After an answer it begins anew.
   */
  push(bytes: Buffer): Buffer | null;
  /** Passes over what is kept. */
  reset(): void;
  /** Bytes that were passed over so far. */
  readonly skipped: number;
  /** Bytes of memory that this takes. */
  readonly memory: number;
}

const EMPTY = Buffer.alloc(0);
/** A longer line is no start-line. */
const MAX_LINE = 8192;

/**
 * The first byte counts as the beginning of a line. Of several start-lines before one empty line the last counts: a
 * NOTIFY of RFC 3515 carries a status line as its body, and the next message follows. At most `maxBytes` are kept.
 * The work of all pushes together is linear in the bytes.
 */
export function createMessageSearch(maxBytes: number): MessageSearch {
  /** What is kept between pushes: `size` bytes, in which no line ends from `scanned` on. */
  let buffer = EMPTY;
  let size = 0;
  let lineStart = 0;
  let scanned = 0;
  /** Where a message may begin; -1 while there is none. */
  let candidate = -1;
  let inLongLine = false;
  let skipped = 0;

  function append(bytes: Buffer): Buffer {
    if (size + bytes.length > buffer.length) {
      const larger = Buffer.allocUnsafe(2 * (size + bytes.length));
      buffer.copy(larger, 0, 0, size);
      buffer = larger;
    }
    bytes.copy(buffer, size);
    size += bytes.length;
    return buffer.subarray(0, size);
  }

  /** Keeps `data` from `start` on; `isOwn` where it lies in `buffer` already. */
  function keep(data: Buffer, start: number, isOwn: boolean): void {
    skipped += start;
    size = data.length - start;
    lineStart -= start;
    if (candidate >= 0) candidate -= start;
    scanned = size;
    if (size === 0) buffer = EMPTY;
    else if (start > 0 || !isOwn) buffer = Buffer.from(data.subarray(start));
  }

  function found(data: Buffer): Buffer {
    skipped += candidate;
    const message = data.subarray(candidate);
    forget();
    return message;
  }

  function forget(): void {
    buffer = EMPTY;
    size = 0;
    lineStart = 0;
    scanned = 0;
    candidate = -1;
    inLongLine = false;
  }

  /** Takes the line from `lineStart` to its line feed at `end`; true where it completes a header block. */
  function takeLine(data: Buffer, end: number): boolean {
    const isEmpty = end === lineStart || (end === lineStart + 1 && data[lineStart] === CR);
    if (isEmpty && candidate >= 0) return true;
    const mayBeStart = !isEmpty && !inLongLine && end - lineStart < MAX_LINE;
    if (mayBeStart && recogniseStart(data.subarray(lineStart, end + 1)) === 'sip') candidate = lineStart;
    inLongLine = false;
    lineStart = end + 1;
    return false;
  }

  return {
    push(bytes) {
      const isOwn = size > 0;
      const data = isOwn ? append(bytes) : bytes;
      for (let end = data.indexOf(LF, scanned); end >= 0; end = data.indexOf(LF, end + 1)) {
        if (takeLine(data, end)) return found(data);
      }
      if (candidate >= 0 && data.length - candidate > maxBytes) candidate = -1;
      if (candidate < 0 && data.length - lineStart > MAX_LINE) {
        inLongLine = true;
        lineStart = data.length;
      }
      keep(data, candidate >= 0 ? candidate : lineStart, isOwn);
      return null;
    },
    reset() {
      skipped += size;
      forget();
    },
    get skipped() {
      return skipped;
    },
    get memory() {
      return buffer.length;
    },
  };
}
