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

export interface Element {
  readonly set: SetName | MapName;
  /** The fields in the order protocol, source, source port, destination, port, each padded to four bytes. */
  readonly key: Buffer;
  /** In a map. */
  readonly data?: Uint8Array;
  /** Equal elements have equal names. */
  readonly name: string;
}

/** IPPROTO_ numbers (RFC 790). */
export const protocolNumbers = { tcp: 6, udp: 17 } as const;

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

/** From Node's pool: thousands of keys with memory of their own each would be as many allocations of the system's. */
export function zeros(bytes: number): Buffer {
  return Buffer.allocUnsafe(bytes).fill(0);
}
