/**
 * What pinholes have passed, read again and again: the kernel's answer is folded as it comes into counts that stay, so that a
 * reading of ten thousands of pinholes leaves next to nothing behind.
 */
import { SystemError } from '../../../native-bindings/errno.ts';
import {
  type DirectionInPlace,
  type ElementInPlace,
  type EntryInPlace,
  walkElements,
  walkEntries,
} from '../../../native-bindings/linux/in-place.ts';
import type { NetlinkSocket } from '../../../native-bindings/linux/netlink.ts';
import { FNV_BASIS, fnv1aOfBytes, fnv1aStep } from '../../hash.ts';
import type { TwoWayTraffic } from '../firewall.ts';
import { SMALL } from './element.ts';
import { createElementCounts, type ElementCounts, NO_FLOW, NOT_TOLD } from './element-counts.ts';
import { elementsOf, type SetShape, setShapes } from './elements.ts';
import { parseRecord } from './record.ts';
import { RECORDS } from './table.ts';

/** Reads what all pinholes in the table have passed, by id; the counts are of this reading until the next. Throws SystemError. */
type CountReader = () => ReadonlyMap<string, TwoWayTraffic>;

interface CountedSet {
  readonly shape: SetShape;
  readonly keySize: number;
  readonly elements: ElementCounts;
}

type Count = { -readonly [Key in keyof TwoWayTraffic]: TwoWayTraffic[Key] };

/** A pinhole, as its line of text told of it once. */
interface Line {
  /** Of the text, all its parts together; a number may have another text once another daemon has the table. */
  readonly hash: number;
  readonly parts: number;
  /** What was seen of it in the listing with this number. */
  listing: number;
  seenHash: number;
  seenParts: number;
  /** Null when the text makes no sense: there is nothing to count. */
  readonly id: string | null;
  readonly set: CountedSet;
  /** Of its elements, one after the other, a character for each byte. */
  readonly keys: string;
  readonly count: Count;
}

/** How often a set is listed that names an element twice: see `readElements`. */
const LISTINGS = 8;
const RECORD_KEY = 8;
const PORTS = 0x10000;

