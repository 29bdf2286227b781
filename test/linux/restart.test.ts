import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { expect, pause, send, take, textsAt } from '../../lab/steps.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { sip } from '../scene.ts';
import { createDialog } from './dialog.ts';

/** One pinhole in the line of a call. A call is written down before it is told. */
const OPENED = /udp [\d.:-]+ from [\d.]+/g;
const NOTHING = { elements: [], records: [] };

describe('the daemon dies, is stopped, or cannot keep up', { skip: withoutRoot }, () => {
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
    assert.deepEqual(kernelState(topology), NOTHING, 'nothing is left after a stop');
  });

  const media = () => [
    stage.passes('client:4000', 'server:6000'),
    stage.passes('server:6000', 'client:4000'),
  ];

  it('goes on with the calls of a daemon that was killed, and media goes on meanwhile', async () => {
    daemon = await startDaemon(topology);
    const up = createDialog(stage);
    const ringing = createDialog(stage);
    await stage.play(
      ...up.establish(4000, 6000),
      ...media(),
      ringing.asks('INVITE', { body: ringing.offer([4400]) }),
      ringing.answers('180 INVITE'),
    );
    const before = stage.kernel();
    assert.equal(before.records.length, 3);
    await daemon.said(OPENED, 3);
    daemon.signal('SIGKILL');
    await daemon.ended();
    await stage.play(...media());
    assert.deepEqual(stage.kernel(), before, 'the kernel keeps the table');
    await daemon.restart();
    assert.match(daemon.lines.at(-1)!, /2 calls with 3 pinholes taken up, 0 other rules removed/);
    assert.deepEqual(stage.kernel(), before);
    await stage.play(
      ...media(),
      ringing.answers('200 INVITE', { body: ringing.answer([6400]) }),
      stage.passes('client:4400', 'server:6400'),
      ringing.asks('ACK', { to: 'b' }),
      ...ringing.hangUp(),
      ...media(),
      ...up.hangUp(),
    );
    assert.deepEqual(stage.kernel(), NOTHING);
    await eventually(
      () => mediaFlows(topology),
      (flows) => flows.length === 0,
    );
  });

  it('is started again by its supervisor', async () => {
    daemon = await startDaemon(topology, { flags: [] });
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    await daemon.said(OPENED, 2);
    const pid = daemon.dataPathPid();
    process.kill(pid, 'SIGKILL');
    await daemon.said(/taken up/g, 2);
    assert.notEqual(daemon.dataPathPid(), pid);
    await stage.play(...media(), ...call.hangUp());
    assert.deepEqual(stage.kernel(), NOTHING);
  });

  it('reads on TCP connections that it knows, message for message, after its data path, or all of it, was killed', async () => {
    for (const flags of [[], undefined]) {
      daemon = await startDaemon(topology, flags === undefined ? {} : { flags });
      const tcp = await createStage(topology, { family: 4, split: (text) => [text] });
      const first = createDialog(tcp);
      await tcp.play(...first.establish(4000, 6000));
      await daemon.said(OPENED, 2);
      if (flags === undefined) {
        daemon.signal('SIGKILL');
        await daemon.ended();
        await daemon.restart();
      } else {
        process.kill(daemon.dataPathPid(), 'SIGKILL');
        await daemon.said(/taken up/g, 2);
      }
      const calls = Array.from({ length: 20 }, () => createDialog(tcp));
      await tcp.play(...calls.flatMap((call, n) => call.establish(20_000 + 4 * n, 30_000 + 4 * n)));
      const opened = tcp.kernel().records.length;
      assert.equal(opened, 2 * (1 + calls.length), 'each of the offers and answers was read');
      await tcp.play(...calls.flatMap((call) => call.hangUp()), ...first.hangUp());
      assert.deepEqual(tcp.kernel(), NOTHING);
      await daemon.close();
      daemon = undefined;
    }
  });

  it('removes what a daemon without a journal left behind', async () => {
    const changes = 'daemon: { user: nobody, group: nogroup, pid-file: off, journal: off }';
    daemon = await startDaemon(topology, { changes });
    await stage.play(...createDialog(stage).establish(4000, 6000), ...media());
    daemon.signal('SIGKILL');
    await daemon.ended();
    await daemon.restart();
    assert.match(daemon.lines.at(-1)!, /0 calls with 0 pinholes taken up, 2 other rules removed/);
    assert.deepEqual(stage.kernel(), NOTHING);
    await eventually(
      () => mediaFlows(topology),
      (flows) => flows.length === 0,
    );
  });

  it('removes rules and flows when it is stopped in the middle of a call, and says which, with --drop', async () => {
    daemon = await startDaemon(topology);
    await stage.play(...createDialog(stage).establish(4000, 6000), ...media());
    await daemon.stop();
    const closed = daemon.lines.filter((line) => line.includes(': closed ')).join('\n');
    for (const place of ['10.0.1.10:4000', '10.0.2.10:6000']) assert.ok(closed.includes(place), closed);
    assert.deepEqual(stage.kernel(), NOTHING);
    assert.deepEqual(mediaFlows(topology), []);
    await daemon.restart();
    await stage.play(
      stage.blocked('client:4000', 'server:6000'),
      stage.blocked('server:6000', 'client:4000'),
    );
  });

  it('leaves them for the next start', async () => {
    daemon = await startDaemon(topology, { onStop: [] });
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    await daemon.stop();
    await stage.play(...media());
    await daemon.restart();
    await stage.play(...media(), ...call.hangUp());
    assert.deepEqual(stage.kernel(), NOTHING);
  });

  it('loses no more than what does not fit a full queue, and finds its feet again', async () => {
    const length = 64;
    const sent = 200;
    daemon = await startDaemon(topology, { changes: `linux: { queue-length: ${length} }` });
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000));
    const messages = Array.from({ length: sent }, (_, n) =>
      sip('OPTIONS', { callId: `flood-${n}@example.com` }),
    );
    await daemon.freeze();
    await topology.actors.client.run(messages.map((message) => send('sip4', stage.server, message)));
    daemon.thaw();
    const arrivals = await topology.actors.server.run([
      expect('sip4', messages[length - 1]!),
      pause(200),
      take('sip4'),
    ]);
    assert.deepEqual(textsAt(arrivals, 'sip4'), messages.slice(0, length));
    for (let at = length; at < sent; at += length / 2) {
      const again = messages.slice(at, at + length / 2);
      await stage.play(...again.map((message) => stage.say('client', 'server', message)));
    }
    await stage.play(...media(), ...call.hangUp());
    assert.deepEqual(stage.kernel(), NOTHING);
  });

  it('lets pass unread what does not fit a full queue, with fail: open', async () => {
    daemon = await startDaemon(topology, { changes: 'fail: open\nlinux: { queue-length: 64 }' });
    await stage.play(stage.say('client', 'server', sip('OPTIONS', { callId: 'first@example.com' })));
    const messages = Array.from({ length: 100 }, (_, n) =>
      sip('OPTIONS', { callId: `open-${n}@example.com` }),
    );
    await daemon.freeze();
    await topology.actors.client.run(messages.map((message) => send('sip4', stage.server, message)));
    const passed = await topology.actors.server.run([expect('sip4', messages.at(-1)!), take('sip4')]);
    assert.deepEqual(textsAt(passed, 'sip4'), messages.slice(64));
    daemon.thaw();
    const held = await topology.actors.server.run([expect('sip4', messages[63]!), take('sip4')]);
    assert.deepEqual(textsAt(held, 'sip4'), messages.slice(0, 64));
  });

  it('drops what is no SIP with strict, and passes it without', async () => {
    const noise = 'INVITE of a kind that RFC 3261 does not know';
    for (const strict of [false, true]) {
      daemon = await startDaemon(topology, { changes: `strict: ${strict}` });
      const fence = sip('OPTIONS', { callId: `strict-${strict}@example.com` });
      await stage.play(stage.say('client', 'server', fence));
      const [, arrivals] = await Promise.all([
        topology.actors.client.run([send('sip4', stage.server, noise), send('sip4', stage.server, fence)]),
        topology.actors.server.run([expect('sip4', fence), take('sip4')]),
      ]);
      assert.deepEqual(textsAt(arrivals, 'sip4'), strict ? [fence] : [noise, fence]);
      await daemon.close();
      daemon = undefined;
    }
  });

  it('refuses to start beside another, and says why', async () => {
    daemon = await startDaemon(topology);
    await assert.rejects(startDaemon(topology), /EPERM/);
    const call = createDialog(stage);
    await stage.play(...call.establish(4000, 6000), ...media(), ...call.hangUp());
  });
});
