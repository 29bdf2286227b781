import type { Buffer } from 'node:buffer';
import { CaptureError, type Frame, MAX_FRAME_BYTES, makeFrame } from './frame.ts';
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

/** Splits a timestamp of `high` and `low` 32-bit halves into seconds and nanoseconds. */
type Clock = (high: number, low: number) => readonly [seconds: number, nanoseconds: number];

interface Reading {
  readonly uint16: (at: number) => number;
  readonly uint32: (at: number) => number;
  readonly int64: (at: number) => bigint;
}

/** Whether four bytes are the start of a pcapng file. */
export function isPcapng(magic: Buffer): boolean {
  return magic.length >= 4 && magic.readUInt32BE(0) === SECTION_HEADER;
}

/**
 * Reads the frames of a pcapng file (draft-ietf-opsawg-pcapng): sections of either byte order, enhanced, simple
 * and obsolete packet blocks; other blocks are skipped. A simple packet has no time and gets that of the frame
 * before it. Throws CaptureError at damage.
 */
export function* readPcapng(input: Input): Generator<Frame, void> {
  const { file } = input;
  let littleEndian = false;
  let interfaces: Interface[] = [];
  let number = 0;
  let last: readonly [number, number] = [0, 0];

  for (;;) {
    const start = input.offset;
    const head = input.peek(12);
    if (head.length === 0) return;
    if (head.length < 12)
      throw new CaptureError(file, start, 'a block of 12 bytes or more', `${head.length} bytes`);
    const isSection = head.readUInt32BE(0) === SECTION_HEADER;
    if (isSection) {
      littleEndian = head.readUInt32LE(8) === BYTE_ORDER_MAGIC;
      if (!littleEndian && head.readUInt32BE(8) !== BYTE_ORDER_MAGIC) {
        throw new CaptureError(file, start + 8, 'the byte-order magic 1a2b3c4d', head.toString('hex', 8, 12));
      }
      interfaces = [];
    }
    const type = littleEndian ? head.readUInt32LE(0) : head.readUInt32BE(0);
    const body = takeBlock(input, littleEndian, isSection ? 28 : 12);
    const read = readingOf(body, littleEndian);
    const damage = (at: number, expected: string, found: string) =>
      new CaptureError(file, start + 8 + at, expected, found);

    switch (type) {
      case INTERFACE_DESCRIPTION:
        if (body.length < 8) throw damage(0, 'an interface description of 8 bytes', `${body.length} bytes`);
        if (interfaces.length === MAX_INTERFACES)
          throw damage(0, `at most ${MAX_INTERFACES} interfaces`, 'one more');
        interfaces.push(readInterface(body, read));
        break;
      case SIMPLE_PACKET: {
        if (body.length < 4) throw damage(0, 'a simple packet of 4 bytes', `${body.length} bytes`);
        const own = interfaces[0];
        if (own === undefined) throw damage(0, 'an interface description before the packet', 'none');
        number++;
        const original = read.uint32(0);
        const length = Math.min(original, own.snapLength || original, body.length - 4);
        if (length > MAX_FRAME_BYTES) throw tooLong(damage, 0, number, length);
        yield makeFrame(file, number, last[0], last[1], own.linkType, body.subarray(4, 4 + length), original);
        break;
      }
      case ENHANCED_PACKET:
      case PACKET: {
        if (body.length < 20) throw damage(0, 'a packet block of 20 bytes', `${body.length} bytes`);
        const id = type === PACKET ? read.uint16(0) : read.uint32(0);
        const own = interfaces[id];
        if (own === undefined) throw damage(0, `an interface below ${interfaces.length}`, String(id));
        number++;
        const length = read.uint32(12);
        if (length > MAX_FRAME_BYTES) throw tooLong(damage, 12, number, length);
        if (20 + length > body.length) {
          throw damage(12, `the ${length} bytes of frame ${number}`, `${body.length - 20} bytes`);
        }
        last = own.clock(read.uint32(4), read.uint32(8));
        const bytes = body.subarray(20, 20 + length);
        yield makeFrame(file, number, last[0], last[1], own.linkType, bytes, read.uint32(16));
        break;
      }
      default:
        if (NUMBERED.has(type)) number++;
    }
  }
}

