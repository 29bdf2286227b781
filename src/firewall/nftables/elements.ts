/** Pinholes as elements of sets: what the kernel compares packets with, and how it is read back. */
import { type Address, formatIPv4, formatIPv6 } from '../../address/address.ts';
import { type Flow, type Opening, openingId } from '../../pinhole/opening.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import { protocolName, protocolNumbers } from '../protocols.ts';
import { bytesOf, type Element, elementName, type SetName, SMALL, zeros } from './element.ts';

export interface SetShape {
  readonly name: SetName;
  readonly family: 4 | 6;
  readonly source: boolean;
  readonly sourcePort: boolean;
}

/** Every set, in the order in which packets are looked up. */
export const setShapes: readonly SetShape[] = ([4, 6] as const).flatMap((family): SetShape[] => [
  { name: `source${family}`, family, source: true, sourcePort: false },
  { name: `any${family}`, family, source: false, sourcePort: false },
  { name: `source_port${family}`, family, source: true, sourcePort: true },
  { name: `any_port${family}`, family, source: false, sourcePort: true },
]);

/** What one element lets through. Null: any. Ports are in host order. */
export interface ElementMatch extends Pick<Flow, 'protocol' | 'destination' | 'destinationPort'> {
  readonly source: Address | null;
  readonly sourcePort: number | null;
}

export function elementOf({
  protocol,
  source,
  sourcePort,
  destination,
  destinationPort,
}: ElementMatch): Element {
  const to = bytesOf(destination);
  const sourceSize = source === null ? 0 : to.length;
  const key = zeros(SMALL + sourceSize + (sourcePort === null ? 0 : SMALL) + to.length + SMALL);
  key[0] = protocolNumbers[protocol];
  let at = SMALL;
  if (source !== null) key.set(bytesOf(source), at);
  at += sourceSize;
  if (sourcePort !== null) {
    key.writeUInt16BE(sourcePort, at);
    at += SMALL;
  }
  key.set(to, at);
  key.writeUInt16BE(destinationPort, at + to.length);
  const set = setOf(to.length === 4 ? 4 : 6, source !== null, sourcePort !== null);
  return { set, key, name: elementName(set, key) };
}

function setOf(family: 4 | 6, source: boolean, sourcePort: boolean): SetName {
  if (source) return sourcePort ? `source_port${family}` : `source${family}`;
  return sourcePort ? `any_port${family}` : `any${family}`;
}

/** The elements of an opening: one for each source and port. */
export function elementsOf(opening: Opening): Element[] {
  return matchesOf(opening).map(elementOf);
}

/** What each of its elements lets through. */
export function matchesOf({ protocol, sources, sourcePort, address, ports }: Opening): ElementMatch[] {
  const matches: ElementMatch[] = [];
  for (const source of sources === 'any' ? [null] : sources) {
    for (let destinationPort = ports[0]; destinationPort <= ports[1]; destinationPort++) {
      matches.push({ protocol, source, sourcePort, destination: address, destinationPort });
    }
  }
  return matches;
}

/** What the key of an element read back lets through, or null when it is none of ours. */
export function readKey({ family, source, sourcePort }: SetShape, key: Buffer): ElementMatch | null {
  const size = family === 4 ? 4 : 16;
  const format = family === 4 ? formatIPv4 : formatIPv6;
  const sourcePortAt = SMALL + (source ? size : 0);
  const destinationAt = sourcePortAt + (sourcePort ? SMALL : 0);
  const protocol = protocolName(key[0]!);
  if (protocol === null || key.length !== destinationAt + size + SMALL) return null;
  return {
    protocol,
    source: source ? format(key, SMALL) : null,
    sourcePort: sourcePort ? key.readUInt16BE(sourcePortAt) : null,
    destination: format(key, destinationAt),
    destinationPort: key.readUInt16BE(destinationAt + size),
  };
}

/** An element that belongs to no pinhole we know, as a pinhole that can be closed. */
export function strangerOf({
  protocol,
  source,
  sourcePort,
  destination,
  destinationPort: port,
}: ElementMatch): Pinhole {
  const opening: Opening = {
    direction: 'in',
    protocol,
    sources: source === null ? 'any' : [source],
    sourcePort,
    address: destination,
    ports: [port, port],
    translation: null,
  };
  return { ...opening, id: openingId(opening), kind: null, media: '', label: '' };
}
