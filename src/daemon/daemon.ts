import { lchownSync, mkdirSync } from 'node:fs';
import { constants } from 'node:os';
import { dirname } from 'node:path';
import { setNonBlocking } from '../../native-bindings/descriptor.ts';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import { cautions, formatProblem, type Loaded } from '../config/load.ts';
import { settingChanges } from '../config/reload.ts';
import type { Settings } from '../config/schema.ts';
import type { Pinhole } from '../policy/pinhole.ts';
import { VERSION } from '../version.ts';
import { bootId, createClock } from './clock.ts';
import { HEARTBEAT_DESCRIPTOR } from './heartbeat.ts';
import { type Journal, openJournal, openJournalFiles } from './journal.ts';
import { logLines } from './lines.ts';
import { createLog, type Log } from './log.ts';
import { openLogSink } from './log-sink.ts';
import type { Batch, DaemonEvent, DataPathStatus, Report } from './messages.ts';
import { type ControlEnds, type Platform, type PlatformModule, StartError } from './platform.ts';
import { asUser, becomeUser, changeRoot, confineThread, packetUser, type User } from './privileges.ts';
import { reloadable } from './reloadable.ts';
import { type DataThread, startDataThread } from './thread.ts';
import { createTrafficWatch } from './traffic.ts';

export interface DaemonOptions {
  readonly settings: Settings;
  /** Reads the configuration again. */
  readonly reload: () => Loaded;
  /** Reads packets as this user in place of `daemon.user`; `root` keeps root. */
  readonly user: string | null;
  /** Leaves rules and journal behind on a stop. */
  readonly keep: boolean;
  /** There is a supervisor at the other end of descriptor 3. */
  readonly supervised: boolean;
  /** URL of the module with `openPlatform`. */
  readonly platformModule: string;
  /** Told once packets are taken, with what the control socket and the pages need. */
  readonly onRunning?: (daemon: RunningDaemon) => void;
}

/** The daemon as the rest of its process sees it: the control socket, metrics, the live page. */
export interface RunningDaemon {
  readonly settings: () => Settings;
  readonly ask: DataThread['ask'];
  /** Calls `listener` with what happens from now on; the result ends that. */
  subscribe(listener: (events: readonly DaemonEvent[]) => void): () => void;
  reload(): void;
  stop(): void;
}

/** Names how calls are written into the journal. The number changes with the shape of CallRecord. */
const ENCODING = `${'bun' in process.versions ? 'jsc' : 'v8'}/1`;
/** Least ms between two looks at the filter's counters, and how many times their cost. */
const TRAFFIC_EVERY = 2000;
const TRAFFIC_REST = 20;
const IDS_PER_ORDER = 256;
/** ms in which closed pinholes are gathered before their states are killed in one go. */
const KILL_AFTER = 20;
const KILL_AGAIN = 200;
const KILL_TRIES = 10;
/** ms in which the data path must have stopped. */
const STOP_WITHIN = 10_000;

/**
 * The data-path process: opens everything, gives up root, takes up the journal and serves until it is told to
 * stop. The exit status: 0 after an orderly stop. Throws StartError where a start cannot succeed.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const libc = await loadLibc();
  const clock = createClock(libc);
  let { settings } = options;
  process.umask(0o027);
  const isRoot = libc.geteuid() === 0;
  const name = options.user ?? settings.daemon.user;
  const user = isRoot ? packetUser(settings, options.user) : null;
  const log = createLog(settings.log, openLogSink(settings.log.destination, libc, user), clock);
  const journal = openCalls(settings, user, clock, (text) => log.own.warn(text));
  const { openPlatform } = (await import(options.platformModule)) as PlatformModule;
  const platform = await openPlatform(settings);
  const control = await platform.openControl(() => settings);
  if (options.supervised) setNonBlocking(libc, HEARTBEAT_DESCRIPTOR);

  const reports = createReports();
  const start = () =>
    startDataThread({
      settings,
      platformModule: options.platformModule,
      heartbeat: options.supervised ? HEARTBEAT_DESCRIPTOR : null,
      mayBeRoot: name === 'root',
      onReport: reports.take,
      onEnd: (error) =>
        reports.take({ type: 'failed', message: error?.message ?? 'the data-path thread ended', code: '' }),
    });
  const { thread, description } = await openAndDrop(libc, platform, settings, user, start, reports);
  for (const line of description) log.own.info(line);
  thread.send({ type: 'start', records: journal.records });
  const running = await reports.next('running');
  log.own.info(
    `pinholed ${VERSION} on ${platform.name}, pid ${process.pid}, user ${name}: ` +
      `${running.calls} calls with ${running.pinholes} pinholes taken up, ${running.removed} other rules removed`,
  );
  return await serve({
    options,
    settings: () => settings,
    changeSettings: (next) => {
      settings = next;
    },
    log,
    journal: journal.journal,
    control,
    thread,
    reports,
    clock,
  });
}

/** Root opens, the user goes on: in the order in which the platform needs it. */
async function openAndDrop(
  libc: Libc,
  platform: Platform,
  settings: Settings,
  user: User | null,
  start: () => DataThread,
  reports: Reports,
): Promise<{ readonly thread: DataThread; readonly description: readonly string[] }> {
  const root = libc.geteuid() === 0 ? settings.daemon.chroot : null;
  const opensAsRoot = platform.dataPathOpener === 'root';
  if (user !== null && !opensAsRoot) becomeUser(libc, user, root !== null);
  const thread = start();
  const { description } = await reports.next('opened');
  if (root !== null) changeRoot(libc, root);
  if (user !== null && opensAsRoot) becomeUser(libc, user, false);
  confineThread(libc);
  return { thread, description };
}

