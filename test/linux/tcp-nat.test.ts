import assert from 'node:assert/strict';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, mediaFlows, translations } from '../../lab/kernel.ts';
import { externalAddress, natRules } from '../../lab/nat.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { createTopology, type HostName, type Topology } from '../../lab/topology.ts';
import type { TransportAddress } from '../../src/address/address.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createDialog } from './dialog.ts';
import { attemptFrom, messageLine, talkOver, through } from './msrp.ts';

const INSIDE = 'inside: [10.0.1.0/24, "fd00:0:0:1::/64"]\nmedia-hosts: []\noutbound: true\ntcp-media: true';

/** Who is connected to, by `a=setup` of the caller and of the callee (RFC 4145 section 4.1). */
const AGREEMENTS: readonly (readonly [caller: HostName, offer: string, answer: string, listens: HostName])[] =
  [
    ['client', 'passive', 'active', 'client'],
    ['client', 'active', 'passive', 'server'],
    ['client', 'actpass', 'active', 'client'],
    ['server', 'active', 'passive', 'client'],
    ['server', 'actpass', 'passive', 'client'],
    ['server', 'passive', 'active', 'server'],
  ];

describe('media over TCP of a PBX behind NAT, signalled over TCP', { skip: withoutRoot }, () => {
  let topology: Topology;
  let daemon: Daemon;
  let connections = 0;

  before(async () => {
    topology = await createTopology({ rules: natRules });
    const nat = [4, 6].map((family) => {
      const host = family === 4 ? '10.0.1.10' : 'fd00:0:0:1::10';
      return `{external: "${externalAddress(family as 4 | 6)}", hosts: ["${host}"]}`;
    });
    daemon = await startDaemon(topology, { changes: `${INSIDE}\nnat: [${nat.join(', ')}]` });
  });

  /** A test that failed leaves the others a firewall without its call. */
  afterEach(async () => {
    await daemon.stop();
    await daemon.restart();
    topology.firewall('conntrack', '-F');
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  for (const family of [4, 6] as const) {
    describe(`IPv${family}`, () => {
      const external = externalAddress(family);
      let stage: Stage;
      // The translations of a connection for SIP go with those of media that a test left.
      beforeEach(async () => {
        stage = await createStage(topology, { family, external, split: (text) => [text] });
      });

      /** Where a host has its sockets, and where others find it. */
      const at = (host: HostName, port: number): TransportAddress => ({ address: stage[host].address, port });
      const foundAt = (host: HostName, port: number): TransportAddress =>
        host === 'client' ? { address: external, port } : at(host, port);

      /** How many of these begins of a connection the firewall lets through. */
      const passing = (...tries: readonly (readonly [from: HostName, to: HostName, port: number])[]) =>
        through(
          topology,
          stage,
          tries.map(([from, to, port]) => [
            from,
            attemptFrom(at(from, 31_000 + ++connections), foundAt(to, port)),
          ]),
        );

      for (const [caller, offer, answer, owner] of AGREEMENTS) {
        it(`the ${caller} offers ${offer}, ${answer} is answered: the ${owner} is connected to, by the other alone, until BYE`, async () => {
          const port = 20_000 + 10 * ++connections;
          const callee = caller === 'client' ? 'server' : 'client';
          const entitled = owner === 'client' ? 'server' : 'client';
          const call = createDialog(stage, caller, callee);
          await stage.play(
            call.asks('INVITE', { body: call.offer([messageLine(port, offer)]) }),
            call.answers('200 INVITE', { body: call.answer([messageLine(port, answer)]) }),
            call.asks('ACK', { to: 'b' }),
          );
          const [inside, outside] = [at('client', 0).address, at('server', 0).address];
          const rule = owner === 'client' ? `${outside} > ${inside}` : `${inside} > ${outside}`;
          await eventually(
            () => stage.kernel().elements,
            (elements) => elements.join() === `tcp ${rule} ${port}`,
          );
          assert.deepEqual(
            translations(topology),
            owner === 'client'
              ? [
                  `dnat${family} tcp ${outside} ${external} ${port} is ${inside}`,
                  `snat${family} tcp ${inside} ${port} ${outside} is ${external}`,
                ]
              : [],
          );
          const others = ['stranger', 'gateway'] as const;
          assert.equal(await passing(...others.map((from) => [from, owner, port] as const)), 0);
          assert.equal(await passing([entitled, owner, port + 1], [entitled, owner, port - 1]), 0);
          assert.equal(await passing([owner, entitled, port]), 0);

          const connection = await talkOver(topology, {
            ...{ owner, listensAt: at(owner, port) },
            ...{ entitled, from: at(entitled, 32_000 + connections), to: foundAt(owner, port) },
          });
          const flows = mediaFlows(topology);
          assert.equal(flows.length, 1);
          assert.match(flows[0]!, new RegExp(` dport=${port} `));
          await stage.play(...call.hangUp());
          await eventually(
            () => [...stage.kernel().elements, ...translations(topology), ...mediaFlows(topology)],
            (left) => left.length === 0,
          );
          await connection.sendMore();
          assert.equal(await passing([entitled, owner, port]), 0);
          assert.deepEqual(mediaFlows(topology), []);
        });
      }
    });
  }
});
