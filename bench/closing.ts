/**
 * How long an outside party's media goes on after the end of its call: ms from the moment at which the caller has the 200
 * to its BYE until no conntrack entry of the media is left. Needs root; makes network namespaces.
 *
 *   node --import tsx bench/closing.ts [calls]
 */
import { startDaemon } from '../lab/daemon.ts';
import { mediaFlows } from '../lab/kernel.ts';
import { createStage } from '../lab/stage.ts';
import { createTopology } from '../lab/topology.ts';
import { createDialog } from '../test/linux/dialog.ts';
import { quantile } from './quantile.ts';

const CALLS = Number(process.argv[2] ?? 30);

const topology = await createTopology();
const daemon = await startDaemon(topology);
const took: number[] = [];
let looks = 0;
try {
  const stage = await createStage(topology, { family: 4 });
  for (let index = 0; index < CALLS; index++) {
    const call = createDialog(stage);
    await stage.play(
      ...call.establish(4000, 6000),
      stage.passes('client:4000', 'server:6000'),
      stage.passes('server:6000', 'client:4000'),
    );
    await stage.play(...call.hangUp());
    const ended = performance.now();
    while (mediaFlows(topology).length > 0) looks++;
    took.push(performance.now() - ended);
  }
} finally {
  await daemon.close();
  await topology.close();
}
const at = (share: number) => quantile(took, share).toFixed(0);
console.log(
  `${CALLS} calls: median ${at(0.5)} ms, 95 % ${at(0.95)} ms, worst ${at(1)} ms; looked ${looks + CALLS} times`,
);
