/**
 * How long an outside party's media goes on after the end of its call: ms from the moment at which the caller has the 200
 * to its BYE until the conntrack entry of the media is gone. Needs root; makes network namespaces.
 *
 *   node --import tsx bench/closing.ts [calls] [other flows] [--main=PATH]
 *
 * `other flows`: how many the kernel tracks besides. `--main`: compiled code of another version.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { startDaemon } from '../lab/daemon.ts';
import { createStage } from '../lab/stage.ts';
import { createTopology, type Topology } from '../lab/topology.ts';
import { createDialog } from '../test/linux/dialog.ts';
import { mainOption, wholeNumber } from './arguments.ts';
import { quantile } from './quantile.ts';

const words = process.argv.slice(2);
const [callsWord, flowsWord] = words.filter((word) => !word.startsWith('--'));
const main = mainOption(words);
const calls = wholeNumber('calls', callsWord, { least: 1, fallback: 30 });
const flows = wholeNumber('other flows', flowsWord, { least: 0, fallback: 0 });

/** Has the kernel track so many flows that have nothing to do with any call. */
function trackOthers({ firewall }: Pick<Topology, 'firewall'>, count: number): void {
  if (count === 0) return;
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-bench-'));
  try {
    const file = join(directory, 'flows');
    const lines = Array.from({ length: count }, (_, index) => {
      const source = `198.18.${index >> 16}.${(index >> 8) & 0xff}`;
      return `-I -p udp -s ${source} -d 203.0.113.53 --sport ${1024 + (index & 0xff)} --dport 53 -t 36000`;
    });
    writeFileSync(file, `${lines.join('\n')}\n`);
    firewall('conntrack', '-R', file);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
}

/** Whether the kernel still tracks what the client sends to the server. */
function isTracked({ firewall }: Pick<Topology, 'firewall'>): boolean {
  const flow = ['-s', '10.0.1.10', '-d', '10.0.2.10', '--sport', '4000', '--dport', '6000'];
  try {
    firewall('conntrack', '-G', '-p', 'udp', ...flow);
    return true;
  } catch {
    return false;
  }
}

const topology = await createTopology();
trackOthers(topology, flows);
const daemon = await startDaemon(topology, {
  ...(main !== null && { module: main }),
});
const took: number[] = [];
let looks = 0;
try {
  const stage = await createStage(topology, { family: 4 });
  for (let index = 0; index < calls; index++) {
    const call = createDialog(stage);
    await stage.play(
      ...call.establish(4000, 6000),
      stage.passes('client:4000', 'server:6000'),
      stage.passes('server:6000', 'client:4000'),
    );
    if (!isTracked(topology)) throw new Error('the media of a call is not tracked');
    await stage.play(...call.hangUp());
    const ended = performance.now();
    while (isTracked(topology)) looks++;
    took.push(performance.now() - ended);
  }
} finally {
  await daemon.close();
  await topology.close();
}
const at = (share: number) => quantile(took, share).toFixed(0);
console.log(
  `${calls} calls beside ${flows} flows: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(1)} ms; looked ${looks + calls} times`,
);
