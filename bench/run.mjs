// Compiles the tree and runs one benchmark: node bench/run.mjs inspect [arguments]. The compiled code is what a
// firewall runs; a loader that compiles on the fly changes what is measured.
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';

/** The young generation that the daemon gives its data path, too (src/daemon/thread.ts). */
const FLAGS = ['--expose-gc', '--max-semi-space-size=8', '--min-semi-space-size=8'];

const [name, ...rest] = process.argv.slice(2);
if (name === undefined || !existsSync(new URL(`${name}.ts`, import.meta.url))) {
  console.error(`no benchmark bench/${name}.ts`);
  process.exit(1);
}
const compiler = ['node_modules/typescript/bin/tsc', '-p', 'tsconfig.bench.json'];
const compiled = spawnSync(process.execPath, compiler, { stdio: 'inherit' });
if (compiled.status !== 0) process.exit(compiled.status ?? 1);
const run = spawnSync(process.execPath, [...FLAGS, `build/bench/${name}.js`, ...rest], {
  stdio: 'inherit',
});
process.exit(run.status ?? 1);
