/**
 * Phones on two sides of the firewall, a proxy and a media relay on the third:
 *
 *   client (baresip) ─── firewall ─── server .10 (kamailio), .11 (rtpengine)
 *   gateway (baresip) ──────┘
 *
 * Both legs of the call have one Call-ID, and both bring the relay's address in the proxy's messages.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { addressOf, createTopology, relayAddress, type Topology } from '../../lab/topology.ts';
import { announcedBy, answers, elementsBetween, type PhoneOptions, startPhone } from './baresip.ts';
import { assertWhole, DRAINING, exchange, type Program, startCapture, talk, without } from './programs.ts';
import { startProxy } from './proxy.ts';

const client = addressOf('client');
const gateway = addressOf('gateway');
const proxy = addressOf('server');

describe('phones through kamailio and rtpengine', {
  skip: without('baresip', 'kamailio', 'rtpengine', 'tcpdump'),
}, () => {
  let topology: Topology;
  let daemon: Daemon;
  let programs: readonly Program[] = [];
  let phones: readonly Program[] = [];

  before(async () => {
    topology = await createTopology();
    // A relay passes the callee's media on before the proxy has passed its answer on: until then the caller's
    // signalling peer is known, and the relay is not.
    daemon = await startDaemon(topology, { changes: `early-media-source: any\n${DRAINING}` });
    programs = await startProxy(topology);
  });

  after(async () => {
    // In good order: kamailio's children would outlive it and keep its pipes open.
    await Promise.all(programs.map((program) => program.stop()));
    await daemon?.close();
    await topology?.close();
  });

  afterEach(async () => {
    await Promise.all(phones.map((phone) => phone.stop('SIGKILL')));
  });

  const accounts: readonly (readonly [string, PhoneOptions, number])[] = [
    ['audio', {}, 1],
    ['audio and video with rtcp-mux', { video: true, mux: true }, 2],
  ];
  for (const [name, options, streams] of accounts) {
    it(`${name}: both legs to the relay and nothing else, through hold and resume`, async () => {
      const [atClient, atServer, atGateway] = await Promise.all([
        startCapture(topology, 'client'),
        startCapture(topology, 'server'),
        startCapture(topology, 'gateway'),
      ]);
      const [alice, carol] = await Promise.all([
        startPhone(topology, 'client', { ...options, proxy }),
        startPhone(topology, 'gateway', options),
      ]);
      phones = [alice, carol];

      const exchanges = () => [
        exchange(client, atClient.read(), atServer.read()),
        exchange(gateway, atGateway.read(), atServer.read()),
      ];
      const opensOnly = () =>
        eventually(
          () => ({
            is: kernelState(topology).elements,
            wanted: [
              ...elementsBetween(atClient.read(), client, proxy),
              ...elementsBetween(atGateway.read(), gateway, proxy),
            ].sort(),
          }),
          ({ is, wanted }) => is.join() === wanted.join(),
        );

      alice.type(`/dial ${carol.uri}\n`);
      await Promise.all([alice.said(/Call established/), carol.said(/Call established/)]);
      await talk(exchanges, 60);
      const relayed = announcedBy(atClient.read(), proxy);
      assert.equal(relayed.length, streams);
      for (const { addresses } of relayed) assert.deepEqual(addresses, [relayAddress()]);
      await opensOnly();
      for (const command of ['/hold', '/resume']) {
        const before = answers(atClient.read());
        alice.type(`${command}\n`);
        await eventually(
          () => answers(atClient.read()),
          (now) => now > before,
        );
      }
      await talk(exchanges, 60);
      await opensOnly();
      alice.type('/hangup\n');
      await carol.said(/terminated \(duration/);
      await eventually(
        () => [...kernelState(topology).elements, ...mediaFlows(topology)],
        (left) => left.length === 0,
      );
      const [client_, server_, gateway_] = await Promise.all(
        [atClient, atServer, atGateway].map((one) => one.stop()),
      );
      assertWhole(exchange(client, client_!, server_!), streams);
      assertWhole(exchange(gateway, gateway_!, server_!), streams);
    });
  }
});
