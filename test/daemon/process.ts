/** The program that daemon.test.ts runs: as `pinholed run`, over the platform double and without asking for root. */
import { loadConfigFile } from '../../src/config/load.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';
import { runSupervisor } from '../../src/daemon/run-supervisor.ts';

const [file, ...flags] = process.argv.slice(2) as [string, ...string[]];
const loaded = loadConfigFile(file);
if ('problems' in loaded) throw new Error(JSON.stringify(loaded.problems));
const { settings } = loaded;
const common = {
  settings,
  user: process.geteuid?.() === 0 && !flags.includes('--drop') ? 'root' : null,
  platformModule: new URL('./platform-double.ts', import.meta.url).href,
};
const status = flags.includes('--supervise')
  ? await runSupervisor({
      ...common,
      args: [file, '--supervised', ...flags.filter((flag) => flag !== '--supervise')],
    })
  : await runDaemon({
      ...common,
      reload: () => loadConfigFile(file),
      configFile: file,
      keep: flags.includes('--keep'),
      supervised: flags.includes('--supervised'),
    });
process.exit(status);
