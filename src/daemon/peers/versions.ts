import type { CallEntry, SharedRecord } from '../messages.ts';
import { compareStamps, isOver, type Stamp } from './stamp.ts';
import type { Stored, Unsent, Version } from './store.ts';

/** Which version of each call is known here, and what of it the store has yet to hear. */
export interface Versions {
  /** How calls are here: what is later than the store is known to have waits for it. */
  local(entries: readonly CallEntry[]): void;
  /** What the store has now: those that are later than what is known here, for the data path. */
  remote(stored: readonly Stored[]): readonly SharedRecord[];
  /** The store has this version now. */
  has(version: Version): void;
  /** Those of these versions, in the store, that are later than what is known here. Where they are earlier, it is to hear. */
  later(versions: readonly Version[]): readonly string[];
  /** The store has these alone: of all others it is to hear. */
  isAll(names: ReadonlySet<string>): void;
  /** The store does not have these any more. */
  lost(names: readonly string[]): void;
  /** Takes the names of calls under way of which the store is to hear: how they are now is to be asked. */
  behind(): readonly string[];
  /** Something is in the store, or on its way to it, that is not the version known here. */
  isOther(version: Version): boolean;
  /** It is later than the one known here. */
  isLater(version: Version): boolean;
  /** What was known to be over before the start. */
  remember(versions: readonly Version[]): void;
  /** The next order to the data path has this ticket. */
  ticket(): number;
  /** Takes up to `limit` that the store has not heard of. */
  unsent(limit: number): readonly Unsent[];
  /** They did not get there. */
  putBack(unsent: readonly Unsent[]): void;
  /** A message waits for what was last written of these calls: it goes with the last of them that is sent. */
  mark(names: readonly string[], wait: string): boolean;
  /** The names of calls under way, and who wrote the last version of each. */
  underWay(): Iterable<readonly [name: string, machine: string]>;
  /** Who wrote the last version of this call; null where none is known. */
  writerOf(name: string): string | null;
  /** Forgets calls that have been over for long, at `now` in ms. */
  tidy(now: number): void;
  readonly waiting: number;
  /** Versions of calls that were left out, because more were known than could be honest. */
  readonly overflowed: number;
}

interface Known {
  readonly stamp: Stamp;
  /** ms of the caller's clock at which it was seen to be over. */
  readonly endedAt: number | null;
}

/** ms that what is over is known, so that nothing late brings it back: longer than the store keeps it. */
const REMEMBERED = 10 * 60_000;
/** Calls that are known, for each change that may wait. */
const KNOWN_FACTOR = 4;

