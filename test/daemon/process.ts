/** The program that daemon.test.ts runs: as `pinholed run`, over the platform double and without asking for root. */
import { formatProblem, loadConfigFile } from '../../src/config/load.ts';
import { runDaemon } from '../../src/daemon/daemon.ts';
import { beginWith } from '../../src/daemon/process/inherited.ts';
import { runSupervisor } from '../../src/daemon/process/run-supervisor.ts';

const [file, ...flags] = process.argv.slice(2) as [string, ...string[]];
const reload = () => loadConfigFile(file);
const { settings, problems } = beginWith(reload());
for (const problem of problems) console.error(formatProblem(problem));
if (settings === null) process.exit(1);
const common = {
  settings,
  reload,
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
      configFile: file,
      keep: flags.includes('--keep'),
      supervised: flags.includes('--supervised'),
    });
process.exit(status);
