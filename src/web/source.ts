import { release, type as systemName } from 'node:os';
import { setImmediate as nextTurn } from 'node:timers/promises';
import type { Settings } from '../config/schema.ts';
import { alarmsOf } from '../control/alarms.ts';
import { askDataPath } from '../control/calls.ts';
import { createEpoch, seconds } from '../control/units.ts';
import { type Distribution, quantile } from '../daemon/histogram.ts';
import type { DataPathStatus } from '../daemon/messages.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import { atEpoch } from '../report/live/explain.ts';
import type { History } from '../report/live/history.ts';
import type { Alarm, CallPicture, CallRow, LiveSnapshot, Quantiles } from '../report/page/model.ts';
import { livePicture, rowOf } from '../report/page/pictures.ts';
import { VERSION } from '../version.ts';

/** What the live page shows of a running daemon. */
export interface LiveSource {
  /** Throws RequestError when the data path does not answer in time. */
  snapshot(): Promise<LiveSnapshot>;
  /** A call under way, or one that is still remembered. */
  call(hash: string): CallPicture | null;
  /** Looks for alarms no more. */
  close(): void;
}

/** Calls that are listed: the newest under way, and those that ended last. */
const MOST_UNDER_WAY = 500;
const MOST_ENDED = 500;
/** Rows that are made before others have their turn. */
const ROWS_AT_A_TIME = 50;
/** ms in which one answer serves for all who ask. */
const FRESH = 1000;
/** How exactly, in ms, the page can say since when there is an alarm. */
const ALARMS_EVERY = 10_000;
/** Calls, or the promise that nothing else is let in, are at stake. */
const CRITICAL: ReadonlySet<string> = new Set([
  'bytes-modified',
  'pinholes-missing',
  'packets-lost',
  'commit-errors',
]);
const MEANS = { freebsd: 'divert(4), pf', linux: 'NFQUEUE, nftables' } as const;

/**
 * Answers from the history of calls. The data path is asked for its counters only, so that neither the number of
 * calls nor that of readers is a burden to packets.
 */
export function createLiveSource(
  daemon: Pick<RunningDaemon, 'about' | 'ask' | 'clock' | 'settings' | 'supervised' | 'traffic'>,
  history: Pick<History, 'ended' | 'get' | 'size' | 'underWay'>,
): LiveSource {
  const ask = askDataPath(daemon);
  const epoch = createEpoch(daemon.clock);
  const raisedAt = new Map<string, number>();
  let kept: Promise<LiveSnapshot> | null = null;

  function alarms(status: DataPathStatus): Alarm[] {
    const raised = alarmsOf(status);
    const names = new Set(raised.map(({ name }) => name));
    for (const name of raisedAt.keys()) if (!names.has(name)) raisedAt.delete(name);
    return raised.map(({ name, text, advice }) => {
      const since = raisedAt.get(name) ?? Date.now();
      raisedAt.set(name, since);
      return {
        severity: CRITICAL.has(name) ? 'critical' : 'warning',
        since: seconds(since),
        ...{ text, advice },
      };
    });
  }

  async function rows(): Promise<CallRow[]> {
    const made: CallRow[] = [];
    const [zero, now] = [epoch(), Date.now()];
    const lists = [
      { calls: history.underWay(), most: MOST_UNDER_WAY },
      { calls: history.ended(), most: MOST_ENDED },
    ];
    for (const { calls, most } of lists) {
      let left = most;
      for (const { report } of calls) {
        made.push(rowOf(livePicture(atEpoch(report, zero), now)));
        if (made.length % ROWS_AT_A_TIME === 0) await nextTurn();
        if (--left === 0) break;
      }
    }
    return withoutRepeats(made).sort((one, other) => other.startedAt - one.startedAt);
  }

  async function look(): Promise<LiveSnapshot> {
    const status = await ask({ type: 'status' });
    const { inspector, counters, inspection, commit } = status;
    const listed = await rows();
    return {
      version: VERSION,
      platform: `${systemName()} ${release()}, ${MEANS[daemon.about.platform]}`,
      mode: modeOf(daemon.settings(), daemon.supervised),
      startedAt: seconds(daemon.about.startedAt),
      at: seconds(Date.now()),
      alarms: alarms(status),
      counters: {
        packets: counters.received,
        messages: inspector.messages.udp + inspector.messages.tcp,
        calls: inspector.callsStarted,
        refusals: refusalsOf(inspector.refusals),
        media: daemon.traffic().packets,
      },
      pinholes: status.pinholes,
      calls: status.calls,
      rows: listed,
      rowsOmitted: Math.max(0, history.size - listed.length),
      latency: { inspection: quantilesOf(inspection), commit: quantilesOf(commit) },
      refused: inspector.refusals,
    };
  }

  function snapshot(): Promise<LiveSnapshot> {
    if (kept === null) {
      kept = look();
      setTimeout(() => {
        kept = null;
      }, FRESH).unref();
    }
    return kept;
  }

  const watch = setInterval(() => void daemon.ask({ type: 'status' }).then(alarms, () => {}), ALARMS_EVERY);
  watch.unref();

  return {
    snapshot,
    call(hash) {
      const found = history.get(hash);
      return found === null ? null : livePicture(atEpoch(found.report, epoch()), Date.now());
    },
    close: () => clearInterval(watch),
  };
}

/** A call that ended while the rows were made is there twice: the later row is the true one. */
function withoutRepeats(rows: readonly CallRow[]): CallRow[] {
  return [...new Map(rows.map((row) => [row.hash, row])).values()];
}

/** What every call with the outside has is not counted. */
function refusalsOf({ 'not-inside': usual = 0, ...refusals }: Readonly<Record<string, number>>): number {
  return Object.values(refusals).reduce((sum, count) => sum + count, 0);
}

function modeOf({ fail, strict }: Settings, supervised: boolean): string {
  return [`fail: ${fail}`, ...(strict ? ['strict'] : []), ...(supervised ? [] : ['no supervisor'])].join(
    ', ',
  );
}

/** In µs. What is slower than the slowest bucket was as slow as the slowest. */
function quantilesOf(distribution: Distribution): Quantiles | null {
  const max = distribution.longest * 1000;
  const [p50, p99] = [quantile(distribution, 0.5), quantile(distribution, 0.99)];
  return p50 === null || p99 === null ? null : { p50: Math.min(p50, max), p99: Math.min(p99, max), max };
}
