import { compareStamps, nextStamp, type Stamp, type Standing } from '../peers/stamp.ts';

/** Which version of each call, and of each direction of a connection, is here. */
interface Stamps {
  /** Something happened to it here: how it is now is a version of its own. */
  happened(key: string): void;
  /** The version that is here; null where nothing is shared. */
  of(key: string): Stamp | null;
  /** Above 0: theirs is the later one, and the one here from now on. Below 0: theirs is the earlier one. */
  compare(key: string, theirs: Stamp): number;
  /** Whether another firewall may have heard of it. */
  isShared(key: string): boolean;
  /** Whether this firewall had to do with it last. */
  isOwn(key: string): boolean;
  remember(stamps: ReadonlyMap<string, Stamp>): void;
  forget(key: string): void;
}

/** Versions, for each thing that there is, past which those of things that are gone are looked for. */
const FACTOR = 2;
const LEAST = 1024;

/** `standingOf`: how it is here. `isHere`: whether it is still known here. Versions of what is not are forgotten in time. */
export function createStamps(
  member: string | null,
  standingOf: (key: string) => Standing,
  isHere: (key: string) => boolean,
): Stamps {
  const known = new Map<string, Stamp>();
  /** Those that something has happened to since their version was made. */
  const newer = new Set<string>();
  let tidyAt = LEAST;

  function note(key: string, stamp: Stamp): void {
    known.set(key, stamp);
    if (known.size <= tidyAt) return;
    for (const one of known.keys()) if (one !== key && !newer.has(one) && !isHere(one)) known.delete(one);
    tidyAt = LEAST + FACTOR * known.size;
  }

  function of(key: string): Stamp | null {
    if (member === null) return null;
    const before = known.get(key) ?? null;
    if (before !== null && !newer.has(key)) return before;
    newer.delete(key);
    const stamp = nextStamp(before, standingOf(key), member);
    note(key, stamp);
    return stamp;
  }

  return {
    happened(key) {
      if (member !== null) newer.add(key);
    },
    of,
    compare(key, theirs) {
      const mine = known.has(key) || isHere(key) ? of(key) : null;
      const order = mine === null ? 1 : compareStamps(theirs, mine);
      if (order > 0) note(key, theirs);
      return order;
    },
    isShared: (key) => known.has(key),
    isOwn: (key) => newer.has(key) || known.get(key)?.machine === member,
    remember(stamps) {
      for (const [key, stamp] of stamps) note(key, stamp);
    },
    forget(key) {
      known.delete(key);
      newer.delete(key);
    },
  };
}