/** Others' changes meanwhile make a listing incomplete: a pinhole that was not read whole is left out. */
export function createCountReader(socket: NetlinkSocket, table: string): CountReader {
  const sets = setShapes.map((shape): CountedSet => {
    const keySize = keySizeOf(shape);
    return { shape, keySize, elements: createElementCounts(keySize) };
  });
  const lines = new Map<number, Line>();
  const counts = new Map<string, Count>();
  /** Parts of lines that are not known yet, in this reading. */
  const texts = new Map<number, string[]>();
  /** 1 for each port that an element leads to. */
  const ports = new Uint8Array(PORTS);
  let scratch = Buffer.alloc(256);
  let listing = 0;

  /** `visit` tells whether it sees this for the first time in this listing. */
  function list(set: string, begin: () => void, visit: (element: ElementInPlace) => boolean): void {
    for (let tries = 0; tries < LISTINGS; tries++) {
      let isDoubled = false;
      listing++;
      begin();
      try {
        walkElements(socket, table, set, (element) => {
          if (!visit(element)) isDoubled = true;
        });
      } catch (error) {
        if (!(error instanceof SystemError && error.code === 'EINTR')) throw error;
      }
      if (!isDoubled) return;
    }
  }

  function readSet({ shape, keySize, elements }: CountedSet): void {
    list(shape.name, elements.clear, ({ bytes, keyStart, keyEnd, packets, octets }) => {
      if (keyEnd - keyStart !== keySize) return true;
      const place = elements.add(bytes, keyStart);
      if (place < 0) return false;
      elements.came(place, packets, octets);
      ports[bytes.readUInt16BE(keyEnd - SMALL)] = 1;
      return true;
    });
  }

  function readLines(): void {
    const begin = () => texts.clear();
    list(RECORDS, begin, ({ bytes, keyStart, keyEnd, commentStart, commentEnd }) => {
      if (keyEnd - keyStart !== RECORD_KEY) return true;
      const number = bytes.readUInt32LE(keyStart);
      const part = bytes.readUInt32LE(keyStart + SMALL);
      const line = lines.get(number);
      if (line !== undefined) return see(line, hashOf(part, bytes, commentStart, commentEnd));
      const text = texts.get(number) ?? [];
      if (text[part] !== undefined) return false;
      text[part] = bytes.toString('latin1', commentStart, commentEnd);
      texts.set(number, text);
      return true;
    });
    for (const [number, line] of lines) if (!isAsBefore(line)) forget(number, line);
    for (const [number, text] of texts) lines.set(number, lineOf(text));
    texts.clear();
  }

  /** False where there is more of it than there was. */
  function see(line: Line, hash: number): boolean {
    if (line.listing !== listing) {
      line.listing = listing;
      line.seenHash = 0;
      line.seenParts = 0;
    }
    line.seenHash = (line.seenHash + hash) | 0;
    return ++line.seenParts <= line.parts;
  }

  /** Whether nothing speaks against it. What is another's now is told of by the next reading. */
  function isAsBefore(line: Line): boolean {
    if (line.listing !== listing) return false;
    return line.seenParts < line.parts || line.seenHash === line.hash;
  }

  function forget(number: number, { id }: Line): void {
    lines.delete(number);
    if (id !== null) counts.delete(id);
  }

  function lineOf(parts: readonly string[]): Line {
    const hash = parts.reduce((sum, text, part) => {
      const bytes = Buffer.from(text, 'latin1');
      return (sum + hashOf(part, bytes, 0, bytes.length)) | 0;
    }, 0);
    const pinhole = parseRecord(parts.join(''));
    const elements = pinhole === null ? [] : elementsOf(pinhole);
    const set = sets.find(({ shape }) => shape.name === elements[0]?.set);
    return {
      hash,
      parts: parts.length,
      listing,
      seenHash: hash,
      seenParts: parts.length,
      id: set === undefined ? null : pinhole!.id,
      set: set ?? sets[0]!,
      keys: Buffer.concat(elements.map(({ key }) => key)).toString('latin1'),
      count: { packets: 0, bytes: 0, sent: null },
    };
  }

  /** What its elements have counted; one that several pinholes have in common counts for all of them. */
  function sum({ id, set, keys, count }: Line & { readonly id: string }): void {
    const { elements, keySize } = set;
    let [packets, bytes] = [0, 0];
    let sent = NO_FLOW;
    let isTold = true;
    if (scratch.length < keys.length) scratch = Buffer.alloc(keys.length);
    scratch.write(keys, 'latin1');
    for (let at = 0; at < keys.length; at += keySize) {
      const place = elements.find(scratch, at);
      if (place < 0) {
        counts.delete(id);
        return;
      }
      packets += elements.packets(place);
      bytes += elements.bytes(place);
      const went = elements.sent(place);
      if (went === NOT_TOLD) isTold = false;
      else if (went !== NO_FLOW) sent = Math.max(sent, 0) + went;
    }
    count.packets = packets;
    count.bytes = bytes;
    count.sent = isTold && sent !== NO_FLOW ? sent : null;
    if (counts.get(id) !== count) counts.set(id, count);
  }

  /** A packet is sent from `from`'s source; where it goes, between the halves of translation, is what `back` comes from. */
  function takeFlow(entry: EntryInPlace, from: DirectionInPlace, back: DirectionInPlace): void {
    if (ports[back.sourcePort] === 0) return;
    const family = entry.addressSize === 4 ? 4 : 6;
    for (const { shape, elements } of sets) {
      if (shape.family !== family || elements.size() === 0) continue;
      writeKey(scratch, shape, entry, from, back);
      const place = elements.find(scratch, 0);
      if (place < 0) continue;
      const before = elements.sent(place);
      const isTold = back.packets !== null && before !== NOT_TOLD;
      elements.went(place, isTold ? Math.max(before, 0) + back.packets : NOT_TOLD);
    }
  }

  return () => {
    ports.fill(0);
    for (const set of sets) readSet(set);
    readLines();
    if (lines.size > 0) {
      walkEntries(socket, { sourcePorts: ports }, (entry) => {
        takeFlow(entry, entry.original, entry.reply);
        takeFlow(entry, entry.reply, entry.original);
      });
    }
    for (const line of lines.values()) {
      if (!hasId(line)) continue;
      if (line.seenParts === line.parts) sum(line);
      else counts.delete(line.id);
    }
    return counts;
  };
}

function hasId(line: Line): line is Line & { readonly id: string } {
  return line.id !== null;
}

function hashOf(part: number, bytes: Uint8Array, start: number, end: number): number {
  return fnv1aOfBytes(bytes, start, end, fnv1aStep(FNV_BASIS, part));
}

function keySizeOf({ family, source, sourcePort }: SetShape): number {
  const address = family === 4 ? 4 : 16;
  return SMALL + (source ? address : 0) + (sourcePort ? SMALL : 0) + address + SMALL;
}

/** As `elementOf` lays it out. */
function writeKey(
  key: Buffer,
  { source, sourcePort }: SetShape,
  { bytes, addressSize, protocol }: EntryInPlace,
  from: DirectionInPlace,
  back: DirectionInPlace,
): void {
  key.writeUInt32LE(protocol);
  let at = SMALL;
  if (source) at += copyAddress(key, at, bytes, from.source, addressSize);
  if (sourcePort) at += copyPort(key, at, from.sourcePort);
  at += copyAddress(key, at, bytes, back.source, addressSize);
  copyPort(key, at, back.sourcePort);
}

function copyAddress(key: Buffer, at: number, bytes: Buffer, start: number, size: number): number {
  for (let offset = 0; offset < size; offset++) key[at + offset] = bytes[start + offset]!;
  return size;
}

/** Padded to four bytes. */
function copyPort(key: Buffer, at: number, port: number): number {
  key.writeUInt32LE((port >> 8) | ((port & 0xff) << 8), at);
  return SMALL;
}
