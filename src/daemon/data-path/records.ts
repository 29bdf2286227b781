import type { ConnectionDirection } from '../../inspector/reading/connections.ts';
import { type CallRecord, type Recorded, readRecord, type Scribe } from '../../inspector/record.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { JournalRecord } from '../journal/journal.ts';
import { readStamp, type Stamp } from '../peers/stamp.ts';

/** What is in a journal, read. */
export interface Records {
  readonly calls: readonly CallRecord[];
  /** Directions of TCP connections that SIP was read on. */
  readonly directions: readonly ConnectionDirection[];
  /** The versions of those that were shared, and of those that are over, by their names. */
  readonly stamps: ReadonlyMap<string, Stamp>;
  /** Records that are not taken up: how many, and why the first of them; null when all are. */
  readonly refused: string | null;
}

/**
 * The calls and connections of a journal. Of a call whose last version may be missing only those pinholes are taken up
 * that the packet filter, asked by `list`, still has: a pinhole that was closed is not opened again; a connection like
 * that may have ended, and is left out.
 */
export function readRecords(
  journal: readonly (Pick<JournalRecord, 'bytes' | 'doubtful'> & Partial<JournalRecord>)[],
  list: () => readonly Pinhole[],
  scribe: Scribe,
): Records {
  const open = journal.some(({ doubtful }) => doubtful) ? new Set(list().map(({ id }) => id)) : null;
  const calls: CallRecord[] = [];
  const directions: ConnectionDirection[] = [];
  const stamps = new Map<string, Stamp>();
  const refused: Extract<Recorded, { what: 'refused' }>[] = [];
  for (const { bytes, doubtful, key, mark } of journal) {
    const stamp = mark === undefined ? null : readStamp(mark);
    if (key !== undefined && stamp !== null) stamps.set(key, stamp);
    if (bytes.length === 0) continue;
    const read = readRecord(
      Buffer.from(bytes.buffer, bytes.byteOffset, bytes.length).toString('utf8'),
      scribe,
    );
    if (read.what === 'refused') {
      refused.push(read);
    } else if (read.what === 'direction') {
      if (!read.record.closed && !doubtful) directions.push(read.record.direction);
    } else if (!doubtful || open === null) {
      calls.push(read.record);
    } else {
      const { call, held } = read.record;
      calls.push({ call, held: held.filter(({ pinhole }) => open.has(pinhole.id)) });
    }
  }
  const first = refused[0];
  return {
    calls,
    directions,
    stamps,
    refused:
      first === undefined ? null : `${refused.length} records are not taken up; the first: ${first.why}`,
  };
}
