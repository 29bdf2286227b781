import {
  type CallRecord,
  type DirectionRecord,
  type Recorded,
  readRecord,
  type Scribe,
} from '../../inspector/record.ts';
import type { Inspection, Inspector } from '../../inspector.ts';
import { directionName } from '../journal/records.ts';
import type { DataPathReport, Order } from '../messages.ts';
import type { Cause, Outbox } from './outbox.ts';

interface SharedCallsDeps {
  readonly inspector: Pick<Inspector, 'call' | 'end' | 'share' | 'remember' | 'forget'>;
  readonly outbox: Pick<Outbox, 'versions' | 'sharedDirections'>;
  readonly scribe: Scribe;
  readonly post: (report: DataPathReport) => void;
  /** What comes after a change that no packet asked for. */
  readonly done: (inspection: Inspection, cause: Cause) => void;
}

/**
 * Takes up what other firewalls say of the calls that they share with this one, where that is later than what is known
 * here. A record is read as carefully as a message from outside: what is wrong with it is told, and what it opens is what
 * the settings here let be.
 */
export function createSharedCalls({ inspector, outbox, scribe, post, done }: SharedCallsDeps) {
  const { takes } = outbox.versions;

  return ({ ticket, records }: Extract<Order, { type: 'shared' }>): void => {
    const calls: CallRecord[] = [];
    const directions: DirectionRecord[] = [];
    const refused: string[] = [];
    for (const { key, stamp, text, age } of records) {
      if (text === '') {
        if (takes(key, stamp)) end(key);
        continue;
      }
      const read = readRecord(text, scribe, age);
      if (read.what === 'refused') {
        refused.push(read.why);
      } else if (nameOf(read) !== key) {
        refused.push(`it is of ${nameOf(read)} and stands under the name of another`);
      } else if (takes(key, stamp)) {
        if (read.what === 'call') calls.push(read.record);
        else directions.push(read.record);
      }
    }
    const now = scribe.now();
    if (directions.length > 0) connect(directions, now);
    const inspection = inspector.share(calls, now);
    if (inspection.refused > 0) refused.push(`there is no room for ${inspection.refused} more`);
    done(inspection, 'elsewhere');
    post({ type: 'shared', ticket, refused });
  };

  function connect(records: readonly DirectionRecord[], now: number): void {
    inspector.forget(records.flatMap(({ direction, closed }) => (closed ? [direction] : [])));
    inspector.remember(
      records.flatMap(({ direction, closed }) => (closed ? [] : [direction])),
      now,
    );
    outbox.sharedDirections(records);
  }

  /** Of a call that nobody knows any more. */
  function end(legId: string): void {
    const call = inspector.call(legId);
    if (call !== null && call.state !== 'ended') done(inspector.end(call, scribe.now()), 'elsewhere');
  }
}

function nameOf(read: Exclude<Recorded, { what: 'refused' }>): string {
  return read.what === 'call' ? read.record.call.legId : directionName(read.record.direction);
}
