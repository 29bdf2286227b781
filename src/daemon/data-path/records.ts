import { deserialize } from 'node:v8';
import type { Direction } from '../../inspector/connections.ts';
import type { CallRecord } from '../../inspector.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { JournalRecord } from '../journal/journal.ts';
import type { DirectionRecord } from '../journal/records.ts';

/** What is in a journal, read. */
export interface Records {
  readonly calls: readonly CallRecord[];
  /** Directions of TCP connections that SIP was read on. */
  readonly directions: readonly Direction[];
}

/**
 * The calls and connections of a journal. Of a call whose last version may be missing only those pinholes are taken up
 * that the packet filter, asked by `list`, still has: a pinhole that was closed is not opened again; a connection like
 * that may have ended, and is left out. The journal has checked the bytes; a record of another version of the runtime
 * is left out.
 */
export function readRecords(journal: readonly JournalRecord[], list: () => readonly Pinhole[]): Records {
  const open = journal.some(({ doubtful }) => doubtful) ? new Set(list().map(({ id }) => id)) : null;
  const calls: CallRecord[] = [];
  const directions: Direction[] = [];
  for (const { bytes, doubtful } of journal) {
    const record = readRecord(bytes);
    if (record === null) continue;
    if ('direction' in record) {
      if (!record.closed && !doubtful) directions.push(record.direction);
    } else if (!doubtful || open === null) calls.push(record);
    else calls.push({ ...record, held: record.held.filter(({ pinhole }) => open.has(pinhole.id)) });
  }
  return { calls, directions };
}

function readRecord(bytes: Uint8Array): CallRecord | DirectionRecord | null {
  try {
    return deserialize(bytes);
  } catch {
    return null;
  }
}
