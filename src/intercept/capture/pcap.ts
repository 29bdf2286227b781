import type { Buffer } from 'node:buffer';
import { CaptureError, type FrameCursor, MAX_FRAME_BYTES, newDraft, setTime } from './frame.ts';
import type { Input } from './input.ts';

/**
 * The classic format (draft-ietf-opsawg-pcap): a file header of 24 bytes, then a header of 16 bytes before each
 * frame; 24 bytes in the variant of Alexey Kuznetsov's patched libpcap.
 */
interface Variant {
  readonly littleEndian: boolean;
  readonly nanoseconds: boolean;
  readonly recordHeader: 16 | 24;
}

const FILE_HEADER = 24;
const MAGIC_MICROSECONDS = 0xa1b2c3d4;
const MAGIC_NANOSECONDS = 0xa1b23c4d;
const MAGIC_KUZNETSOV = 0xa1b2cd34;

/** Whether four bytes are the magic number of a pcap file, and of which kind. */
export function pcapVariant(magic: Buffer): Variant | null {
  if (magic.length < 4) return null;
  return variantOf(magic.readUInt32BE(0), false) ?? variantOf(magic.readUInt32LE(0), true);
}

function variantOf(magic: number, littleEndian: boolean): Variant | null {
  switch (magic) {
    case MAGIC_MICROSECONDS:
      return { littleEndian, nanoseconds: false, recordHeader: 16 };
    case MAGIC_NANOSECONDS:
      return { littleEndian, nanoseconds: true, recordHeader: 16 };
    case MAGIC_KUZNETSOV:
      return { littleEndian, nanoseconds: false, recordHeader: 24 };
    default:
      return null;
  }
}

/** Reads the frames of a pcap file. Throws CaptureError at damage. */
export function readPcap(input: Input, variant: Variant): FrameCursor {
  const { file } = input;
  const { littleEndian, recordHeader, nanoseconds } = variant;
  const uint32 = littleEndian ? uint32LE : uint32BE;
  let isBegun = false;
  let capturedAt = 8;
  let originalAt = 12;

  function begin(): void {
    if (!input.has(FILE_HEADER)) {
      throw new CaptureError(file, 0, 'a pcap file header of 24 bytes', `${input.left} bytes`);
    }
    const start = input.chunk.subarray(input.at, input.at + FILE_HEADER);
    // Up to version 2.2 the two lengths of a frame stood in the other order.
    const minor = littleEndian ? start.readUInt16LE(6) : start.readUInt16BE(6);
    if (minor < 3) [capturedAt, originalAt] = [originalAt, capturedAt];
    // The upper bits say how long a frame check sequence is; IP's own length leaves it out.
    cursor.linkType = uint32(start, 20) & 0x03ff_ffff;
    input.take(FILE_HEADER);
    isBegun = true;
  }

  function advance(): boolean {
    if (!isBegun) begin();
    if (!input.has(recordHeader)) {
      if (input.left === 0) return false;
      const expected = `the ${recordHeader} bytes before frame ${cursor.number + 1}`;
      throw new CaptureError(file, input.offset, expected, `${input.left} bytes`);
    }
    const captured = uint32(input.chunk, input.at + capturedAt);
    if (captured > MAX_FRAME_BYTES) {
      throw new CaptureError(
        file,
        input.offset + capturedAt,
        `the captured length of frame ${cursor.number + 1}, at most ${MAX_FRAME_BYTES}`,
        String(captured),
      );
    }
    if (!input.has(recordHeader + captured)) {
      throw new CaptureError(
        file,
        input.offset + recordHeader,
        `the ${captured} bytes of frame ${cursor.number + 1}`,
        `${input.left - recordHeader} bytes`,
      );
    }
    const { chunk, at } = input;
    cursor.number++;
    setTime(cursor, uint32(chunk, at), uint32(chunk, at + 4) * (nanoseconds ? 1 : 1000));
    cursor.bytes = chunk;
    cursor.start = at + recordHeader;
    cursor.end = cursor.start + captured;
    cursor.originalLength = uint32(chunk, at + originalAt);
    input.take(recordHeader + captured);
    return true;
  }

  const cursor = Object.assign(newDraft(file), { advance });
  return cursor;
}

function uint32LE(bytes: Buffer, at: number): number {
  return ((bytes[at + 3]! << 24) | (bytes[at + 2]! << 16) | (bytes[at + 1]! << 8) | bytes[at]!) >>> 0;
}

function uint32BE(bytes: Buffer, at: number): number {
  return ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;
}
