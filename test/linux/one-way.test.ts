import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { startDaemon } from '../../lab/daemon.ts';
import { createStage } from '../../lab/stage.ts';
import { createTopology } from '../../lab/topology.ts';
import type { CallResult, CallsResult, MetricsResult } from '../../src/control/protocol.ts';
import type { ExplainResult } from '../../src/report/live/explain.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';

/** ms between two packets of a party that talks. */
const TALKS_EVERY = 250;

describe('a call with audio in one direction only', { skip: withoutRoot }, () => {
  it('is told of by who hears nothing, marked and counted, until media comes', async () => {
    const topology = await createTopology();
    try {
      const daemon = await startDaemon(topology, { changes: 'timers: { no-audio: 5s, drain: 0 }' });
      const control = await daemon.control();
      const stage = await createStage(topology, { family: 4 });
      const call = createDialog(stage);
      await stage.play(...call.establish(4000, 6000));

      /** Packets of these ways pass until the daemon has said so. */
      async function talk(pattern: RegExp, ...ways: [from: string, to: string][]): Promise<void> {
        let isSaid = false;
        const said = daemon.said(pattern).then(() => {
          isSaid = true;
        });
        while (!isSaid) {
          for (const [from, to] of ways) await stage.play(stage.passes(from, to));
          await setTimeout(TALKS_EVERY);
        }
        await said;
      }
      const marked = async (): Promise<CallResult> =>
        (await control.askOnce<CallsResult>({ request: 'calls' })).calls[0]!;

      await talk(/no audio for the callee \(10\.0\.2\.10\)/g, ['server:6000', 'client:4000']);
      assert.deepEqual((await marked()).noAudio?.to, ['callee']);
      const { text } = await control.askOnce<MetricsResult>({ request: 'metrics' });
      assert.match(text, /^pinholed_calls_without_audio 1$/m);

      await talk(/audio is missed no more/g, ['server:6000', 'client:4000'], ['client:4000', 'server:6000']);
      assert.equal((await marked()).noAudio, null);
      const leg = await control.askOnce<ExplainResult>({ request: 'explain', call: call.callId });
      const [spell, ...more] = leg.withoutAudio;
      assert.deepEqual([spell!.missing, more], [['callee'], []]);
      assert.ok(spell!.until !== null && spell!.until - spell!.since >= 5);
      control.close();
      await daemon.close();
    } finally {
      await topology.close();
    }
  });
});
