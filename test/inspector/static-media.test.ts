import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Entered } from '../../src/address/ingress.ts';
import type { StaticMedia } from '../../src/address/static-media.ts';
import { readRecord, writeCall } from '../../src/inspector/record.ts';
import { createInspector, type Inspection } from '../../src/inspector.ts';
import { ipPacket, type Segment, tcpPacket, udpPacket } from '../packets.ts';
import {
  type Host,
  host,
  LAN,
  networks,
  type Overrides,
  peerNetworks,
  routerOf,
  sdp,
  settingsWith,
  sip,
  WAN,
} from '../scene.ts';

const pbx = host('192.168.1.10', 5061);
const provider = host('203.0.113.7', 40_000);
const stranger = host('198.51.100.66', 40_000);
/** The first bytes of a ClientHello and a ServerHello as OpenSSL 3 writes them, and a record of data. */
const CLIENT_HELLO = Buffer.from('160301013401000130030364', 'hex');
const SERVER_HELLO = Buffer.from('160303007a0200007603038e', 'hex');
const DATA = Buffer.from('1703030028aabbccdd', 'hex');
const [FIN, SYN, RST, ACK] = [0x01, 0x02, 0x04, 0x10];
const HOUR = 3_600_000;

const trunk: StaticMedia = {
  name: 'trunk',
  peers: networks('203.0.113.7', '203.0.113.8'),
  mediaFrom: null,
  hosts: ['192.168.1.10'],
  ports: [[10_000, 10_099]],
};
const OPEN = 'udp 203.0.113.7 > 192.168.1.10 10000-10099';

const INGRESS = routerOf('192.168.1.0/24');

function createPlace(entries: readonly StaticMedia[] = [trunk], changes: Overrides = {}) {
  let settings = settingsWith({
    inside: networks('192.168.0.0/16'),
    sipPorts: [[5060, 5061]],
    staticMedia: entries,
    ...changes,
  });
  const inspector = createInspector(() => settings);
  let now = 1_000_000;
  let last: Inspection | null = null;
  const ended: string[] = [];
  const refused: string[] = [];
  const take = (inspection: Inspection) => {
    last = inspection;
    for (const event of inspection.events) {
      if (event.type === 'call' && event.what === 'ended') ended.push(event.leg.endReason ?? '');
      if (event.type === 'refused') refused.push(event.refusal.reason);
    }
    return inspection;
  };
  const segment = (from: Host, to: Host, given: Partial<Segment>, entered?: Entered) =>
    take(inspector.inspect(tcpPacket(from, to, { seq: 1, ...given }), ++now, entered));
  return {
    inspector,
    ended,
    refused,
    segment,
    /** A connection that a peer makes, and the inside host answers. */
    connect(from = provider, to = pbx) {
      segment(from, to, { flags: SYN, seq: 100 });
      segment(to, from, { flags: SYN | ACK, seq: 500, ack: 101 });
      segment(from, to, { flags: ACK, seq: 101, ack: 501 });
      segment(from, to, { payload: CLIENT_HELLO, seq: 101, ack: 501 });
      return segment(to, from, { payload: SERVER_HELLO, seq: 501, ack: 101 + CLIENT_HELLO.length });
    },
    send: (from: Host, to: Host, text: string) => take(inspector.inspect(udpPacket(from, to, text), ++now)),
    wait(ms: number) {
      now += ms;
      take(inspector.tick(now));
    },
    reload(next: readonly StaticMedia[]) {
      settings = { ...settings, staticMedia: next };
      inspector.reload();
      take(inspector.tick(++now));
    },
    open: () => [...inspector.pinholes()].map(({ id }) => id).sort(),
    hear(way: 'came' | 'sent' = 'came') {
      for (const { id } of inspector.pinholes()) inspector.traffic(id, now, way);
    },
    get last() {
      return last!;
    },
    get now() {
      return now;
    },
  };
}

