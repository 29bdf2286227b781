import { Buffer } from 'node:buffer';
import { closeSync, openSync, readSync } from 'node:fs';
import { gunzipSync, constants as zlib } from 'node:zlib';
import { CaptureError } from './frame.ts';

const CHUNK_BYTES = 1 << 20;
const MAX_INFLATED_BYTES = 2 ** 30;

/** The bytes of a file from front to back, some at a time. */
export interface Input {
  readonly file: string;
  /** How many bytes were taken so far. */
  readonly offset: number;
  /** Up to `length` bytes at the front, without taking them; fewer only at the end of the file. */
  peek(length: number): Buffer;
  /** Takes `length` bytes, which must have been peeked at. They are never overwritten. */
  take(length: number): Buffer;
  close(): void;
}

/**
 * Opens a file or, for `-`, standard input. A gzip file is decompressed in memory, up to 1 GiB; of one that is
 * cut short, what there is. Throws CaptureError when it cannot be opened or read.
 */
export function openInput(file: string): Input {
  const descriptor = file === '-' ? 0 : attempt(file, 0, 'a readable file', () => openSync(file, 'r'));
  let chunk: Buffer = Buffer.alloc(0);
  let at = 0;
  let before = 0;
  let ended = false;
  let open = true;

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
    chunk = attempt(file, 0, 'gzip data of at most 1 GiB', () =>
      gunzipSync(Buffer.concat(parts), {
        maxOutputLength: MAX_INFLATED_BYTES,
        finishFlush: zlib.Z_SYNC_FLUSH,
      }),
    );
    ended = true;
    at = 0;
    before = 0;
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
    throw new CaptureError(file, offset, expected, error instanceof Error ? error.message : String(error));
  }
}
