/** `pinholed run`, as the tests start it: pinholed.ts FILE [--supervise] [--user NAME] [--keep]. */
import { loadConfigFile } from '../../src/config/load.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';
import { runSupervisor } from '../../src/daemon/run-supervisor.ts';

const [file, ...flags] = process.argv.slice(2) as [string, ...string[]];
const loaded = loadConfigFile(file);
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
const { settings } = loaded;
const platformModule = new URL('../../src/daemon/platform.ts', import.meta.url).href;
const common = { settings, user: null, platformModule };
const supervised = flags.includes('--supervised');
const keep = flags.includes('--keep');
const status = flags.includes('--supervise')
  ? await runSupervisor({
      ...common,
      args: [file, '--supervised', ...flags.filter((flag) => flag !== '--supervise')],
    })
  : await runDaemon({ ...common, reload: () => loadConfigFile(file), keep, supervised });
process.exit(status);
