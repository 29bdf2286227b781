/** The translation of pinholes as elements of maps, looked up by the first packet of a connection in either direction. */
import { type Address, formatIPv4, formatIPv6 } from '../../address/address.ts';
import { ownCopy } from '../../own-copy.ts';
import type { Opening } from '../../pinhole/opening.ts';
import { protocolName, protocolNumbers } from '../protocols.ts';
import { bytesOf, type Element, type MapName, SMALL, zeros } from './element.ts';

export interface MapShape {
  readonly name: MapName;
  readonly family: 4 | 6;
  /** `dnat`: from the party to the address where it arrives, port. `snat`: from the inside host, port, to the party. */
  readonly kind: 'dnat' | 'snat';
  /** Whether the key has the party's address. */
  readonly party: boolean;
}

/** Every map, in the order in which packets are looked up. */
export const mapShapes: readonly MapShape[] = ([4, 6] as const).flatMap((family) =>
  (['dnat', 'snat'] as const).flatMap((kind): MapShape[] => [
    { name: `${kind}${family}`, family, kind, party: true },
    { name: `${kind}_any${family}`, family, kind, party: false },
  ]),
);

/** What one element of a map does. */
interface Translated {
  readonly kind: 'dnat' | 'snat';
  readonly protocol: 'udp' | 'tcp';
  readonly party: Address | null;
  /** The address and port that a packet has, and the address that it gets. */
  readonly from: Address;
  readonly port: number;
  readonly to: Address;
}

/** The elements of an opening: none unless it brings its own translation towards the inside. */
export function translationsOf({
  direction,
  protocol,
  sources,
  address,
  ports,
  translation,
}: Opening): Element[] {
  if (translation === null || translation.by === 'ruleset' || direction === 'out') return [];
  const { arrivesAt } = translation;
  const elements: Element[] = [];
  for (const party of sources === 'any' ? [null] : sources) {
    for (let port = ports[0]; port <= ports[1]; port++) {
      elements.push(
        elementOf({ kind: 'dnat', protocol, party, from: arrivesAt, port, to: address }),
        elementOf({ kind: 'snat', protocol, party, from: address, port, to: arrivesAt }),
      );
    }
  }
  return elements;
}

/**
 * Keys: `dnat` protocol, party, address, port; `snat` protocol, address, port, party: the order of a packet's fields,
 * each padded to four bytes.
 */
function elementOf({ kind, protocol, party, from, port, to }: Translated): Element {
  const own = bytesOf(from);
  const other = party === null ? new Uint8Array(0) : bytesOf(party);
  const key = zeros(SMALL + other.length + own.length + SMALL);
  key[0] = protocolNumbers[protocol];
  const ownAt = kind === 'dnat' ? SMALL + other.length : SMALL;
  const portAt = ownAt + own.length;
  key.set(own, ownAt);
  key.writeUInt16BE(port, portAt);
  key.set(other, kind === 'dnat' ? SMALL : portAt + SMALL);
  const set: MapName = `${kind}${party === null ? '_any' : ''}${own.length === 4 ? 4 : 6}`;
  return {
    set,
    key,
    data: bytesOf(to),
    name: ownCopy(nameOf({ kind, protocol, party, from, port, to })),
  };
}

/** `dnat udp 198.51.100.20 > 203.0.113.2 40000 is 10.0.0.5` */
function nameOf({ kind, protocol, party, from, port, to }: Translated): string {
  return `${kind} ${protocol} ${party ?? 'any'} ${kind === 'dnat' ? '>' : '<'} ${from} ${port} is ${to}`;
}

/** The name of an element read back, or null when it is none of ours. */
export function readTranslation(shape: MapShape, key: Buffer, data: Buffer | undefined): string | null {
  const { kind, family } = shape;
  const size = family === 4 ? 4 : 16;
  const format = family === 4 ? formatIPv4 : formatIPv6;
  const partySize = shape.party ? size : 0;
  const protocol = protocolName(key[0]!);
  if (protocol === null || key.length !== SMALL + partySize + size + SMALL || data?.length !== size)
    return null;
  const ownAt = kind === 'dnat' ? SMALL + partySize : SMALL;
  const portAt = ownAt + size;
  const party = shape.party ? format(key, kind === 'dnat' ? SMALL : portAt + SMALL) : null;
  return nameOf({
    kind,
    protocol,
    party,
    from: format(key, ownAt),
    port: key.readUInt16BE(portAt),
    to: format(data, 0),
  });
}
