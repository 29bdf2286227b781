/** One element of a set or a map, and what the keys of all of them are made of. */
import { type Address, addressBytes } from '../../address/address.ts';

/** One set for each family and for each way a source can be known. The destination and its port always are. */
export type SetName =
  | 'source4'
  | 'any4'
  | 'source_port4'
  | 'any_port4'
  | 'source6'
  | 'any6'
  | 'source_port6'
  | 'any_port6';

/** One map for each family, direction, and for whether the party outside is known. */
export type MapName =
  | 'dnat4'
  | 'dnat_any4'
  | 'snat4'
  | 'snat_any4'
  | 'dnat6'
  | 'dnat_any6'
  | 'snat6'
  | 'snat_any6';

/** What tells names of elements of different sets apart, whose keys may be the same bytes. */
const setNumbers: Readonly<Record<SetName, number>> = {
  source4: 1,
  any4: 2,
  source_port4: 3,
  any_port4: 4,
  source6: 5,
  any6: 6,
  source_port6: 7,
  any_port6: 8,
};

export function isSetName(name: string): name is SetName {
  return Object.hasOwn(setNumbers, name);
}

export interface Element {
  readonly set: SetName | MapName;
  /** The fields in the order protocol, source, source port, destination, port, each padded to four bytes. */
  readonly key: Buffer;
  /** In a map. */
  readonly data?: Uint8Array;
  /** Equal elements have equal names. */
  readonly name: string;
}

/** Bytes of a protocol or a port in a concatenated key. */
export const SMALL = 4;

const MOST_CACHED = 8192;
const cache = new Map<Address, Uint8Array>();

export function bytesOf(address: Address): Uint8Array {
  const known = cache.get(address);
  if (known !== undefined) return known;
  const bytes = addressBytes(address);
  if (cache.size >= MOST_CACHED) cache.clear();
  cache.set(address, bytes);
  return bytes;
}

/** The name of an element of a set: its key as text, with the set's number where the padding of the protocol begins. */
export function elementName(set: SetName, key: Buffer): string {
  key[1] = setNumbers[set];
  const name = key.toString('latin1');
  key[1] = 0;
  return name;
}

/** Bytes that are set aside for keys at a time. */
const SLAB = 16 * 1024;
let slab = Buffer.alloc(0);
let used = 0;

/**
 * Zeros for a key. Thousands of keys with memory of their own each would be as many allocations of the system's; in Node's pool
 * each would keep the eight kilobytes around it, in which everything else is gone long before.
 */
export function zeros(bytes: number): Buffer {
  if (used + bytes > slab.length) {
    slab = Buffer.alloc(Math.max(SLAB, bytes));
    used = 0;
  }
  used += bytes;
  return slab.subarray(used - bytes, used);
}
