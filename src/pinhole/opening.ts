import { type Address, parseAddress } from '../address/address.ts';
import { inOnePiece } from '../own-copy.ts';

/** What stands between the address that was announced and the host that announced it. */
export interface Translation {
  /** The address that others send to and see. */
  readonly external: Address;
  /** Where packets for it arrive here: the same, unless a router in front has translated them already. */
  readonly arrivesAt: Address;
  /** The interface whose address `external` is; null where it is given as an address. */
  readonly interface: string | null;
  /**
   * Who translates. `pinhole`: the opening itself, in both directions, each port staying what it is. `ruleset`: the
   * administrator's ruleset, and the opening only has to let through.
   */
  readonly by: 'pinhole' | 'ruleset';
}

/**
 * What a packet filter is to let through: one protocol, known sources, one destination address, exact ports.
 * Addresses are those that a packet has between the two halves of translation: the inside host's own.
 */
export interface Opening {
  /** `in`: towards a host that announced itself. `out`: from inside hosts to what an outside party announced. */
  readonly direction: 'in' | 'out';
  readonly protocol: 'udp' | 'tcp';
  /** Never empty. All of the destination's address family, sorted. */
  readonly sources: readonly Address[] | 'any';
  /** Null: any port. */
  readonly sourcePort: number | null;
  readonly address: Address;
  /** First and last destination port, inclusive; host order. */
  readonly ports: readonly [first: number, last: number];
  /** `in`: how packets get to `address`. `out`: what their sources are seen as outside. Null: as they are. */
  readonly translation: Translation | null;
}

/** The five values a packet filter decides by, with addresses as in an `Opening`. Ports in host order. */
export interface Flow {
  readonly protocol: 'udp' | 'tcp';
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

/** The flow of the answers. */
export function reverse({ protocol, source, sourcePort, destination, destinationPort }: Flow): Flow {
  return {
    protocol,
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

/** Whether packets of this flow pass by this opening. */
export function lets(opening: Omit<Opening, 'direction' | 'translation'>, flow: Flow): boolean {
  const { protocol, sources, sourcePort, address, ports } = opening;
  return (
    protocol === flow.protocol &&
    address === flow.destination &&
    ports[0] <= flow.destinationPort &&
    flow.destinationPort <= ports[1] &&
    (sourcePort ?? flow.sourcePort) === flow.sourcePort &&
    (sources === 'any' || sources.includes(flow.source))
  );
}

/** Whether everything that `inner` lets through passes by `outer` as well. */
export function contains(outer: Opening, inner: Opening): boolean {
  if (outer.protocol !== inner.protocol || outer.address !== inner.address) return false;
  if (outer.translation?.external !== inner.translation?.external) return false;
  if (outer.ports[0] > inner.ports[0] || outer.ports[1] < inner.ports[1]) return false;
  if (outer.sourcePort !== null && outer.sourcePort !== inner.sourcePort) return false;
  if (outer.sources === 'any') return true;
  return inner.sources !== 'any' && inner.sources.every((source) => outer.sources.includes(source));
}

/** Openings, found by where a packet goes: each has few ports. */
export interface OpeningIndex<T extends Opening> {
  add(opening: T): void;
  remove(opening: T): void;
  /** The first that lets this flow pass, in the order in which they were added. */
  find(flow: Flow): T | null;
  /** All that let this flow pass. */
  all(flow: Flow): T[];
  clear(): void;
}

export function createOpeningIndex<T extends Opening>(openings: Iterable<T> = []): OpeningIndex<T> {
  const byPlace = new Map<string, Set<T>>();

  function add(opening: T): void {
    for (const place of placesOf(opening)) {
      const there = byPlace.get(place);
      if (there === undefined) byPlace.set(place, new Set([opening]));
      else there.add(opening);
    }
  }

  for (const opening of openings) add(opening);
  return {
    add,
    remove(opening) {
      for (const place of placesOf(opening)) {
        const there = byPlace.get(place);
        if (there?.delete(opening) && there.size === 0) byPlace.delete(place);
      }
    },
    find(flow) {
      const there = byPlace.get(`${flow.destination} ${flow.destinationPort}`);
      if (there === undefined) return null;
      for (const opening of there) if (lets(opening, flow)) return opening;
      return null;
    },
    all(flow) {
      const there = byPlace.get(`${flow.destination} ${flow.destinationPort}`);
      return there === undefined ? [] : [...there].filter((one) => lets(one, flow));
    },
    clear: () => byPlace.clear(),
  };
}

function placesOf({ address, ports }: Opening): string[] {
  const places: string[] = [];
  for (let port = ports[0]; port <= ports[1]; port++) places.push(`${address} ${port}`);
  return places;
}

/** Derived from the whole of it: equal ids are equal openings. */
export function openingId(opening: Opening): string {
  const { protocol, sources, sourcePort, address, ports } = opening;
  const from = sources === 'any' ? 'any' : sources.length === 1 ? sources[0]! : sources.join(',');
  const port = sourcePort === null ? '' : `:${sourcePort}`;
  const place = `${protocol} ${from}${port} > ${address} ${ports[0]}-${ports[1]}`;
  if (opening.direction === 'in' && opening.translation === null) return inOnePiece(place);
  return [place, ...wayWords(opening)].join(' ');
}

type Way = Pick<Opening, 'direction' | 'translation'>;

/** Direction and translation as words: `out`, `via:203.0.113.2`, `at:192.168.0.2`, `on:em0`, `ruleset`; often none. */
export function wayWords({ direction, translation }: Way): string[] {
  const words = direction === 'out' ? ['out'] : [];
  if (translation === null) return words;
  const { external, arrivesAt, by } = translation;
  words.push(`via:${external}`);
  if (arrivesAt !== external) words.push(`at:${arrivesAt}`);
  if (translation.interface !== null) words.push(`on:${translation.interface}`);
  if (by === 'ruleset') words.push('ruleset');
  return words;
}

/** What `wayWords` told, or null when these are no such words. */
export function parseWay(words: readonly string[]): Way | null {
  const rest = [...words];
  const take = (prefix: string): string | null => {
    if (rest[0]?.startsWith(prefix) !== true) return null;
    return rest.shift()!.slice(prefix.length);
  };
  const direction = take('out') === null ? 'in' : 'out';
  const external = take('via:');
  const arrivesAt = external === null ? null : (take('at:') ?? external);
  const place = external === null ? null : take('on:');
  const by = external !== null && take('ruleset') !== null ? 'ruleset' : 'pinhole';
  if (rest.length > 0) return null;
  if (external === null || arrivesAt === null) return { direction, translation: null };
  if (parseAddress(external) !== external || parseAddress(arrivesAt) !== arrivesAt) return null;
  return { direction, translation: { external, arrivesAt, interface: place, by } };
}
