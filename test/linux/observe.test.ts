import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

describe('mode: observe', { skip: withoutRoot }, () => {
  it('passes a call and tells of it, opens nothing, and takes away what was left before', async () => {
    const topology = await createTopology();
    try {
      // A daemon of before, killed in the middle of a call.
      const before = await startDaemon(topology);
      const stage = await createStage(topology, { family: 4 });
      const left = createDialog(stage);
      await stage.play(...left.establish(4000, 6000), stage.passes('server:6000', 'client:4000'));
      before.signal('SIGKILL');
      await before.ended();

      const daemon = await startDaemon(topology, { changes: 'mode: observe' });
      const tables = () => topology.firewall('nft', 'list', 'tables');
      assert.doesNotMatch(tables(), /pinholed/);
      assert.equal(await stage.probe('server:6002', 'client:4000'), false);

      const call = createDialog(stage);
      await stage.play(
        ...call.establish(4002, 6004),
        stage.blocked('server:6004', 'client:4002'),
        ...call.hangUp(),
      );
      assert.doesNotMatch(tables(), /pinholed/);
      await daemon.said(/would open .*audio udp 10\.0\.2\.10:6004/g);
      await daemon.said(/would close .*10\.0\.1\.10:4002-4003.*: bye/g);
      assert.doesNotMatch(daemon.lines.join('\n'), /: opened .*:(4002|6004)/);
      await daemon.close();
    } finally {
      await topology.close();
    }
  });
});
