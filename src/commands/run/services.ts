import { loadLibc } from '../../../native-bindings/engine.ts';
import type { Settings } from '../../config/schema.ts';
import { type AlarmBoard, createAlarmBoard } from '../../control/alarms.ts';
import { type BlockedMedia, keepBlocked } from '../../control/blocked.ts';
import { type CallRecords, keepCallRecords } from '../../control/call-records.ts';
import { askDataPath, createCallReader } from '../../control/calls.ts';
import { type Exemplars, keepExemplars } from '../../control/exemplars.ts';
import { listenUnix } from '../../control/listen.ts';
import { type MetricsFormat, metricsText } from '../../control/metrics.ts';
import { openMetrics } from '../../control/metrics-http.ts';
import { rememberedLegs, unknownCall } from '../../control/named.ts';
import { mayConnect, peerOf, renewed } from '../../control/peer.ts';
import {
  type MetricsResult,
  type Request,
  RequestError,
  type RequestName,
  textOf,
} from '../../control/protocol.ts';
import { recordedMessages } from '../../control/recording.ts';
import { limitOf } from '../../control/selection.ts';
import { type Handler, startControlServer } from '../../control/server.ts';
import { createHandlers } from '../../control/service.ts';
import { createEpoch } from '../../control/units.ts';
import { openLogFile } from '../../daemon/log/sink.ts';
import { StartError } from '../../daemon/platform/platform.ts';
import { findGroup, type User } from '../../daemon/process/privileges.ts';
import type { RunningDaemon, Service } from '../../daemon/serve.ts';
import { createHistory, type History } from '../../history/history.ts';
import type { BlockedResult } from '../../report/live/blocked.ts';
import { type ExplainResult, explainCall } from '../../report/live/explain.ts';
import { type RefusedResult, refusedIn } from '../../report/live/refused.ts';
import { openLivePage } from '../../web/service.ts';
import { blockedNow, loadExplainer } from './blocked.ts';

/** How exactly, in ms, it is known when something happened that is an alarm. */
const ALARMS_EVERY = 10_000;
/** Lost calls that the history may hold beyond those that there can be. */
const HISTORY_SLACK = 1000;

/** The control socket, the metrics and the live page: bound as root, served once packets are taken. Throws StartError. */
export async function openControl(settings: Settings, user: User | null): Promise<Service> {
  const libc = await loadLibc();
  const { socket: path, mode, group: groupName } = settings.control;
  let group = groupName === null ? null : findGroup(groupName);
  if (groupName !== null && group === null) {
    throw new StartError(`control.group: there is no group ${groupName}`);
  }
  const server = await listenUnix({ path, mode, gid: group?.gid ?? null });
  const uid = user?.uid ?? libc.geteuid();
  let running: RunningDaemon | null = null;
  let alarms: KeptAlarms | null = null;
  let handlers: ReadonlyMap<RequestName, Handler> | null = null;
  const control = startControlServer({
    server,
    peerOf: (socket) => peerOf(libc, socket),
    mayConnect: (peer) => mayConnect(peer, { uid, group }),
    complain: (text) => running?.say('warn', text),
    handlerOf(name) {
      if (handlers === null) throw new RequestError('unavailable', 'the daemon is starting');
      return handlers.get(name);
    },
  });

  const metrics = await openMetrics(
    settings.metrics,
    measure,
    (text) => running?.say('error', text),
    () => (running?.settings() ?? settings).metricsHosts,
  );
  const web = await openLivePage(settings);
  const explainer = await loadExplainer(settings.blocked.watch);
  const file = settings.log.calls;
  const recordFile = file === null ? null : openLogFile(file, 'log.calls', user);
  let records: CallRecords | null = null;
  let blocked: BlockedMedia | null = null;

  let exemplars: Exemplars | null = null;

  async function measure(format: MetricsFormat): Promise<string> {
    if (running === null || alarms === null || blocked === null) {
      throw new RequestError('unavailable', 'the daemon is starting');
    }
    const { board } = alarms;
    const status = await askDataPath(running)({ type: 'status' });
    return await metricsText({ status, daemon: running, board, exemplars, blocked }, format);
  }

  return {
    start(daemon) {
      running = daemon;
      alarms = keepAlarms(daemon);
      const { board } = alarms;
      const history = keepHistory(daemon);
      const epoch = createEpoch(daemon.clock);
      blocked = keepBlocked(daemon, history);
      exemplars = keepExemplars(daemon, epoch);
      const kept = blocked;
      const blockedOf = async (legId: string) =>
        daemon.blocked === null
          ? []
          : await blockedNow(explainer, new Set([legId]), kept, daemon, history, epoch());
      const all: Record<RequestName, Handler> = {
        ...createHandlers(daemon, history.passedBefore, board),
        explain: (request) => explainNamed(request, history, epoch(), daemon.settings(), blockedOf),
        blocked: async (request) => ({
          blocked: await blockedNow(explainer, legsOf(request, history), kept, daemon, history, epoch()),
        }),
        history: (request) => remembered(request, history, epoch()),
        recording: (request) => recordedMessages(callOf(request), daemon, history, epoch()),
        refused: async (request) => ({ refused: refusedLately(request, history, epoch()) }),
        metrics: async (): Promise<MetricsResult> => ({ text: await measure('prometheus') }),
      };
      handlers = new Map(Object.entries(all) as [RequestName, Handler][]);
      web.start(daemon, history, board, { counts: kept.counts, of: blockedOf });
      if (recordFile !== null) records = keepCallRecords(daemon, history, recordFile, epoch);
    },
    reload(next) {
      if (group !== null) group = renewed(group, findGroup(groupName!));
      metrics.reload(next.metrics);
      web.reload(next);
      records?.reopen();
    },
    close() {
      alarms?.close();
      blocked?.close();
      exemplars?.close();
      records?.close();
      web.close();
      control.close();
      metrics.close();
    },
  };
}

