import { Buffer } from 'node:buffer';

/** A packet record of a capture file, with its bytes where they were read to. */
export interface FrameInPlace {
  readonly file: string;
  /** 1 for the first packet record of the file, counted as tshark counts. */
  readonly number: number;
  /** Seconds since the epoch, whole. */
  readonly seconds: number;
  /** 0 to 999,999,999. */
  readonly nanoseconds: number;
  /** ms since the epoch with its fraction, as a double gives it (about 0.25 µs); for timers. */
  readonly time: number;
  /** LINKTYPE_ value of the interface (https://www.tcpdump.org/linktypes.html). */
  readonly linkType: number;
  /** The frame lies in here, from `start` (its link-layer header) to before `end`. */
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
  /** Length of the frame on the wire, in bytes. */
  readonly originalLength: number;
}

/** One packet record of a capture file. */
export interface Frame extends Omit<FrameInPlace, 'start' | 'end'> {
  /** From the link-layer header on. Stays valid: no later frame overwrites it. */
  readonly bytes: Buffer;
  /** The snap length cut the frame. */
  readonly truncated: boolean;
}

/** Stands at one frame of a file after the other. What it shows of a frame is that frame's until it goes on. */
export interface FrameCursor extends FrameInPlace {
  /** Goes on to the next frame; false after the last. Throws CaptureError at damage. */
  advance(): boolean;
}

/** What a cursor shows, for the one that moves it. */
export type FrameDraft = { -readonly [Member in keyof FrameInPlace]: FrameInPlace[Member] };

/** A capture file that cannot be read, or not beyond some offset. */
export class CaptureError extends Error {
  override readonly name = 'CaptureError';
  readonly file: string;
  /** Bytes from the start of the file (of the decompressed data, when it is compressed). */
  readonly offset: number;
  readonly expected: string;
  readonly found: string;
  constructor(file: string, offset: number, expected: string, found: string, message?: string) {
    super(message ?? `${file}: at offset ${offset}: expected ${expected}, found ${found}`);
    this.file = file;
    this.offset = offset;
    this.expected = expected;
    this.found = found;
  }
}

/** Longer records are taken for damage; Wireshark draws the same line. */
export const MAX_FRAME_BYTES = 262_144;

/** A cursor's frame before the first one. */
export function newDraft(file: string): FrameDraft {
  return {
    file,
    number: 0,
    seconds: 0,
    nanoseconds: 0,
    time: 0,
    linkType: 0,
    bytes: NOTHING,
    start: 0,
    end: 0,
    originalLength: 0,
  };
}

const NOTHING: Buffer = Buffer.alloc(0);

/** `nanoseconds` may be a second or more in a damaged file; it is carried over. */
export function setTime(draft: FrameDraft, seconds: number, nanoseconds: number): void {
  const carry = Math.floor(nanoseconds / 1e9);
  draft.seconds = seconds + carry;
  draft.nanoseconds = nanoseconds - carry * 1e9;
  draft.time = draft.seconds * 1000 + draft.nanoseconds / 1e6;
}

/** The frame that a cursor stands at, for itself. */
export function frameAt(cursor: FrameInPlace): Frame {
  const { file, number, seconds, nanoseconds, time, linkType, start, end, originalLength } = cursor;
  const bytes = Buffer.from(cursor.bytes.subarray(start, end));
  const truncated = bytes.length < originalLength;
  return { file, number, seconds, nanoseconds, time, linkType, bytes, originalLength, truncated };
}

/** A frame for those who take it in its place. */
export function inPlace(frame: Frame): FrameInPlace {
  return { ...frame, start: 0, end: frame.bytes.length };
}

/** Builds a Frame. `nanoseconds` may be a second or more; it is carried over. */
export function makeFrame(
  file: string,
  number: number,
  seconds: number,
  nanoseconds: number,
  linkType: number,
  bytes: Buffer,
  originalLength: number,
): Frame {
  const draft = newDraft(file);
  setTime(draft, seconds, nanoseconds);
  const truncated = bytes.length < originalLength;
  const { seconds: whole, nanoseconds: rest, time } = draft;
  return {
    ...{ file, number, seconds: whole, nanoseconds: rest, time },
    ...{ linkType, bytes, originalLength, truncated },
  };
}
