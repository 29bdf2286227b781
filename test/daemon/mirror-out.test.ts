import assert from 'node:assert/strict';
import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';
import { after, before, describe, it } from 'node:test';
import { loadLibc } from '../../native-bindings/engine.ts';
import type { Settings } from '../../src/config/load.ts';
import { createCopies } from '../../src/daemon/data-path/copies.ts';
import { openMirrorOut } from '../../src/daemon/data-path/mirror-out.ts';
import { openHepLog } from '../../src/daemon/hep-log.ts';
import type { RunningDaemon } from '../../src/daemon/serve.ts';
import type { Occasion } from '../../src/inspector/happening.ts';
import { createInspector } from '../../src/inspector.ts';
import { KIND } from '../../src/intercept/hep/chunks.ts';
import { decodeHep } from '../../src/intercept/hep/decode.ts';
import { encodeHep } from '../../src/intercept/hep/encode.ts';
import type { HepArrival } from '../../src/intercept/hep/listener.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { host, networks, sdp, sip } from '../scene.ts';
import { settingsWith } from './doubles.ts';

const pbx = host('192.0.2.10');
const peer = host('198.51.100.1');
const KEY = Buffer.from('a secret');
const WALL = 1_800_000_000_000;

describe('what is inspected, mirrored by HEP', () => {
  let receiver: Socket;
  let settings: Settings;
  const received: Buffer[] = [];
  let wake = () => {};

  before(async () => {
    receiver = createSocket('udp4');
    receiver.on('message', (bytes) => {
      received.push(bytes);
      wake();
    });
    receiver.bind(0, '127.0.0.1');
    await once(receiver, 'listening');
    const base = settingsWith({});
    settings = {
      ...base,
      hep: { ...base.hep, send: { address: '127.0.0.1', port: receiver.address().port } },
    };
  });

  after(() => receiver.close());

  async function arrived(count: number) {
    while (received.length < count) {
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
    }
    return received.splice(0).map((bytes) => {
      const copy = decodeHep(bytes);
      assert.ok(!('fault' in copy));
      assert.deepEqual(copy.key, KEY);
      return copy;
    });
  }

  it('is each message whole, with its own addresses, over UDP and TCP', async () => {
    const mirror = openMirrorOut(await loadLibc(), settings, KEY, () => WALL)!;
    const inspector = createInspector(() => settings, null, mirror.take);
    const invite = sip('INVITE', { body: sdp(pbx.address, [10_000]) });
    const bye = sip('BYE', { cseq: 2 });
    inspector.inspect(udpPacket(pbx, peer, invite), 1);
    inspector.inspect(udpPacket(pbx, peer, 'no SIP'), 2);
    inspector.inspect(tcpPacket(peer, pbx, { seq: 1, flags: 2 }), 3);
    inspector.inspect(tcpPacket(peer, pbx, { seq: 2, payload: `${invite}${bye.slice(0, 50)}` }), 4);
    inspector.inspect(tcpPacket(peer, pbx, { seq: 52 + invite.length, payload: bye.slice(50) }), 5);
    assert.deepEqual(
      mirror.counters(),
      { hepSent: 0, hepUnsent: 0 },
      'nothing before the packets have passed',
    );
    mirror.flush();
    const copies = await arrived(3);
    assert.deepEqual(
      copies.map(({ packet, transport, isSip, seenAt }) => ({
        text: packet.payload.toString(),
        from: packet.source,
        to: `${packet.destination} ${packet.destinationPort}`,
        ...{ transport, isSip, seenAt },
      })),
      [
        {
          text: invite,
          from: pbx.address,
          to: '198.51.100.1 5060',
          transport: 'udp',
          isSip: true,
          seenAt: WALL,
        },
        {
          text: invite,
          from: peer.address,
          to: '192.0.2.10 5060',
          transport: 'tcp',
          isSip: true,
          seenAt: WALL,
        },
        { text: bye, from: peer.address, to: '192.0.2.10 5060', transport: 'tcp', isSip: true, seenAt: WALL },
      ],
    );
    assert.deepEqual(mirror.counters(), { hepSent: 3, hepUnsent: 0 });
  });

  it('goes on once: a copy of a host is mirrored, what a daemon mirrors is by no other, as two would go on for ever', async () => {
    const hep = { ...settings.hep, from: networks('192.0.2.10') };
    const there: Settings = { ...settings, inside: networks('192.0.2.0/24'), hep };
    const mirror = openMirrorOut(await loadLibc(), there, KEY, () => WALL)!;
    const inspector = createInspector(() => there, null, mirror.take);
    const arrivals: HepArrival[] = [];
    const copies = createCopies({
      listener: { wait() {}, receive: () => arrivals.splice(0), close() {} },
      ...{ key: KEY, inspector, settings: () => there, clock: () => 1000, wall: () => WALL },
      ...{ done() {}, copied() {}, unexpected: (_, error) => assert.fail(String(error)) },
    });
    const take = (bytes: Buffer) => {
      arrivals.push({ sender: pbx.address, bytes, fault: null });
      copies.take();
      mirror.flush();
    };
    const sent = once(receiver, 'message');
    take(
      encodeHep({
        ...{ source: pbx, destination: peer, transport: 'tcp', kind: KIND.sip, seenAt: WALL, agent: 1 },
        ...{ key: KEY, correlation: null, payload: Buffer.from(sip('INVITE')) },
      })!,
    );
    const [again] = await sent;
    received.splice(0);
    take(again);
    assert.equal(inspector.stats.mirrored, 2);
    assert.deepEqual(mirror.counters(), { hepSent: 1, hepUnsent: 0 });
  });

  it('has the pinholes and refusals of its call beside it, as log lines', async () => {
    const inspector = createInspector(() => ({ ...settings, inside: 'any' }));
    const offer = sip('INVITE', { body: sdp(pbx.address, [10_000, 22]) });
    const { events } = inspector.inspect(udpPacket(pbx, peer, offer), 1000);
    let listener: (occasions: readonly Occasion[], notes: readonly []) => void = () => {};
    const log = openHepLog(settings, KEY);
    const daemon = {
      clock: () => 2000,
      settings: () => settings,
      trafficOf: () => undefined,
      subscribe(one: typeof listener) {
        listener = one;
        return () => {};
      },
    };
    log.start(daemon as unknown as RunningDaemon);
    listener([{ packet: 1, at: 1000, deadline: false, happenings: events }], []);
    const copies = await arrived(2);
    log.close();
    const lines = copies.map(({ packet }) => packet.payload.toString()).sort();
    assert.match(
      lines[0]!,
      /call-1@example\.com.* opened audio udp 192\.0\.2\.10:10000-10001 from 198\.51\.100\.1/,
    );
    assert.match(lines[1]!, /refused .*port-out-of-range/);
    for (const { isSip, seenAt, packet } of copies) {
      assert.equal(isSip, false);
      assert.deepEqual([packet.source, packet.destination], [pbx.address, peer.address]);
      assert.ok(Math.abs(seenAt! - (Date.now() - 1000)) < 60_000);
    }
  });

  it('is nothing unless it is asked for', async () => {
    assert.equal(openMirrorOut(await loadLibc(), settingsWith({}), null), null);
  });
});
