import type { Buffer } from 'node:buffer';
import { CaptureError, type Frame, MAX_FRAME_BYTES, makeFrame } from './frame.ts';
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
export function* readPcap(input: Input, variant: Variant): Generator<Frame, void> {
  const { file } = input;
  const { littleEndian, recordHeader } = variant;
  const uint32 = (bytes: Buffer, at: number) =>
    littleEndian ? bytes.readUInt32LE(at) : bytes.readUInt32BE(at);

  const start = input.peek(FILE_HEADER);
  if (start.length < FILE_HEADER) {
    throw new CaptureError(file, 0, 'a pcap file header of 24 bytes', `${start.length} bytes`);
  }
  // Up to version 2.2 the two lengths of a frame stood in the other order.
  const minor = littleEndian ? start.readUInt16LE(6) : start.readUInt16BE(6);
  const capturedAt = minor < 3 ? 12 : 8;
  const originalAt = minor < 3 ? 8 : 12;
  // The upper bits say how long a frame check sequence is; IP's own length leaves it out.
  const linkType = uint32(start, 20) & 0x03ff_ffff;
  input.take(FILE_HEADER);

  for (let number = 1; ; number++) {
    const header = input.peek(recordHeader);
    if (header.length === 0) return;
    if (header.length < recordHeader) {
      throw new CaptureError(
        file,
        input.offset,
        `the ${recordHeader} bytes before frame ${number}`,
        `${header.length} bytes`,
      );
    }
    const captured = uint32(header, capturedAt);
    if (captured > MAX_FRAME_BYTES) {
      throw new CaptureError(
        file,
        input.offset + capturedAt,
        `the captured length of frame ${number}, at most ${MAX_FRAME_BYTES}`,
        String(captured),
      );
    }
    const record = input.peek(recordHeader + captured);
    if (record.length < recordHeader + captured) {
      const found = `${record.length - recordHeader} bytes`;
      throw new CaptureError(
        file,
        input.offset + recordHeader,
        `the ${captured} bytes of frame ${number}`,
        found,
      );
    }
    input.take(record.length);
    yield makeFrame(
      file,
      number,
      uint32(record, 0),
      uint32(record, 4) * (variant.nanoseconds ? 1 : 1000),
      linkType,
      record.subarray(recordHeader),
      uint32(record, originalAt),
    );
  }
}
