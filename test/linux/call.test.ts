import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { sdp, sip } from '../scene.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { eventually, kernelState, mediaFlows } from './kernel.ts';
import { expect, send, udp } from './steps.ts';
import { addressOf, createTopology, type Topology } from './topology.ts';

describe('a call through the firewall', { skip: withoutRoot }, () => {
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

  it('opens, passes media both ways from the first packet on, and closes', async () => {
    const client = { address: addressOf('client'), port: 5060 };
    const server = { address: addressOf('server'), port: 5060 };
    const clientMedia = { ...client, port: 4000 };
    const serverMedia = { ...server, port: 6000 };
    const invite = sip('INVITE', { body: sdp(client.address, [4000]) });
    const ok = sip('200 INVITE', { to: 'b', body: sdp(server.address, [6000]) });
    const ack = sip('ACK', { to: 'b' });
    const bye = sip('BYE', { to: 'b', cseq: 2 });
    const byeOk = sip('200 BYE', { to: 'b', cseq: 2 });
    const { actors } = topology;
    await Promise.all([
      actors.client.run([udp('sip', client), udp('media', clientMedia)]),
      actors.server.run([udp('sip', server), udp('media', serverMedia)]),
    ]);
    await Promise.all([
      actors.client.run([
        send('sip', server, invite),
        expect('media', 'from server 1'),
        expect('sip', ok),
        send('sip', server, ack),
        send('media', serverMedia, 'from client 1'),
        send('media', serverMedia, 'from client 2'),
        expect('media', 'from server 2'),
      ]),
      actors.server.run([
        expect('sip', invite),
        send('media', clientMedia, 'from server 1'),
        send('sip', client, ok),
        send('media', clientMedia, 'from server 2'),
        expect('sip', ack),
        expect('media', 'from client 1'),
        expect('media', 'from client 2'),
      ]),
    ]);
    assert.deepEqual(kernelState(topology).elements, [
      'udp 10.0.1.10 > 10.0.2.10 6000',
      'udp 10.0.1.10 > 10.0.2.10 6001',
      'udp 10.0.2.10 > 10.0.1.10 4000',
      'udp 10.0.2.10 > 10.0.1.10 4001',
    ]);
    assert.equal(mediaFlows(topology).length, 1);
    await Promise.all([
      actors.client.run([send('sip', server, bye), expect('sip', byeOk), send('media', serverMedia, 'late')]),
      actors.server.run([expect('sip', bye), send('sip', client, byeOk)]),
    ]);
    assert.deepEqual(kernelState(topology), { elements: [], records: [] });
    await eventually(
      () => mediaFlows(topology),
      (flows) => flows.length === 0,
    );
  });
});
