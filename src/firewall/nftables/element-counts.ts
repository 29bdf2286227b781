import { randomInt } from 'node:crypto';
import { fnv1aOfBytes, mixed } from '../../hash.ts';

/**
 * What the elements of one set have counted, by their keys, in columns of numbers: ten thousands of them make no object, and a
 * reading puts the next one's counts where the last one's were.
 */
export interface ElementCounts {
  size(): number;
  /** Forgets all. */
  clear(): void;
  /** The place of the key that begins at `start`, where it has none yet as well; -1: it has one already. */
  add(bytes: Uint8Array, start: number): number;
  /** Its place, or -1. */
  find(bytes: Uint8Array, start: number): number;
  /** By place: packets and bytes that came, and packets of the flows by it that went the other way. */
  packets(place: number): number;
  bytes(place: number): number;
  sent(place: number): number;
  came(place: number, packets: number, bytes: number): void;
  went(place: number, packets: number): void;
}

/** No flow there is passes by it. */
export const NO_FLOW = -1;
/** One does whose packets the kernel does not count. */
export const NOT_TOLD = -2;

const LEAST_ROOM = 256;
const COLUMNS = 3;

/** `keySize`: bytes of a key. */
export function createElementCounts(keySize: number): ElementCounts {
  /** Senders choose ports and addresses, and are not to choose which of them meet in one place. */
  const basis = randomInt(2 ** 31);
  let room = LEAST_ROOM;
  let size = 0;
  let keys = new Uint8Array(room * keySize);
  let counts = new Float64Array(room * COLUMNS);
  /** Place and 1, at twice as many slots; 0: free. */
  let slots = new Int32Array(room * 2);

  /** The slot that the key has, or would have. */
  function slotOf(bytes: Uint8Array, start: number): number {
    const last = slots.length - 1;
    let slot = mixed(fnv1aOfBytes(bytes, start, start + keySize, basis)) & last;
    while (slots[slot] !== 0 && !isKey(slots[slot]! - 1, bytes, start)) slot = (slot + 1) & last;
    return slot;
  }

  function isKey(place: number, bytes: Uint8Array, start: number): boolean {
    const own = place * keySize;
    for (let at = 0; at < keySize; at++) if (keys[own + at] !== bytes[start + at]) return false;
    return true;
  }

  function resize(next: number): void {
    room = next;
    const [oldKeys, oldCounts] = [keys, counts];
    keys = new Uint8Array(room * keySize);
    counts = new Float64Array(room * COLUMNS);
    slots = new Int32Array(room * 2);
    keys.set(oldKeys.subarray(0, size * keySize));
    counts.set(oldCounts.subarray(0, size * COLUMNS));
    for (let place = 0; place < size; place++) slots[slotOf(keys, place * keySize)] = place + 1;
  }

  return {
    size: () => size,
    clear() {
      const isFarTooLarge = room > LEAST_ROOM && size < room / 8;
      size = 0;
      if (isFarTooLarge) resize(room / 4);
      else slots.fill(0);
    },
    add(bytes, start) {
      if (size === room) resize(room * 2);
      const slot = slotOf(bytes, start);
      if (slots[slot] !== 0) return -1;
      for (let at = 0; at < keySize; at++) keys[size * keySize + at] = bytes[start + at]!;
      slots[slot] = size + 1;
      return size++;
    },
    find: (bytes, start) => slots[slotOf(bytes, start)]! - 1,
    packets: (place) => counts[place * COLUMNS]!,
    bytes: (place) => counts[place * COLUMNS + 1]!,
    sent: (place) => counts[place * COLUMNS + 2]!,
    came(place, packets, bytes) {
      counts[place * COLUMNS] = packets;
      counts[place * COLUMNS + 1] = bytes;
      counts[place * COLUMNS + 2] = NO_FLOW;
    },
    went(place, packets) {
      counts[place * COLUMNS + 2] = packets;
    },
  };
}
