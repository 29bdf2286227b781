/**
 * A browser's SIP, JsSIP over WebSocket over TLS, through a proxy inside that mirrors it by HEP:
 *
 *   client (JsSIP, WSS) ──────── firewall ─── server .10 (kamailio: TLS, websocket, siptrace), .11 (rtpengine)
 *   gateway (baresip, TLS) ────────┘
 *
 * The firewall forwards TCP ports 5061 and 8443, which nobody on it can read, and what bears the mark of a pinhole.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { typescript } from '../../lab/actors.ts';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import { eventually, kernelState } from '../../lab/kernel.ts';
import { execute, within } from '../../lab/namespaces.ts';
import { addressOf, createTopology, relayAddress, type Topology } from '../../lab/topology.ts';
import { startPhone } from './baresip.ts';
import { encryptedRules, mirroredConfig, startEncryptedProxy, throwIn, WSS_PORT } from './encrypted.ts';
import { exchange, type Program, startCapture, talk, watch, without, withoutModules } from './programs.ts';

const client = addressOf('client');
const gateway = addressOf('gateway');
const proxy = addressOf('server');

/** Node has a WebSocket of its own: from version 22 on, and before that by a flag. */
const ENVIRONMENT = ['NODE_OPTIONS=--experimental-websocket', 'NODE_TLS_REJECT_UNAUTHORIZED=0'];

describe('a browser over WebSocket, through a proxy that mirrors by HEP', {
  skip:
    without('baresip', 'kamailio', 'rtpengine', 'tcpdump', 'openssl') || withoutModules('tls', 'websocket'),
}, () => {
  let topology: Topology;
  let daemon: Daemon;
  const programs: Program[] = [];

  before(async () => {
    topology = await createTopology({ rules: encryptedRules });
    daemon = await startDaemon(topology, {
      changes: [
        'media-ports: [30000-32000]',
        `sip-ports: [5060, 5061, ${WSS_PORT}]`,
        ...mirroredConfig(),
      ].join('\n'),
    });
    programs.push(...(await startEncryptedProxy(topology, { websocket: true })));
    // Node's WebSocket does not tell JsSIP that it closes, where it could not connect: there is one attempt.
    await eventually(
      () => execute(...within(topology.namespaceOf('server'), 'ss', '-ltnH')),
      (listening) => listening.includes(`${proxy}:${WSS_PORT}`),
    );
  });

  after(async () => {
    await Promise.all(programs.map((program) => program.stop('SIGKILL')));
    await daemon?.close();
    await topology?.close();
  });

  it('a call has its media in both directions, nobody else gets in, and nothing is open after it', async () => {
    const [atClient, atServer] = await Promise.all([
      startCapture(topology, 'client'),
      startCapture(topology, 'server'),
    ]);
    const carol = await startPhone(topology, 'gateway', { tls: true });
    const words = typescript('../test/programs/jssip.ts');
    const callee = `${carol.uri};transport=tls`;
    const web = watch(
      topology.spawn('client', 'env', ...ENVIRONMENT, ...words, client, `${proxy}:${WSS_PORT}`, callee),
    );
    programs.push(carol, web);
    await web.said(/confirmed/);
    await talk(() => [exchange(client, atClient.read(), atServer.read())], 60);
    await web.said(/heard 50/);

    const open = kernelState(topology).elements;
    assert.ok(open.length > 0);
    for (const element of open) {
      assert.match(element, new RegExp(`^udp (${client}|${gateway}) > ${relayAddress()} 3[01]\\d{3}$`));
    }
    await throwIn(topology, 'stranger', open);

    web.type('hang up\n');
    await Promise.all([web.said(/ended/), carol.said(/terminated \(duration/)]);
    await eventually(
      () => kernelState(topology).elements,
      (left) => left.length === 0,
    );
    const [sent, seen] = await Promise.all([atClient.stop(), atServer.stop()]);
    assert.deepEqual(
      seen.filter(({ source }) => source === addressOf('stranger')),
      [],
      'a stranger reaches none of the ports',
    );
    const readable = sent.filter(({ payload }) => payload.includes('SIP/2.0'));
    assert.deepEqual(readable, [], 'no SIP in clear crossed the firewall');
  });
});
