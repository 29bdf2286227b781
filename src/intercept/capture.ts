import { CaptureError, type Frame } from './capture/frame.ts';
import { openInput } from './capture/input.ts';
import { pcapVariant, readPcap } from './capture/pcap.ts';
import { isPcapng, readPcapng } from './capture/pcapng.ts';

export { CaptureError, type Frame } from './capture/frame.ts';

/** A capture file, read from front to back once. Iterating ends at the end of the file or at damage. */
export interface CaptureReader extends Iterable<Frame> {
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
  let frames: Iterator<Frame, void>;
  let format: CaptureReader['format'];
  try {
    const magic = input.peek(4);
    const variant = pcapVariant(magic);
    if (variant === null && !isPcapng(magic)) {
      const found = magic.length === 0 ? 'an empty file' : `bytes ${magic.toString('hex')}`;
      throw new CaptureError(file, 0, 'the magic number of a pcap or pcapng file', found);
    }
    format = variant === null ? 'pcapng' : 'pcap';
    frames = variant === null ? readPcapng(input) : readPcap(input, variant);
  } catch (error) {
    input.close();
    throw error;
  }
  let damage: CaptureError | null = null;

  function next(): IteratorResult<Frame, void> {
    try {
      const result = frames.next();
      if (result.done) {
        damage ??= input.damage;
        input.close();
      }
      return result;
    } catch (error) {
      input.close();
      if (!(error instanceof CaptureError)) throw error;
      damage = input.damage ?? error;
      return { done: true, value: undefined };
    }
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
    [Symbol.iterator]: () => ({
      next,
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
  const heads: { frame: Frame; rest: Iterator<Frame> }[] = [];
  for (const reader of readers) {
    const rest = reader[Symbol.iterator]();
    const first = rest.next();
    if (!first.done) heads.push({ frame: first.value, rest });
  }
  while (heads.length > 0) {
    let earliest = 0;
    for (let i = 1; i < heads.length; i++) {
      if (isBefore(heads[i]!.frame, heads[earliest]!.frame)) earliest = i;
    }
    const head = heads[earliest]!;
    yield head.frame;
    const next = head.rest.next();
    if (next.done) heads.splice(earliest, 1);
    else head.frame = next.value;
  }
}

/** Several capture files as one, read once. */
export interface Captures extends Iterable<Frame> {
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

function isBefore(a: Frame, b: Frame): boolean {
  return a.seconds < b.seconds || (a.seconds === b.seconds && a.nanoseconds < b.nanoseconds);
}
