/** Ports that an outside party tries to keep after the end of a call, and floods, on the wire. */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { accept, connect, expect, listen, pause, raw, send, write } from '../../lab/steps.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { checksummed, tcpPacket } from '../packets.ts';
import { sdp, sip } from '../scene.ts';
import { createDialog } from './dialog.ts';

const NOTHING = { elements: [], records: [] };
const SECOND = 1000;
/** RFC 9293 3.1 */
const SYN = 2;
/** The shortest that can be set. */
const TIMERS = 'timers: { drain: 0, mux-grace: 0, after-bye: 1s, forks: 1s }';
const CAPS = 'caps: { ended: 100, tcp-connections: 100, calls-per-host: 100000, offers-per-second: 100000 }';

describe('what an outside party does to keep a port, or to take the place of others', {
  skip: withoutRoot,
}, () => {
  let topology: Topology;
  let daemon: Daemon;

  before(async () => {
    topology = await createTopology();
    daemon = await startDaemon(topology, { changes: `${TIMERS}\n${CAPS}` });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  afterEach(() => topology.firewall('conntrack', '-F'));

  for (const family of [4, 6] as const) {
    describe(`over IPv${family}`, () => {
      let stage: Stage;
      before(async () => {
        stage = await createStage(topology, { family });
      });

      /** Media goes on from outside; the port is shut to it all the same. */
      async function shuts(source: string): Promise<void> {
        await eventually(
          () => stage.kernel(),
          ({ elements }) => elements.length === 0,
        );
        await eventually(
          () => mediaFlows(topology),
          (flows) => flows.length === 0,
        );
        await stage.play(stage.blocked(source, 'client:4000'));
        assert.deepEqual(stage.kernel(), NOTHING);
      }

      it('a hang-up that is answered by a challenge, while media goes on', async () => {
        const call = createDialog(stage, 'client', 'stranger');
        const media = stage.passes('stranger:6000', 'client:4000');
        await stage.play(...call.establish(4000, 6000), media, call.asks('BYE', { to: 'b', cseq: 2 }));
        for (const [index, challenge] of ['401 BYE', '407 BYE'].entries()) {
          await stage.play(
            call.answers(challenge, { cseq: 2 }),
            stage.passes('stranger:6000', `client:${4000 + index}`),
          );
        }
        await shuts('stranger:6000');
      });

      it('a second party that answers when the call has been up for a while', async () => {
        const call = createDialog(stage, 'client', 'stranger');
        await stage.play(...call.establish(4000, 6000));
        await topology.actors.stranger.run([pause(SECOND + 100)]);
        const before = stage.kernel();
        const late = { to: 'late', body: sdp('198.51.100.77', [7000]) };
        await stage.play(call.answers('200 INVITE', late));
        assert.deepEqual(stage.kernel(), before);
        await daemon.said(/late-fork/g, family === 4 ? 1 : 2);
        await stage.play(...call.hangUp());
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('a second party that the caller never acknowledged goes with the call', async () => {
        const call = createDialog(stage, 'client', 'stranger');
        const twice = sdp(stage.gateway.address, [7000]);
        await stage.play(...call.establish(4000, 6000), call.answers('200 INVITE', { to: 'c', body: twice }));
        await stage.play(
          stage.passes('stranger:6000', 'client:4000'),
          stage.passes('gateway:7000', 'client:4000'),
        );
        await stage.play(...call.hangUp());
        await shuts('gateway:7000');
      });

      it('thousands of SYNs of others do not take the place of a connection that carries SIP', async () => {
        const { actors } = topology;
        const from = { ...stage.client, port: 21_000 + family };
        const name = `live${family}`;
        await actors.server.run([listen(`listens${family}`, stage.server)]);
        const first = sip('OPTIONS', { callId: `first-${family}@example.com` });
        const call = `second-${family}@example.com`;
        const invite = sip('INVITE', { callId: call, body: sdp(stage.client.address, [4000]) });
        await Promise.all([
          actors.client.run([connect(name, from, stage.server), write(name, first)]),
          actors.server.run([accept(name, `listens${family}`), expect(name, first)]),
        ]);
        const syns = Array.from({ length: 1000 }, (_, index) =>
          raw(
            checksummed(
              tcpPacket({ ...stage.stranger, port: 10_000 + index }, stage.client, { seq: 1, flags: SYN }),
            ),
          ),
        );
        await actors.stranger.run(syns);
        const fence = sip('OPTIONS', { callId: `behind-${family}@example.com` });
        await stage.play(stage.say('stranger', 'client', fence));
        await Promise.all([
          actors.client.run([write(name, invite)]),
          actors.server.run([expect(name, invite)]),
        ]);
        assert.equal(stage.kernel().records.length, 1, 'the connection is read on');
        const busy = sip('486 INVITE', { callId: call, to: 'b' });
        await Promise.all([actors.server.run([write(name, busy)]), actors.client.run([expect(name, busy)])]);
        assert.deepEqual(stage.kernel(), NOTHING);
      });
    });
  }

  it('calls that are over are kept up to a bound, those that are up beside them', async () => {
    const stage = await createStage(topology, { family: 4 });
    const up = createDialog(stage, 'client', 'stranger');
    await stage.play(...up.establish(4000, 6000));
    const { actors } = topology;
    for (let round = 0; round < 20; round++) {
      const flood = Array.from({ length: 25 }, (_, index) => `flood-${round}-${index}@example.com`);
      const invites = flood.map((callId) => sip('INVITE', { callId, body: sdp('198.51.100.9', [4000]) }));
      const refusals = flood.map((callId) => sip('486 INVITE', { callId, to: 'n' }));
      await actors.stranger.run(invites.map((text) => send('sip4', stage.client, text)));
      await actors.client.run(invites.map((text) => expect('sip4', text)));
      await actors.client.run(refusals.map((text) => send('sip4', stage.stranger, text)));
      await actors.stranger.run(refusals.map((text) => expect('sip4', text)));
    }
    // A second after the last change all of it is in the journal.
    await actors.stranger.run([pause(2 * SECOND)]);
    daemon.signal('SIGKILL');
    await daemon.restart();
    const [, calls] = /(\d+) calls with 1 pinholes taken up/.exec(daemon.lines.at(-1)!)!;
    assert.ok(Number(calls) >= 2 && Number(calls) <= 101, calls);
    await stage.play(stage.passes('stranger:6000', 'client:4000'), ...up.hangUp());
    assert.deepEqual(stage.kernel(), NOTHING);
  });

  it('a connection from before the daemon is not read in its middle', async () => {
    const stage = await createStage(topology, { family: 4 });
    const { actors } = topology;
    const from = { ...stage.client, port: 22_000 };
    await actors.stranger.run([listen('web', stage.stranger)]);
    const head = 'POST / HTTP/1.1\r\nHost: example.com\r\nContent-Length: 100000\r\n\r\n';
    await Promise.all([
      actors.client.run([connect('browser', from, stage.stranger), write('browser', head)]),
      actors.stranger.run([accept('browser', 'web'), expect('browser', head)]),
    ]);
    await daemon.stop();
    await daemon.restart();
    const hidden = sip('INVITE', { callId: 'hidden@example.com', body: sdp(stage.client.address, [4000]) });
    for (let turn = 0; turn < 3; turn++) {
      await topology.actors.client.run([pause(SECOND + 100)]);
      await Promise.all([
        actors.client.run([write('browser', hidden)]),
        actors.stranger.run([expect('browser', hidden)]),
      ]);
      assert.deepEqual(kernelState(topology), NOTHING);
    }
    await daemon.said(/older-connection|older than the daemon/g);
  });
});
