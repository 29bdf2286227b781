import { createLimiter } from '../daemon/log/log.ts';
import type { LogSink } from '../daemon/log/sink.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import { callRecord } from '../history/call-record.ts';
import type { History } from '../history/history.ts';
import { allPassed } from '../history/passed.ts';
import type { Occasion } from '../inspector/happening.ts';
import { printableJson } from '../printable.ts';

export interface CallRecords {
  /** The file is opened anew: it may have been moved away. */
  reopen(): void;
  /** Writes what is over and was not written, and closes the file. */
  close(): void;
}

/**
 * Writes a line of JSON into `sink` for each call that is over, once its last pinhole is closed and counted. Has to
 * subscribe after the history does. `epoch`: ms since the epoch at which the daemon's clock was 0.
 *
 * Who sends INVITEs by the thousand fills no disk: of calls that nobody answered and that opened nothing `log.rate` a
 * second are written, and then how many were not.
 */
export function keepCallRecords(
  daemon: RunningDaemon,
  history: Pick<History, 'get' | 'passedBefore'>,
  sink: LogSink,
  epoch: () => number,
): CallRecords {
  /** Legs that are over and have pinholes still. */
  const ending = new Set<string>();
  let now = Number.NEGATIVE_INFINITY;
  const attempts = createLimiter(
    () => daemon.settings().log.rate,
    () => now,
  );

  function take(occasions: readonly Occasion[]): void {
    now = Math.max(now, ...occasions.map(({ at }) => at));
    const concerned = new Set<string>();
    for (const one of occasions.flatMap(({ happenings }) => happenings)) {
      if (one.type === 'call' && one.what === 'ended') {
        ending.add(one.leg.legId);
        concerned.add(one.leg.legId);
      } else if (one.type === 'pinhole' && one.what === 'closed') {
        concerned.add(one.call.legId);
      }
    }
    for (const legId of concerned) settle(legId);
  }

  function settle(legId: string): void {
    if (!ending.has(legId)) return;
    const report = history.get(legId)?.report;
    if (report?.pinholes.some(({ closedAt }) => closedAt === null)) return;
    ending.delete(legId);
    write(legId);
  }

  function write(legId: string): void {
    const remembered = history.get(legId);
    if (remembered === null) return;
    const zero = epoch();
    const dateOf = (at: number) => new Date(zero + at).toISOString();
    const left = attempts.leftOut();
    if (left > 0) sink.write(JSON.stringify({ type: 'omitted', calls: left, at: dateOf(now) }), 'info');
    const { answeredAt, pinholes } = remembered.report;
    if (answeredAt === null && pinholes.length === 0 && !attempts.admit()) return;
    const withCallId = daemon.settings().log.callId === 'plain';
    const record = callRecord(remembered.report, allPassed(history.passedBefore(legId)), dateOf, withCallId);
    sink.write(printableJson(JSON.stringify(record)), 'info');
  }

  const unsubscribe = daemon.subscribe(take);
  return {
    reopen: sink.reopen,
    close() {
      unsubscribe();
      for (const legId of ending) write(legId);
      sink.close();
    },
  };
}
