import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { accept, connect, expect, listen, write } from '../../lab/steps.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { checksummed, udpPacket } from '../packets.ts';
import { sdp, sip } from '../scene.ts';
import { createDialog } from './dialog.ts';

const NOTHING = { elements: [], records: [] };

describe('attacks on the wire', { skip: withoutRoot }, () => {
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

  afterEach(async () => {
    if (kernelState(topology).elements.length > 0) {
      await daemon.stop();
      await daemon.restart();
    }
    topology.firewall('conntrack', '-F');
  });

  /** A connection from a host inside to a web server outside, by whose answers a browser is made to speak. */
  async function browser(name: string, sent: readonly string[], received: readonly string[]): Promise<void> {
    const { actors } = topology;
    const from = { address: '10.0.1.10', port: 30_000 + Number(name.replace(/\D/g, '')) };
    const to = { address: '10.0.4.10', port: 5060 };
    await actors.stranger.run([listen(`web-${name}`, to)]);
    await Promise.all([
      actors.client.run([connect(name, from, to), ...sent.map((text) => write(name, text))]),
      actors.stranger.run([
        accept(name, `web-${name}`),
        ...received.map((text) => expect(name, text)),
        { do: 'close', socket: `web-${name}` },
      ]),
    ]);
  }

  for (const [name, method, body] of [
    ['REGISTER', 'REGISTER', ''],
    ['INVITE with SDP', 'INVITE', sdp('10.0.1.10', [4000])],
  ] as const) {
    for (const [index, size] of [1448, 536].entries()) {
      it(`a POST whose body has a ${name} at the start of a segment of ${size} bytes (A1, A2)`, async () => {
        const head = 'POST / HTTP/1.1\r\nHost: 10.0.4.10:5060\r\nContent-Length: 99999\r\n\r\n';
        const padding = 'A'.repeat(size - head.length);
        const message = sip(method, { body, headers: ['Contact: <sip:x@10.0.1.10:4000>'] });
        await browser(`a1-${method.length}${index}`, [head + padding, message], [head + padding + message]);
        assert.deepEqual(kernelState(topology), NOTHING);
      });
    }
  }

  for (const family of [4, 6] as const) {
    describe(`over IPv${family}`, () => {
      let stage: Stage;
      before(async () => {
        stage = await createStage(topology, { family });
      });

      it('a datagram whose second fragment looks like SIP of its own (A3)', {
        skip: fragmentsByHand(family),
      }, async () => {
        const invite = sip('INVITE', {
          callId: 'fragment@example.com',
          body: sdp(stage.client.address, [4000]),
        });
        const inner = udpPacket(stage.client, stage.server, invite).subarray(20);
        const filler = Buffer.alloc(1480, 'x');
        const from = { ...stage.client, port: 3478 };
        const to = { ...stage.server, port: 3479 };
        const whole = udpPacket(from, to, Buffer.concat([filler.subarray(8), inner]));
        await stage.play(...fragments(whole, 1480).map((fragment) => stage.raw('client', fragment)));
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an INVITE in two fragments is read whole, and passes whole', {
        skip: fragmentsByHand(family),
      }, async () => {
        const call = createDialog(stage);
        const invite = sip('INVITE', {
          callId: call.callId,
          headers: [`X-Filler: ${'f'.repeat(1600)}`],
          body: call.offer([4000]),
        });
        const packet = udpPacket(stage.client, stage.server, invite);
        await stage.play(
          ...fragments(packet, 800).map((fragment) => stage.raw('client', fragment)),
          stage.hears('server', invite),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          stage.passes('client:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          call.asks('ACK', { to: 'b' }),
          ...call.hangUp(),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('a registration whose Contact is a victim, accepted by the attacker (A4)', async () => {
        const callId = 'register@example.com';
        const headers = [`Contact: <sip:v@${bracketed(stage.gateway.address)}:445>;expires=3600`];
        await stage.play(
          stage.say('client', 'stranger', sip('REGISTER', { callId, headers })),
          stage.say('stranger', 'client', sip('200 REGISTER', { callId, to: 'r', headers })),
          stage.blocked('stranger:5061', 'gateway:445'),
          stage.blocked('stranger:5061', 'client:4000'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an SDP that names another host inside (A5)', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: sdp(stage.server.address, [4000]) }),
          call.answers('200 INVITE', { body: sdp(stage.client.address, [6000]) }),
          stage.blocked('stranger:6000', 'server:4000'),
          stage.blocked('server:6000', 'client:6000'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an INVITE of a host that is not inside, in its own name and in that of others (A6)', async () => {
        for (const address of [stage.stranger.address, stage.client.address, stage.server.address]) {
          const call = createDialog(stage, 'stranger', 'client');
          await stage.play(
            call.asks('INVITE', { body: sdp(address, [4000]) }),
            stage.blocked('client:6000', 'stranger:4000'),
            stage.blocked('stranger:4000', 'client:4000'),
            stage.blocked('stranger:4000', 'server:4000'),
          );
          assert.deepEqual(stage.kernel(), NOTHING);
        }
      });

      it('two datagrams from outside that bear the addresses of inside hosts (A19)', async () => {
        const callId = 'forged@example.com';
        const invite = sip('INVITE', { callId, body: sdp(stage.client.address, [4000]) });
        const ok = sip('200 INVITE', { callId, to: 'b', body: sdp(stage.stranger.address, [9]) });
        await stage.play(
          stage.raw('stranger', checksummed(udpPacket(stage.client, stage.server, invite))),
          stage.hears('server', invite),
          stage.raw('stranger', checksummed(udpPacket(stage.server, stage.client, ok))),
          stage.hears('client', ok),
          stage.blocked('stranger:9', 'client:4000'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
        await daemon.said(/spoofed-inside/g);
      });

      it('a 200 from outside in the name of the host that an inside host calls', async () => {
        const call = createDialog(stage);
        const forged = sip('200 INVITE', {
          callId: call.callId,
          to: 'x',
          body: sdp(stage.stranger.address, [9]),
        });
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          stage.raw('stranger', checksummed(udpPacket(stage.server, stage.client, forged))),
          stage.hears('client', forged),
          stage.blocked('stranger:9', 'client:4000'),
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          stage.passes('client:4000', 'server:6000'),
          call.asks('ACK', { to: 'b' }),
          ...call.hangUp(),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('ports of services (A7), and ports that are denied (A8)', async () => {
        for (const port of [22, 445, 1023, 1719, 3306, 5060, 5432]) {
          const call = createDialog(stage);
          await stage.play(call.asks('INVITE', { body: call.offer([port]) }), call.answers('486 INVITE'));
          assert.deepEqual(stage.kernel(), NOTHING, `port ${port}`);
        }
      });

      it('addresses that are no host’s (A9)', async () => {
        const addresses =
          family === 4
            ? [
                '127.0.0.1',
                '0.0.0.0',
                '224.0.1.75',
                '255.255.255.255',
                '10.0.1.1',
                '10.0.1.255',
                '169.254.1.1',
              ]
            : ['::1', '::', 'ff02::1', 'fe80::1', '::ffff:10.0.1.10', 'fd00:0:0:1::1'];
        for (const address of addresses) {
          const call = createDialog(stage);
          await stage.play(
            call.asks('INVITE', { body: sdp(address, [4000]) }),
            stage.blocked('server:6000', 'client:4000'),
            call.answers('486 INVITE'),
          );
          assert.deepEqual(stage.kernel(), NOTHING, address);
        }
      });

      it('a second description behind the end of the first (A12)', async () => {
        const call = createDialog(stage);
        const hidden = sip('INVITE', { callId: call.callId, body: call.offer([4000]) }) + call.offer([4400]);
        await stage.play(
          stage.say('client', 'server', hidden),
          stage.passes('server:6000', 'client:4000'),
          stage.blocked('server:6000', 'client:4400'),
          call.answers('486 INVITE'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('a BYE by a stranger, in its own name and in the client’s, and with wrong tags (A21)', async () => {
        const call = createDialog(stage);
        const bye = sip('BYE', { callId: call.callId, to: 'b', cseq: 2 });
        const guessed = sip('BYE', { callId: call.callId, to: 'guessed', cseq: 2 });
        const both = [stage.passes('client:4000', 'server:6000'), stage.passes('server:6000', 'client:4000')];
        await stage.play(...call.establish(4000, 6000), ...both);
        await stage.play(
          stage.say('stranger', 'server', bye),
          // What a host inside accepts counts: a phone refuses a BYE that does not come from its peer.
          stage.say('server', 'stranger', sip('481 BYE', { callId: call.callId, to: 'b', cseq: 2 })),
          ...both,
        );
        await stage.play(
          stage.raw('stranger', withChecksums(udpPacket(stage.client, stage.server, guessed))),
          stage.hears('server', guessed),
          call.answers('481 BYE', { to: 'guessed', cseq: 2 }),
          ...both,
        );
        assert.equal(stage.kernel().elements.length, 4);
        await stage.play(...call.hangUp());
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an answer to no INVITE (A24), and one of a host that was not asked (A25, A27)', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.answers('200 INVITE', { body: call.answer([6000]) }),
          stage.blocked('client:4000', 'server:6000'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
        const forged = (start: string) =>
          sip(start, { callId: call.callId, to: 'x', body: sdp(stage.stranger.address, [666]) });
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          stage.say('stranger', 'client', forged('183 INVITE')),
          stage.say('stranger', 'client', forged('200 INVITE')),
          stage.blocked('stranger:666', 'client:4000'),
          stage.blocked('client:4000', 'stranger:666'),
          stage.passes('server:6000', 'client:4000'),
          call.answers('486 INVITE'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an answer with more streams than the offer, or of another type (A26)', async () => {
        const call = createDialog(stage);
        await stage.play(
          call.asks('INVITE', { body: call.offer([4000]) }),
          call.answers('200 INVITE', {
            body: call.answer([
              { media: 'video', port: 6000 },
              { media: 'application', port: 6100 },
            ]),
          }),
          stage.blocked('client:4000', 'server:6100'),
          stage.blocked('client:4000', 'server:6000'),
          call.asks('ACK', { to: 'b' }),
          ...call.hangUp(),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('RTP sprayed over the ports of a call (A28)', async () => {
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000), stage.passes('client:4000', 'server:6000'));
        const spray = [3998, 3999, 4000, 4001, 4002].flatMap((port) => [
          stage.blocked('stranger:6000', `client:${port}`),
          stage.blocked('gateway:6000', `client:${port}`),
          stage.blocked('stranger:4000', `server:${port + 2000}`),
        ]);
        await stage.play(...spray, stage.passes('server:6000', 'client:4000'), ...call.hangUp());
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('a re-INVITE of a third host that knows the tags (A29)', async () => {
        const call = createDialog(stage);
        await stage.play(...call.establish(4000, 6000));
        const before = stage.kernel();
        const options = { callId: call.callId, from: 'b', to: 'a', cseq: 8 };
        await stage.play(
          stage.say(
            'stranger',
            'client',
            sip('INVITE', { ...options, body: sdp(stage.stranger.address, [666]) }),
          ),
          stage.say('client', 'stranger', sip('481 INVITE', options)),
          stage.blocked('stranger:666', 'client:4000'),
        );
        assert.deepEqual(stage.kernel(), before);
        await stage.play(...call.hangUp());
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('an a=rtcp that names another host inside (A47)', async () => {
        const call = createDialog(stage);
        const rtcp = `rtcp:4001 IN IP${family} ${stage.server.address}`;
        await stage.play(
          call.asks('INVITE', { body: call.offer([{ port: 4000, attributes: [rtcp] }]) }),
          stage.passes('server:6000', 'client:4000'),
          stage.blocked('client:6000', 'server:4001'),
          stage.blocked('server:6000', 'client:4001'),
          call.answers('486 INVITE'),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });

      it('the same ports for the next call, while the last one’s media goes on (A30)', async () => {
        const first = createDialog(stage, 'gateway', 'server');
        await stage.play(
          ...first.establish(4000, 6000),
          stage.passes('gateway:4000', 'server:6000'),
          stage.passes('server:6000', 'gateway:4000'),
          ...first.hangUp(),
        );
        const second = createDialog(stage);
        await stage.play(...second.establish(4000, 6000), stage.passes('client:4000', 'server:6000'));
        await eventually(
          () =>
            mediaFlows(topology).filter(
              (flow) => flow.includes(' src=10.0.3.10 ') || flow.includes(':0003:'),
            ),
          (flows) => flows.length === 0,
        );
        await stage.play(
          stage.blocked('gateway:4000', 'server:6000'),
          stage.passes('server:6000', 'client:4000'),
          ...second.hangUp(),
        );
        assert.deepEqual(stage.kernel(), NOTHING);
      });
    });
  }
});

function bracketed(address: string): string {
  return address.includes(':') ? `[${address}]` : address;
}

/** An IPv4 packet in fragments of `size` bytes of payload (RFC 791); `size` is a multiple of 8. */
function fragments(packet: Buffer, size: number): Buffer[] {
  const payload = packet.subarray(20);
  const result: Buffer[] = [];
  for (let at = 0; at < payload.length; at += size) {
    const fragment = Buffer.concat([packet.subarray(0, 20), payload.subarray(at, at + size)]);
    fragment.writeUInt16BE(fragment.length, 2);
    fragment.writeUInt16BE(0x4242, 4);
    fragment.writeUInt16BE((at + size < payload.length ? 0x2000 : 0) | (at / 8), 6);
    result.push(fragment);
  }
  return result;
}

/** UDP over IPv6 must have a checksum (RFC 8200 8.1); over IPv4 it may be 0. */
function withChecksums(packet: Buffer): Buffer {
  if (packet[0]! >> 4 === 4) return packet;
  const datagram = Buffer.from(packet.subarray(40));
  const pseudo = Buffer.concat([
    packet.subarray(8, 40),
    Buffer.alloc(8),
    datagram,
    Buffer.alloc(datagram.length % 2),
  ]);
  pseudo.writeUInt32BE(datagram.length, 32);
  pseudo[39] = 17;
  let sum = 0;
  for (let at = 0; at < pseudo.length; at += 2) sum += pseudo.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  datagram.writeUInt16BE(~sum & 0xffff, 6);
  return Buffer.concat([packet.subarray(0, 40), datagram]);
}

/** The lab cuts IPv4 packets only; those of IPv6 are cut in test/packet. */
function fragmentsByHand(family: 4 | 6): string | false {
  return family === 6 ? 'the lab cuts fragments of IPv4 only' : false;
}
