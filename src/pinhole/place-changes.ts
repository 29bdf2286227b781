import type { Address } from '../address/address.ts';

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

/** FNV-1a. */
function slotOf(address: Address, port: number): number {
  let hash = 0x811c9dc5 ^ port;
  for (let i = 0; i < address.length; i++) hash = Math.imul(hash ^ address.charCodeAt(i), 0x01000193);
  return (hash ^ (hash >>> 16)) & (SLOTS - 1);
}
