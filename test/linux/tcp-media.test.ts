import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, mediaFlows } from '../../lab/kernel.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { createTopology, type HostName, type Topology } from '../../lab/topology.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { udpPacket } from '../packets.ts';
import { createDialog } from './dialog.ts';
import { attemptFrom, messageLine, talkOver, through } from './msrp.ts';

/** Who is connected to, by offer and answer (RFC 4145 sections 4 and 4.1, RFC 4975 for MSRP); the client offers. */
const AGREEMENTS: readonly (readonly [
  offer: string | null,
  answer: string | null,
  connectedTo: 'client' | 'server' | null,
])[] = [
  ['passive', 'active', 'client'],
  ['active', 'passive', 'server'],
  ['actpass', 'active', 'client'],
  ['actpass', 'passive', 'server'],
  [null, null, 'server'],
  [null, 'passive', 'server'],
  ['active', null, 'server'],
  ['passive', 'holdconn', null],
  ['actpass', 'holdconn', null],
  ['holdconn', 'holdconn', null],
];

describe('media over TCP through the firewall', { skip: withoutRoot }, () => {
  let topology: Topology;
  let daemon: Daemon;
  let connections = 0;

  before(async () => {
    topology = await createTopology();
    daemon = await startDaemon(topology, { changes: 'tcp-media: true' });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  /** A test that failed leaves the others a firewall without its call. */
  afterEach(async () => {
    await daemon.stop();
    await daemon.restart();
    topology.firewall('conntrack', '-F');
  });

  for (const family of [4, 6] as const) {
    describe(`IPv${family}`, () => {
      let stage: Stage;
      before(async () => {
        stage = await createStage(topology, { family });
      });

      const at = (host: HostName, port: number): TransportAddress => ({ address: stage[host].address, port });

      const passing = (...tries: readonly (readonly [HostName, Buffer])[]) => through(topology, stage, tries);

      function attempt(from: HostName, to: HostName, port: number, ownPort: number): [HostName, Buffer] {
        return [from, attemptFrom(at(from, ownPort), at(to, port))];
      }

      /** Everything that the connection of `entitled` to `owner` is not. */
      function others(owner: HostName, entitled: HostName, port: number): (readonly [HostName, Buffer])[] {
        return [
          attempt('stranger', owner, port, 31_000),
          attempt('gateway', owner, port, 31_001),
          attempt(entitled, owner, port + 1, 31_002),
          attempt(entitled, owner, port - 1, 31_003),
          [entitled, udpPacket(at(entitled, 31_004), at(owner, port), 'media')],
        ];
      }

      for (const [offer, answer, connectedTo] of AGREEMENTS) {
        const name = `a=setup:${offer ?? '(none)'} answered ${answer ?? '(none)'}`;
        it(`${name}: ${connectedTo ?? 'nobody'} is connected to, by the other alone, until BYE`, async () => {
          const port = 20_000 + 10 * ++connections;
          const call = createDialog(stage);
          await stage.play(
            call.asks('INVITE', { body: call.offer([messageLine(port, offer)]) }),
            call.answers('200 INVITE', { body: call.answer([messageLine(port, answer)]) }),
            call.asks('ACK', { to: 'b' }),
          );
          const owner = connectedTo ?? 'client';
          const entitled = owner === 'client' ? 'server' : 'client';
          const rule = `tcp ${at(entitled, 0).address} > ${at(owner, 0).address} ${port}`;
          await eventually(
            () => stage.kernel().elements,
            (elements) => elements.join() === (connectedTo === null ? '' : rule),
          );
          assert.equal(await passing(...others(owner, entitled, port)), 0);
          assert.equal(await passing(attempt(owner, entitled, port, 31_005)), 0);
          if (connectedTo === null) {
            assert.equal(await passing(attempt(entitled, owner, port, 31_006)), 0);
            return;
          }
          const connection = await talkOver(topology, {
            ...{ owner, listensAt: at(owner, port) },
            ...{ entitled, from: at(entitled, 32_000 + connections), to: at(owner, port) },
          });
          assert.equal(mediaFlows(topology).length, 1);
          await stage.play(...call.hangUp());
          await eventually(
            () => [...stage.kernel().elements, ...mediaFlows(topology)],
            (left) => left.length === 0,
          );
          await connection.sendMore();
          assert.equal(await passing(attempt(entitled, owner, port, 31_007)), 0);
          assert.deepEqual(mediaFlows(topology), []);
        });
      }
    });
  }
});
