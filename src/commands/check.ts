import { cautions, defaultConfigPath } from '../config/load.ts';
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
    for (const caution of cautions(settings)) console.error(`${file ?? 'defaults'}: caution: ${caution}`);
    console.log(file === null ? `no ${defaultConfigPath()}: the defaults are in force` : `${file}: ok`);
    return 0;
  },
);
