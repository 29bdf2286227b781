import type { Address } from '../../address/address.ts';
import { directionKey } from '../../packet/direction.ts';

/** One direction of a TCP connection. */
export interface ConnectionDirection {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

/** The same for both directions of a connection. */
export function connectionKey({
  source,
  sourcePort,
  destination,
  destinationPort,
}: ConnectionDirection): string {
  const [one, other] = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`];
  return one < other ? `${one} - ${other}` : `${other} - ${one}`;
}

export function reverseOf({
  source,
  sourcePort,
  destination,
  destinationPort,
}: ConnectionDirection): ConnectionDirection {
  return {
    source: destination,
    sourcePort: destinationPort,
    destination: source,
    destinationPort: sourcePort,
  };
}

/** Directions of connections that SIP was read on from their beginning, so that they can be read on in their middle. */
interface KnownDirections {
  has(direction: ConnectionDirection): boolean;
  /** Notes it as in use at `now`; true where it is new. */
  add(direction: ConnectionDirection, now: number): boolean;
  /** True where it was known. */
  delete(direction: ConnectionDirection): boolean;
  /** Takes out those that have to make room, and those that were not in use for a day. */
  expire(now: number): readonly ConnectionDirection[];
  all(): Iterable<ConnectionDirection>;
}

/** ms without a segment after which the same four numbers may be another connection. */
const UNUSED = 86_400_000;

const NONE: readonly ConnectionDirection[] = [];

/** Keeps at most `most` of them, those used last. */
export function createKnownDirections(most: () => number): KnownDirections {
  /** In the order of their last use. */
  const known = new Map<string, { readonly direction: ConnectionDirection; readonly usedAt: number }>();
  return {
    has: (direction) => known.has(directionKey(direction)),
    add({ source, sourcePort, destination, destinationPort }, now) {
      const direction = { source, sourcePort, destination, destinationPort };
      const key = directionKey(direction);
      const isNew = !known.delete(key);
      known.set(key, { direction, usedAt: now });
      return isNew;
    },
    delete: (direction) => known.delete(directionKey(direction)),
    expire(now) {
      let gone: ConnectionDirection[] | null = null;
      for (const [key, { direction, usedAt }] of known) {
        if (known.size <= most() && now - usedAt < UNUSED) break;
        known.delete(key);
        gone ??= [];
        gone.push(direction);
      }
      return gone ?? NONE;
    },
    *all() {
      for (const { direction } of known.values()) yield direction;
    },
  };
}
