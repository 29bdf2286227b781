import type { Address } from '../address/address.ts';
import { FNV_BASIS, fnv1a } from '../hash.ts';

/**
 * Tells whether anything has changed about a transport address since it was looked at, without a look at what it was. Few of
 * them share a slot: then one is looked at again though nothing changed, which does no harm.
 */
export interface PlaceChanges {
  /** Of an address and a port. */
  slotOf(address: Address, port: number): number;
  changed(address: Address, port: number): void;
  /** Grows with every change. */
  at(slot: number): number;
}

const SLOTS = 1 << 16;

export function createPlaceChanges(): PlaceChanges {
  const counts = new Uint32Array(SLOTS);
  return {
    slotOf,
    changed: (address, port) => {
      counts[slotOf(address, port)]!++;
    },
    at: (slot) => counts[slot]!,
  };
}

function slotOf(address: Address, port: number): number {
  const hash = fnv1a(address, FNV_BASIS ^ port);
  return (hash ^ (hash >>> 16)) & (SLOTS - 1);
}
