import type { Buffer } from 'node:buffer';
import {
  CaptureError,
  type FrameCursor,
  type FrameDraft,
  MAX_FRAME_BYTES,
  newDraft,
  setTime,
} from './frame.ts';
import type { Input } from './input.ts';

/** The section header block's type is the same in both byte orders. */
const SECTION_HEADER = 0x0a0d0d0a;
const INTERFACE_DESCRIPTION = 1;
const PACKET = 2;
const SIMPLE_PACKET = 3;
const ENHANCED_PACKET = 6;
/** Blocks that tshark numbers like frames though they hold none: journal entries, system calls, custom blocks. */
const NUMBERED = new Set([0x9, 0x204, 0x216, 0x221, 0xbad, 0x4000_0bad]);

const BYTE_ORDER_MAGIC = 0x1a2b3c4d;
const MAX_BLOCK_BYTES = 16 << 20;
/** Interfaces of a section: as many as the obsolete packet block can name. */
const MAX_INTERFACES = 0x1_0000;
const OPTION_END = 0;
const OPTION_TSRESOL = 9;
const OPTION_TSOFFSET = 14;

interface Interface {
  readonly linkType: number;
  readonly snapLength: number;
  readonly clock: Clock;
}

/** Sets the time that a timestamp of `high` and `low` 32-bit halves stands for. */
type Clock = (draft: FrameDraft, high: number, low: number) => void;

interface Reading {
  readonly uint16: (bytes: Buffer, at: number) => number;
  readonly uint32: (bytes: Buffer, at: number) => number;
  readonly int64: (bytes: Buffer, at: number) => bigint;
}

const LITTLE_ENDIAN: Reading = {
  uint16: (bytes, at) => bytes.readUInt16LE(at),
  uint32: (bytes, at) => bytes.readUInt32LE(at),
  int64: (bytes, at) => bytes.readBigInt64LE(at),
};
const BIG_ENDIAN: Reading = {
  uint16: (bytes, at) => bytes.readUInt16BE(at),
  uint32: (bytes, at) => bytes.readUInt32BE(at),
  int64: (bytes, at) => bytes.readBigInt64BE(at),
};

/** Whether four bytes are the start of a pcapng file. */
export function isPcapng(magic: Buffer): boolean {
  return magic.length >= 4 && magic.readUInt32BE(0) === SECTION_HEADER;
}

/**
 * Reads the frames of a pcapng file (draft-ietf-opsawg-pcapng): sections of either byte order, enhanced, simple
 * and obsolete packet blocks; other blocks are skipped. A simple packet has no time and gets that of the frame
 * before it. Throws CaptureError at damage.
 */
export function readPcapng(input: Input): FrameCursor {
  const { file } = input;
  let read = BIG_ENDIAN;
  let interfaces: Interface[] = [];

  function advance(): boolean {
    while (input.has(12)) {
      const start = input.offset;
      const isSection = input.chunk.readUInt32BE(input.at) === SECTION_HEADER;
      if (isSection) {
        read = orderOf(input);
        interfaces = [];
      }
      const type = read.uint32(input.chunk, input.at);
      const length = blockLength(input, read, isSection ? 28 : 12);
      const { chunk, at } = input;
      input.take(length);
      if (isFrame(type, chunk, at + 8, at + length - 4, start + 8)) return true;
    }
    if (input.left === 0) return false;
    throw new CaptureError(file, input.offset, 'a block of 12 bytes or more', `${input.left} bytes`);
  }

  /** Takes the body of a block, from `at` to before `end` in `bytes`; true where it holds a frame. */
  function isFrame(type: number, bytes: Buffer, at: number, end: number, offset: number): boolean {
    const size = end - at;
    const damage = (place: number, expected: string, found: string) =>
      new CaptureError(file, offset + place, expected, found);
    const tooLong = (place: number, length: number) => {
      const expected = `the captured length of frame ${cursor.number}, at most ${MAX_FRAME_BYTES}`;
      return damage(place, expected, String(length));
    };

    switch (type) {
      case INTERFACE_DESCRIPTION:
        if (size < 8) throw damage(0, 'an interface description of 8 bytes', `${size} bytes`);
        if (interfaces.length === MAX_INTERFACES)
          throw damage(0, `at most ${MAX_INTERFACES} interfaces`, 'one more');
        interfaces.push(readInterface(bytes.subarray(at, end), read));
        return false;
      case SIMPLE_PACKET: {
        if (size < 4) throw damage(0, 'a simple packet of 4 bytes', `${size} bytes`);
        const own = interfaces[0];
        if (own === undefined) throw damage(0, 'an interface description before the packet', 'none');
        cursor.number++;
        const original = read.uint32(bytes, at);
        const length = Math.min(original, own.snapLength || original, size - 4);
        if (length > MAX_FRAME_BYTES) throw tooLong(0, length);
        place(own, bytes, at + 4, length, original);
        return true;
      }
      case ENHANCED_PACKET:
      case PACKET: {
        if (size < 20) throw damage(0, 'a packet block of 20 bytes', `${size} bytes`);
        const id = type === PACKET ? read.uint16(bytes, at) : read.uint32(bytes, at);
        const own = interfaces[id];
        if (own === undefined) throw damage(0, `an interface below ${interfaces.length}`, String(id));
        cursor.number++;
        const length = read.uint32(bytes, at + 12);
        if (length > MAX_FRAME_BYTES) throw tooLong(12, length);
        if (20 + length > size) {
          throw damage(12, `the ${length} bytes of frame ${cursor.number}`, `${size - 20} bytes`);
        }
        own.clock(cursor, read.uint32(bytes, at + 4), read.uint32(bytes, at + 8));
        place(own, bytes, at + 20, length, read.uint32(bytes, at + 16));
        return true;
      }
      default:
        if (NUMBERED.has(type)) cursor.number++;
        return false;
    }
  }

  function place({ linkType }: Interface, bytes: Buffer, at: number, length: number, original: number): void {
    cursor.linkType = linkType;
    cursor.bytes = bytes;
    cursor.start = at;
    cursor.end = at + length;
    cursor.originalLength = original;
  }

  const cursor = Object.assign(newDraft(file), { advance });
  return cursor;
}

