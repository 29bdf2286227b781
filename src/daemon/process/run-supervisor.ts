import { type Libc, loadLibc } from '../../../native-bindings/engine.ts';
import type { Loaded } from '../../config/load.ts';
import type { Settings } from '../../config/schema.ts';
import { createClock } from '../clock.ts';
import { createLog } from '../log/log.ts';
import { openLogSink } from '../log/sink.ts';
import { type DaemonPlatform, explainOpening, type PlatformModule } from '../platform/platform.ts';
import { reloadable } from '../reloadable.ts';
import { handedEnvironment } from './environment.ts';
import { createHeirloom, type Heirloom } from './handed-down.ts';
import { bequeath } from './inherited.ts';
import { dataPathCommand } from './own-command.ts';
import { endOrphan, writePidFile } from './pid-file.ts';
import { confineChildren, packetUser } from './privileges.ts';
import { notifyServiceManager } from './service-manager.ts';
import { keepEarlySignals, statusSignals } from './signals.ts';
import { supervise } from './supervisor.ts';

export interface RunSupervisorOptions {
  readonly settings: Settings;
  /** Reads the configuration again. */
  readonly reload: () => Loaded;
  /** Reads packets as this user in place of `daemon.user`; `root` keeps root. */
  readonly user: string | null;
  /** Arguments of this program that make it the data-path process. */
  readonly args: readonly string[];
  readonly platformModule: string;
}

/** The parent process: pid file, signals, fail-open rules. Resolves with the exit status. */
export async function runSupervisor(options: RunSupervisorOptions): Promise<number> {
  const { settings, args, platformModule } = options;
  const user = process.geteuid?.() === 0 ? packetUser(settings, options.user) : null;
  const early = keepEarlySignals();
  const libc = await loadLibc();
  const pidFile = settings.daemon.pidFile;
  const childFile = pidFile === null ? null : `${pidFile}.child`;
  const removePidFile = pidFile === null ? () => {} : writePidFile(pidFile);
  let removeChildFile = () => {};
  let current = settings;
  try {
    const sink = openLogSink(settings.log.destination, libc, user);
    const log = createLog(settings.log, sink, createClock(libc));
    const orphan = childFile === null ? null : await endOrphan(childFile);
    if (orphan !== null)
      log.own.warn(`supervisor: ended the data path of a killed supervisor, pid ${orphan}`);
    const { openPlatform } = (await import(platformModule)) as PlatformModule;
    const platform = await openPlatform(settings);
    const failOpen = settings.fail === 'open' ? await platform.openFailOpen(settings) : null;
    const heirloom = openHeirloom(libc, platform, settings, (text) => log.own.error(`supervisor: ${text}`));
    confineChildren(libc);
    const supervisor = supervise({
      command: dataPathCommand(args),
      env: () => ({ ...handedEnvironment(process.env), ...bequeath(current) }),
      failOpen,
      heirloom,
      say: (level, text) => log.own[level](`supervisor: ${text}`),
      onStart: (pid) => {
        if (childFile !== null) removeChildFile = writePidFile(childFile, pid);
      },
      onReady: () => notifyServiceManager(libc, 'READY=1'),
    });
    const stop = () => {
      notifyServiceManager(libc, 'STOPPING=1');
      supervisor.stop();
    };
    process.on('SIGTERM', stop);
    process.on('SIGINT', stop);
    const reload = () => {
      const loaded = options.reload();
      if (loaded.ok) current = reloadable(current, loaded.settings);
      log.reload(current.log);
      supervisor.signal('SIGHUP');
    };
    process.on('SIGHUP', reload);
    for (const signal of statusSignals()) process.on(signal, () => supervisor.signal(signal));
    for (const signal of early.release()) {
      if (signal === 'SIGHUP') reload();
      else supervisor.signal(signal);
    }
    return await supervisor.done;
  } finally {
    removeChildFile();
    removePidFile();
  }
}

/** With `fail: open` packets go their way while no data path comes; the kernel sees that nobody has them bound. */
function openHeirloom(
  libc: Libc,
  { bindIntake }: DaemonPlatform,
  settings: Settings,
  complain: (text: string) => void,
): Heirloom | null {
  if (bindIntake === undefined) return null;
  try {
    return createHeirloom(libc, () => bindIntake(settings), settings.fail !== 'open', complain);
  } catch (error) {
    return explainOpening(error as Error);
  }
}
