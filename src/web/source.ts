import { release, type as systemName } from 'node:os';
import { setImmediate as nextTurn, setTimeout as rest } from 'node:timers/promises';
import type { Settings } from '../config/schema.ts';
import type { AlarmBoard } from '../control/alarms.ts';
import { askDataPath } from '../control/calls.ts';
import { groupOf } from '../control/group.ts';
import { PASSIVE } from '../control/mode.ts';
import { refusedOf } from '../control/numbers.ts';
import { RequestError } from '../control/protocol.ts';
import { createEpoch, seconds } from '../control/units.ts';
import { type Distribution, quantile } from '../daemon/data-path/histogram.ts';
import type { DataPathStatus } from '../daemon/messages.ts';
import type { RunningDaemon } from '../daemon/serve.ts';
import type { History, RememberedCall } from '../history/history.ts';
import { type BlockedResult, withBlocked } from '../report/live/blocked.ts';
import { atEpoch } from '../report/live/explain.ts';
import { groupTexts } from '../report/live/group.ts';
import type { CallPicture, CallRow, LiveSnapshot, ShownAlarm, ShownLatency } from '../report/page/model.ts';
import { livePicture, rowOf } from '../report/page/pictures.ts';
import {
  EVERYTHING,
  FILTERS,
  haystackOf,
  ORDERS,
  type RowSelection,
  wordsOf,
  writeSelection,
} from '../report/page/selection.ts';
import { staticMediaText } from '../report/static-media.ts';
import { VERSION } from '../version.ts';

/** What the live page shows of a running daemon. */
export interface LiveSource {
  /**
   * With the calls that are selected, of all that are known. Throws RequestError when the data path does not answer in
   * time, and when too many search at a time.
   */
  snapshot(selection?: RowSelection): Promise<LiveSnapshot>;
  /** A call under way, or one that is still remembered. */
  call(legId: string): Promise<CallPicture | null>;
}

/** Calls that are listed: the newest under way, and those that ended last. */
const MOST_UNDER_WAY = 500;
const MOST_ENDED = 500;
/** The same when some are selected. */
const MOST_FOUND = MOST_UNDER_WAY + MOST_ENDED;
/** Rows that are made before others have their turn. */
const ROWS_AT_A_TIME = 50;
/** ms in which one answer serves for all who ask. */
const FRESH = 1000;
/** Searches that are remembered or wait: each goes through all calls, one after the other. */
const MOST_SEARCHES = 8;
/** After a search the control thread has so many times its length for other things. */
const REST = 3;
/** Calls, or the promise that nothing else is let in, are at stake. */
const CRITICAL: ReadonlySet<string> = new Set([
  'bytes-modified',
  'pinholes-missing',
  'packets-lost',
  'commit-errors',
  'supervisor-gone',
]);
const MEANS = { freebsd: 'divert(4), pf', linux: 'NFQUEUE, nftables' } as const;

/** Media that the ruleset dropped near calls. */
export interface DroppedNear {
  /** Packets near each leg. */
  counts(): ReadonlyMap<string, number>;
  /** Why, for one leg. */
  of(legId: string): Promise<readonly BlockedResult[]>;
}

const NOTHING_DROPPED: DroppedNear = { counts: () => new Map(), of: async () => [] };

/** Lines of the list, and how many more there would be. */
interface Rows {
  readonly rows: CallRow[];
  readonly omitted: number;
}

/**
 * Answers from the history of calls. The data path is asked for its counters only, so that neither the number of
 * calls nor that of readers is a burden to packets.
 */
