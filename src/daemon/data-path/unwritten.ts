import { isByTime } from '../../call/call.ts';
import type { Leg } from '../../inspector/happening.ts';
import type { Scribe } from '../../inspector/record.ts';
import type { DirectionChange } from '../../inspector/tcp.ts';
import type { Inspector } from '../../inspector.ts';
import type { JournalEntry } from '../journal/journal.ts';
import { callEntry, directionEntry, goneEntry } from '../journal/records.ts';
import type { CallEntry, DataPathCounters } from '../messages.ts';

/** What the journal has still to be told: of each call and each direction of a connection how it is, once. */
interface Unwritten {
  /** The call is not as it was written; `isNews`: nor as other firewalls have it. */
  call(leg: Leg, isNews: boolean): void;
  /** How this call is elsewhere was taken up from the order with this ticket. */
  shared(legId: string, ticket: number): void;
  /** The last such ticket; 0: none. */
  basisOf(legId: string): number;
  direction(change: DirectionChange): void;
  /** Up to `limit` entries, written out as things are now. */
  take(limit: number): CallEntry[];
  readonly size: number;
}

/** `most` bounds the calls that began and ended since the last entry: past it the oldest is left out and counted. */
export function createUnwritten(
  inspector: Pick<Inspector, 'dump'>,
  scribe: Scribe,
  counters: DataPathCounters,
  most: () => number,
): Unwritten {
  /** Ids of legs. */
  const changed = new Set<string>();
  /** Those that are over, and that the journal has never had. */
  const unknown = new Set<string>();
  /** Changed ones that other firewalls are to hear of, and the last tickets that told of them. */
  const news = new Set<string>();
  const tickets = new Map<string, number>();
  /** Calls that the journal has as under way. */
  const written = new Set<string>();
  /** Records of directions of TCP connections, the last of each, and those that the journal has. */
  const directions = new Map<string, CallEntry>();
  const writtenDirections = new Set<string>();

  function call({ legId, state }: Leg, isNews: boolean): void {
    changed.add(legId);
    if (isNews) news.add(legId);
    unknown.delete(legId);
    if (state !== 'ended' || written.has(legId)) return;
    unknown.add(legId);
    if (unknown.size <= most()) return;
    const oldest = unknown.values().next().value!;
    unknown.delete(oldest);
    changed.delete(oldest);
    news.delete(oldest);
    counters.eventsLost++;
  }

  function direction({ direction, what }: DirectionChange): void {
    const written = directionEntry({ direction, closed: what === 'closed' }, scribe);
    const record = { ...written, isNews: true, isTimedOut: false, basis: 0 };
    const { key, endedAt } = record;
    // The journal needs not know of what came and went meanwhile.
    if (endedAt !== null && directions.has(key) && !writtenDirections.has(key)) directions.delete(key);
    else directions.set(key, record);
    if (endedAt !== null) writtenDirections.delete(key);
  }

  function take(limit: number): CallEntry[] {
    const records: CallEntry[] = [];
    for (const [key, record] of directions) {
      if (records.length >= limit) return records;
      directions.delete(key);
      if (record.endedAt === null) writtenDirections.add(key);
      records.push(record);
    }
    for (const legId of changed) {
      if (records.length >= limit) return records;
      changed.delete(legId);
      unknown.delete(legId);
      const entry = { ...entryOf(legId), isNews: news.delete(legId), basis: tickets.get(legId) ?? 0 };
      if (entry.endedAt !== null) tickets.delete(legId);
      if (entry.endedAt === null) written.add(legId);
      else written.delete(legId);
      records.push(entry);
    }
    return records;
  }

  /** A call that the inspector has forgotten has ended, and there is nothing of it to take up. */
  function entryOf(legId: string): JournalEntry & Pick<CallEntry, 'isTimedOut'> {
    const record = inspector.dump(legId);
    if (record === null) return { ...goneEntry(legId, scribe), isTimedOut: false };
    return { ...callEntry(record, scribe), isTimedOut: isByTime(record.call.endReason) };
  }

  return {
    call,
    shared: (legId, ticket) => tickets.set(legId, ticket),
    basisOf: (legId) => tickets.get(legId) ?? 0,
    direction,
    take,
    get size() {
      return changed.size + directions.size;
    },
  };
}
