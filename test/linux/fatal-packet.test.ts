import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { kernelState } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { expect, send } from '../../lab/steps.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { sip } from '../scene.ts';
import { createDialog } from './dialog.ts';
import { FATAL_PORT } from './hanging-platform.ts';

/** ms; only waited for when a test fails. */
const RESTARTED_WITHIN = 60_000;
const STARTED = /pinholes taken up/g;

describe('a packet that the data path dies of', { skip: withoutRoot }, () => {
  let topology: Topology;
  let stage: Stage;
  let daemon: Daemon | undefined;

  before(async () => {
    topology = await createTopology();
    stage = await createStage(topology, { family: 4 });
  });

  after(() => topology?.close());

  afterEach(async () => {
    await daemon?.close();
    daemon = undefined;
    assert.deepEqual(kernelState(topology), { elements: [], records: [] }, 'nothing is left after a stop');
  });

  it('arrives, unread, with everything that came meanwhile, and does no harm a second time', async () => {
    daemon = await startDaemon(topology, { flags: [], module: '../test/linux/hanging.ts' });
    const up = createDialog(stage);
    await stage.play(...up.establish(4000, 6000));
    await daemon.said(/udp [\d.:-]+ from [\d.]+/g, 2);
    const open = stage.kernel();
    const first = daemon.dataPathPid();

    const fatal = createDialog(stage);
    const invite = sip('INVITE', { callId: fatal.callId, body: fatal.offer([FATAL_PORT]) });
    const between = Array.from({ length: 40 }, (_, n) =>
      sip('OPTIONS', { callId: `between-${n}@example.com` }),
    );
    await topology.actors.client.run([invite, ...between].map((text) => send('sip4', stage.server, text)));
    await topology.actors.server.run(
      [invite, ...between].map((text) => expect('sip4', text, RESTARTED_WITHIN)),
    );
    await daemon.said(STARTED, 3);
    assert.notEqual(daemon.dataPathPid(), first);
    assert.deepEqual(stage.kernel(), open, 'the call that was up is up still');
    await daemon.said(
      /the data path ended \(SIGKILL\) over a packet, which will pass unread: starting it again$/gm,
    );
    await daemon.said(
      /died of a packet, which passes unread: udp 10\.0\.1\.10 port 5060 > 10\.0\.2\.10 port 5060, \d+ bytes/g,
    );

    const second = daemon.dataPathPid();
    await stage.play(stage.say('client', 'server', invite));
    await daemon.said(/a packet passes unread, a data path died of its like/g);
    await stage.play(stage.passes('client:4000', 'server:6000'), ...up.hangUp());
    assert.equal(daemon.dataPathPid(), second, 'the same packet did nothing');
  });

  it('brings the data path back at once, however often', async () => {
    daemon = await startDaemon(topology, { flags: [], module: '../test/linux/hanging.ts' });
    for (let n = 1; n <= 3; n++) {
      const fatal = createDialog(stage);
      const invite = sip('INVITE', { callId: fatal.callId, body: fatal.offer([FATAL_PORT]) });
      await topology.actors.client.run([send('sip4', stage.server, invite)]);
      await topology.actors.server.run([expect('sip4', invite, RESTARTED_WITHIN)]);
      await daemon.said(STARTED, 1 + 2 * n);
    }
    assert.doesNotMatch(daemon.lines.join('\n'), /starting it again in/);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000), ...call.hangUp());
  });
});
