import type { Leg } from '../../inspector/happening.ts';
import type { Scribe } from '../../inspector/record.ts';
import type { DirectionChange } from '../../inspector/tcp.ts';
import type { Inspector } from '../../inspector.ts';
import type { JournalEntry } from '../journal/journal.ts';
import { callEntry, directionEntry, goneEntry } from '../journal/records.ts';
import type { DataPathCounters } from '../messages.ts';

/** What the journal has still to be told: of each call and each direction of a connection how it is, once. */
export interface Unwritten {
  /** The call is not as it was written. */
  call(leg: Leg): void;
  direction(change: DirectionChange): void;
  /** Up to `limit` entries, written out as things are now. */
  take(limit: number): JournalEntry[];
  readonly size: number;
}

/** `most` bounds the calls that began and ended since the last entry: past it the oldest is left out and counted. */
export function createUnwritten(
  inspector: Pick<Inspector, 'dump'>,
  scribe: Scribe,
  counters: DataPathCounters,
  most: () => number,
): Unwritten {
  /** Hashes of calls. */
  const changed = new Set<string>();
  /** Those that are over, and that the journal has never had. */
  const unknown = new Set<string>();
  /** Calls that the journal has as under way. */
  const written = new Set<string>();
  /** Records of directions of TCP connections, the last of each, and those that the journal has. */
  const directions = new Map<string, JournalEntry>();
  const writtenDirections = new Set<string>();

  function call({ hash, state }: Leg): void {
    changed.add(hash);
    unknown.delete(hash);
    if (state !== 'ended' || written.has(hash)) return;
    unknown.add(hash);
    if (unknown.size <= most()) return;
    const oldest = unknown.values().next().value!;
    unknown.delete(oldest);
    changed.delete(oldest);
    counters.eventsLost++;
  }

  function direction({ direction, what }: DirectionChange): void {
    const record = directionEntry({ direction, closed: what === 'closed' }, scribe);
    const { hash, endedAt } = record;
    // The journal needs not know of what came and went meanwhile.
    if (endedAt !== null && directions.has(hash) && !writtenDirections.has(hash)) directions.delete(hash);
    else directions.set(hash, record);
    if (endedAt !== null) writtenDirections.delete(hash);
  }

  function take(limit: number): JournalEntry[] {
    const records: JournalEntry[] = [];
    for (const [name, record] of directions) {
      if (records.length >= limit) return records;
      directions.delete(name);
      if (record.endedAt === null) writtenDirections.add(name);
      records.push(record);
    }
    for (const hash of changed) {
      if (records.length >= limit) return records;
      changed.delete(hash);
      unknown.delete(hash);
      const entry = entryOf(hash);
      if (entry.endedAt === null) written.add(hash);
      else written.delete(hash);
      records.push(entry);
    }
    return records;
  }

  /** A call that the inspector has forgotten has ended, and there is nothing of it to take up. */
  function entryOf(hash: string): JournalEntry {
    const record = inspector.dump(hash);
    return record === null ? goneEntry(hash, scribe) : callEntry(record, scribe);
  }

  return {
    call,
    direction,
    take,
    get size() {
      return changed.size + directions.size;
    },
  };
}
