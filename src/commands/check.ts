import { cautions, defaultConfigPath, type Settings } from '../config/load.ts';
import { journalFault } from '../daemon/journal/directory.ts';
import { StartError } from '../daemon/platform/platform.ts';
import { packetUser } from '../daemon/process/privileges.ts';
import { command } from './command.ts';
import { configOption, configured } from './configured.ts';
import { thisMachine } from './machine.ts';

/** `pinholed check`: exit status 0 when a daemon would start with this configuration, 1 when not. */
export const check = command(
  (argv) => argv.option('config', configOption),
  async ({ config }) => {
    const found = configured(config, await thisMachine());
    if (found === null) return 1;
    const { file, settings } = found;
    for (const caution of [...cautions(settings), ...startCautions(settings)])
      console.error(`${file ?? 'defaults'}: caution: ${caution}`);
    console.log(file === null ? `no ${defaultConfigPath()}: the defaults are in force` : `${file}: ok`);
    return 0;
  },
);

/** What this machine lacks for it. One without the user is not the one it is meant for, or not made ready yet. */
function startCautions(settings: Settings): string[] {
  try {
    const user = packetUser(settings, null);
    const journal = settings.daemon.journal;
    const fault = journal === null ? null : journalFault(journal, user);
    return fault === null ? [] : [`daemon.journal: ${fault}`];
  } catch (error) {
    if (!(error instanceof StartError)) throw error;
    return [];
  }
}
