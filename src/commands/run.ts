import { loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import { PlatformError } from '../../native-bindings/platform.ts';
import {
  cautions,
  findConfig,
  formatProblem,
  type Loaded,
  loadConfigFile,
  type Settings,
} from '../config/load.ts';
import { journalFault } from '../daemon/journal/directory.ts';
import { JournalError } from '../daemon/journal/journal.ts';
import { platformName, StartError } from '../daemon/platform/platform.ts';
import { beginWith } from '../daemon/process/inherited.ts';
import { readerOf, requireRights } from '../daemon/process/privileges.ts';
import { FirewallError } from '../firewall/firewall.ts';
import { InterceptError } from '../intercept/interceptor.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';
import { thisMachine } from './machine.ts';

/** Errors whose message is the line to print; of any other the stack is wanted. */
const SPOKEN = [StartError, JournalError, PlatformError, SystemError, InterceptError, FirewallError];

/** `pinholed run`: the daemon, in the foreground. Under daemon(8), systemd or a terminal alike. */
export const run = command(
  (argv) =>
    argv
      .option('config', configOption)
      .option('user', {
        alias: 'u',
        type: 'string',
        requiresArg: true,
        describe: 'Read packets as this user and its own group, in place of daemon.user',
      })
      .option('keep', {
        type: 'boolean',
        describe: 'On a stop, leave rules and journal for the next start, whatever daemon.on-stop says',
      })
      .option('drop', {
        type: 'boolean',
        conflicts: 'keep',
        describe: 'On a stop, close every pinhole and forget the calls, whatever daemon.on-stop says',
      })
      .option('supervisor', {
        type: 'boolean',
        default: true,
        describe: 'Supervise the data path; with --no-supervisor nothing restarts it',
      })
      .option('check', {
        type: 'boolean',
        default: false,
        describe: 'Check the configuration and the user, and do nothing',
      })
      .option('supervised', { type: 'boolean', default: false, hidden: true }),
  async (args) => {
    const found = args.supervised
      ? configuredAgain(args.config)
      : configured(args.config, await thisMachine());
    if (found === null) return 1;
    const { file, settings } = found;
    const options = {
      user: args.user ?? null,
      keep: args.drop === true ? false : (args.keep ?? settings.daemon.onStop === 'keep'),
      file,
      platformModule: new URL(`../daemon/platform/open.${extension()}`, import.meta.url).href,
    };
    try {
      if (args.check) return check(settings, options);
      requireRights(await loadLibc());
      platformName(settings);
      if (args.supervised || !args.supervisor) return await serve(settings, options, args.supervised);
      return await superviseDaemon(settings, options);
    } catch (error) {
      if (!isSpoken(error)) throw error;
      console.error(`pinholed: ${error.message}`);
      // What was opened before the error, the control socket first, would keep the process.
      process.exit(1);
    }
  },
);

function isSpoken(error: unknown): error is Error {
  return SPOKEN.some((kind) => error instanceof kind);
}

interface Options {
  readonly user: string | null;
  readonly keep: boolean;
  readonly file: string | null;
  readonly platformModule: string;
}

/** As `configured`, for a data path: a file that was broken since the supervisor has read it stops nothing. */
function configuredAgain(named: string | undefined): ReturnType<typeof configured> {
  const found = findConfig(named);
  const { settings, problems } = beginWith(found);
  for (const problem of problems) console.error(formatProblem(problem));
  if (settings === null) return null;
  if (problems.length > 0) console.error('pinholed: going on with the configuration as it was before');
  return { settings, file: found.file };
}

function reloader(file: string | null): () => Loaded {
  return () => (file === null ? findConfig(undefined) : loadConfigFile(file));
}

function extension(): 'ts' | 'js' {
  return import.meta.url.endsWith('.ts') ? 'ts' : 'js';
}

function check(settings: Settings, { user, file }: Options): number {
  platformName(settings);
  const reader = readerOf(settings, user);
  const journal = settings.daemon.journal;
  const found = journal === null ? null : journalFault(journal, reader);
  if (found !== null) throw new StartError(`daemon.journal: ${found}`);
  for (const caution of cautions(settings)) console.error(`${file ?? 'defaults'}: caution: ${caution}`);
  console.log(`${file ?? 'defaults'}: ok`);
  return 0;
}

async function serve(settings: Settings, options: Options, supervised: boolean): Promise<number> {
  const { user, keep, file, platformModule } = options;
  const { runDaemon } = await import('../daemon/daemon.ts');
  const { openControl } = await import('./run/services.ts');
  const status = await runDaemon({
    settings,
    reload: reloader(file),
    configFile: file,
    services: [openControl],
    user,
    keep,
    supervised,
    platformModule,
  });
  process.exit(status);
}

async function superviseDaemon(settings: Settings, options: Options): Promise<number> {
  const { runSupervisor } = await import('../daemon/process/run-supervisor.ts');
  const { removeStale } = await import('../control/listen.ts');
  const { user, keep, file, platformModule } = options;
  const args = ['run', '--supervised'];
  if (file !== null) args.push('--config', file);
  if (user !== null) args.push('--user', user);
  args.push(keep ? '--keep' : '--drop');
  const status = await runSupervisor({ settings, reload: reloader(file), user, args, platformModule });
  // Whoever reads packets may not remove it.
  await removeStale(settings.control.socket).catch(() => {});
  process.exit(status);
}
