import { accessSync, constants } from 'node:fs';
import { cautions, formatProblem, type Loaded } from '../config/load.ts';
import { settingChanges } from '../config/reload.ts';
import type { Settings } from '../config/schema.ts';
import type { Deviation } from '../firewall/deviation.ts';
import type { Traffic } from '../firewall/firewall.ts';
import type { Occasion } from '../inspector/happening.ts';
import type { BlockedSource } from '../intercept/interceptor.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { AddressWatch } from './address-watch.ts';
import type { IngressWatch } from './ingress-watch.ts';
import type { Journal } from './journal/journal.ts';
import { type LineOptions, logLines, noteLines } from './log/lines.ts';
import type { Log } from './log/log.ts';
import { statusLine } from './log/status-line.ts';
import type { Answers, Batch, DataPathStatus, Note, Question } from './messages.ts';
import type { Exchange, GroupService } from './peers/service.ts';
import type { ControlEnds, DaemonPlatform } from './platform/platform.ts';
import { abandonOutput } from './process/output.ts';
import { type EarlySignals, onSignals } from './process/signals.ts';
import type { Recording } from './recording.ts';
import { reloadable } from './reloadable.ts';
import type { FromThread, Reports } from './reports.ts';
import { createRetirer } from './retirer.ts';
import type { DataThread } from './thread.ts';
import { createTrafficWatch, type TrafficWatch } from './traffic.ts';

export interface ServeOptions {
  /** Reads the configuration again. */
  readonly reload: () => Loaded;
  /** The file that `reload` reads, where there is one. */
  readonly configFile?: string | null;
  /** Leaves rules and journal behind on a stop. */
  readonly keep: boolean;
  /** There is a supervisor at the other end of descriptor 3. */
  readonly supervised: boolean;
}

/** What serves people beside the packets: started once packets are taken, closed when no more are. */
export interface Service {
  start(daemon: RunningDaemon): void;
  /** The settings are these from now on. */
  reload?(settings: Settings): void;
  close(): void;
}

/** What does not change while the daemon runs. */
interface About {
  readonly platform: DaemonPlatform['name'];
  /** What the platform found and set up, a line each. */
  readonly description: readonly string[];
  /** The user that reads packets. */
  readonly user: string;
  /** ms since the epoch. */
  readonly startedAt: number;
  /** What was taken up from the journal. */
  readonly adopted: { readonly calls: number; readonly pinholes: number };
}

/** The daemon as the rest of its process sees it: the control socket, metrics, the live page. */
export interface RunningDaemon {
  readonly about: About;
  /** There is a supervisor, at this moment. */
  readonly supervised: boolean;
  /** ms of the clock that every time of the data path is of. */
  readonly clock: () => number;
  readonly settings: () => Settings;
  /** The file that settings are read from, where there is one. */
  readonly configFile: string | null;
  readonly ask: DataThread['ask'];
  /** What a pinhole has passed (for a call: since it has had it), as of the last count; also of one closed a moment ago. */
  readonly trafficOf: TrafficWatch['last'];
  /** What all pinholes have passed since the start. */
  readonly traffic: () => Traffic;
  /** How the kernel's rules differ from those of these pinholes. Throws FirewallError. */
  readonly compare: (intended: readonly Pinhole[]) => Deviation;
  /** Whether what the journal was last told could not be written. */
  readonly isJournalBehind: () => boolean;
  /** Packets that the ruleset drops, as it logs them; null where nobody asks for them. */
  readonly blocked: BlockedSource | null;
  /** The latest signalling of calls; null where none is recorded. */
  readonly recording: Recording | null;
  /** For who shares calls with other firewalls. */
  readonly exchange: Exchange;
  /** How that stands; null where nothing is shared. */
  readonly group: Pick<GroupService, 'status' | 'handOver' | 'ownerOf'> | null;
  /** Has the packet filter made to hold what was committed. */
  repair(): void;
  /** Calls `listener` with what happens from now on; the result ends that. */
  subscribe(listener: (occasions: readonly Occasion[], notes: readonly Note[]) => void): () => void;
  /** Writes a line into the daemon's log. */
  say(level: 'error' | 'warn' | 'info', text: string): void;
  reload(): void;
  stop(): void;
}

