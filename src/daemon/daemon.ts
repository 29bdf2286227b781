import { setNonBlocking } from '../../native-bindings/descriptor.ts';
import { type Libc, loadLibc } from '../../native-bindings/engine.ts';
import type { Settings } from '../config/schema.ts';
import { VERSION } from '../version.ts';
import { createAddressWatch, natInterfaces } from './address-watch.ts';
import { bootId, createClock } from './clock.ts';
import { openHepLog } from './hep-log.ts';
import { createIngressWatch } from './ingress-watch.ts';
import { readInterfaceAddresses } from './interface-addresses.ts';
import { makeJournalDirectory } from './journal/directory.ts';
import { type Journal, type JournalRecord, openJournal, openJournalFiles } from './journal/journal.ts';
import { createLog } from './log/log.ts';
import { openLogSink } from './log/sink.ts';
import type { GroupService } from './peers/service.ts';
import { type DaemonPlatform, explainOpening, type PlatformModule } from './platform/platform.ts';
import { handedDown, NOTHING_HANDED_DOWN } from './process/handed-down.ts';
import { HEARTBEAT_DESCRIPTOR } from './process/heartbeat.ts';
import { favour } from './process/priority.ts';
import { asUser, becomeUser, changeRoot, confineThread, readerOf, type User } from './process/privileges.ts';
import { readSecret } from './process/secret.ts';
import { keepEarlySignals } from './process/signals.ts';
import { openRecording, recordingMemory } from './recording.ts';
import { createReports, type Reports } from './reports.ts';
import { identify } from './scribe.ts';
import { type ServeOptions, type Service, serve } from './serve.ts';
import { type DataThread, startDataThread } from './thread.ts';

export interface DaemonOptions extends ServeOptions {
  readonly settings: Settings;
  /** Reads packets as this user in place of `daemon.user`; `root` keeps root. */
  readonly user: string | null;
  /** URL of the module with `openPlatform`. */
  readonly platformModule: string;
  /** The control socket, metrics, the live page: opened as root, for the user that will read packets. */
  readonly services?: readonly ((settings: Settings, user: User | null) => Promise<Service>)[];
}

/** Names how calls are written into the journal: each record has the number of its version. */
const ENCODING = 'json';

/**
 * The data-path process: opens everything, gives up root, takes up the journal and serves until it is told to
 * stop. The exit status: 0 after an orderly stop. Throws StartError where a start cannot succeed.
 */
