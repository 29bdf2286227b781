import { randomInt } from 'node:crypto';
import { AF_INET, AF_INET6 } from '../../../native-bindings/linux/constants.ts';
import type { ConntrackEntry, FlowTuple } from '../../../native-bindings/linux/ctnetlink.ts';
import { type EntryInPlace, idOf, originalZoneOf, zoneOf } from '../../../native-bindings/linux/in-place.ts';
import { fnv1aOfBytes, fnv1aStep, mixed } from '../../hash.ts';

/** A conntrack entry as far as it takes to know where its packets go, and to delete it. */
export interface TrackedFlow
  extends Pick<ConntrackEntry, 'family' | 'original' | 'id' | 'zone' | 'originalZone'> {
  readonly reply: Pick<FlowTuple, 'source' | 'sourcePort'>;
}

/**
 * Conntrack entries, found by where their packets go. A hundred thousand of them make no object: each has 64 bytes here,
 * and 40 for being found. However many meet at one port, adding and removing one takes as long as ever.
 */
export interface FlowTable {
  size(): number;
  /** One that is there already stays as it is. */
  add(entry: EntryInPlace): void;
  /** Where another entry has taken its place, that one stays. */
  remove(entry: EntryInPlace): void;
  /**
   * Places of entries of which a direction goes to this address (4 or 16 bytes) and port: an address as it is between the two
   * halves of translation. One with both ends there is named twice. A place holds until the table is changed.
   */
  towards(protocol: number, address: Uint8Array, port: number): number[];
  /** A copy of what is at a place. */
  at(place: number): TrackedFlow;
  clear(): void;
}

/** What there is of an entry: where each field begins. */
const RECORD = 64;
const ID = 0;
const ID_SIZE = 4;
const ZONE = 4;
const PROTOCOL = 6;
const ADDRESS_SIZE = 7;
const PORTS = 8;
const ORIGINAL_ZONE = 14;
const ADDRESSES = 16;
const LONGEST_ADDRESS = 16;
/** Its ends, of which the first two are where packets go: to where those of the other direction come from. */
const ORIGINAL_SOURCE = 0;
const REPLY_SOURCE = 1;
const ORIGINAL_DESTINATION = 2;
/** Each entry is in a chain by each of the first two, and in one by its id. */
const WHOLE = 2;
const CHAINS = 3;
/** Heads of chains for each place: a power of two, as the number of places is. */
const HEADS = 4;

const LEAST_ROOM = 1024;
const NOTHING = -1;

