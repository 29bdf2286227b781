import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, mediaFlows, translations } from '../../lab/kernel.ts';
import { externalAddress, natRules } from '../../lab/nat.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

describe('a PBX behind NAT', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let daemon: Daemon;

  before(async () => {
    topology = await createTopology({ rules: natRules });
    stage = await createStage(topology, { family: 4, external: externalAddress(4) });
    daemon = await startDaemon(topology, {
      changes: `
inside: [10.0.1.0/24]
media-hosts: []
outbound: true
nat: [{external: ${externalAddress(4)}, hosts: [10.0.1.10]}]`,
    });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  it('is heard from its own port and reached at it, from the first packet of either side', async () => {
    const call = createDialog(stage);
    await stage.play(call.asks('INVITE', { body: call.offer([4000]) }));
    assert.deepEqual(
      translations(topology),
      [4000, 4001]
        .flatMap((port) => [
          `dnat4 udp 10.0.2.10 10.0.2.200 ${port} is 10.0.1.10`,
          `snat4 udp 10.0.1.10 ${port} 10.0.2.10 is 10.0.2.200`,
        ])
        .sort(),
    );
    await stage.play(
      stage.passes('server:6000', 'client:4000'),
      call.answers('200 INVITE', { body: call.answer([6000]) }),
      stage.passes('client:4001', 'server:6001'),
      stage.passes('client:4000', 'server:6000'),
      stage.passes('server:6001', 'client:4001'),
      call.asks('ACK', { to: 'b' }),
      stage.blocked('stranger:6000', 'client:4000'),
      stage.blocked('server:6000', 'client:4002'),
    );
    const flows = mediaFlows(topology).join('\n');
    assert.match(
      flows,
      /src=10\.0\.1\.10 dst=10\.0\.2\.10 sport=4001 .*dst=10\.0\.2\.200 sport=6001 dport=4001/,
    );
    await stage.play(...call.hangUp());
    assert.deepEqual(stage.kernel(), { elements: [], records: [] });
    assert.deepEqual(translations(topology), []);
    await eventually(
      () => mediaFlows(topology),
      (left) => left.length === 0,
    );
  });
});
