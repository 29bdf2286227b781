// `pinholed replay` of a capture of many calls beside `tshark -q -z rtp,streams` of the same, in turns:
// npm run build && node bench/run.mjs replay [CALLS] [PACKETS OF EACH DIRECTION] [TURNS]. CPU and memory are those of the
// processes, as GNU time has them.
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { loadavg, tmpdir } from 'node:os';
import { join } from 'node:path';
import { writeCalls } from './many-calls.ts';
import { median } from './quantile.ts';

interface Spent {
  /** Seconds, user and system. */
  readonly cpu: number;
  readonly megabytes: number;
}

const [calls = 20_000, packets = 26, turns = 3] = process.argv.slice(2).map(Number);
const directory = mkdtempSync(join(tmpdir(), 'pinholed-bench-'));
const path = join(directory, 'calls.pcap');

function spent(command: string, ...words: readonly string[]): Spent {
  const run = spawnSync('/usr/bin/time', ['-f', '%U %S %M', command, ...words], {
    encoding: 'utf8',
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  if (run.status !== 0) throw new Error(`${command}: ${run.error?.message ?? run.stderr}`);
  const [user, system, kilobytes] = run.stderr.trim().split('\n').at(-1)!.split(' ').map(Number);
  return { cpu: user! + system!, megabytes: kilobytes! / 1000 };
}

try {
  const { frames, bytes } = writeCalls(path, { calls, packets, perSecond: 100 });
  console.log(
    `${calls} calls, ${frames} frames, ${(bytes / 1e6).toFixed(0)} MB; load ${loadavg()[0]!.toFixed(1)}`,
  );
  console.log('| | CPU s | of tshark | MB |\n|---|--:|--:|--:|');
  const theirs: Spent[] = [];
  const ours: Spent[] = [];
  for (let turn = 0; turn < turns; turn++) {
    theirs.push(spent('tshark', '-q', '-z', 'rtp,streams', '-r', path));
    ours.push(spent(process.execPath, 'dist/src/main.js', 'replay', path));
  }
  const ratios = ours.map(({ cpu }, turn) => cpu / theirs[turn]!.cpu);
  const row = (name: string, all: readonly Spent[], ratio: string) =>
    console.log(
      `| ${name} | ${median(all.map(({ cpu }) => cpu)).toFixed(1)} | ${ratio} | ${median(all.map(({ megabytes }) => megabytes)).toFixed(0)} |`,
    );
  row('tshark -q -z rtp,streams', theirs, '');
  row(
    'pinholed replay',
    ours,
    `${median(ratios).toFixed(2)} (${Math.min(...ratios).toFixed(2)} to ${Math.max(...ratios).toFixed(2)})`,
  );
} finally {
  rmSync(directory, { recursive: true });
}
