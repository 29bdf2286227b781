import { Buffer } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { gunzipSync, inflateRawSync, constants as zlib } from 'node:zlib';
import { fileReason } from '../../reason.ts';
import { CaptureError } from './frame.ts';

const CHUNK_BYTES = 1 << 20;
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

/** The bytes of a file from front to back, some at a time. */
export interface Input {
  readonly file: string;
  /** How many bytes were taken so far. */
  readonly offset: number;
  /** Up to `length` bytes at the front, without taking them; fewer only at the end of the file. */
  peek(length: number): Buffer;
  /** Takes `length` bytes, which must have been peeked at. They are never overwritten. */
  take(length: number): Buffer;
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
  let at = 0;
  let before = 0;
  let ended = false;
  let open = true;
  let damage: CaptureError | null = null;

  function peek(length: number): Buffer {
    while (chunk.length - at < length && !ended) refill(length);
    return chunk.subarray(at, at + length);
  }

  /** Chunks are not reused: frames are windows on them. */
  function refill(length: number): void {
    const rest = chunk.length - at;
    const larger = Buffer.allocUnsafeSlow(Math.max(CHUNK_BYTES, length));
    chunk.copy(larger, 0, at);
    before += at;
    at = 0;
    let filled = rest;
    while (filled < length && !ended) {
      const got = attempt(file, before + filled, 'more bytes', () =>
        readSync(descriptor, larger, filled, larger.length - filled, null),
      );
      if (got === 0) ended = true;
      filled += got;
    }
    chunk = larger.subarray(0, filled);
  }

  function close(): void {
    if (open && descriptor !== 0) closeSync(descriptor);
    open = false;
  }

  function inflateAll(): void {
    const parts: Buffer[] = [];
    let total = 0;
    while (!ended || chunk.length > at) {
      const part = peek(CHUNK_BYTES);
      parts.push(part);
      total += part.length;
      at += part.length;
      if (total > MAX_INFLATED_BYTES) break;
    }
    chunk = inflated(Buffer.concat(parts));
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
    const magic = peek(2);
    if (magic[0] === 0x1f && magic[1] === 0x8b) inflateAll();
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
    peek,
    take(length) {
      const bytes = chunk.subarray(at, at + length);
      at += bytes.length;
      return bytes;
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