export async function runDaemon(options: DaemonOptions): Promise<number> {
  const libc = await loadLibc();
  const clock = createClock(libc);
  let { settings } = options;
  process.umask(0o027);
  const early = keepEarlySignals();
  const reader = readerOf(settings, options.user);
  const name = reader?.name ?? 'root';
  const user = libc.geteuid() === 0 ? reader : null;
  const log = createLog(settings.log, openLogSink(settings.log.destination, libc, user), clock);
  const journal = openCalls(
    () => settings,
    user,
    clock,
    (text) => log.own.warn(text),
  );
  const { openPlatform } = (await import(options.platformModule)) as PlatformModule;
  const platform = await openPlatform(settings);
  const control = await platform.openControl(() => settings).catch(explainOpening);
  const group = await openGroupOf(settings, journal.records);
  const services: Service[] = [];
  const { passwordFile } = settings.hep;
  const hepKey = passwordFile === null ? null : readSecret(passwordFile, 'hep.password-file');
  for (const open of options.services ?? []) services.push(await open(settings, user));
  services.push(openHepLog(settings, hepKey));
  if (options.supervised) setNonBlocking(libc, HEARTBEAT_DESCRIPTOR);

  const { recording: size } = settings.daemon;
  const recording = size === null ? null : recordingMemory(size);
  const down = options.supervised ? handedDown() : NOTHING_HANDED_DOWN;
  // The right to open a packet socket is not among those that are kept.
  const isBoundHere = settings.intercept === 'bpf' && down.intake === null;
  const given = isBoundHere ? { ...down, intake: platform.bindIntake?.(settings) ?? null } : down;
  const reports = createReports();
  const start = () =>
    startDataThread({
      settings,
      platformModule: options.platformModule,
      heartbeat: options.supervised ? HEARTBEAT_DESCRIPTOR : null,
      handedDown: given,
      hepKey,
      recording,
      mayBeRoot: name === 'root',
      onReport: reports.take,
      onEnd: (error) =>
        reports.take({ type: 'failed', message: error?.message ?? 'the data-path thread ended', code: '' }),
    });
  const { thread, description } = await openAndDrop(libc, platform, settings, user, start, reports);
  for (const line of description) log.own.info(line);
  const watch = createIngressWatch({
    read: control.ingress,
    clock,
    say: (level, text) => log.own[level](text),
    changed: (ingress) => thread.send({ type: 'ingress', ingress }),
  });
  const externals = createAddressWatch({
    names: () => natInterfaces(settings),
    read: readInterfaceAddresses,
    say: (level, text) => log.own[level](text),
    changed: (addresses) => thread.send({ type: 'addresses', addresses }),
  });
  thread.send({
    type: 'start',
    records: journal.records,
    ingress: watch.latest,
    addresses: externals.latest,
  });
  const running = await reports.next('running');
  log.own.info(
    `pinholed ${VERSION} on ${platform.name}, pid ${process.pid}, user ${name}: ` +
      `${running.calls} calls with ${running.pinholes} pinholes taken up, ${running.removed} other rules removed`,
  );
  return await serve({
    options,
    about: {
      platform: platform.name,
      description,
      user: name,
      startedAt: Date.now(),
      adopted: { calls: running.calls, pinholes: running.pinholes },
    },
    settings: () => settings,
    changeSettings: (next) => {
      settings = next;
    },
    log,
    journal: journal.journal,
    control,
    interfaces: watch,
    externals,
    services,
    group,
    thread,
    reports,
    early,
    recording: recording === null ? null : openRecording(recording),
    clock,
  });
}

/** What speaks to a store is larger than all that the daemon is else, and loaded where there is one. */
async function openGroupOf(
  settings: Settings,
  records: readonly JournalRecord[],
): Promise<GroupService | null> {
  if (settings.peersStore.url === null) return null;
  const { openGroup } = await import('./peers/service.ts');
  return openGroup(settings, identify(), records);
}

/** Root opens, the user goes on: in the order in which the platform needs it. */
async function openAndDrop(
  libc: Libc,
  platform: DaemonPlatform,
  settings: Settings,
  user: User | null,
  start: () => DataThread,
  reports: Reports,
): Promise<{ readonly thread: DataThread; readonly description: readonly string[] }> {
  const root = libc.geteuid() === 0 ? settings.daemon.chroot : null;
  const opensAsRoot = platform.dataPathOpener === 'root';
  const favoured = favour(libc, settings.daemon.priority);
  if (user !== null && !opensAsRoot) becomeUser(libc, user, root !== null);
  const thread = start();
  favoured.restore();
  const { description } = await reports.next('opened').catch(explainOpening);
  if (root !== null) changeRoot(libc, root);
  if (user !== null && opensAsRoot) becomeUser(libc, user, false);
  confineThread(libc);
  return { thread, description: [...description, favoured.text] };
}

function openCalls(
  settings: () => Settings,
  user: User | null,
  clock: () => number,
  complain: (text: string) => void,
): { readonly journal: Journal | null; readonly records: readonly JournalRecord[] } {
  const path = settings().daemon.journal;
  if (path === null) return { journal: null, records: [] };
  const open = () => openJournalFiles(path);
  makeJournalDirectory(path, user);
  const files = user === null ? open() : asUser(user, open);
  const writer = {
    bootId: bootId(),
    bootedAt: Date.now() - clock(),
    now: clock,
    encoding: ENCODING,
    mostEnded: () => settings().caps.ended,
  };
  return openJournal(files, writer, complain);
}
