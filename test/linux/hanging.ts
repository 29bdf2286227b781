/** The program that fatal-packet.test.ts runs: `pinholed run --config FILE` on the platform that hangs. */
import { loadConfigFile } from '../../src/config/load.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';
import { runSupervisor } from '../../src/daemon/process/run-supervisor.ts';

const args = process.argv.slice(2);
const file = args[args.indexOf('--config') + 1]!;
const reload = () => loadConfigFile(file);
const loaded = reload();
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
const common = {
  settings: loaded.settings,
  reload,
  user: null,
  platformModule: new URL('./hanging-platform.ts', import.meta.url).href,
};
process.exit(
  args.includes('--supervised')
    ? await runDaemon({ ...common, configFile: file, keep: false, supervised: true })
    : await runSupervisor({ ...common, args: [...args, '--supervised'] }),
);
