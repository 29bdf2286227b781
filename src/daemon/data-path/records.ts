import { deserialize } from 'node:v8';
import type { CallRecord } from '../../inspector.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { JournalRecord } from '../journal/journal.ts';

/**
 * The calls of a journal. Of one whose last version may be missing only those pinholes are taken up that the packet
 * filter, asked by `list`, still has: a pinhole that was closed is not opened again. The journal has checked the bytes;
 * a record of another version of the runtime is left out.
 */
export function readRecords(journal: readonly JournalRecord[], list: () => readonly Pinhole[]): CallRecord[] {
  const open = journal.some(({ doubtful }) => doubtful) ? new Set(list().map(({ id }) => id)) : null;
  return journal.flatMap(({ bytes, doubtful }) => {
    const record = readRecord(bytes);
    if (record === null) return [];
    if (!doubtful || open === null) return [record];
    return [{ ...record, held: record.held.filter(({ pinhole }) => open.has(pinhole.id)) }];
  });
}

function readRecord(bytes: Uint8Array): CallRecord | null {
  try {
    return deserialize(bytes) as CallRecord;
  } catch {
    return null;
  }
}