/** `most` bounds what waits for a store that is away; past it only the versions of calls that are over go first. */
export function createVersions(most: () => number, clock: () => number): Versions {
  const known = new Map<string, Known>();
  const waiting = new Map<string, Unsent>();
  /** Calls of which the store has an earlier version, or none. */
  const behind = new Set<string>();
  /** Those of them that are under way, until somebody asks how they are. */
  let asked = new Set<string>();
  let tickets = 0;
  let overflowed = 0;

  /** Above 0: later than the one known here. */
  function orderOf({ name, stamp }: Version): number {
    const there = known.get(name);
    return there === undefined ? 1 : compareStamps(stamp, there.stamp);
  }

  function note(name: string, stamp: Stamp): void {
    known.delete(name);
    known.set(name, { stamp, endedAt: isOver(stamp) ? clock() : null });
  }

  function send(name: string, stamp: Stamp, text: string): void {
    const wait = waiting.get(name)?.wait ?? '';
    behind.delete(name);
    asked.delete(name);
    waiting.delete(name);
    waiting.set(name, { name, stamp, text, wait });
    if (waiting.size <= most()) return;
    for (const [oldest, { stamp: old }] of waiting) {
      if (!isOver(old)) continue;
      waiting.delete(oldest);
      return;
    }
  }

  function local(entries: readonly CallEntry[]): void {
    for (const { key, endedAt, text, stamp } of entries) {
      if (stamp === null) continue;
      // Nobody else has heard of it, and nobody needs to.
      if (!known.has(key) && endedAt !== null && text === '') continue;
      const order = orderOf({ name: key, stamp });
      if (order < 0 || (order === 0 && !behind.has(key))) continue;
      if (order > 0) note(key, stamp);
      send(key, stamp, text);
    }
  }

  function remote(stored: readonly Stored[]): readonly SharedRecord[] {
    const newer = new Set(later(stored));
    const taken = stored.filter(({ name }) => newer.has(name) && hasRoom(name));
    if (taken.length === 0) return [];
    tickets++;
    return taken.map(({ name, stamp, text, age }) => {
      note(name, stamp);
      has({ name, stamp });
      return { key: name, stamp, text, age };
    });
  }

  function has({ name, stamp }: Version): void {
    const unsent = waiting.get(name);
    if (unsent !== undefined && unsent.wait === '' && compareStamps(unsent.stamp, stamp) <= 0) {
      waiting.delete(name);
    }
    if (orderOf({ name, stamp }) < 0) return;
    behind.delete(name);
    asked.delete(name);
  }

  function later(versions: readonly Version[]): readonly string[] {
    return versions.flatMap((version) => {
      const order = orderOf(version);
      if (order < 0) fallBehind(version.name, known.get(version.name)!);
      else if (order === 0) has(version);
      return order > 0 ? [version.name] : [];
    });
  }

  /** Of what is over the store needs to know no more than that. */
  function fallBehind(name: string, { stamp, endedAt }: Known): void {
    if (waiting.has(name)) return;
    if (endedAt !== null) {
      send(name, stamp, '');
      return;
    }
    behind.add(name);
    asked.add(name);
  }

  /** A store that was filled by somebody else does not fill memory. */
  function hasRoom(name: string): boolean {
    const fits = known.has(name) || known.size < KNOWN_FACTOR * most();
    if (!fits) overflowed++;
    return fits;
  }

  return {
    local,
    remote,
    has,
    later,
    isAll(names) {
      for (const [name, one] of known) if (!names.has(name)) fallBehind(name, one);
    },
    lost(names) {
      for (const name of names) {
        const one = known.get(name);
        if (one !== undefined && one.endedAt === null) fallBehind(name, one);
      }
    },
    behind() {
      const names = [...asked];
      asked = new Set();
      return names;
    },
    isOther: (version) => orderOf(version) !== 0,
    isLater: (version) => orderOf(version) > 0,
    remember(versions) {
      for (const { name, stamp } of versions) note(name, stamp);
    },
    ticket: () => tickets,
    unsent(limit) {
      const taken: Unsent[] = [];
      for (const [name, one] of waiting) {
        if (taken.length >= limit) break;
        waiting.delete(name);
        taken.push(one);
      }
      return taken;
    },
    putBack(unsent) {
      for (const one of unsent) {
        const later = waiting.get(one.name);
        waiting.set(one.name, later === undefined ? one : { ...later, wait: joined(one.wait, later.wait) });
      }
    },
    mark(names, wait) {
      let last: Unsent | null = null;
      for (const one of waiting.values()) if (names.includes(one.name)) last = one;
      if (last === null) return false;
      waiting.set(last.name, { ...last, wait: joined(last.wait, wait) });
      return true;
    },
    *underWay() {
      for (const [name, { stamp, endedAt }] of known) if (endedAt === null) yield [name, stamp.machine];
    },
    writerOf: (name) => known.get(name)?.stamp.machine ?? null,
    tidy(now) {
      for (const [name, { endedAt }] of known) {
        if (endedAt !== null && endedAt + REMEMBERED < now) known.delete(name);
      }
    },
    get waiting() {
      return waiting.size;
    },
    get overflowed() {
      return overflowed;
    },
  };
}

function joined(...waits: readonly string[]): string {
  return waits.filter((one) => one !== '').join(',');
}