function openCalls(
  settings: Settings,
  user: User | null,
  clock: () => number,
  complain: (text: string) => void,
): { readonly journal: Journal | null; readonly records: readonly Uint8Array[] } {
  const path = settings.daemon.journal;
  if (path === null) return { journal: null, records: [] };
  const open = () => openJournalFiles(path);
  makeDirectory(dirname(path), user);
  const files = user === null ? open() : asUser(user, open);
  const writer = { bootId: bootId(), bootedAt: Date.now() - clock(), now: clock, encoding: ENCODING };
  return openJournal(files, writer, complain);
}

/** The journal's directory, for its user alone, where it is not there yet. */
function makeDirectory(path: string, user: User | null): void {
  try {
    mkdirSync(path, 0o700);
    if (user !== null) lchownSync(path, user.uid, user.gid);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    if (code !== 'EEXIST') throw new StartError(`daemon.journal: ${path} cannot be made: ${message}`);
  }
}

type FromThread = Exclude<Report, { type: 'answer' }>;

/** The thread's reports: one after the other while it starts, then all to one listener. */
interface Reports {
  take(report: FromThread): void;
  /** The next report of this type. Rejects with StartError when the thread says that it failed. */
  next<T extends 'opened' | 'running'>(type: T): Promise<Extract<FromThread, { type: T }>>;
  listen(listener: (report: FromThread) => void): void;
}

function createReports(): Reports {
  const early: FromThread[] = [];
  let changed: () => void = () => {};
  let deliver = (report: FromThread) => {
    early.push(report);
    changed();
  };

  async function next<T extends 'opened' | 'running'>(type: T): Promise<Extract<FromThread, { type: T }>> {
    for (;;) {
      const found = early.find((report) => report.type === type);
      if (found !== undefined) {
        early.splice(early.indexOf(found), 1);
        return found as Extract<FromThread, { type: T }>;
      }
      const failed = early.find((report) => report.type === 'failed');
      if (failed !== undefined) throw new StartError(failed.message);
      await new Promise<void>((resolve) => {
        changed = resolve;
      });
    }
  }

  return {
    take: (report) => deliver(report),
    next,
    listen(listener) {
      deliver = listener;
      for (const report of early.splice(0)) listener(report);
    },
  };
}

interface Serving {
  readonly options: DaemonOptions;
  readonly settings: () => Settings;
  readonly changeSettings: (settings: Settings) => void;
  readonly log: Log;
  readonly journal: Journal | null;
  readonly control: ControlEnds;
  readonly thread: DataThread;
  readonly reports: Reports;
  readonly clock: () => number;
}