export function createFlowTable(): FlowTable {
  /** Senders choose ports and addresses, and are not to choose which of them meet in one chain. */
  const basis = randomInt(2 ** 31);
  let room = 0;
  let size = 0;
  let data = Buffer.alloc(0);
  /** First of the chain of each hash; the next and the one before of each link: place times three, and the chain; -1: none. */
  let heads = new Int32Array(0);
  let nexts = new Int32Array(0);
  let befores = new Int32Array(0);
  /** Places that were left, chained by their first `nexts`. */
  let free = NOTHING;
  const scratch = Buffer.alloc(RECORD);

  /** The head of the chain that the record belongs to: by one of its ends, or by its id, which seldom two entries have. */
  function headOf(bytes: Uint8Array, record: number, chain: number): number {
    if (chain === WHOLE)
      return mixed(fnv1aOfBytes(bytes, record, record + ID_SIZE, basis)) & (heads.length - 1);
    const address = record + ADDRESSES + chain * LONGEST_ADDRESS;
    const port = record + PORTS + chain * 2;
    let hash = fnv1aOfBytes(bytes, address, address + bytes[record + ADDRESS_SIZE]!, basis);
    hash = fnv1aOfBytes(bytes, port, port + 2, hash);
    return mixed(fnv1aStep(hash, bytes[record + PROTOCOL]!)) & (heads.length - 1);
  }

  /** Whether this end of the record is what `scratch` has for its first. */
  function isEnd(record: number, end: number): boolean {
    if (data[record + PROTOCOL] !== scratch[PROTOCOL]) return false;
    if (data[record + ADDRESS_SIZE] !== scratch[ADDRESS_SIZE]) return false;
    const port = record + PORTS + end * 2;
    if (data[port] !== scratch[PORTS] || data[port + 1] !== scratch[PORTS + 1]) return false;
    const address = record + ADDRESSES + end * LONGEST_ADDRESS;
    for (let at = 0; at < scratch[ADDRESS_SIZE]!; at++) {
      if (data[address + at] !== scratch[ADDRESSES + at]) return false;
    }
    return true;
  }

  /** Writes an entry as a record into `scratch`; what is not its own is 0 there. */
  function write(entry: EntryInPlace): void {
    const { original, reply, addressSize } = entry;
    scratch.writeUInt32LE(idOf(entry), ID);
    scratch.writeUInt16LE(zoneOf(entry), ZONE);
    scratch.writeUInt16LE(originalZoneOf(entry), ORIGINAL_ZONE);
    scratch[PROTOCOL] = entry.protocol;
    scratch[ADDRESS_SIZE] = addressSize;
    writeEnd(entry, ORIGINAL_SOURCE, original.source, original.sourcePort);
    writeEnd(entry, REPLY_SOURCE, reply.source, reply.sourcePort);
    writeEnd(entry, ORIGINAL_DESTINATION, original.destination, original.destinationPort);
  }

  function writeEnd({ bytes, addressSize }: EntryInPlace, end: number, address: number, port: number): void {
    const to = ADDRESSES + end * LONGEST_ADDRESS;
    for (let at = 0; at < addressSize; at++) scratch[to + at] = bytes[address + at]!;
    for (let at = addressSize; at < LONGEST_ADDRESS; at++) scratch[to + at] = 0;
    scratch[PORTS + end * 2] = port >> 8;
    scratch[PORTS + end * 2 + 1] = port;
  }

  function isAt(place: number): boolean {
    const record = place * RECORD;
    for (let at = 0; at < RECORD; at++) if (data[record + at] !== scratch[at]) return false;
    return true;
  }

  /** The place of the entry that `scratch` holds, or -1. */
  function find(): number {
    if (room === 0) return NOTHING;
    let node = heads[headOf(scratch, 0, WHOLE)]!;
    for (; node !== NOTHING; node = nexts[node]!) {
      const place = (node - WHOLE) / CHAINS;
      const isThisChain = node % CHAINS === WHOLE;
      if (isThisChain && isAt(place)) return place;
    }
    return NOTHING;
  }

  function link(place: number): void {
    for (let chain = 0; chain < CHAINS; chain++) {
      const node = place * CHAINS + chain;
      const head = headOf(data, place * RECORD, chain);
      const next = heads[head]!;
      nexts[node] = next;
      befores[node] = NOTHING;
      if (next !== NOTHING) befores[next] = node;
      heads[head] = node;
    }
  }

  function unlink(place: number): void {
    for (let chain = 0; chain < CHAINS; chain++) {
      const node = place * CHAINS + chain;
      const [next, before] = [nexts[node]!, befores[node]!];
      if (next !== NOTHING) befores[next] = before;
      if (before === NOTHING) heads[headOf(data, place * RECORD, chain)] = next;
      else nexts[before] = next;
    }
  }

  /** Only when every place is taken. */
  function grow(): void {
    const more = Math.max(LEAST_ROOM, room * 2);
    const larger = Buffer.alloc(more * RECORD);
    data.copy(larger);
    data = larger;
    heads = new Int32Array(more * HEADS).fill(NOTHING);
    nexts = new Int32Array(more * CHAINS);
    befores = new Int32Array(more * CHAINS);
    const taken = room;
    room = more;
    for (let place = 0; place < taken; place++) link(place);
    for (let place = more - 1; place >= taken; place--) release(place);
  }

  function release(place: number): void {
    nexts[place * CHAINS] = free;
    free = place;
  }

  return {
    size: () => size,
    add(entry) {
      write(entry);
      if (find() !== NOTHING) return;
      if (free === NOTHING) grow();
      const place = free;
      free = nexts[place * CHAINS]!;
      for (let at = 0; at < RECORD; at++) data[place * RECORD + at] = scratch[at]!;
      link(place);
      size++;
    },
    remove(entry) {
      write(entry);
      const place = find();
      if (place === NOTHING) return;
      unlink(place);
      release(place);
      size--;
    },
    towards(protocol, address, port) {
      const places: number[] = [];
      if (room === 0) return places;
      scratch[PROTOCOL] = protocol;
      scratch[ADDRESS_SIZE] = address.length;
      scratch.set(address, ADDRESSES);
      scratch.writeUInt16BE(port, PORTS);
      let node = heads[headOf(scratch, 0, ORIGINAL_SOURCE)]!;
      for (; node !== NOTHING; node = nexts[node]!) {
        const chain = node % CHAINS;
        const place = (node - chain) / CHAINS;
        if (chain !== WHOLE && isEnd(place * RECORD, chain)) places.push(place);
      }
      return places;
    },
    at(place) {
      const record = place * RECORD;
      const protocol = data[record + PROTOCOL]!;
      const addressSize = data[record + ADDRESS_SIZE]!;
      const address = (end: number) => {
        const from = record + ADDRESSES + end * LONGEST_ADDRESS;
        return Buffer.from(data.subarray(from, from + addressSize));
      };
      const port = (end: number) => data.readUInt16BE(record + PORTS + end * 2);
      return {
        family: addressSize === 4 ? AF_INET : AF_INET6,
        id: data.readUInt32LE(record + ID),
        zone: data.readUInt16LE(record + ZONE),
        originalZone: data.readUInt16LE(record + ORIGINAL_ZONE),
        original: {
          protocol,
          source: address(ORIGINAL_SOURCE),
          sourcePort: port(ORIGINAL_SOURCE),
          destination: address(ORIGINAL_DESTINATION),
          destinationPort: port(ORIGINAL_DESTINATION),
        },
        reply: { source: address(REPLY_SOURCE), sourcePort: port(REPLY_SOURCE) },
      };
    },
    clear() {
      room = 0;
      size = 0;
      data = Buffer.alloc(0);
      heads = new Int32Array(0);
      nexts = new Int32Array(0);
      befores = new Int32Array(0);
      free = NOTHING;
    },
  };
}
