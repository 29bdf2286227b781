import type { Buffer } from 'node:buffer';
import { randomInt } from 'node:crypto';
import { readInt32 } from '../../address/address-cache.ts';
import type { UdpPlace } from '../../packet/udp-place.ts';

/** What is known of UDP flows, found by the bytes of addresses and ports where they lie in a frame. */
export interface FlowIndex<Known> {
  find(bytes: Buffer, place: UdpPlace): Known | undefined;
  /** For a flow that is not there yet. */
  add(bytes: Buffer, place: UdpPlace, known: Known): void;
}

const FIRST_SLOTS = 1024;

/** Nobody who makes a capture knows the `seed`: so its flows do not all come to the same slot. */
export function createFlowIndex<Known>(seed: number = randomInt(2 ** 32) | 0): FlowIndex<Known> {
  const ipv4 = createTable<Known>(12, 2, seed);
  const ipv6 = createTable<Known>(8, 8, seed);
  return {
    find: (bytes, place) => (place.isIPv6 ? ipv6 : ipv4).find(bytes, place),
    add: (bytes, place, known) => (place.isIPv6 ? ipv6 : ipv4).add(bytes, place, known),
  };
}

/**
 * Open addressing over the numbers themselves. `offset` of the addresses in the IP header, and how many 32-bit words they
 * are; both ports together are one more.
 */
function createTable<Known>(offset: number, words: 2 | 8, seed: number): FlowIndex<Known> {
  const width = words + 1;
  let slots = FIRST_SLOTS;
  let keys = new Int32Array(slots * width);
  let values: (Known | undefined)[] = new Array(slots).fill(undefined);
  let count = 0;

  function find(bytes: Buffer, { ip, payload }: UdpPlace): Known | undefined {
    const from = ip + offset;
    const ports = readInt32(bytes, payload - 8);
    let hash = mixed(seed, ports);
    for (let word = 0; word < words; word++) hash = mixed(hash, readInt32(bytes, from + 4 * word));
    for (let slot = slotOf(hash, slots); ; slot = (slot + 1) & (slots - 1)) {
      const value = values[slot];
      if (value === undefined) return undefined;
      const at = slot * width;
      let word = 0;
      while (word < words && keys[at + word] === readInt32(bytes, from + 4 * word)) word++;
      if (word === words && keys[at + words] === ports) return value;
    }
  }

  function add(bytes: Buffer, { ip, payload }: UdpPlace, known: Known): void {
    if (2 * ++count > slots) grow();
    const key = new Int32Array(width);
    for (let word = 0; word < words; word++) key[word] = readInt32(bytes, ip + offset + 4 * word);
    key[words] = readInt32(bytes, payload - 8);
    put(key, known);
  }

  function put(key: Int32Array, known: Known): void {
    let hash = mixed(seed, key[words]!);
    for (let word = 0; word < words; word++) hash = mixed(hash, key[word]!);
    let slot = slotOf(hash, slots);
    while (values[slot] !== undefined) slot = (slot + 1) & (slots - 1);
    values[slot] = known;
    keys.set(key, slot * width);
  }

  function grow(): void {
    const [before, known] = [keys, values];
    slots *= 2;
    keys = new Int32Array(slots * width);
    values = new Array(slots).fill(undefined);
    for (const [slot, one] of known.entries()) {
      if (one !== undefined) put(before.subarray(slot * width, (slot + 1) * width), one);
    }
  }

  return { find, add };
}

function mixed(hash: number, word: number): number {
  return Math.imul(hash ^ word, 0x9e3779b1) ^ (hash >>> 15);
}

function slotOf(hash: number, slots: number): number {
  return (hash ^ (hash >>> 16)) & (slots - 1);
}