function tooLong(
  damage: (at: number, expected: string, found: string) => CaptureError,
  at: number,
  number: number,
  length: number,
): CaptureError {
  return damage(at, `the captured length of frame ${number}, at most ${MAX_FRAME_BYTES}`, String(length));
}

/** Takes the block at the front and returns what stands between its two lengths. */
function takeBlock(input: Input, littleEndian: boolean, minimum: number): Buffer {
  const { file, offset } = input;
  const head = input.peek(8);
  const length = littleEndian ? head.readUInt32LE(4) : head.readUInt32BE(4);
  if (length < minimum || length > MAX_BLOCK_BYTES || length % 4 !== 0) {
    const expected = `a block length from ${minimum} to ${MAX_BLOCK_BYTES}, a multiple of 4`;
    throw new CaptureError(file, offset + 4, expected, String(length));
  }
  const block = input.peek(length);
  if (block.length < length) {
    throw new CaptureError(file, offset, `a block of ${length} bytes`, `${block.length} bytes`);
  }
  const trailer = littleEndian ? block.readUInt32LE(length - 4) : block.readUInt32BE(length - 4);
  if (trailer !== length) {
    throw new CaptureError(file, offset + length - 4, `the block length ${length} again`, String(trailer));
  }
  return input.take(length).subarray(8, length - 4);
}

function readingOf(bytes: Buffer, littleEndian: boolean): Reading {
  return littleEndian
    ? {
        uint16: (at) => bytes.readUInt16LE(at),
        uint32: (at) => bytes.readUInt32LE(at),
        int64: (at) => bytes.readBigInt64LE(at),
      }
    : {
        uint16: (at) => bytes.readUInt16BE(at),
        uint32: (at) => bytes.readUInt32BE(at),
        int64: (at) => bytes.readBigInt64BE(at),
      };
}

function readInterface(body: Buffer, read: Reading): Interface {
  let resolution = 6;
  let offsetSeconds = 0;
  for (let at = 8; at + 4 <= body.length; ) {
    const code = read.uint16(at);
    const length = read.uint16(at + 2);
    if (code === OPTION_END || at + 4 + length > body.length) break;
    if (code === OPTION_TSRESOL && length >= 1) resolution = body[at + 4]!;
    if (code === OPTION_TSOFFSET && length >= 8) offsetSeconds = Number(read.int64(at + 4));
    at += 4 + length + (-length & 3);
  }
  return { linkType: read.uint16(0), snapLength: read.uint32(4), clock: clockOf(resolution, offsetSeconds) };
}

/**
 * if_tsresol: the units of a second are a power of ten, or of two where the highest bit is set. Beyond 10^-9
 * and 2^-62 nothing is left of a 64-bit count of seconds; such a value reads as the default, microseconds.
 */
function clockOf(resolution: number, offsetSeconds: number): Clock {
  const exponent = resolution & 0x7f;
  const binary = (resolution & 0x80) !== 0;
  if (resolution === 6 || exponent > (binary ? 62 : 18)) {
    return (high, low) => {
      // Below 2^53 for every time before the year 2255.
      const ticks = high * 0x1_0000_0000 + low;
      const seconds = Math.floor(ticks / 1e6);
      return [seconds + offsetSeconds, (ticks - seconds * 1e6) * 1000];
    };
  }
  const units = binary ? 1n << BigInt(exponent) : 10n ** BigInt(exponent);
  return (high, low) => {
    const ticks = (BigInt(high) << 32n) | BigInt(low);
    const seconds = ticks / units;
    const nanoseconds = ((ticks - seconds * units) * 1_000_000_000n) / units;
    return [Number(seconds) + offsetSeconds, Number(nanoseconds)];
  };
}
