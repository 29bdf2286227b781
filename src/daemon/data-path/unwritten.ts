import { type Call, isByTime } from '../../call/call.ts';
import type { Leg } from '../../inspector/happening.ts';
import type { ConnectionDirection } from '../../inspector/reading/connections.ts';
import type { DirectionChange } from '../../inspector/reading/tcp.ts';
import type { Scribe } from '../../inspector/record.ts';
import type { Inspector } from '../../inspector.ts';
import type { JournalEntry } from '../journal/journal.ts';
import { callEntry, directionEntry, directionName, goneEntry } from '../journal/records.ts';
import type { CallEntry, DataPathCounters } from '../messages.ts';
import { type Stamp, type Standing, writeStamp } from '../peers/stamp.ts';
import { createStamps } from './stamps.ts';

/** What the journal, and other firewalls, have still to be told: of each call and each direction of a connection how it is, once. */
export interface Unwritten {
  /** The call is not as it was written; `isNews`: something happened to it here that others have not seen. */
  call(leg: Leg, isNews: boolean): void;
  direction(change: DirectionChange): void;
  /** Versions of what a journal had. */
  remember(stamps: ReadonlyMap<string, Stamp>): void;
  /**
   * Whether what another firewall says is the later version, and to be taken up. Where it is not, the other is to hear of
   * what is here.
   */
  takes(key: string, theirs: Stamp): boolean;
  /** How this direction is was taken up from another firewall. */
  sharedDirection(direction: ConnectionDirection, closed: boolean): void;
  /** Other firewalls have not heard how these are. */
  tell(keys: readonly string[]): void;
  /** Up to `limit` entries, written out as things are now. */
  take(limit: number): CallEntry[];
  /** Those of these calls that there are. */
  takeThese(legIds: Iterable<string>): CallEntry[];
  /** A call as it is now, with its version. */
  entryOf(legId: string): CallEntry;
  readonly size: number;
}

/**
 * `most` bounds the calls that began and ended since the last entry: past it the oldest is left out and counted. `member`:
 * who this firewall is among those that it shares its calls with; null where it shares none.
 */
export function createUnwritten(
  inspector: Pick<Inspector, 'dump' | 'call'>,
  scribe: Scribe,
  counters: DataPathCounters,
  most: () => number,
  member: string | null,
): Unwritten {
  /** Ids of legs. */
  const changed = new Set<string>();
  /** Those that are over, and that the journal has never had. */
  const unknown = new Set<string>();
  /** Calls that the journal has as under way. */
  const written = new Set<string>();
  /** Directions of TCP connections, as they are last, and those that the journal has. */
  const directions = new Map<string, { readonly direction: ConnectionDirection; readonly closed: boolean }>();
  const openDirections = new Map<string, ConnectionDirection>();
  const stamps = createStamps(member, standingOf, (key) => openDirections.has(key) || isKnown(key));

  function isKnown(legId: string): boolean {
    return changed.has(legId) || inspector.call(legId) !== null;
  }

  /** Of a call that the inspector has forgotten nobody knows more than that it is over. */
  function standingOf(key: string): Standing {
    const direction = directions.get(key);
    if (direction !== undefined) return direction.closed ? 'ended' : 'begun';
    if (openDirections.has(key)) return 'begun';
    const call = inspector.call(key);
    return call === null ? 'ended' : standingOfCall(call);
  }

  function call({ legId, state }: Leg, isNews: boolean): void {
    changed.add(legId);
    if (isNews) stamps.happened(legId);
    unknown.delete(legId);
    if (state !== 'ended' || written.has(legId)) return;
    unknown.add(legId);
    if (unknown.size <= most()) return;
    const oldest = unknown.values().next().value!;
    unknown.delete(oldest);
    changed.delete(oldest);
    stamps.forget(oldest);
    counters.eventsLost++;
  }

  function direction({ direction, what }: DirectionChange): void {
    const key = directionName(direction);
    const closed = what !== 'opened';
    // The journal needs not know of what came and went meanwhile.
    if (closed && directions.has(key) && !openDirections.has(key) && !stamps.isShared(key)) {
      directions.delete(key);
      stamps.forget(key);
      return;
    }
    // What makes room here may be in use at whoever read it last.
    if (what !== 'crowded' || stamps.isOwn(key)) stamps.happened(key);
    directions.set(key, { direction, closed });
  }

  function take(limit: number): CallEntry[] {
    const records: CallEntry[] = [];
    for (const key of directions.keys()) {
      if (records.length >= limit) return records;
      records.push(takeDirection(key));
    }
    for (const legId of changed) {
      if (records.length >= limit) return records;
      records.push(takeCall(legId));
    }
    return records;
  }

  function takeDirection(key: string): CallEntry {
    const one = directions.get(key)!;
    const entry = withStamp(directionEntry(one, scribe));
    directions.delete(key);
    if (one.closed) openDirections.delete(key);
    else openDirections.set(key, one.direction);
    return entry;
  }

  function takeCall(legId: string): CallEntry {
    changed.delete(legId);
    unknown.delete(legId);
    const entry = entryOf(legId);
    if (entry.endedAt === null) written.add(legId);
    else written.delete(legId);
    return entry;
  }

  /** A call that the inspector has forgotten has ended, and there is nothing of it to take up. */
  function entryOf(legId: string): CallEntry {
    const record = inspector.dump(legId);
    return withStamp(record === null ? goneEntry(legId, scribe) : callEntry(record, scribe));
  }

  /** Written out: of an object with a spread one first and more behind V8 keeps a description of its own. */
  function withStamp({ key, endedAt, text }: JournalEntry): CallEntry {
    const stamp = stamps.of(key);
    return stamp === null
      ? { key, endedAt, text, stamp }
      : { key, endedAt, text, stamp, mark: writeStamp(stamp) };
  }

  function tellOne(key: string): void {
    const direction = openDirections.get(key);
    if (direction !== undefined) directions.set(key, directions.get(key) ?? { direction, closed: false });
    else if (inspector.call(key) !== null) changed.add(key);
  }

  return {
    call,
    direction,
    remember: stamps.remember,
    takes(key, theirs) {
      const order = stamps.compare(key, theirs);
      if (order < 0) tellOne(key);
      return order > 0;
    },
    sharedDirection(direction, closed) {
      directions.set(directionName(direction), { direction, closed });
    },
    tell(keys) {
      for (const key of keys) tellOne(key);
    },
    take,
    takeThese: (legIds) => [...legIds].flatMap((legId) => (isKnown(legId) ? [takeCall(legId)] : [])),
    entryOf,
    get size() {
      return changed.size + directions.size;
    },
  };
}

function standingOfCall({ state, endReason, answeredAt }: Call): Standing {
  if (state !== 'ended') return answeredAt === null ? 'begun' : 'answered';
  return isByTime(endReason) ? 'timed-out' : 'ended';
}
