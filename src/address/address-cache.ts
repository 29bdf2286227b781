import { Buffer } from 'node:buffer';
import { type Address, formatIPv4, formatIPv6, parseAddress, readIPv4 } from './address.ts';

/**
 * A direct-mapped cache from address bytes to canonical text: bounded by its construction, no allocation on a
 * hit, and a collision costs no more than formatting the address again.
 */
const SLOTS = 32_768;
const keys4 = new Int32Array(SLOTS);
const texts4 = new Array<Address>(SLOTS).fill('0.0.0.0');
const keys6 = new Int32Array(SLOTS * 4);
const texts6 = new Array<Address>(SLOTS).fill('::');

/** The four bytes at `offset`, in network order, as a signed 32-bit integer. */
export function readInt32(bytes: Buffer, offset: number): number {
  return (bytes[offset]! << 24) | (bytes[offset + 1]! << 16) | (bytes[offset + 2]! << 8) | bytes[offset + 3]!;
}

/** Four bytes in network order at `offset` to the canonical text. */
export function cachedIPv4(bytes: Buffer, offset: number): Address {
  const key = readInt32(bytes, offset);
  const slot = slotOf(key);
  if (keys4[slot] === key) return texts4[slot]!;
  const text = formatIPv4(bytes, offset);
  keys4[slot] = key;
  texts4[slot] = text;
  return text;
}

/** Sixteen bytes in network order at `offset` to the canonical text. */
export function cachedIPv6(bytes: Buffer, offset: number): Address {
  const a = readInt32(bytes, offset);
  const b = readInt32(bytes, offset + 4);
  const c = readInt32(bytes, offset + 8);
  const d = readInt32(bytes, offset + 12);
  const slot = slotOf(Math.imul(a, 0x2545f491) ^ Math.imul(b, 0x1b873593) ^ Math.imul(c, 0x5851f42d) ^ d);
  const at = slot * 4;
  if (keys6[at] === a && keys6[at + 1] === b && keys6[at + 2] === c && keys6[at + 3] === d)
    return texts6[slot]!;
  const text = formatIPv6(bytes, offset);
  keys6[at] = a;
  keys6[at + 1] = b;
  keys6[at + 2] = c;
  keys6[at + 3] = d;
  texts6[slot] = text;
  return text;
}

const octets = Buffer.alloc(4);

/** `parseAddress`, with the text that all have who name an IPv4 address lately. */
export function cachedAddress(text: string): Address | null {
  if (text.includes(':')) return parseAddress(text);
  return readIPv4(text, octets) ? cachedIPv4(octets, 0) : null;
}

function slotOf(key: number): number {
  return (Math.imul(key, 0x9e3779b1) >>> 16) & (SLOTS - 1);
}
