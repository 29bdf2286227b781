import { fnv1a, hexadecimal } from '../../hash.ts';
import type { ConnectionDirection } from '../../inspector/reading/connections.ts';
import {
  type CallRecord,
  type DirectionRecord,
  type Scribe,
  writeCall,
  writeDirection,
} from '../../inspector/record.ts';
import { directionKey } from '../../packet/direction.ts';
import type { JournalEntry } from './journal.ts';

export function callEntry(record: CallRecord, scribe: Scribe): JournalEntry {
  const { legId: key, endedAt } = record.call;
  return { key, endedAt, text: writeCall(record, scribe) };
}

/** Of a call that is forgotten there is nothing to take up. */
export function goneEntry(key: string, { now }: Scribe): JournalEntry {
  return { key, endedAt: now(), text: '' };
}

/** A direction of a TCP connection as a record of its own; one that has ended is not taken up again. */
export function directionEntry(record: DirectionRecord, scribe: Scribe): JournalEntry {
  return {
    key: directionName(record.direction),
    endedAt: record.closed ? scribe.now() : null,
    text: writeDirection(record, scribe),
  };
}

/** Any other than FNV_BASIS. */
const SECOND_BASIS = 0x01000193;

/** Whether this key of an entry is of a direction, and of no call. */
export function isDirectionName(key: string): boolean {
  return key.startsWith('t');
}

/** Sixteen characters, of which no call's name has the first; the rest tells 2^60 directions apart (FNV-1a, twice). */
export function directionName(direction: ConnectionDirection): string {
  const key = directionKey(direction);
  return `t${(hexadecimal(fnv1a(key)) + hexadecimal(fnv1a(key, SECOND_BASIS))).slice(1)}`;
}