interface KeptAlarms {
  readonly board: AlarmBoard;
  close(): void;
}

/** The alarms of a daemon, looked at whether anybody asks or not. */
function keepAlarms(daemon: RunningDaemon): KeptAlarms {
  const { supervised } = daemon;
  const board = createAlarmBoard({
    isSupervisorGone: () => supervised && !daemon.supervised,
    isJournalBehind: daemon.isJournalBehind,
    isStoreAway: () => daemon.group?.status().state === 'away',
  });
  const look = () => {
    daemon
      .ask({ type: 'status' })
      .then((status) => board.look(status))
      .catch(() => {});
  };
  const looking = setInterval(look, ALARMS_EVERY).unref();
  return { board, close: () => clearInterval(looking) };
}

/** The history of calls from now on; those that are there already are taken up as they stand. */
export function keepHistory(daemon: RunningDaemon): History {
  const history = createHistory({
    endedCalls: () => daemon.settings().caps.history,
    callsUnderWay: () => daemon.settings().caps.calls + HISTORY_SLACK,
    trafficOf: daemon.trafficOf,
  });
  daemon.subscribe((occasions) => history.take(occasions));
  if (daemon.about.adopted.calls > 0) {
    createCallReader(daemon)
      .all()
      .then((calls) => calls.forEach(history.adopt))
      .catch((error: Error) =>
        daemon.say('warn', `calls of the journal are not in the history: ${error.message}`),
      );
  }
  return history;
}

/** The history is bounded: a call that is not there may have been. */
function forgottenCall(name: string, remembered: number): RequestError {
  const { code, message } = unknownCall(name);
  return new RequestError(
    code,
    `${message}; the last ${remembered} that ended are remembered (caps.history)`,
  );
}

async function* explainNamed(
  request: Request,
  history: History,
  epoch: number,
  { caps }: Settings,
  blockedOf: (legId: string) => Promise<BlockedResult[]>,
): AsyncGenerator<ExplainResult> {
  const name = callOf(request);
  const found = rememberedLegs(name, history);
  if (found.length === 0) throw forgottenCall(name, caps.history);
  for (const call of found) {
    yield { ...explainCall(call, epoch), blocked: await blockedOf(call.report.legId) };
  }
}

/** Every call that is remembered, as `explain` has it, but for its ladder: what its media needed, and what was refused. */
async function* remembered(request: Request, history: History, epoch: number): AsyncGenerator<ExplainResult> {
  const since = 'since' in request ? request.since : undefined;
  if (since !== undefined && !Number.isFinite(since)) {
    throw new RequestError('bad-request', 'since: expected seconds since the epoch');
  }
  const from = since === undefined ? Number.NEGATIVE_INFINITY : since * 1000 - epoch;
  for (const call of [...history.underWay(), ...history.ended()]) {
    const { report } = call;
    if ((report.endedAt ?? Number.POSITIVE_INFINITY) < from) continue;
    yield explainCall({ ...call, report: { ...report, messages: [] } }, epoch);
  }
}

/** Of the call that a request names; null where it names none. Throws RequestError. */
function legsOf(request: Request, history: History): ReadonlySet<string> | null {
  if (!('call' in request) || request.call === undefined) return null;
  const name = callOf(request);
  const found = rememberedLegs(name, history);
  if (found.length === 0) throw unknownCall(name);
  return new Set(found.map(({ report }) => report.legId));
}

function callOf(request: Request): string {
  return textOf('call' in request ? request.call : undefined, 'call');
}

const MOST_REFUSED = 1000;
const USUAL_REFUSED = 100;

function refusedLately(request: Request, history: History, epoch: number): RefusedResult[] {
  const limit = limitOf(request, MOST_REFUSED, USUAL_REFUSED);
  return refusedIn([...history.underWay(), ...history.ended()], limit, epoch);
}
