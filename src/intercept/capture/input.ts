import { Buffer } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { gunzipSync, inflateRawSync, constants as zlib } from 'node:zlib';
import { fileReason } from '../../reason.ts';
import { CaptureError } from './frame.ts';

/** As much as stays in a processor's cache while it is looked through. */
const CHUNK_BYTES = 256 << 10;
const MAX_INFLATED_BYTES = 2 ** 30;
/** gzip packs a thousand bytes into one where they are all alike (RFC 1951), as they are in no capture. */
const MOST_TIMES = 100;
/** Bytes that may come of any file, however small. */
const INFLATED_ANYWAY = 64 << 20;

/** What there is of data that ends early. `most`: bytes that may come of it. */
function lenient(most: number) {
  return { maxOutputLength: most, finishFlush: zlib.Z_SYNC_FLUSH, chunkSize: 64 << 10 };
}

/** How many bytes may come of a gzip file of so many: a hundred times as many, at least 64 MiB, at most 1 GiB. */
function mostOf(packed: number): number {
  return Math.min(MAX_INFLATED_BYTES, Math.max(INFLATED_ANYWAY, MOST_TIMES * packed));
}

/** The bytes of a file from front to back, some at a time, where they lie. */
export interface Input {
  readonly file: string;
  /** How many bytes were taken so far. */
  readonly offset: number;
  /** What was read and not taken lies in here, from `at` on, until the next `has`. */
  readonly chunk: Buffer;
  readonly at: number;
  /** Reads on until `length` bytes at least are there to take; false at the end of the file. */
  has(length: number): boolean;
  /** How many there are to take; all that is left, where `has` was false. */
  readonly left: number;
  /** Takes bytes that are there. */
  take(length: number): void;
  /** What was wrong with the compression of the file; the bytes before that are there. */
  readonly damage: CaptureError | null;
  close(): void;
}

/**
 * Opens a file or, for `-`, standard input. A gzip file is decompressed in memory, up to a hundred times its
 * size and 1 GiB; of one that is cut short or damaged, what there is. Throws CaptureError when it cannot be opened or read.
 */
export function openInput(file: string): Input {
  const descriptor = file === '-' ? 0 : attempt(file, 0, 'a readable file', () => openSync(file, 'r'));
  let chunk: Buffer = Buffer.alloc(0);
  /** The bytes of `chunk` that were read. */
  let end = 0;
  let at = 0;
  let before = 0;
  let ended = false;
  let open = true;
  let damage: CaptureError | null = null;

  function has(length: number): boolean {
    if (end - at < length && !ended) refill(length);
    return end - at >= length;
  }

  /** What is left moves to the front, and more comes behind it. */
  function refill(length: number): void {
    if (length <= chunk.length) chunk.copyWithin(0, at, end);
    else {
      const larger = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, length));
      chunk.copy(larger, 0, at, end);
      chunk = larger;
    }
    before += at;
    end -= at;
    at = 0;
    while (end < length && !ended) {
      const got = attempt(file, before + end, 'more bytes', () =>
        readSync(descriptor, chunk, end, chunk.length - end, null),
      );
      if (got === 0) ended = true;
      end += got;
    }
  }

  function close(): void {
    if (open && descriptor !== 0) closeSync(descriptor);
    open = false;
  }

  function inflateAll(): void {
    const parts: Buffer[] = [];
    let total = 0;
    while (has(CHUNK_BYTES) || end > at) {
      parts.push(Buffer.from(chunk.subarray(at, end)));
      total += end - at;
      at = end;
      if (total > MAX_INFLATED_BYTES) break;
    }
    chunk = inflated(Buffer.concat(parts));
    end = chunk.length;
    ended = true;
    at = 0;
    before = 0;
  }

  function inflated(bytes: Buffer): Buffer {
    const most = mostOf(bytes.length);
    try {
      return gunzipSync(bytes, lenient(most));
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ERR_BUFFER_TOO_LARGE') {
        const expected = `gzip data of at most ${most >> 20} MiB (for more: gunzip -c ${file} | pinholed replay -)`;
        throw new CaptureError(file, 0, expected, 'more');
      }
      const rest = inflateUpToDamage(bytes, most);
      const found = error instanceof Error ? error.message : String(error);
      const problem = new CaptureError(file, rest?.length ?? 0, 'gzip data without damage', found);
      if (rest === null || rest.length === 0) throw problem;
      damage = problem;
      return rest;
    }
  }

  try {
    if (has(2) && chunk[at] === 0x1f && chunk[at + 1] === 0x8b) inflateAll();
  } catch (error) {
    close();
    throw error;
  }
  return {
    file,
    get offset() {
      return before + at;
    },
    get damage() {
      return damage;
    },
    get chunk() {
      return chunk;
    },
    get at() {
      return at;
    },
    get left() {
      return end - at;
    },
    has,
    take(length) {
      at += length;
    },
    close,
  };
}

function attempt<T>(file: string, offset: number, expected: string, action: () => T): T {
  try {
    return action();
  } catch (error) {
    const found = fileReason(error);
    throw new CaptureError(file, offset, expected, found, `${file}: cannot be read: ${found}`);
  }
}

/** What can be decompressed of a gzip file whose check or whose data is wrong (RFC 1952); null where nothing can. */
function inflateUpToDamage(bytes: Buffer, most: number): Buffer | null {
  const start = endOfGzipHeader(bytes);
  if (start === null) return null;
  const attemptUpTo = (end: number) => {
    try {
      return inflateRawSync(bytes.subarray(start, end), lenient(most));
    } catch {
      return null;
    }
  };
  const whole = attemptUpTo(bytes.length);
  if (whole !== null) return whole;
  let good = start;
  let bad = bytes.length;
  while (bad - good > 1) {
    const middle = (good + bad) >> 1;
    if (attemptUpTo(middle) === null) bad = middle;
    else good = middle;
  }
  return attemptUpTo(good);
}

/** RFC 1952 2.3: ten bytes, then what the flags say follows. */
function endOfGzipHeader(bytes: Buffer): number | null {
  if (bytes.length < 18) return null;
  const flags = bytes[3]!;
  let at = 10;
  if ((flags & 4) !== 0) at += 2 + bytes.readUInt16LE(10);
  for (const flag of [8, 16]) {
    if ((flags & flag) === 0) continue;
    const zero = bytes.indexOf(0, at);
    if (zero < 0) return null;
    at = zero + 1;
  }
  if ((flags & 2) !== 0) at += 2;
  return at < bytes.length ? at : null;
}
