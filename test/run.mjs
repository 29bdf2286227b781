// Runs every test file under test/ (or those whose path contains one of the arguments) with node:test.
import { spawnSync } from 'node:child_process';
import { readdirSync } from 'node:fs';
import { availableParallelism } from 'node:os';

const wanted = process.argv.slice(2);
const files = readdirSync(new URL('.', import.meta.url), { recursive: true })
  .map((name) => `test/${name}`)
  .filter(
    (path) =>
      path.endsWith('.test.ts') && (wanted.length === 0 || wanted.some((part) => path.includes(part))),
  )
  .sort();
if (files.length === 0) {
  console.error(`no test file matches ${wanted.join(' ')}`);
  process.exit(1);
}
const reporter = new URL('./reporter.mjs', import.meta.url).href;
// A file for each core: by itself node:test leaves one of them idle.
const concurrency = `--test-concurrency=${availableParallelism()}`;
const run = spawnSync(
  process.execPath,
  ['--import', 'tsx', '--test', concurrency, `--test-reporter=${reporter}`, ...files],
  { stdio: 'inherit' },
);
process.exit(run.status ?? 1);
