import type { ConnectionDirection } from '../../inspector/connections.ts';
import { type CallRecord, readRecord, type Scribe } from '../../inspector/record.ts';
import type { Inspection, Inspector } from '../../inspector.ts';
import type { DataPathReport, Order } from '../messages.ts';
import type { Cause, Outbox } from './outbox.ts';

interface SharedCallsDeps {
  readonly inspector: Inspector;
  readonly outbox: Pick<Outbox, 'shared'>;
  readonly scribe: Scribe;
  readonly post: (report: DataPathReport) => void;
  /** What comes after a change that no packet asked for. */
  readonly done: (inspection: Inspection, cause: Cause) => void;
}

/**
 * Takes up what other firewalls say of the calls that they share with this one. A record is read as carefully as a
 * message from outside: what is wrong with it is told, and what it opens is what the settings here let be.
 */
export function createSharedCalls({ inspector, outbox, scribe, post, done }: SharedCallsDeps) {
  return ({ ticket, records }: Extract<Order, { type: 'shared' }>): void => {
    const calls: CallRecord[] = [];
    const directions: ConnectionDirection[] = [];
    const refused: string[] = [];
    const names: string[] = [];
    for (const { key, bytes } of records) {
      if (bytes.length === 0) {
        end(key);
        continue;
      }
      const read = readRecord(bytes, scribe);
      if (read.what === 'refused') {
        refused.push(read.why);
      } else if (read.what === 'direction') {
        if (!read.record.closed) directions.push(read.record.direction);
      } else if (read.record.call.legId === key) {
        calls.push(read.record);
        names.push(key);
      } else {
        refused.push(`it is of ${read.record.call.legId} and stands under the name of another`);
      }
    }
    const now = scribe.now();
    if (directions.length > 0) inspector.remember(directions, now);
    outbox.shared(names, ticket);
    const inspection = inspector.share(calls, now);
    if (inspection.refused > 0) refused.push(`there is no room for ${inspection.refused} more`);
    done(inspection, 'elsewhere');
    post({ type: 'shared', ticket, refused });
  };

  /** Of a call that nobody knows any more. */
  function end(legId: string): void {
    const call = inspector.call(legId);
    if (call !== null && call.state !== 'ended') done(inspector.end(call, scribe.now()), 'elsewhere');
  }
}
