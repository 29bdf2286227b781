import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState } from '../../lab/kernel.ts';
import { createStage } from '../../lab/stage.ts';
import { ADMINISTRATOR, createTopology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

describe('intercept: bpf', { skip: withoutRoot }, () => {
  for (const flags of [['--no-supervisor'], []]) {
    it(`opens and closes what passes by announces, and holds up nothing${flags.length === 0 ? ', supervised' : ''}`, async () => {
      const topology = await createTopology({ rules: (firewall) => firewall('nft', ADMINISTRATOR) });
      try {
        const daemon = await startDaemon(topology, { changes: 'intercept: bpf', flags });
        await daemon.said(/nothing waits for its pinholes/g);
        const stage = await createStage(topology, { family: 4 });
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000));
        await eventually(
          () => kernelState(topology).elements,
          (elements) => elements.some((one) => one === 'udp 10.0.2.10 > 10.0.1.10 4000'),
        );
        await stage.play(stage.passes('server:6000', 'client:4000'), ...call.hangUp());
        await eventually(
          () => kernelState(topology).elements,
          (elements) => elements.length === 0,
        );
        if (flags.length > 0) {
          await daemon.freeze();
          await stage.play(...createDialog(stage).establish(4002, 6002));
          assert.equal(
            await stage.probe('server:6002', 'client:4002'),
            false,
            'SIP passes without it, and opens nothing',
          );
          daemon.thaw();
        }
        await daemon.close();
      } finally {
        await topology.close();
      }
    });
  }
});