describe('ports of static-media', () => {
  it('open with the first record of TLS that the inside host sends, in the change that its packet waits for', () => {
    const place = createPlace();
    place.segment(provider, pbx, { flags: SYN });
    place.segment(provider, pbx, { payload: CLIENT_HELLO });
    assert.deepEqual(place.open(), [], 'what the peer says opens nothing');
    const { change, events } = place.connect();
    assert.deepEqual(
      change!.open.map(({ id }) => id),
      [OPEN],
    );
    assert.deepEqual(
      events.map((event) => (event.type === 'call' || event.type === 'pinhole' ? event.what : event.type)),
      ['started', 'opened'],
    );
    const [call] = place.inspector.calls();
    assert.deepEqual(
      [call!.callId, call!.parties, call!.state],
      ['static-media trunk 203.0.113.7', ['203.0.113.7', '192.168.1.10'], 'confirmed'],
    );
  });

  it('are counted by entry: how many peers are there, and what is open for them', () => {
    const teams = {
      ...trunk,
      name: 'teams',
      peers: networks('198.51.100.0/24'),
      mediaFrom: ['198.51.100.1'],
    };
    const place = createPlace([trunk, teams]);
    const use = () => place.inspector.staticMedia().map(({ name, peers, ports }) => [name, peers, ports]);
    assert.deepEqual(use(), [
      ['trunk', 0, 0],
      ['teams', 0, 0],
    ]);
    place.connect();
    place.connect(host('203.0.113.8', 40_000));
    place.connect(stranger);
    assert.deepEqual(use(), [
      ['trunk', 2, 200],
      ['teams', 1, 200],
    ]);
    place.segment(pbx, provider, { flags: RST });
    place.reload([trunk]);
    assert.deepEqual(use(), [['trunk', 1, 100]]);
  });

  it('open where the inside host connects, and where a connection is older than the daemon', () => {
    const outbound = createPlace();
    outbound.segment(host(pbx.address, 45_000), host(provider.address, 5061), { payload: CLIENT_HELLO });
    assert.deepEqual(outbound.open(), [OPEN]);
    const older = createPlace();
    older.segment(provider, pbx, { payload: DATA });
    assert.deepEqual(older.open(), []);
    older.segment(pbx, provider, { payload: DATA });
    assert.deepEqual(older.open(), [OPEN]);
  });

  it('do not open for anybody else, whatever they send', () => {
    const place = createPlace();
    place.connect(stranger);
    place.connect(host('203.0.113.9'));
    assert.deepEqual(place.open(), []);
    // The address of a peer on a SYN and on data, from somebody who does not get what the host answers.
    place.segment(provider, pbx, { flags: SYN, payload: CLIENT_HELLO });
    place.segment(pbx, provider, { flags: SYN | ACK, payload: SERVER_HELLO });
    place.segment(provider, pbx, { payload: CLIENT_HELLO });
    place.segment(provider, pbx, { payload: DATA });
    place.segment(provider, pbx, { payload: SERVER_HELLO });
    place.segment(pbx, provider, { flags: RST });
    place.segment(pbx, provider, { flags: ACK });
    assert.deepEqual(place.open(), []);
    // In clear it can be read, and other ports are not for signalling.
    place.segment(pbx, provider, { payload: sip('INVITE', { body: sdp(pbx.address, [10_000]) }) });
    place.segment(host(pbx.address, 443), provider, { payload: SERVER_HELLO });
    place.segment(host('192.0.2.1', 5061), provider, { payload: SERVER_HELLO });
    place.segment(pbx, provider, { payload: Buffer.from('170303ffff00', 'hex') });
    assert.deepEqual(place.open(), []);
    place.connect();
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('do not open for what bears the address of an inside host and came in from outside', () => {
    const place = createPlace();
    place.inspector.learn(INGRESS);
    place.segment(pbx, provider, { payload: SERVER_HELLO }, WAN);
    assert.deepEqual(place.open(), []);
    place.segment(pbx, provider, { payload: SERVER_HELLO }, LAN);
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('close when the host ends the connection, or the peer resets it where the host awaits it', () => {
    for (const [what, from, to, segment] of [
      ['FIN', pbx, provider, { flags: FIN | ACK }],
      ['RST of the host', pbx, provider, { flags: RST }],
      ['RST of the peer', provider, pbx, { flags: RST, seq: 101 + CLIENT_HELLO.length }],
      ['the same ports once more', pbx, provider, { flags: SYN }],
    ] as const) {
      const place = createPlace();
      place.connect();
      place.segment(provider, pbx, { flags: RST, seq: 4711 });
      place.segment(provider, pbx, { flags: FIN, seq: 4711 });
      place.wait(2000);
      assert.deepEqual(place.open(), [OPEN], 'a reset that nobody awaits is forged');
      place.segment(from, to, segment);
      assert.deepEqual(place.ended, ['connection-closed'], what);
      place.wait(2000);
      assert.deepEqual(place.open(), [], what);
      place.connect();
      assert.deepEqual(place.open(), [OPEN], 'and opens again');
    }
  });

  it('stay while another connection of the peer is up, and pass from one to the next without a gap', () => {
    const place = createPlace();
    place.connect();
    place.connect(host(provider.address, 40_001));
    place.segment(pbx, provider, { flags: FIN });
    place.wait(5000);
    assert.deepEqual(place.open(), [OPEN]);
    place.segment(pbx, host(provider.address, 40_001), { flags: FIN });
    place.connect(host(provider.address, 40_002));
    assert.equal(place.last.change, null, 'within timers.drain the rule stays');
    place.wait(5000);
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('close when the host has sent nothing on the connection for timers.static-idle, but not while people talk', () => {
    const place = createPlace();
    place.connect();
    place.wait(HOUR - 60_000);
    place.segment(pbx, provider, { flags: ACK });
    place.wait(HOUR - 60_000);
    assert.deepEqual(place.open(), [OPEN]);
    for (let minute = 0; minute < 120; minute++) {
      place.hear();
      place.hear('sent');
      place.segment(provider, pbx, { payload: DATA });
      place.wait(60_000);
    }
    assert.deepEqual(place.open(), [OPEN]);
    place.wait(300_000);
    assert.deepEqual([place.open(), place.ended], [[], ['static-idle']]);
  });

  it('each address of a peer is for itself; further senders come with it', () => {
    const place = createPlace([{ ...trunk, mediaFrom: ['203.0.113.20', '2001:db8::20'] }]);
    place.connect();
    assert.deepEqual(place.open(), ['udp 203.0.113.20,203.0.113.7 > 192.168.1.10 10000-10099']);
    place.connect(host('203.0.113.8'));
    assert.deepEqual(place.open(), [
      'udp 203.0.113.20,203.0.113.7 > 192.168.1.10 10000-10099',
      'udp 203.0.113.20,203.0.113.8 > 192.168.1.10 10000-10099',
    ]);
  });

  it('lead through nat, and follow the address of an interface', () => {
    const hosts = networks('192.168.1.10');
    const nat = [{ external: { interface: 'em0' }, hosts, translation: null, arrivesAt: null }] as const;
    const place = createPlace([trunk], { nat });
    place.inspector.renumber({ em0: ['198.51.100.2'] }, place.now);
    place.connect();
    assert.deepEqual(place.open(), [`${OPEN} via:198.51.100.2 on:em0`]);
    place.inspector.renumber({ em0: ['198.51.100.3'] }, place.now);
    assert.deepEqual(place.open(), [`${OPEN} via:198.51.100.3 on:em0`]);
  });

  it('stay within policy, and within caps.static-ports', () => {
    const barred = createPlace([trunk], { peers: peerNetworks('192.0.2.0/24') });
    barred.connect();
    assert.deepEqual([barred.open(), barred.refused], [[], ['peer-not-allowed']]);
    const small = createPlace([trunk], { caps: { staticPorts: 150 } });
    small.connect();
    small.connect(host('203.0.113.8'));
    small.connect(host('203.0.113.8', 40_001));
    assert.deepEqual(small.open(), [OPEN]);
    assert.deepEqual(small.refused, ['static-ports-limit']);
    assert.equal(small.inspector.stats.refusals.get('static-ports-limit'), 2);
    small.segment(pbx, provider, { flags: FIN });
    small.connect(host('203.0.113.8', 40_002));
    small.wait(2000);
    assert.deepEqual(small.open(), ['udp 203.0.113.8 > 192.168.1.10 10000-10099']);
  });

  it('follow a reload: closed where they are not listed any more, moved where they are others', () => {
    const place = createPlace();
    place.connect();
    place.reload([{ ...trunk, ports: [[12_000, 12_001]] }]);
    assert.deepEqual(place.open(), ['udp 203.0.113.7 > 192.168.1.10 12000-12001']);
    place.reload([{ ...trunk, peers: networks('203.0.113.8') }]);
    assert.deepEqual([place.open(), place.ended], [[], ['unlisted']]);
    place.reload([trunk]);
    place.segment(pbx, provider, { payload: DATA });
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('are said of no longer as encrypted signalling that nothing is done about', () => {
    const place = createPlace();
    place.connect();
    assert.deepEqual(place.refused, []);
    place.connect(stranger);
    assert.deepEqual(place.refused, ['encrypted-signalling']);
  });

  it('come back from a journal, end as they would have, and are no call that SIP could take over', () => {
    const before = createPlace();
    before.connect();
    const [call] = before.inspector.calls();
    const scribe = { machine: '0000000a', boot: 'one', now: () => before.now, wall: () => 1.7e12 };
    const bytes = writeCall(before.inspector.dump(call!.legId)!, scribe);
    const read = (entries = [trunk], later = 0) => {
      const place = createPlace(entries);
      place.wait(later);
      const record = readRecord(bytes, { ...scribe, now: () => place.now });
      assert.equal(record.what, 'call');
      if (record.what === 'call') place.inspector.adopt([record.record], place.now);
      place.wait(1);
      return place;
    };
    const place = read();
    assert.deepEqual(place.open(), [OPEN]);
    const said = { callId: call!.callId, from: '', cseq: 2, body: sdp(provider.address, [4000]) };
    place.send(provider, pbx, sip('INVITE', said));
    place.send(provider, pbx, sip('BYE', said));
    place.send(pbx, provider, sip('200 BYE', said));
    assert.deepEqual(place.open(), [OPEN]);
    place.segment(pbx, provider, { flags: RST });
    place.wait(2000);
    assert.deepEqual(place.open(), []);
    const silent = read();
    silent.wait(HOUR + 1000);
    assert.deepEqual([silent.open(), silent.ended], [[], ['static-idle']]);
    assert.deepEqual(read([]).open(), []);
    // The record says nothing of the media since: who talks on a silent connection has time to show it.
    const talking = read([trunk], HOUR + 1000);
    talking.wait(50_000);
    talking.hear();
    talking.hear('sent');
    talking.wait(60_000);
    assert.deepEqual(talking.open(), [OPEN]);
    talking.wait(300_000);
    assert.deepEqual([talking.open(), talking.ended], [[], ['static-idle']]);
    assert.deepEqual(read([{ ...trunk, ports: [[10_000, 10_001]] }]).open(), [
      'udp 203.0.113.7 > 192.168.1.10 10000-10001',
    ]);
  });

  it('stay what they are, whatever the record of another firewall says of them', () => {
    const place = createPlace();
    place.connect();
    const [call] = place.inspector.calls();
    const { refused } = place.inspector.share([{ call: { ...call!, standing: null }, held: [] }], place.now);
    assert.equal(refused, 1, 'one that stands on SIP is another call');
    assert.notEqual(call!.standing, null);
    for (const parties of [
      ['203.0.113.8', pbx.address],
      [provider.address, '192.168.1.11'],
    ] as const) {
      const shared = place.inspector.share([{ call: { ...call!, parties }, held: [] }], place.now);
      assert.equal(shared.refused, 1, 'one of another peer, or another host, is another call');
      assert.deepEqual(call!.parties, [provider.address, pbx.address]);
    }
    place.segment(pbx, provider, { payload: DATA });
    assert.deepEqual(place.open(), [OPEN]);
    const callId = 'without end';
    for (const taken of ['share', 'adopt'] as const) {
      const here = createPlace();
      const standing = { ...call!.standing!, connections: [], registrations: [{ callId, until: 1e12 }] };
      here.inspector[taken]([{ call: { ...call!, standing }, held: [] }], here.now);
      assert.deepEqual(here.open(), [OPEN]);
      here.wait(24 * HOUR + 1);
      assert.deepEqual([here.open(), here.ended], [[], ['registration-expired']], taken);
    }
    place.segment(pbx, provider, { flags: FIN });
    place.wait(2000);
    place.connect();
    assert.deepEqual(place.open(), [OPEN], 'what stood in its place would be in the way of the next');
  });

  it('that two firewalls opened before they heard of each other are of one call, which has the connections of both', () => {
    const place = createPlace();
    place.connect();
    const [own] = place.inspector.calls();
    for (const legId of ['0'.repeat(16), 'f'.repeat(16)]) {
      const [held] = own!.standing!.connections;
      const connections = [{ ...held!, peerPort: 50_000 }];
      const theirs = { ...structuredClone(own!), legId, standing: { ...own!.standing!, connections } };
      place.inspector.share([{ call: theirs, held: [] }], place.now);
      const left = [...place.inspector.calls()].filter(({ state }) => state === 'confirmed');
      assert.deepEqual(
        [left.length, left[0]?.standing?.connections.map(({ peerPort }) => peerPort).sort()],
        [1, [provider.port, 50_000]],
      );
    }
    place.segment(pbx, provider, { flags: FIN });
    place.wait(2000);
    assert.deepEqual(place.open(), [OPEN]);
    place.segment(pbx, host(provider.address, 50_000), { flags: FIN });
    place.wait(2000);
    assert.deepEqual(place.open(), []);
  });

  it('take no more work to refuse, or for a record of another firewall, for all that are open', () => {
    let weighed = 0;
    const entry: StaticMedia = {
      ...{ ...trunk, peers: networks('203.0.113.0/24') },
      get ports() {
        weighed++;
        return [[10_000, 10_000]] as const;
      },
    };
    const createFull = (open: number) => {
      const place = createPlace([entry], { caps: { staticPorts: open } });
      for (let last = 1; last <= open; last++) place.connect(host(`203.0.113.${last}`));
      weighed = 0;
      return place;
    };
    const refusedBeside = (open: number) => {
      const place = createFull(open);
      place.connect(host('203.0.113.250'));
      assert.deepEqual(place.refused, ['static-ports-limit']);
      return weighed;
    };
    assert.equal(refusedBeside(200), refusedBeside(2));
    const sharedBeside = (open: number) => {
      const { inspector, now } = createFull(open);
      const [call] = inspector.calls();
      inspector.share([{ call: structuredClone(call!), held: inspector.held(call!.legId) }], now);
      assert.equal(inspector.sizes().pinholes, open);
      return weighed;
    };
    assert.equal(sharedBeside(200), sharedBeside(2));
  });

  it('forget nothing that is up for a flood of connections', () => {
    const place = createPlace();
    for (let port = 1; port <= 2000; port++) place.connect(host(provider.address, 20_000 + port));
    assert.equal([...place.inspector.calls()].length, 1);
    const [call] = place.inspector.calls();
    assert.equal(call!.standing!.connections.length, 64);
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('do not throw on any segment of theirs', () => {
    const place = createPlace();
    for (let length = 0; length < 24; length++) {
      for (const first of [0x16, 0x17, 0]) {
        const payload = Buffer.alloc(length, 3);
        if (length > 0) payload[0] = first;
        place.segment(pbx, provider, { payload });
      }
      place.inspector.inspect(ipPacket(6, pbx.address, provider.address, Buffer.alloc(length)), place.now);
    }
    place.inspector.inspectPacket(
      { ...(place.last.packet as NonNullable<Inspection['packet']>), tcp: null },
      place.now,
    );
  });
});

describe('a registration that can be read', () => {
  const registrar = host('203.0.113.7');
  const own = host('192.168.1.10');
  const ask = (contact: string, cseq: number, more: readonly string[] = []) =>
    sip('REGISTER', { cseq, headers: [`Contact: ${contact}`, ...more] });
  const grant = (contact: string, cseq: number, more: readonly string[] = []) =>
    sip('200 REGISTER', { cseq, headers: [`Contact: ${contact}`, ...more] });
  const BOUND = '<sip:pbx@192.168.1.10>';

  it('opens for as long as the 2xx grants, renewed by the next, and not by a challenge', () => {
    const place = createPlace();
    place.send(own, registrar, ask(BOUND, 1, ['Expires: 600']));
    place.send(registrar, own, sip('401 REGISTER'));
    assert.deepEqual(place.open(), []);
    place.send(own, registrar, ask(BOUND, 2, ['Expires: 600']));
    place.send(registrar, own, grant(`${BOUND};expires=300`, 2));
    assert.deepEqual(place.open(), [OPEN]);
    place.wait(250_000);
    place.send(own, registrar, ask(BOUND, 3));
    place.send(registrar, own, grant(BOUND, 3, ['Expires: 120']));
    place.hear();
    place.wait(119_000);
    assert.deepEqual(place.open(), [OPEN]);
    place.wait(1000);
    assert.deepEqual([place.open(), place.ended], [[], ['registration-expired']]);
  });

  it('of a telephone at the PBX does the same, and closes when it is taken back', () => {
    for (const gone of [
      ask(`${BOUND};expires=0`, 2),
      ask('*', 2, ['Expires: 0']),
      ask(BOUND, 2, ['Expires: 0']),
    ]) {
      const place = createPlace();
      place.send(registrar, own, ask(BOUND, 1));
      place.send(own, registrar, grant(`${BOUND} ; Expires = 3600`, 1));
      assert.deepEqual(place.open(), [OPEN]);
      place.send(registrar, own, gone);
      assert.deepEqual(place.open(), [OPEN], 'it is for the registrar to say');
      place.send(
        own,
        registrar,
        sip('200 REGISTER', { cseq: 2, headers: ['Contact: <sip:else@x>;expires=60'] }),
      );
      assert.deepEqual([place.open(), place.ended], [[], ['registration-expired']]);
    }
  });

  it('opens though others ask for as many as they like between the request and its answer', () => {
    const place = createPlace();
    place.send(own, registrar, ask(BOUND, 1));
    for (let count = 0; count < 2000; count++) {
      const forged = sip('REGISTER', { callId: `flood ${count}`, headers: [`Contact: ${BOUND}`] });
      place.send(registrar, own, forged);
    }
    place.send(registrar, own, grant(`${BOUND};expires=300`, 1));
    assert.deepEqual(place.open(), [OPEN]);
  });

  it('opens nothing without a request that was seen, of strangers, or where only a question was asked', () => {
    const place = createPlace();
    place.send(registrar, own, grant(`${BOUND};expires=300`, 1));
    place.send(own, registrar, ask(BOUND, 2));
    place.send(stranger, own, grant(`${BOUND};expires=300`, 2));
    place.send(host('203.0.113.8'), own, grant(`${BOUND};expires=300`, 2));
    place.send(own, registrar, grant(`${BOUND};expires=300`, 2));
    place.send(
      own,
      registrar,
      sip('REGISTER', { cseq: 3, headers: ['Contact-None: x'] }).replace(/^Contact: .*\r\n/m, ''),
    );
    place.send(registrar, own, grant(`${BOUND};expires=300`, 3));
    assert.deepEqual(place.open(), []);
  });
});
