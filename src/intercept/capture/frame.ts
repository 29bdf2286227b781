import type { Buffer } from 'node:buffer';

/** One packet record of a capture file. */
export interface Frame {
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
  /** From the link-layer header on. Stays valid: no later frame overwrites it. */
  readonly bytes: Buffer;
  /** Length of the frame on the wire, in bytes. */
  readonly originalLength: number;
  /** The snap length cut the frame. */
  readonly truncated: boolean;
}

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

/**
 * Builds a Frame. `nanoseconds` may be a second or more in a damaged file; it is carried over.
 */
export function makeFrame(
  file: string,
  number: number,
  seconds: number,
  nanoseconds: number,
  linkType: number,
  bytes: Buffer,
  originalLength: number,
): Frame {
  const carry = Math.floor(nanoseconds / 1e9);
  const wholeSeconds = seconds + carry;
  const rest = nanoseconds - carry * 1e9;
  return {
    file,
    number,
    seconds: wholeSeconds,
    nanoseconds: rest,
    time: wholeSeconds * 1000 + rest / 1e6,
    linkType,
    bytes,
    originalLength,
    truncated: bytes.length < originalLength,
  };
}
