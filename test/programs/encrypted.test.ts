/**
 * Phones whose signalling is encrypted, and a proxy inside that mirrors it by HEP:
 *
 *   client (baresip, TLS) ─── firewall ─── server .10 (kamailio: TLS, siptrace), .11 (rtpengine)
 *   gateway (baresip, TLS) ─────┘
 *
 * The firewall forwards TCP port 5061, which nobody on it can read, and what bears the mark of a pinhole. What is encrypted
 * waits for the copy of it, so that no packet of media is lost.
 */
import assert from 'node:assert/strict';
import { after, afterEach, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState } from '../../lab/kernel.ts';
import { addressOf, createTopology, relayAddress, type Topology } from '../../lab/topology.ts';
import { KIND } from '../../src/intercept/hep/chunks.ts';
import { encodeHep, type ToMirror } from '../../src/intercept/hep/encode.ts';
import { host, sdp, sip } from '../scene.ts';
import { startPhone } from './baresip.ts';
import {
  COLLECTOR,
  encryptedRules,
  mirroredConfig,
  PASSWORD,
  sendFrom,
  startEncryptedProxy,
  throwIn,
} from './encrypted.ts';
import {
  assertWhole,
  exchange,
  type Program,
  startCapture,
  talk,
  watch,
  without,
  withoutModules,
} from './programs.ts';

const client = addressOf('client');
const gateway = addressOf('gateway');
const proxy = addressOf('server');

/** Where sngrep(8) on the server takes what the firewall mirrors in its turn. What crosses `lo` there is no SIP. */
const RECEIVER = 9061;

/** Copies as somebody else would make them up, to have ports of the server opened. */
async function forge(topology: Topology): Promise<void> {
  const copy = (changes: Partial<ToMirror> = {}) => ({
    to: COLLECTOR.address,
    port: COLLECTOR.port,
    bytes: encodeHep({
      source: host(proxy, 5061),
      destination: host(addressOf('stranger'), 5061),
      ...{ transport: 'tcp', kind: KIND.sip, seenAt: Date.now(), agent: 1, correlation: null },
      key: Buffer.from(PASSWORD),
      payload: Buffer.from(sip('INVITE', { callId: 'forged', body: sdp(proxy, [22_000]) })),
      ...changes,
    })!,
  });
  await sendFrom(topology, 'stranger', [copy()]);
  await sendFrom(topology, 'server', [copy({ key: Buffer.from('mirror you') })]);
  await sendFrom(topology, 'server', [copy({ seenAt: Date.now() - 60_000 })]);
  await sendFrom(topology, 'server', [copy({ source: host('10.0.2.12', 5061) })]);
}

describe('phones over TLS, through a proxy that mirrors by HEP', {
  skip: without('baresip', 'kamailio', 'rtpengine', 'tcpdump', 'openssl', 'sngrep') || withoutModules('tls'),
}, () => {
  let topology: Topology;
  let daemon: Daemon;
  let programs: readonly Program[] = [];
  let phones: readonly Program[] = [];

  before(async () => {
    topology = await createTopology({ rules: encryptedRules });
    daemon = await startDaemon(topology, {
      changes: [
        'early-media-source: any',
        ...mirroredConfig(),
        '  transports: [udp, tcp]',
        `  send: ${proxy}:${RECEIVER}`,
      ].join('\n'),
    });
    programs = await startEncryptedProxy(topology);
  });

  after(async () => {
    await Promise.all(programs.map((program) => program.stop()));
    await daemon?.close();
    await topology?.close();
  });

  afterEach(async () => {
    await Promise.all(phones.map((phone) => phone.stop('SIGKILL')));
    phones = [];
  });

  it('a call has its media in both directions, nobody else gets in, and nothing is open after it', async () => {
    const [atClient, atServer, atGateway] = await Promise.all([
      startCapture(topology, 'client'),
      startCapture(topology, 'server'),
      startCapture(topology, 'gateway'),
    ]);
    const [alice, carol] = await Promise.all([
      startPhone(topology, 'client', { tls: true, proxy }),
      startPhone(topology, 'gateway', { tls: true }),
    ]);
    phones = [alice, carol];
    const sngrep = watch(
      topology.spawn(
        ...(['server', 'sngrep', '-F', '-N', '-d', 'lo', '-L', `udp:${proxy}:${RECEIVER}`] as const),
      ),
    );
    await sngrep.said(/Dialog count/);
    const exchanges = () => [
      exchange(client, atClient.read(), atServer.read()),
      exchange(gateway, atGateway.read(), atServer.read()),
    ];

    alice.type(`/dial ${carol.uri}\n`);
    await Promise.all([alice.said(/Call established/), carol.said(/Call established/)]);
    await talk(exchanges, 60);
    const open = kernelState(topology).elements;
    assert.ok(open.length > 0);
    for (const element of open) {
      assert.match(element, new RegExp(`^udp (${client}|${gateway}|\\*) > ${relayAddress()} 3[01]\\d{3}$`));
    }

    await throwIn(topology, 'stranger', open);
    await forge(topology);
    await daemon.said(/hep-unknown-sender/g);
    await daemon.said(/hep-wrong-key/g);
    await daemon.said(/hep-too-old/g);
    await daemon.said(/hep-not-spoken-for/g);
    await talk(exchanges, 20);
    assert.deepEqual(kernelState(topology).elements, open, 'what was forged opened nothing');

    alice.type('/hangup\n');
    await carol.said(/terminated \(duration/);
    await eventually(
      () => kernelState(topology).elements,
      (left) => left.length === 0,
    );
    await sngrep.said(/Dialog count: 1/);
    await sngrep.stop('SIGINT');
    const [atC, seen, atG] = await Promise.all([atClient, atServer, atGateway].map((one) => one.stop()));
    assertWhole(exchange(client, atC!, seen!), 1);
    assertWhole(exchange(gateway, atG!, seen!), 1);
    assert.deepEqual(
      seen!.filter(({ source }) => source === addressOf('stranger')),
      [],
      'a stranger reaches none of the ports',
    );
    const clear = [atC!, seen!, atG!].flat();
    const readable = clear.filter(
      ({ payload, destinationPort }) =>
        ![COLLECTOR.port, RECEIVER].includes(destinationPort) && payload.includes('SIP/2.0'),
    );
    assert.deepEqual(readable, [], 'no SIP in clear crossed the firewall');
  });
});
