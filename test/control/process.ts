/** The daemon with its control socket over the platform made of files, without asking for root. */
import { openControl } from '../../src/commands/run/services.ts';
import { loadConfigFile } from '../../src/config/load.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';

const [file, user] = process.argv.slice(2) as [string, string | undefined];
const loaded = loadConfigFile(file);
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
process.exit(
  await runDaemon({
    settings: loaded.settings,
    user: user ?? (process.geteuid?.() === 0 ? 'root' : null),
    platformModule: new URL('../daemon/platform-double.ts', import.meta.url).href,
    configFile: file,
    services: [openControl],
    reload: () => loadConfigFile(file),
    keep: false,
    supervised: false,
  }),
);
