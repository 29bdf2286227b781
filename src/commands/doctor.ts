import { loadLibc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import type { Ingress } from '../address/ingress.ts';
import { examineSystem } from '../checks/examine.ts';
import type { ExamineOptions } from '../checks/examine-options.ts';
import { CHECKS, caution, type Finding, fault, ok, unknown } from '../checks/finding.ts';
import { checkNat } from '../checks/nat.ts';
import { cautions, defaultConfigPath, findConfig, formatProblem, type Settings } from '../config/load.ts';
import { examineDaemon, isDaemonThere } from '../control/examine.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { journalFault } from '../daemon/journal/directory.ts';
import { platformName, StartError } from '../daemon/platform/platform.ts';
import { packetUser, type User } from '../daemon/process/privileges.ts';
import { readFault } from '../daemon/process/rights.ts';
import { readFreebsdIngress } from '../intercept/ingress/freebsd.ts';
import { readLinuxIngress } from '../intercept/ingress/linux.ts';
import { doctorText, reportOf } from '../report/live/doctor.ts';
import { jsonText, print, style } from './ask.ts';
import { command } from './command.ts';
import { configOption, jsonOption } from './configured.ts';
import { thisMachine } from './machine.ts';

/** Exit statuses of `pinholed doctor`. */
const STATUS = { well: 0, faults: 1, unknown: 2 } as const;

/** `pinholed doctor`: what an installation needs, and what to do about what it lacks. */
export const doctor = command(
  (argv) =>
    argv
      .option('config', configOption)
      .option('json', jsonOption)
      .epilogue(
        'Exit status: 0 no fault (there may be cautions), 1 faults, 2 no fault found, but something could not be ' +
          'looked at. docs/doctor.md lists every check.',
      ),
  async ({ config, json }) => {
    const found = findConfig(config, await thisMachine());
    const settings = found.ok ? found.settings : null;
    const findings = await examine(found);
    const report = reportOf(process.platform, found.file, findings);
    await print(json ? jsonText(report) : doctorText(report, style()));
    if (report.faults > 0 || settings === null) return STATUS.faults;
    return report.unknown > 0 ? STATUS.unknown : STATUS.well;
  },
);

/** All sections, in the order in which they are shown. One that cannot be looked at stops no other. */
async function examine(found: ReturnType<typeof findConfig>): Promise<Finding[]> {
  const settings = found.ok ? found.settings : null;
  const isRunning = settings !== null && (await isDaemonThere(settings));
  const addresses = readInterfaceAddresses();
  const machine = await system(settings, { isRunning, addresses, ingress: await readIngress(settings) });
  // After the rules were read: the daemon puts right what it finds wrong.
  const daemon = settings === null ? [] : await examineDaemon(settings);
  const nat = settings === null ? [] : checkNat(settings, addresses);
  const all = [...machine, ...nat, ...configuration(found), ...daemon];
  const order = Object.keys(CHECKS);
  return all.toSorted((one, other) => order.indexOf(one.check) - order.indexOf(other.check));
}

async function system(settings: Settings | null, options: ExamineOptions): Promise<Finding[]> {
  try {
    return await examineSystem(platformName(settings ?? { platform: 'auto' }), settings, options);
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return [fault('configuration', error.message, 'set platform: auto')];
  }
}

/** Which interfaces lead where; null where the system does not tell. */
async function readIngress(settings: Settings | null): Promise<Ingress | null> {
  if (settings === null) return null;
  try {
    const libc = await loadLibc();
    return process.platform === 'freebsd'
      ? readFreebsdIngress(libc, settings)
      : readLinuxIngress(libc, settings);
  } catch (error) {
    if (error instanceof SystemError) return null;
    throw error;
  }
}

function configuration(found: ReturnType<typeof findConfig>): Finding[] {
  if (!found.ok) {
    return [
      ...found.problems.map((problem) =>
        fault('configuration', formatProblem(problem), 'the daemon does not start with it'),
      ),
      unknown(
        'configuration',
        'what depends on the settings was not looked at',
        'put the configuration right first',
      ),
    ];
  }
  const { file, settings } = found;
  return [
    ok(
      'configuration',
      file === null ? `no ${defaultConfigPath()}: the defaults are in force` : `${file} has no errors`,
    ),
    ...cautions(settings).map((text) => caution('configuration', text, 'leave it only if that is meant')),
    ...userAndJournal(file, settings),
  ];
}

function userAndJournal(file: string | null, settings: Settings): Finding[] {
  try {
    const user = packetUser(settings, null);
    return [
      ok('user', user === null ? 'packets are read as root' : `packets are read as ${user.name}`),
      ...readable(file, user),
      journalOf(settings, user),
    ];
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return [fault('user', error.message, 'create it, or name another')];
  }
}

/** systemd starts the daemon as that user; as root it starts, and is that user by the first reload. */
function readable(file: string | null, user: User | null): Finding[] {
  const found = file === null ? null : readFault(file, user);
  if (found === null) return [];
  const group = user?.gid ?? 0;
  const advice = `chgrp ${group} ${file} && chmod 640 ${file}, or chmod 644; it has to enter the directories above as well`;
  return process.platform === 'linux'
    ? [fault('configuration', `${found}: the systemd unit does not start, a reload changes nothing`, advice)]
    : [caution('configuration', `${found}: a reload changes nothing`, advice)];
}

function journalOf(settings: Settings, user: User | null): Finding {
  const path = settings.daemon.journal;
  if (path === null) {
    const advice = 'take daemon.journal: off out of the file, unless that is meant';
    return caution('journal', 'there is none: a restart forgets the calls that are up', advice);
  }
  const found = journalFault(path, user);
  if (found !== null) return fault('journal', `daemon.journal: ${found}`, 'let it, or name another place');
  return ok('journal', `calls are kept in ${path}`);
}
