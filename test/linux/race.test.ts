import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { race } from '../../lab/race.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

const CALLS = 2000;
const WHOLE = { sent: 4 * CALLS, lost: 0, firstLost: 0, callsHurt: 0 };

describe('media at the earliest legal moment', { skip: withoutRoot }, () => {
  let topology: Topology;
  let daemon: Daemon;

  before(async () => {
    topology = await createTopology();
    daemon = await startDaemon(topology);
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  /** Neither pinholes nor states of media. */
  async function assertNothingIsLeft(): Promise<void> {
    assert.deepEqual(kernelState(topology), { elements: [], records: [] });
    await eventually(
      () => mediaFlows(topology),
      (flows) => flows.length === 0,
    );
  }

  it(`is not lost in any of ${CALLS} calls, and nothing of them is left`, async () => {
    assert.deepEqual(await race(topology, CALLS), WHOLE);
    await assertNothingIsLeft();
  });

  it('nor where 50 of them are begun at once', async () => {
    assert.deepEqual(await race(topology, CALLS, { start: CALLS, together: 50 }), WHOLE);
    await assertNothingIsLeft();
  });
});
