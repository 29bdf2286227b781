import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startDaemon } from '../../lab/daemon.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology, queueRules } from '../../lab/topology.ts';
import type { MetricsResult } from '../../src/control/protocol.ts';
import type { BlockedResult } from '../../src/report/live/blocked.ts';
import type { ExplainResult } from '../../src/report/live/explain.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

const GROUP = 5061;

describe('media that the ruleset drops near a call', { skip: withoutRoot }, () => {
  it('is told with its sender, and with the line that lets it pass', async () => {
    const topology = await createTopology({
      rules: (run) => {
        queueRules(run);
        const rule = `udp dport 1024-65535 limit rate 100/second log group ${GROUP}`;
        run('nft', 'add', 'rule', 'inet', 'filter', 'forward', ...rule.split(' '));
      },
    });
    try {
      const watching = `blocked: { watch: true, group: ${GROUP}, rate: 100 }\ntimers: { drain: 0, no-audio: 0 }`;
      const daemon = await startDaemon(topology, { changes: watching });
      const stage = await createStage(topology, { family: 4 });
      const call = createDialog(stage);
      await stage.play(
        ...call.establish(4000, 6000),
        stage.passes('server:6000', 'client:4000'),
        stage.blocked('stranger:9000', 'gateway:3000'),
        stage.blocked('stranger:9000', 'client:4000'),
      );
      await daemon.said(/is dropped by the ruleset: 10\.0\.4\.10 port 9000 to 10\.0\.1\.10 port 4000/g);
      const control = await daemon.control();
      const ask = async () =>
        (await control.askOnce<{ blocked: BlockedResult[] }>({ request: 'blocked', call: call.callId }))
          .blocked;
      let found = await ask();
      while (found.length === 0) {
        await setTimeout(100);
        found = await ask();
      }
      const [one, ...more] = found;
      assert.deepEqual(more, [], 'what goes to a host of no call is near none');
      assert.deepEqual(
        [one!.src, one!.srcPort, one!.dst, one!.dstPort, one!.callId, one!.reason, one!.line],
        ['10.0.4.10', 9000, '10.0.1.10', 4000, call.callId, 'wrong-source', 'media-source: any'],
      );
      assert.match(one!.text, /^It came from 10\.0\.4\.10, which no SDP names/);
      const leg = await control.askOnce<ExplainResult>({ request: 'explain', call: call.callId });
      assert.equal(leg.blocked?.[0]?.line, 'media-source: any');
      const { text } = await control.askOnce<MetricsResult>({ request: 'metrics' });
      assert.match(text, /^pinholed_media_blocked_packets_total [1-9]/m);
      control.close();
      await stage.play(...call.hangUp());
      await daemon.close();

      // The line is true.
      const open = await startDaemon(topology, { changes: `${watching}\nmedia-source: any` });
      const second = createDialog(stage);
      await stage.play(...second.establish(4100, 6100));
      await stage.play(stage.passes('stranger:9000', 'client:4100'));
      await open.close();
    } finally {
      await topology.close();
    }
  });
});
