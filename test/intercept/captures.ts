import { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { sharedDir } from '../shared.ts';

/** Capture files written out field by field from draft-ietf-opsawg-pcap and draft-ietf-opsawg-pcapng. */

export interface Writer {
  readonly uint16: (value: number) => Buffer;
  readonly uint32: (value: number) => Buffer;
}

export function writer(littleEndian: boolean): Writer {
  const of = (size: number) => (value: number) => {
    const bytes = Buffer.alloc(size);
    if (littleEndian) bytes.writeUIntLE(value, 0, size);
    else bytes.writeUIntBE(value, 0, size);
    return bytes;
  };
  return { uint16: of(2), uint32: of(4) };
}

export interface Packet {
  readonly seconds: number;
  /** µs or ns, as the file counts. */
  readonly fraction: number;
  readonly bytes: Buffer;
  readonly originalLength?: number;
}

export function pcap(
  packets: readonly Packet[],
  { littleEndian = true, magic = 0xa1b2c3d4, linkType = 101, minor = 4 } = {},
): Buffer {
  const { uint16, uint32 } = writer(littleEndian);
  const head = [
    uint32(magic),
    uint16(2),
    uint16(minor),
    uint32(0),
    uint32(0),
    uint32(65_535),
    uint32(linkType),
  ];
  const patched = magic === 0xa1b2cd34 ? Buffer.from('0200000008000000', 'hex') : Buffer.alloc(0);
  const records = packets.flatMap(({ seconds, fraction, bytes, originalLength = bytes.length }) => {
    const lengths = [uint32(bytes.length), uint32(originalLength)];
    if (minor < 3) lengths.reverse();
    return [uint32(seconds), uint32(fraction), ...lengths, patched, bytes];
  });
  return Buffer.concat([...head, ...records]);
}

function pad(bytes: Buffer): Buffer {
  return Buffer.concat([bytes, Buffer.alloc(-bytes.length & 3)]);
}

export function block(type: number, body: Buffer, littleEndian = true): Buffer {
  const { uint32 } = writer(littleEndian);
  const padded = pad(body);
  const length = uint32(padded.length + 12);
  return Buffer.concat([uint32(type), length, padded, length]);
}

export function section(littleEndian = true): Buffer {
  const { uint16, uint32 } = writer(littleEndian);
  const unknownLength = Buffer.alloc(8, 0xff);
  return block(
    0x0a0d0d0a,
    Buffer.concat([uint32(0x1a2b3c4d), uint16(1), uint16(0), unknownLength]),
    littleEndian,
  );
}

/** `options` are code and value. */
export function interfaceBlock(
  linkType: number,
  options: readonly (readonly [number, Buffer])[] = [],
  { littleEndian = true, snapLength = 65_535 } = {},
): Buffer {
  const { uint16, uint32 } = writer(littleEndian);
  const written = options.flatMap(([code, value]) => [uint16(code), uint16(value.length), pad(value)]);
  return block(1, Buffer.concat([uint16(linkType), uint16(0), uint32(snapLength), ...written]), littleEndian);
}

export function enhanced(
  bytes: Buffer,
  { id = 0, ticks = 0n, originalLength = bytes.length, littleEndian = true } = {},
): Buffer {
  const { uint32 } = writer(littleEndian);
  const high = uint32(Number(ticks >> 32n));
  const low = uint32(Number(ticks & 0xffff_ffffn));
  const lengths = [uint32(bytes.length), uint32(originalLength)];
  return block(6, Buffer.concat([uint32(id), high, low, ...lengths, bytes]), littleEndian);
}

export interface Listed {
  readonly path: string;
  readonly frames: number;
}

/** The public captures with the number of frames that capinfos found in each. */
export function listedCaptures(): Listed[] {
  const [head, ...lines] = readFileSync(`${sharedDir}/captures/MANIFEST.tsv`, 'utf8').split('\n');
  const frames = head!.split('\t').indexOf('frames');
  return lines
    .map((line) => line.split('\t'))
    .filter(([file]) => file?.startsWith('pcaps/'))
    .map((fields) => ({ path: `${sharedDir}/captures/${fields[0]}`, frames: Number(fields[frames]) }));
}
