/** What is in the table, read back from the kernel. */

import { SystemError } from '../../../native-bindings/errno.ts';
import type { NetlinkSocket } from '../../../native-bindings/linux/netlink.ts';
import {
  readElements,
  type SetElement,
  type SetElementReadBack,
} from '../../../native-bindings/linux/nftables.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { Traffic } from '../firewall.ts';
import { elementName } from './element.ts';
import { type ElementMatch, matchesOf, readKey, setShapes } from './elements.ts';
import { formatRecord, parseRecord } from './record.ts';
import { RECORDS } from './table.ts';
import { mapShapes, readTranslation, translationsOf } from './translations.ts';

/** One line of the records, with the elements it takes in their set. */
interface RecordRead {
  readonly number: number;
  /** Null when the line makes no sense. */
  readonly pinhole: Pinhole | null;
  readonly parts: readonly SetElement[];
}

export interface Contents {
  /** By element name. */
  readonly elements: ReadonlyMap<string, ElementMatch>;
  readonly records: readonly RecordRead[];
  /** Elements of the maps that translate, by name; one that makes no sense has one of its own. */
  readonly translations: ReadonlyMap<string, { readonly set: string; readonly element: SetElement }>;
}

/** Others' transactions make a read incomplete: it is tried so often. */
export const READS = 20;

/** A comment has room for 254 bytes; a pinhole with many sources takes several. */
const PART = 250;
const NOTHING: Traffic = { packets: 0, bytes: 0 };

/** The elements that hold the line of a pinhole. */
export function recordOf(pinhole: Pinhole, number: number): SetElement[] {
  const text = formatRecord(pinhole);
  const parts: SetElement[] = [];
  for (let at = 0; at < text.length; at += PART) {
    parts.push({ key: recordKey(number, parts.length), comment: text.slice(at, at + PART) });
  }
  return parts;
}

/** The elements of a record with so many parts, as much as it takes to remove them. */
export function recordKeys(number: number, parts: number): SetElement[] {
  return Array.from({ length: parts }, (_, part) => ({ key: recordKey(number, part) }));
}

function recordKey(number: number, part: number): Buffer {
  const key = Buffer.allocUnsafe(8);
  key.writeUInt32LE(number);
  key.writeUInt32LE(part, 4);
  return key;
}

/** Everything. Throws SystemError: EINTR when anybody changed anything in nf_tables meanwhile. */
export function readContents(socket: NetlinkSocket, table: string): Contents {
  const elements = new Map<string, ElementMatch>();
  for (const shape of setShapes) {
    for (const { key } of readElements(socket, table, shape.name)) {
      const match = readKey(shape, key);
      if (match !== null) elements.set(elementName(shape.name, key), match);
    }
  }
  const records = readRecords(readElements(socket, table, RECORDS));
  return { elements, records, translations: readTranslations(socket, table) };
}

function readTranslations(socket: NetlinkSocket, table: string): Contents['translations'] {
  const found = new Map<string, { set: string; element: SetElement }>();
  for (const shape of mapShapes) {
    for (const { key, data } of readMap(socket, table, shape.name)) {
      const name = readTranslation(shape, key, data);
      const own = name ?? `an element of map ${shape.name} that no pinhole has, ${found.size}`;
      found.set(own, { set: shape.name, element: { key } });
    }
  }
  return found;
}

/** Nothing where the map is not there: it is made for the first pinhole that needs it. */
function readMap(socket: NetlinkSocket, table: string, name: string): SetElementReadBack[] {
  try {
    return readElements(socket, table, name);
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOENT') return [];
    throw error;
  }
}

function readRecords(found: readonly SetElementReadBack[]): RecordRead[] {
  const lines = new Map<number, { at: number; part: SetElementReadBack }[]>();
  for (const part of found) {
    const number = part.key.readUInt32LE();
    const line = { at: part.key.readUInt32LE(4), part };
    const others = lines.get(number);
    if (others === undefined) lines.set(number, [line]);
    else others.push(line);
  }
  return [...lines].map(([number, line]) => {
    line.sort((a, b) => a.at - b.at);
    const parts = line.map(({ part }) => ({ key: part.key }));
    return { number, pinhole: parseRecord(line.map(({ part }) => part.comment ?? '').join('')), parts };
  });
}

/** An element's counter as it was read. */
export function countOf(counter: SetElementReadBack['traffic']): Traffic {
  if (counter === null) return NOTHING;
  return { packets: Number(counter.packets), bytes: Number(counter.bytes) };
}

export function sumOf(counts: readonly Traffic[]): Traffic {
  let [packets, bytes] = [0, 0];
  for (const count of counts) {
    packets += count.packets;
    bytes += count.bytes;
  }
  return { packets, bytes };
}

/** What there is in the table for these pinholes: elements, each once, and the line that tells of each pinhole. */
export function wantedLines(pinholes: readonly Pinhole[]): Set<string> {
  return new Set(
    pinholes.flatMap((pinhole) => [
      ...matchesOf(pinhole).map(elementLine),
      ...translationsOf(pinhole).map(({ name }) => name),
      formatRecord(pinhole),
    ]),
  );
}

/** What is in the table, in the same words; nothing where there is no table. Throws as `readContents` does. */
export function readLines(socket: NetlinkSocket, table: string): string[] {
  try {
    const elements = setShapes.flatMap((shape) =>
      readElements(socket, table, shape.name).map(({ key }) => {
        const match = readKey(shape, key);
        return match === null ? `an element of set ${shape.name} that no pinhole has` : elementLine(match);
      }),
    );
    const records = readRecords(readElements(socket, table, RECORDS)).map(({ pinhole }) =>
      pinhole === null ? `an element of set ${RECORDS} that tells of no pinhole` : formatRecord(pinhole),
    );
    return [...elements, ...records, ...readTranslations(socket, table).keys()];
  } catch (error) {
    if (error instanceof SystemError && error.code === 'ENOENT') return [];
    throw error;
  }
}

/** `udp 198.51.100.2 :* > 10.0.0.10 4000` */
function elementLine({ protocol, source, sourcePort, destination, destinationPort }: ElementMatch): string {
  return `${protocol} ${source ?? '*'} :${sourcePort ?? '*'} > ${destination} ${destinationPort}`;
}
