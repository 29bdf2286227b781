import { CaptureError, type Frame, type FrameCursor, type FrameInPlace, frameAt } from './capture/frame.ts';
import { openInput } from './capture/input.ts';
import { pcapVariant, readPcap } from './capture/pcap.ts';
import { isPcapng, readPcapng } from './capture/pcapng.ts';

export { CaptureError, type Frame, type FrameInPlace, inPlace } from './capture/frame.ts';

/**
 * A capture file, read from front to back once. Iterating ends at the end of the file or at damage, and so does `advance`,
 * which is the same without anything that is made for each frame.
 */
export interface CaptureReader extends Iterable<Frame> {
  /** Goes on to the next frame; false when there is none. */
  advance(): boolean;
  /** The frame that the reader stands at, which is another after `advance`. */
  readonly present: FrameInPlace;
  readonly file: string;
  readonly format: 'pcap' | 'pcapng';
  /** Why the file could not be read to its end; null while and unless that happened. */
  readonly damage: CaptureError | null;
  /** Bytes read so far, of the decompressed data. */
  readonly offset: number;
  close(): void;
}

/**
 * Opens a pcap or pcapng file, also gzip compressed; `-` is standard input. Throws CaptureError when there is
 * no such file or it is no capture. Later damage throws nothing: all frames before it are read, then `damage`
 * says what it was.
 */
export function openCapture(file: string): CaptureReader {
  const input = openInput(file);
  let cursor: FrameCursor;
  let format: CaptureReader['format'];
  try {
    input.has(4);
    const magic = input.chunk.subarray(input.at, input.at + Math.min(4, input.left));
    const variant = pcapVariant(magic);
    if (variant === null && !isPcapng(magic)) {
      const found = magic.length === 0 ? 'an empty file' : `bytes ${magic.toString('hex')}`;
      throw new CaptureError(file, 0, 'the magic number of a pcap or pcapng file', found);
    }
    format = variant === null ? 'pcapng' : 'pcap';
    cursor = variant === null ? readPcapng(input) : readPcap(input, variant);
  } catch (error) {
    input.close();
    throw error;
  }
  let damage: CaptureError | null = null;
  let isOver = false;

  function advance(): boolean {
    if (isOver) return false;
    try {
      if (cursor.advance()) return true;
      damage = input.damage;
    } catch (error) {
      input.close();
      if (!(error instanceof CaptureError)) throw error;
      damage = input.damage ?? error;
    }
    isOver = true;
    input.close();
    return false;
  }

  return {
    file,
    format,
    get damage() {
      return damage;
    },
    get offset() {
      return input.offset;
    },
    close: input.close,
    advance,
    present: cursor,
    [Symbol.iterator]: () => ({
      next: () => (advance() ? { done: false, value: frameAt(cursor) } : { done: true, value: undefined }),
      return() {
        input.close();
        return { done: true, value: undefined };
      },
    }),
  };
}

/**
 * The frames of several captures in order of time; equal times in the order of the readers. Within a file the
 * order stays as it is. After the last frame each reader's `damage` says whether it was read to its end.
 */
export function* mergeCaptures(readers: readonly CaptureReader[]): Generator<Frame, void> {
  const merged = mergedCaptures(readers);
  for (let one = merged.next(); one !== null; one = merged.next()) yield frameAt(one);
}

/** `mergeCaptures`, each frame in its place: it lasts until the next one. */
function mergedCaptures(readers: readonly CaptureReader[]): { next(): FrameInPlace | null } {
  let heads: CaptureReader[] | null = null;
  let latest: CaptureReader | null = null;

  function next(): FrameInPlace | null {
    if (heads === null) heads = readers.filter((reader) => reader.advance());
    else if (latest !== null && !latest.advance()) heads.splice(heads.indexOf(latest), 1);
    latest = heads[0] ?? null;
    for (let i = 1; i < heads.length; i++) {
      if (isBefore(heads[i]!.present, latest!.present)) latest = heads[i]!;
    }
    return latest === null ? null : latest.present;
  }

  return { next };
}

/** Several capture files as one, read once. */
export interface Captures extends Iterable<Frame> {
  /** The next frame, in its place: it lasts until the one after. Null after the last. */
  next(): FrameInPlace | null;
  /** Bytes read so far, of the decompressed data of all. */
  readonly offset: number;
  /** Why files could not be read to their end, of those where that happened. */
  readonly damage: readonly CaptureError[];
  close(): void;
}

/** Opens all of them, or none: `openCapture` for each, `mergeCaptures` for their frames. Throws CaptureError. */
export function openCaptures(files: readonly string[]): Captures {
  const readers: CaptureReader[] = [];
  const close = () => {
    for (const reader of readers) reader.close();
  };
  try {
    for (const file of files) readers.push(openCapture(file));
  } catch (error) {
    close();
    throw error;
  }
  return {
    ...mergedCaptures(readers),
    [Symbol.iterator]: () => mergeCaptures(readers),
    get offset() {
      return readers.reduce((sum, { offset }) => sum + offset, 0);
    },
    get damage() {
      return readers.flatMap(({ damage }) => (damage === null ? [] : [damage]));
    },
    close,
  };
}

function isBefore(a: FrameInPlace, b: FrameInPlace): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds < b.nanoseconds);
}