export function createLiveSource(
  daemon: Pick<RunningDaemon, 'about' | 'ask' | 'clock' | 'group' | 'settings' | 'supervised' | 'traffic'>,
  history: Pick<History, 'ended' | 'get' | 'size' | 'underWay'>,
  board: AlarmBoard,
  dropped: DroppedNear = NOTHING_DROPPED,
): LiveSource {
  const ask = askDataPath(daemon);
  const epoch = createEpoch(daemon.clock);
  const kept = new Map<string, Promise<LiveSnapshot>>();
  let searching = Promise.resolve();

  function alarms(status: DataPathStatus): ShownAlarm[] {
    return board.look(status).map(({ name, text, advice, since }) => ({
      severity: CRITICAL.has(name) ? 'critical' : 'warning',
      ...{ since, text, advice },
    }));
  }

  /** The newest under way, and those that ended last. */
  async function newest(): Promise<Rows> {
    const made: CallRow[] = [];
    const lists = [
      { calls: history.underWay(), most: MOST_UNDER_WAY },
      { calls: history.ended(), most: MOST_ENDED },
    ];
    for (const { calls, most } of lists) {
      const before = made.length;
      for await (const row of rowsOf(calls)) if (made.push(row) - before === most) break;
    }
    const rows = withoutRepeats(made).sort(ORDERS.newest);
    return { rows, omitted: Math.max(0, history.size - rows.length) };
  }

  /** The first of all that are selected. */
  async function selected({ filter, order, search }: RowSelection): Promise<Rows> {
    const words = wordsOf(search);
    let found: CallRow[] = [];
    let count = 0;
    const keep = (most: number) => {
      found = withoutRepeats(found).sort(ORDERS[order]).slice(0, most);
    };
    for (const calls of [history.underWay(), history.ended()]) {
      for await (const row of rowsOf(calls)) {
        if (!FILTERS[filter](row)) continue;
        const haystack = words.length === 0 ? '' : haystackOf(row);
        if (!words.every((word) => haystack.includes(word))) continue;
        count++;
        if (found.push(row) >= 2 * MOST_FOUND) keep(MOST_FOUND);
      }
    }
    keep(MOST_FOUND);
    return { rows: found, omitted: count <= MOST_FOUND ? 0 : count - found.length };
  }

  async function* rowsOf(calls: Iterable<RememberedCall>): AsyncGenerator<CallRow> {
    const [zero, now] = [epoch(), Date.now()];
    let made = 0;
    const counts = dropped.counts();
    for (const { report } of calls) {
      const row = rowOf(livePicture(atEpoch(report, zero), now));
      const owner = daemon.group?.ownerOf(report.legId) ?? null;
      const firewall = owner === null ? {} : { firewall: owner };
      yield { ...row, ...firewall, blocked: counts.get(report.legId) ?? 0 };
      if (++made % ROWS_AT_A_TIME === 0) await nextTurn();
    }
  }

  async function look(choose: () => Promise<Rows>): Promise<LiveSnapshot> {
    const status = await ask({ type: 'status' });
    const { inspector, counters, inspection, commit } = status;
    const { rows, omitted } = await choose();
    const group = groupOf(daemon, status);
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
        refusals: refusedOf(inspector.refusals),
        media: daemon.traffic().packets,
      },
      pinholes: status.pinholes,
      calls: status.calls,
      withoutAudio: status.withoutAudio,
      staticMedia: status.staticMedia.map(staticMediaText),
      group: group === null ? [] : groupTexts(group),
      rows,
      rowsOmitted: omitted,
      remembered: history.size,
      latency: { inspection: quantilesOf(inspection), commit: quantilesOf(commit) },
      refused: inspector.refusals,
    };
  }

  function snapshot(selection: RowSelection = EVERYTHING): Promise<LiveSnapshot> {
    const key = writeSelection(selection);
    const known = kept.get(key);
    if (known !== undefined) return known;
    if (key !== '' && kept.size > MOST_SEARCHES) {
      return Promise.reject(new RequestError('busy', 'too many searches at a time'));
    }
    const looking = key === '' ? look(newest) : inTurn(() => look(() => selected(selection)));
    kept.set(key, looking);
    const asked = Date.now();
    void looking
      .catch(() => {})
      .then(() => setTimeout(() => kept.delete(key), Math.max(0, asked + FRESH - Date.now())).unref());
    return looking;
  }

  /** Searches go one after the other, with a rest between them. */
  function inTurn(search: () => Promise<LiveSnapshot>): Promise<LiveSnapshot> {
    const found = searching.then(search);
    searching = searching.then(async () => {
      const start = Date.now();
      await found.catch(() => {});
      await rest((Date.now() - start) * REST);
    });
    return found;
  }

  return {
    snapshot,
    async call(legId) {
      const found = history.get(legId);
      if (found === null) return null;
      const picture = livePicture(atEpoch(found.report, epoch()), Date.now());
      return dropped.counts().has(legId) ? withBlocked(picture, await dropped.of(legId)) : picture;
    },
  };
}

/** A call that ended while the rows were made is there twice: the later row is the true one. */
function withoutRepeats(rows: readonly CallRow[]): CallRow[] {
  return [...new Map(rows.map((row) => [row.legId, row])).values()];
}

function modeOf({ mode, intercept, fail, strict }: Settings, supervised: boolean): string {
  const words = [`fail: ${fail}`];
  if (mode === 'observe') words.unshift('observes, opens nothing');
  if (intercept === 'bpf') words.unshift(PASSIVE);
  if (strict) words.push('strict');
  if (!supervised) words.push('no supervisor');
  return words.join(', ');
}

/** In µs. What is slower than the slowest bucket was as slow as the slowest. */
function quantilesOf(distribution: Distribution): ShownLatency | null {
  const max = distribution.longest * 1000;
  const [p50, p99] = [quantile(distribution, 0.5), quantile(distribution, 0.99)];
  return p50 === null || p99 === null ? null : { p50: Math.min(p50, max), p99: Math.min(p99, max), max };
}
