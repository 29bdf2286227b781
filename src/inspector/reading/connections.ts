import { directionKey, type Ends } from '../../packet/direction.ts';

/** One direction of a TCP connection. */
export type ConnectionDirection = Ends;

/** The same for both directions of a connection. */
function connectionKey({ source, sourcePort, destination, destinationPort }: ConnectionDirection): string {
  const [one, other] = [`${source} ${sourcePort}`, `${destination} ${destinationPort}`];
  return one < other ? `${one} - ${other}` : `${other} - ${one}`;
}

/** Of a stream: what it is called, and nothing else of it. */
export function directionOf({
  source,
  sourcePort,
  destination,
  destinationPort,
}: ConnectionDirection): ConnectionDirection {
  return { source, sourcePort, destination, destinationPort };
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
  /** Notes it as in use here at `now`; true where it is new, or was not told for long. */
  add(direction: ConnectionDirection, now: number): boolean;
  /** A journal, or another firewall, has it. */
  remember(direction: ConnectionDirection, now: number): void;
  /** It is read here, at `now`: true where it was remembered. */
  claim(direction: ConnectionDirection, now: number): boolean;
  /** True where it was known. */
  delete(direction: ConnectionDirection): boolean;
  /** Takes out those that have to make room, and those that were not in use for a day (`unused`). */
  expire(now: number): readonly Expired[];
  all(): Iterable<ConnectionDirection>;
}

interface Expired {
  readonly what: 'unused' | 'crowded';
  readonly direction: ConnectionDirection;
}

interface Known {
  readonly direction: ConnectionDirection;
  /** Times in ms. */
  readonly usedAt: number;
  /** When others were told of it; null where it was remembered. */
  readonly toldAt: number | null;
}

/** ms without a segment after which the same four numbers may be another connection. */
const UNUSED = 86_400_000;
/** ms after which others are told again: they know what is in use by what they are told. */
const TELL_AGAIN = UNUSED / 4;

const NONE: readonly Expired[] = [];

/** Keeps at most `most` of them, those used last. */
export function createKnownDirections(most: () => number): KnownDirections {
  /** In the order of their last use. */
  const known = new Map<string, Known>();

  function note(key: string, direction: ConnectionDirection, usedAt: number, toldAt: number | null): void {
    known.delete(key);
    known.set(key, { direction: directionOf(direction), usedAt, toldAt });
  }

  return {
    has: (direction) => known.has(directionKey(direction)),
    add(direction, now) {
      const key = directionKey(direction);
      const toldAt = known.get(key)?.toldAt ?? null;
      const isDue = toldAt === null || now - toldAt >= TELL_AGAIN;
      note(key, direction, now, isDue ? now : toldAt);
      return isDue;
    },
    remember: (direction, now) => note(directionKey(direction), direction, now, null),
    claim(direction, now) {
      const key = directionKey(direction);
      const isRemembered = known.get(key)?.toldAt === null;
      if (isRemembered) note(key, direction, now, now);
      return isRemembered;
    },
    delete: (direction) => known.delete(directionKey(direction)),
    expire(now) {
      let gone: Expired[] | null = null;
      for (const [key, { direction, usedAt }] of known) {
        const isUnused = now - usedAt >= UNUSED;
        if (known.size <= most() && !isUnused) break;
        known.delete(key);
        gone ??= [];
        gone.push({ what: isUnused ? 'unused' : 'crowded', direction });
      }
      return gone ?? NONE;
    },
    *all() {
      for (const { direction } of known.values()) yield direction;
    },
  };
}

/** Connections older than this reader that begin like SIP and are not read. */
interface OlderConnections {
  /** True where it was not known, be there room for it or not. */
  add(direction: ConnectionDirection): boolean;
  /** It has ended, or is read. */
  delete(direction: ConnectionDirection): void;
  readonly size: number;
}

/** Keeps at most `most` of them, those that came first. */
export function createOlderConnections(most: () => number): OlderConnections {
  const keys = new Set<string>();
  return {
    add(direction) {
      const key = connectionKey(direction);
      const isNew = !keys.has(key);
      if (isNew && keys.size < most()) keys.add(key);
      return isNew;
    },
    delete(direction) {
      if (keys.size > 0) keys.delete(connectionKey(direction));
    },
    get size() {
      return keys.size;
    },
  };
}