/** The control thread at work. Resolves with the exit status. */
async function serve(serving: Serving): Promise<number> {
  const { options, settings, log, journal, control, thread, reports, clock } = serving;
  const killer = createStateKiller(control, (text) => log.own.error(text));
  const watch = createTrafficWatch();
  const listeners = new Set<(events: readonly DaemonEvent[]) => void>();
  const counting = countTraffic();
  let stopTimer: NodeJS.Timeout | null = null;
  let finish: (status: number) => void = () => {};
  const finished = new Promise<number>((resolve) => {
    finish = resolve;
  });

  function onBatch({ records, closed, events }: Batch): void {
    journal?.append(records);
    killer.add(closed);
    const { callId } = settings().log;
    for (const { severity, text, fields } of logLines(events, { callId, trafficOf: watch.last })) {
      log.traffic(severity, text, fields);
    }
    for (const listener of listeners) listener(events);
  }

  function onReport(report: FromThread): void {
    if (report.type === 'batch') onBatch(report);
    else if (report.type === 'orphaned') log.own.warn('the supervisor is gone: serving on without it');
    else if (report.type === 'failed') {
      log.own.error(`the data path failed: ${report.message}`);
      finish(1);
    } else if (report.type === 'stopped') {
      killer.flush();
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
    if ('problems' in loaded) {
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
    for (const { key, from, to, reload: when } of changes) {
      const effect = when === 'restart' ? ' takes effect at a restart only' : '';
      log.own.info(`configuration: ${key}: ${from} to ${to}${effect}`);
    }
    for (const caution of cautions(next)) log.own.warn(`configuration: ${caution}`);
    log.own.info(`configuration read again: ${changes.length} changes`);
  }

  async function tellStatus(): Promise<void> {
    try {
      log.own.info(statusLine(await thread.ask({ type: 'status' })));
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
        const active = watch.update(control.traffic());
        for (let at = 0; at < active.length; at += IDS_PER_ORDER) {
          thread.send({ type: 'traffic', ids: active.slice(at, at + IDS_PER_ORDER) });
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

  const signals = onSignals({ stop, reload, tellStatus, supervised: options.supervised });
  for (const caution of cautions(settings())) log.own.warn(`configuration: ${caution}`);
  reports.listen(onReport);
  options.onRunning?.({
    settings,
    ask: thread.ask,
    subscribe(listener) {
      listeners.add(listener);
      return () => listeners.delete(listener);
    },
    reload,
    stop,
  });

  const status = await finished;
  if (stopTimer !== null) clearTimeout(stopTimer);
  counting.end();
  signals.end();
  killer.end();
  control.close();
  journal?.close();
  log.close();
  return status;
}

interface SignalActions {
  readonly stop: () => void;
  readonly reload: () => void;
  readonly tellStatus: () => void;
  readonly supervised: boolean;
}

/** SIGTERM, SIGHUP, SIGUSR1 and, where there is one, SIGINFO. A terminal's SIGINT is the supervisor's to pass on. */
function onSignals({ stop, reload, tellStatus, supervised }: SignalActions): { readonly end: () => void } {
  const actions: [NodeJS.Signals, () => void][] = [
    ['SIGTERM', stop],
    ['SIGINT', supervised ? () => {} : stop],
    ['SIGHUP', reload],
    ['SIGUSR1', tellStatus],
  ];
  if ('SIGINFO' in constants.signals) actions.push(['SIGINFO', tellStatus]);
  for (const [signal, act] of actions) process.on(signal, act);
  return {
    end() {
      for (const [signal, act] of actions) process.off(signal, act);
    },
  };
}

/** Kills the states of closed pinholes, some at a time, and tries again when the filter refuses. */
function createStateKiller(control: ControlEnds, complain: (text: string) => void) {
  let waiting: Pinhole[] = [];
  let tries = 0;
  let timer: NodeJS.Timeout | null = null;

  function flush(): void {
    if (timer !== null) clearTimeout(timer);
    timer = null;
    if (waiting.length === 0) return;
    try {
      control.killStates(waiting);
      waiting = [];
      tries = 0;
    } catch (error) {
      if (++tries < KILL_TRIES) {
        timer = setTimeout(flush, KILL_AGAIN);
        return;
      }
      complain(`states of ${waiting.length} closed pinholes may be left: ${(error as Error).message}`);
      waiting = [];
      tries = 0;
    }
  }

  return {
    add(closed: readonly Pinhole[]) {
      if (closed.length === 0) return;
      waiting.push(...closed);
      timer ??= setTimeout(flush, KILL_AFTER);
    },
    flush,
    end() {
      if (timer !== null) clearTimeout(timer);
    },
  };
}

/** One line for SIGUSR1 and SIGINFO. */
export function statusLine({
  counters,
  inspector,
  calls,
  pinholes,
  missing,
  platform,
}: DataPathStatus): string {
  const { received, released, dropped, commits, commitErrors, exceptions } = counters;
  const { messages, malformed, refusals } = inspector;
  const refused = Object.values(refusals).reduce((sum, count) => sum + count, 0);
  const own = Object.entries(platform).map(([name, count]) => `, ${name} ${count}`);
  return (
    `status: ${calls} calls, ${pinholes} pinholes (${missing} missing); packets ${received} received, ` +
    `${released} released, ${dropped} dropped; messages ${messages.udp} udp, ${messages.tcp} tcp, ` +
    `${malformed} malformed; ${refused} refusals; ${commits} commits, ${commitErrors} failed; ` +
    `${exceptions} unexpected errors${own.join('')}`
  );
}