/** Least ms between two looks at the filter's counters, and how many times their cost. */
const TRAFFIC_EVERY = 2000;
const TRAFFIC_REST = 20;
const IDS_PER_ORDER = 256;
/** ms in which the data path must have stopped. */
const STOP_WITHIN = 10_000;

interface Serving {
  readonly options: ServeOptions;
  readonly about: About;
  readonly settings: () => Settings;
  readonly changeSettings: (settings: Settings) => void;
  readonly log: Log;
  readonly journal: Journal | null;
  readonly control: ControlEnds;
  readonly interfaces: IngressWatch;
  readonly externals: AddressWatch;
  readonly services: readonly Service[];
  readonly group: GroupService | null;
  readonly thread: DataThread;
  readonly reports: Reports;
  readonly recording: Recording | null;
  /** What came during the start. */
  readonly early: EarlySignals;
  readonly clock: () => number;
}

/** The control thread at work. Resolves with the exit status. */
export async function serve(serving: Serving): Promise<number> {
  const { options, about, settings, log, journal, control, interfaces, services, thread, reports, clock } =
    serving;
  const watch = createTrafficWatch();
  const { firewall } = control;
  const retirer = createRetirer({ firewall, counted: watch.closed, complain: (text) => log.own.error(text) });
  let exchange: Parameters<Exchange['listen']>[0] | null = null;
  const listeners = new Set<Parameters<RunningDaemon['subscribe']>[0]>();
  const counting = countTraffic();
  let stopTimer: NodeJS.Timeout | null = null;
  let finish: (status: number) => void = () => {};
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });

  function onBatch({ records, closed, counts, occasions, notes }: Batch): void {
    journal?.append(records);
    exchange?.entries(records);
    watch.closed(counts);
    const happenings = occasions.flatMap((one) => one.happenings);
    const changes = happenings.filter((one) => one.type === 'pinhole');
    retirer.closed(closed);
    retirer.opened(changes.flatMap(({ what, pinhole }) => (what === 'opened' ? [pinhole] : [])));
    for (const { what, pinhole, call } of changes)
      if (what === 'opened') watch.shared(pinhole.id, call.legId);
    const { log: logging, mode } = settings();
    const wording: LineOptions = {
      callId: logging.callId,
      parties: logging.parties,
      observes: mode === 'observe',
      trafficOf: watch.last,
    };
    for (const line of noteLines(notes)) log.traffic(line);
    for (const line of logLines(happenings, wording)) log.traffic(line);
    for (const listener of listeners) listener(occasions, notes);
    for (const { what, pinhole, call } of changes) if (what === 'closed') watch.left(pinhole.id, call.legId);
  }

  let isOrphan = false;
  function onReport(report: FromThread): void {
    if (report.type === 'batch') onBatch(report);
    else if (report.type === 'shared' || report.type === 'waiting') exchange?.report(report);
    else if (report.type === 'orphaned') {
      isOrphan = true;
      log.own.warn('the supervisor is gone: serving on without it');
      abandonOutput();
    } else if (report.type === 'look-at-interfaces') {
      interfaces.look();
    } else if (report.type === 'failed') {
      log.own.error(`the data path failed: ${report.message}`);
      finish(1);
    } else if (report.type === 'stopped') {
      retirer.flush();
      if (!options.keep) journal?.clear();
      log.own.info(options.keep ? 'stopped, rules and journal kept' : 'stopped, all rules removed');
      finish(0);
    }
  }

  function stop(): void {
    if (stopTimer !== null) return;
    thread.send({ type: 'stop', keep: options.keep });
    stopTimer = setTimeout(() => {
      log.own.error('the data path did not stop');
      finish(1);
    }, STOP_WITHIN);
  }

  function reload(): void {
    const loaded = options.reload();
    if (!loaded.ok) {
      for (const problem of loaded.problems) log.own.error(formatProblem(problem));
      log.own.error('the configuration stays as it was');
      log.reload(settings().log);
      return;
    }
    const changes = settingChanges(settings(), loaded.settings);
    const next = reloadable(settings(), loaded.settings);
    serving.changeSettings(next);
    log.reload(next.log);
    thread.send({ type: 'settings', settings: next });
    interfaces.look();
    serving.externals.look();
    for (const service of services) service.reload?.(next);
    serving.group?.reload();
    for (const { key, from, to, reload: when } of changes) {
      const effect = when === 'restart' ? ' takes effect at a restart only' : '';
      log.own.info(`configuration: ${key}: ${from} to ${to}${effect}`);
    }
    for (const caution of cautions(next)) log.own.warn(`configuration: ${caution}`);
    log.own.info(`configuration read again: ${changes.length} changes`);
  }

  /** The data path's answer; to its counters come those that this thread has. */
  async function ask<Q extends Question>(question: Q): Promise<Answers[Q['type']]> {
    const answer = await thread.ask(question);
    if (question.type !== 'status') return answer;
    const status = answer as DataPathStatus;
    return { ...status, platform: { ...status.platform, ...control.counters() } } as Answers[Q['type']];
  }

  async function tellStatus(): Promise<void> {
    try {
      log.own.info(statusLine(await ask({ type: 'status' })));
    } catch (error) {
      log.own.error(`no status: ${(error as Error).message}`);
    }
  }

  function countTraffic(): { readonly end: () => void } {
    let complained = false;
    let timer = setTimeout(count, TRAFFIC_EVERY);
    function count(): void {
      const before = clock();
      try {
        const { counts, uncounted } = firewall.traffic();
        retirer.uncounted(uncounted);
        const seen = watch.update(counts);
        exchange?.seen(seen);
        for (let at = 0; at === 0 || at < seen.length; at += IDS_PER_ORDER) {
          const complete = at + IDS_PER_ORDER >= seen.length;
          thread.send({ type: 'traffic', seen: seen.slice(at, at + IDS_PER_ORDER), complete });
        }
        complained = false;
      } catch (error) {
        if (!complained) log.own.error(`media cannot be counted: ${(error as Error).message}`);
        complained = true;
      }
      timer = setTimeout(count, Math.max(TRAFFIC_EVERY, (clock() - before) * TRAFFIC_REST));
    }
    return { end: () => clearTimeout(timer) };
  }

  const signals = onSignals({
    ...{ stop, reload, tellStatus },
    ...{ supervised: options.supervised, early: serving.early },
  });
  for (const caution of cautions(settings())) log.own.warn(`configuration: ${caution}`);
  const file = options.configFile ?? null;
  if (file !== null && !isReadable(file)) {
    log.own.warn(`${file} can be read by root only: after the start a SIGHUP changes nothing`);
  }
  reports.listen(onReport);
  const daemon: RunningDaemon = {
    about,
    get supervised() {
      return options.supervised && !isOrphan;
    },
    clock,
    settings,
    configFile: file,
    ask,
    trafficOf: watch.last,
    traffic: () => watch.total,
    compare: firewall.compare,
    blocked: control.blocked ?? null,
    recording: serving.recording,
    isJournalBehind: () => journal?.isBehind() === true,
    exchange: {
      send: thread.send,
      listen(listener) {
        exchange = listener;
      },
    },
    group: serving.group,
    repair: () => thread.send({ type: 'repair' }),
    say: (level, text) => log.own[level](text),
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reload,
    stop,
  };
  for (const service of services) service.start(daemon);
  serving.group?.start(daemon);

  const status = await finished;
  if (stopTimer !== null) clearTimeout(stopTimer);
  for (const service of services) service.close();
  await serving.group?.close();
  counting.end();
  signals.end();
  retirer.end();
  interfaces.end();
  serving.externals.end();
  control.close();
  journal?.close();
  log.close();
  return status;
}

function isReadable(path: string): boolean {
  try {
    accessSync(path, constants.R_OK);
    return true;
  } catch {
    return false;
  }
}
