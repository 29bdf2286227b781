import { Buffer } from 'node:buffer';
import type { CallEntry, SharedRecord } from '../messages.ts';
import { compareStamps, isOver, nextStamp, rivalStamp, type Stamp, type Standing } from './stamp.ts';
import type { Stored } from './store.ts';

/** Something to be written into the store. */
type Unsent = Stored & { readonly wait: string };

/** Which version of each call is known here, what of it the store has yet to hear, and what the data path has. */
export interface Versions {
  /**
   * How calls are here. What another firewall has said meanwhile and is the later one wins; where the data path has
   * taken that up and it is not, what was written here is to be told to it again: `back`.
   */
  local(entries: readonly CallEntry[]): readonly SharedRecord[];
  /** Versions from the store: those that are later than what is known here, for the data path. */
  remote(stored: readonly Stored[]): readonly SharedRecord[];
  /** Whether this version is later than what is known here. */
  isNew(name: string, stamp: Stamp): boolean;
  /** The next order to the data path has this ticket. */
  ticket(): number;
  /** Takes up to `limit` that the store has not heard of. */
  unsent(limit: number): readonly Unsent[];
  /** They did not get there. */
  putBack(unsent: readonly Unsent[]): void;
  /** A message waits for what was last written of these calls: it goes with the last of them that is sent. */
  mark(names: readonly string[], wait: string): boolean;
  /** The store has none of this. */
  forgetStore(): void;
  /** The names of calls under way, and who wrote the last version of each. */
  underWay(): Iterable<readonly [name: string, machine: string]>;
  /** Forgets calls that have been over for long, at `now` in ms. */
  tidy(now: number): void;
  readonly waiting: number;
  /** Versions of calls that were left out, because more were known than could be honest. */
  readonly overflowed: number;
}

interface Known {
  readonly stamp: Stamp;
  /** The last order that told the data path of it; 0: none. */
  readonly ticket: number;
  /** ms of the caller's clock at which it was seen to be over. */
  endedAt: number | null;
}

/** ms that what is over is known, so that nothing late brings it back: longer than the store keeps it. */
const REMEMBERED = 10 * 60_000;
/** Calls that are known, for each change that may wait. */
const KNOWN_FACTOR = 4;

/** `most` bounds what waits for a store that is away; past it only the versions of calls that are over go first. */
export function createVersions(machine: string, most: () => number, clock: () => number): Versions {
  const known = new Map<string, Known>();
  const waiting = new Map<string, Unsent>();
  let tickets = 0;
  let overflowed = 0;

  function note(name: string, stamp: Stamp, ticket: number): void {
    known.delete(name);
    known.set(name, { stamp, ticket, endedAt: isOver(stamp) ? clock() : null });
  }

  function send(name: string, stamp: Stamp, text: string): void {
    const wait = waiting.get(name)?.wait ?? '';
    waiting.delete(name);
    waiting.set(name, { name, stamp, text, wait });
    if (waiting.size <= most()) return;
    for (const [oldest, { stamp: old }] of waiting) {
      if (!old.ended) continue;
      waiting.delete(oldest);
      return;
    }
  }

  function local(entries: readonly CallEntry[]): readonly SharedRecord[] {
    const back: SharedRecord[] = [];
    for (const entry of entries) {
      const { key, endedAt, bytes, isNews, basis } = entry;
      const there = known.get(key) ?? null;
      if (!isNews && there !== null) continue;
      // Nobody else has heard of it, and nobody needs to.
      if (there === null && endedAt !== null && bytes.length === 0) continue;
      const isRival = there !== null && basis < there.ticket;
      const standing = standingOf(entry);
      const stamp = isRival
        ? rivalStamp(there.stamp, standing, machine)
        : nextStamp(there?.stamp ?? null, standing, machine);
      if (there !== null && compareStamps(stamp, there.stamp) <= 0) continue;
      if (isRival) {
        tickets++;
        back.push({ key, bytes });
      }
      note(key, stamp, isRival ? tickets : (there?.ticket ?? 0));
      send(key, stamp, Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'));
    }
    return back;
  }

  function remote(stored: readonly Stored[]): readonly SharedRecord[] {
    const later = stored.filter(({ name, stamp }) => isNew(name, stamp) && hasRoom(name));
    if (later.length === 0) return [];
    tickets++;
    return later.map(({ name, stamp, text }) => {
      note(name, stamp, tickets);
      const unsent = waiting.get(name);
      if (unsent !== undefined && compareStamps(unsent.stamp, stamp) < 0) waiting.delete(name);
      return { key: name, bytes: Buffer.from(text, 'utf8') };
    });
  }

  /** A store that was filled by somebody else does not fill memory. */
  function hasRoom(name: string): boolean {
    const fits = known.has(name) || known.size < KNOWN_FACTOR * most();
    if (!fits) overflowed++;
    return fits;
  }

  function isNew(name: string, stamp: Stamp): boolean {
    const there = known.get(name);
    return there === undefined || compareStamps(stamp, there.stamp) > 0;
  }

  return {
    local,
    remote,
    isNew,
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
      for (const one of unsent) if (!waiting.has(one.name)) waiting.set(one.name, one);
    },
    mark(names, wait) {
      let last: Unsent | null = null;
      for (const one of waiting.values()) if (names.includes(one.name)) last = one;
      if (last === null) return false;
      waiting.set(last.name, { ...last, wait: last.wait === '' ? wait : `${last.wait},${wait}` });
      return true;
    },
    forgetStore() {
      for (const [name, { endedAt }] of known) if (endedAt !== null) known.delete(name);
    },
    *underWay() {
      for (const [name, { stamp, endedAt }] of known) if (endedAt === null) yield [name, stamp.machine];
    },
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

function standingOf({ endedAt, isTimedOut }: CallEntry): Standing {
  if (endedAt === null) return 'under-way';
  return isTimedOut ? 'timed-out' : 'ended';
}