/** The byte order of the section whose header is at the front. */
function orderOf({ file, chunk, at, offset }: Input): Reading {
  if (chunk.readUInt32LE(at + 8) === BYTE_ORDER_MAGIC) return LITTLE_ENDIAN;
  if (chunk.readUInt32BE(at + 8) === BYTE_ORDER_MAGIC) return BIG_ENDIAN;
  const found = chunk.toString('hex', at + 8, at + 12);
  throw new CaptureError(file, offset + 8, 'the byte-order magic 1a2b3c4d', found);
}

/** The length of the block at the front, which is there as a whole. */
function blockLength(input: Input, read: Reading, minimum: number): number {
  const { file, offset } = input;
  const length = read.uint32(input.chunk, input.at + 4);
  if (length < minimum || length > MAX_BLOCK_BYTES || length % 4 !== 0) {
    const expected = `a block length from ${minimum} to ${MAX_BLOCK_BYTES}, a multiple of 4`;
    throw new CaptureError(file, offset + 4, expected, String(length));
  }
  if (!input.has(length)) {
    throw new CaptureError(file, offset, `a block of ${length} bytes`, `${input.left} bytes`);
  }
  const trailer = read.uint32(input.chunk, input.at + length - 4);
  if (trailer !== length) {
    throw new CaptureError(file, offset + length - 4, `the block length ${length} again`, String(trailer));
  }
  return length;
}

function readInterface(body: Buffer, read: Reading): Interface {
  let resolution = 6;
  let offsetSeconds = 0;
  for (let at = 8; at + 4 <= body.length; ) {
    const code = read.uint16(body, at);
    const length = read.uint16(body, at + 2);
    if (code === OPTION_END || at + 4 + length > body.length) break;
    if (code === OPTION_TSRESOL && length >= 1) resolution = body[at + 4]!;
    if (code === OPTION_TSOFFSET && length >= 8) offsetSeconds = Number(read.int64(body, at + 4));
    at += 4 + length + (-length & 3);
  }
  return {
    linkType: read.uint16(body, 0),
    snapLength: read.uint32(body, 4),
    clock: clockOf(resolution, offsetSeconds),
  };
}

/**
 * if_tsresol: the units of a second are a power of ten, or of two where the highest bit is set. Beyond 10^-9
 * and 2^-62 nothing is left of a 64-bit count of seconds; such a value reads as the default, microseconds.
 */
function clockOf(resolution: number, offsetSeconds: number): Clock {
  const exponent = resolution & 0x7f;
  const binary = (resolution & 0x80) !== 0;
  if (resolution === 6 || exponent > (binary ? 62 : 18)) {
    return (draft, high, low) => {
      // Below 2^53 for every time before the year 2255.
      const ticks = high * 0x1_0000_0000 + low;
      const seconds = Math.floor(ticks / 1e6);
      setTime(draft, seconds + offsetSeconds, (ticks - seconds * 1e6) * 1000);
    };
  }
  const units = binary ? 1n << BigInt(exponent) : 10n ** BigInt(exponent);
  return (draft, high, low) => {
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    const seconds = ticks / units;
    const nanoseconds = ((ticks - seconds * units) * 1_000_000_000n) / units;
    setTime(draft, Number(seconds) + offsetSeconds, Number(nanoseconds));
  };
}
