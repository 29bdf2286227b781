/**
 * What the daemon's processes, supervisor and data path, keep in memory (RSS and PSS of proc(5), in MB): idle, and with calls up.
 * Compiled code. Needs root, Linux and a C compiler; makes network namespaces.
 *
 *   npm run build && node --import tsx bench/inline/memory.ts [calls [main.js]]
 */
import { execFile, execFileSync } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as wait } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createTopology, queueRules } from '../../lab/topology.ts';

const calls = Number(process.argv[2] ?? 10_000);
const program = process.argv[3] ?? fileURLToPath(new URL('../../dist/src/main.js', import.meta.url));

const directory = mkdtempSync(join(tmpdir(), 'pinholed-memory-'));
chmodSync(directory, 0o755);
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const load = join(directory, 'load');
const source = fileURLToPath(new URL('load.c', import.meta.url));
execFileSync('cc', ['-O2', '-o', load, source], { stdio: 'inherit' });
const config = join(directory, 'pinholed.yaml');
writeFileSync(
  config,
  `inside: [10.0.1.0/24, 10.0.2.0/24]
caps: { calls: 1000000, calls-per-host: 1000000, offers-per-second: 100000 }
log: { level: info, rate: 100000 }
control: { socket: ${join(directory, 'control.sock')} }
daemon: { user: nobody, group: nogroup, pid-file: off, journal: ${join(directory, 'journal', 'calls')} }
`,
);

/** MB of one process, by kind: what is its own, what is of files that others may share, and its share of all (PSS). */
function residentOf(pid: number): { readonly own: number; readonly files: number; readonly share: number } {
  const status =
    readFileSync(`/proc/${pid}/status`, 'utf8') + readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8');
  const mb = (name: string) =>
    Number(new RegExp(`^${name}:\\s+(\\d+) kB`, 'm').exec(status)?.[1] ?? 0) / 1024;
  return { own: mb('RssAnon'), files: mb('RssFile') + mb('RssShmem'), share: mb('Pss') };
}

function childrenOf(pid: number): number[] {
  const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
  return text === '' ? [] : text.split(' ').map(Number);
}

function report(what: string, supervisor: number): void {
  const parts = [supervisor, ...childrenOf(supervisor)].map((pid) => residentOf(pid));
  const sum = parts.reduce((total, { own, files }) => total + own + files, 0);
  const shares = parts.reduce((total, { share }) => total + share, 0);
  const words = parts.map(({ own, files }) => `${own.toFixed(0)} + ${files.toFixed(0)}`).join(', ');
  console.log(`| ${what} | ${words} | ${sum.toFixed(0)} | ${shares.toFixed(0)} |`);
}

const topology = await createTopology({ rules: queueRules });
const daemon = topology.start(process.execPath, program, 'run', '--config', config);
try {
  let said = '';
  for (const stream of [daemon.stdout!, daemon.stderr!])
    stream.on('data', (text) => {
      said = (said + text).slice(-65_536);
    });
  while (!said.includes('pinholes taken up')) {
    if (daemon.exitCode !== null) throw new Error(said);
    await wait(50);
  }
  // Not waited for at the price of the daemon's log, which has to be read meanwhile.
  const send = async (mode: string, count: number, first: number): Promise<void> => {
    const ends = [topology.namespaceOf('client'), topology.namespaceOf('server')];
    await promisify(execFile)(load, [...ends, mode, String(count), 'w32', String(first)]);
  };
  console.log('| | supervisor, data path: own + of files, MB | both | PSS |\n|---|---|--:|--:|');
  await wait(3000);
  report('idle', daemon.pid!);
  await send('setup', calls, 0);
  report(`${calls} calls, at once`, daemon.pid!);
  await wait(20_000);
  report(`${calls} calls, 20 s later`, daemon.pid!);
  await send('teardown', calls, 0);
  await wait(40_000);
  report('40 s after their end', daemon.pid!);
} finally {
  if (daemon.exitCode === null) {
    const ended = new Promise((resolve) => daemon.once('exit', resolve));
    daemon.kill('SIGTERM');
    await ended;
  }
  await topology.close();
}
