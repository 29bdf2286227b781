import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { defaults, type Entries, entries } from '../../src/config/schema.ts';
import { createInspector, type InspectorSettings } from '../../src/inspector.ts';
import { tcpPacket, udpPacket } from '../packets.ts';
import { type Host, host, networks, peer, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const other = host('192.0.2.11');
const pbx = host('198.51.100.20');
const gateway = '198.51.100.30';

/** Settings that the inspector is asked about, under which the script below shows most. */
const BEFORE: InspectorSettings = {
  ...defaults(),
  inside: networks('192.0.2.0/24'),
  mediaHosts: networks('203.0.113.99/32'),
};

type Caps = Partial<InspectorSettings['caps']>;
type Timers = Partial<InspectorSettings['timers']>;
const caps = (more: Caps) => ({ caps: { ...BEFORE.caps, ...more } });
const timers = (more: Timers) => ({ timers: { ...BEFORE.timers, ...more } });

/** Another value for each setting that a reload changes and that the inspector has to follow. */
const AFTER: Readonly<Record<string, Partial<InspectorSettings>>> = {
  inside: { inside: networks('192.0.2.10/32') },
  mediaHosts: { mediaHosts: [] },
  peers: { peers: [peer(null, { networks: networks('203.0.113.0/24') })] },
  mediaPorts: { mediaPorts: [[41000, 65535]] },
  deniedPorts: { deniedPorts: [[40000, 40001]] },
  earlyMediaSource: { earlyMediaSource: 'any' },
  mediaSource: { mediaSource: 'any' },
  symmetric: { symmetric: true },
  ice: { ice: false },
  tcpMedia: { tcpMedia: true },
  strict: { strict: true },
  outbound: { outbound: true },
  'caps.calls': caps({ calls: 1 }),
  'caps.callsPerHost': caps({ callsPerHost: 1 }),
  'caps.offersPerSecond': caps({ offersPerSecond: 1 }),
  'caps.pinholesPerCall': caps({ pinholesPerCall: 1 }),
  'caps.streams': caps({ streams: 1 }),
  'caps.sources': caps({ sources: 2 }),
  'caps.candidates': caps({ candidates: 0 }),
  'caps.headers': caps({ headers: 6 }),
  'caps.messageBytes': caps({ messageBytes: 600 }),
  'caps.reassemblyBytes': caps({ reassemblyBytes: 300 }),
  'caps.tcpConnections': caps({ tcpConnections: 1 }),
  'timers.offer': timers({ offer: 5000 }),
  'timers.ringing': timers({ ringing: 7000 }),
  'timers.maxCall': timers({ maxCall: 9000 }),
  'timers.mediaIdle': timers({ mediaIdle: 11_000 }),
  'timers.iceUnused': timers({ iceUnused: 3000 }),
  'timers.noAudio': timers({ noAudio: 5000 }),
  'timers.drain': timers({ drain: 30_000 }),
  'timers.tcpPartial': timers({ tcpPartial: 1000 }),
};

type Inspector = ReturnType<typeof createInspector>;

/** What a script does to an inspector. */
interface Actor {
  send(from: Host, to: Host, text: string): void;
  segment(from: Host, seq: number, payload: string, flags?: number): void;
  /** Second by second. */
  wait(seconds: number): void;
  /** At once, and then one second more for what closes with a delay. */
  pass(seconds: number): void;
  /** What the other party sends comes to every pinhole. */
  hear(): void;
}

type Script = (actor: Actor) => void;

/** What an inspector does with a script. */
function play(inspector: Inspector, script: Script): readonly string[] {
  const seen: string[] = [];
  let now = 1_000_000;

  function look(what: string, { verdict, events }: ReturnType<Inspector['tick']>): void {
    const refused = events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : []));
    const open = [...inspector.pinholes()].map(({ id }) => id).sort();
    const missed = events.flatMap((event) => (event.type === 'audio' ? [event.missing.join()] : []));
    const known = [...inspector.calls()].length;
    seen.push(`${what} ${verdict} [${refused.sort()}] ${missed} ${known} ${open}`);
  }
  function pass(ms: number): void {
    now += ms;
    look('wait', inspector.tick(now));
    look('counted', inspector.counted(now));
  }

  script({
    send: (from, to, text) => look(text.slice(0, 12), inspector.inspect(udpPacket(from, to, text), ++now)),
    segment(from, seq, payload, flags) {
      const options = flags === undefined ? { seq, payload } : { seq, payload, flags };
      look('TCP', inspector.inspect(tcpPacket(from, pbx, options), ++now));
    },
    wait(seconds) {
      for (let passed = 0; passed < seconds; passed++) pass(1000);
    },
    pass(seconds) {
      pass(seconds * 1000);
      pass(1000);
    },
    hear() {
      for (const { id } of inspector.pinholes()) inspector.traffic(id, now, 'came');
    },
  });
  return seen;
}

/** One that most settings make a difference to. */
function common({ send, segment, wait }: Actor): void {
  const candidates = [1, 2, 3].map(
    (index) =>
      `candidate:${index} 1 udp 1 ${index === 3 ? '203.0.113.99' : phone.address} 4500${index} typ host`,
  );
  const rich = sdp(phone.address, [
    { port: 40000, attributes: candidates },
    { media: 'video', port: 40010 },
    { media: 'audio', port: 40020, c: '203.0.113.99' },
    { media: 'message', port: 40030, proto: 'TCP/MSRP', attributes: ['setup:passive'] },
  ]);
  const relay = ['candidate:1 1 udp 1 198.51.100.31 20000 typ host'];
  const answer = sdp(gateway, [
    { port: 20000, attributes: relay },
    { media: 'video', port: 20010 },
    20020,
    { media: 'message', port: 0, proto: 'TCP/MSRP' },
  ]);
  send(phone, pbx, sip('INVITE', { body: rich }));
  send(other, pbx, sip('INVITE', { callId: 'second', body: sdp(other.address, [42000]) }));
  send(phone, pbx, sip('INVITE', { callId: 'third', body: sdp(phone.address, [43000]) }));
  send(pbx, phone, sip('180 INVITE', { callId: 'third', to: 'r' }));
  send(phone, pbx, 'INVITE sip:nobody SIP/2.0\r\nnonsense\r\n\r\n');
  send(pbx, phone, sip('200 INVITE', { to: 'b', body: answer }));
  send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  const invite = (callId: string, port: number) =>
    sip('INVITE', { callId, body: sdp(phone.address, [port]) });
  const whole = invite('tcp-1', 44000);
  segment(phone, 1, '', 2);
  segment(phone, 2, whole.slice(0, 100));
  segment({ ...phone, port: 5070 }, 1, '', 2);
  segment({ ...phone, port: 5070 }, 2, whole.slice(0, 100));
  segment({ ...phone, port: 5080 }, 1, '', 2);
  wait(12);
  segment(phone, 102, whole.slice(100));
  send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
  send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
  wait(40);
}

const ring = ({ send }: Actor, body = sdp(phone.address, [40000])) => {
  send(phone, pbx, sip('INVITE', { body }));
  send(pbx, phone, sip('180 INVITE', { to: 'b' }));
};

const OFFER = sdp(phone.address, [40000]);
const ANSWER = sdp(gateway, [20000]);

/** A call that is up. */
function answered({ send }: Actor, offer = OFFER, answer = ANSWER, headers: readonly string[] = []): void {
  send(phone, pbx, sip('INVITE', { body: offer, headers }));
  send(pbx, phone, sip('200 INVITE', { to: 'b', body: answer, headers }));
  send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
}

/** One that fails. */
function fail({ send }: Actor, callId: string): void {
  send(phone, pbx, sip('INVITE', { callId, body: OFFER }));
  send(pbx, phone, sip('486 INVITE', { callId, to: 'b' }));
}

/** Calls from outside that nobody answers. */
function unanswered({ send }: Actor): void {
  for (const callId of ['one', 'two']) send(pbx, phone, sip('INVITE', { callId, body: ANSWER }));
}

/** Session-Expires of RFC 4028, in seconds. */
const withSession = (seconds: number) => [`Session-Expires: ${seconds};refresher=uas`];
const onHold = { port: 20000, attributes: ['inactive'] };
const multiplexed = { port: 40000, attributes: ['rtcp-mux'] };
const everybody = { ...BEFORE, earlyMediaSource: 'any' } as const;

const TRUNK = {
  ...{ name: 'trunk', peers: networks('198.51.100.20'), mediaFrom: null, hosts: [phone.address] },
  ports: [[41_000, 41_003]],
} as const;
const LISTED: InspectorSettings = { ...BEFORE, staticMedia: [TRUNK] };

/** The host inside begins TLS with a peer that nobody can read: a ClientHello as OpenSSL 3 writes it. */
function connect({ segment }: Actor): void {
  segment({ ...phone, port: 45_000 }, 1, Buffer.from('160301013401000130030364', 'hex').toString('latin1'));
}

/** Settings that take a script of their own. */
const ALONE: Readonly<
  Record<
    string,
    {
      readonly before?: InspectorSettings;
      readonly after: Partial<InspectorSettings>;
      readonly script: Script;
    }
  >
> = {
  nat: {
    after: {
      nat: [
        {
          external: { address: '203.0.113.1' },
          hosts: networks('192.0.2.10/32'),
          translation: null,
          arrivesAt: null,
        },
      ],
    },
    script: (actor) => ring(actor, sdp('203.0.113.1', [40000])),
  },
  staticMedia: { after: { staticMedia: [{ ...TRUNK, ports: [[40_000, 40_001]] }] }, script: connect },
  'caps.staticPorts': { before: LISTED, after: caps({ staticPorts: 1 }), script: connect },
  'timers.staticIdle': {
    before: LISTED,
    after: timers({ staticIdle: 60_000 }),
    script(actor) {
      connect(actor);
      actor.pass(100);
    },
  },
  'caps.unanswered': { after: caps({ unanswered: 1 }), script: unanswered },
  'caps.unansweredBytes': { after: caps({ unansweredBytes: 100 }), script: unanswered },
  'caps.ended': {
    after: caps({ ended: 1 }),
    script(actor) {
      fail(actor, 'one');
      fail(actor, 'two');
      actor.pass(1);
    },
  },
  'timers.retransmissionMemory': {
    after: timers({ retransmissionMemory: 100_000 }),
    script(actor) {
      fail(actor, 'one');
      actor.pass(60);
    },
  },
  'timers.earlyAny': {
    before: everybody,
    after: timers({ earlyAny: 10_000 }),
    script(actor) {
      ring(actor);
      actor.pass(20);
    },
  },
  'timers.ack': {
    after: timers({ ack: 8000 }),
    script({ send, pass }) {
      send(phone, pbx, sip('INVITE', { body: OFFER }));
      send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
      pass(20);
    },
  },
  'timers.holdIdle': {
    after: timers({ holdIdle: 300_000 }),
    script(actor) {
      answered(
        actor,
        sdp(phone.address, [{ port: 40000, attributes: ['inactive'] }]),
        sdp(gateway, [onHold]),
      );
      actor.pass(400);
    },
  },
  'timers.oneWay': {
    after: timers({ oneWay: 600_000 }),
    script(actor) {
      answered(actor);
      for (let minutes = 0; minutes < 12; minutes++) {
        actor.hear();
        actor.pass(60);
      }
    },
  },
  'timers.sessionGrace': {
    after: timers({ sessionGrace: 1000 }),
    script(actor) {
      answered(actor, OFFER, ANSWER, withSession(90));
      actor.pass(100);
    },
  },
  'timers.sessionFloor': {
    after: timers({ sessionFloor: 30_000 }),
    script(actor) {
      answered(actor, OFFER, ANSWER, withSession(30));
      actor.pass(80);
    },
  },
  'timers.afterBye': {
    after: timers({ afterBye: 5000 }),
    script(actor) {
      answered(actor);
      actor.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      actor.pass(20);
    },
  },
  'timers.afterCancel': {
    after: timers({ afterCancel: 5000 }),
    script(actor) {
      ring(actor);
      actor.send(phone, pbx, sip('CANCEL'));
      actor.pass(20);
    },
  },
  'timers.oldPort': {
    after: timers({ oldPort: 5000 }),
    script(actor) {
      answered(actor);
      actor.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: sdp(phone.address, [40100]) }));
      actor.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER }));
      actor.pass(30);
    },
  },
  'timers.forks': {
    after: timers({ forks: 5000 }),
    script({ send, pass }) {
      send(phone, pbx, sip('INVITE', { body: OFFER }));
      send(pbx, phone, sip('183 INVITE', { to: 'lost', body: sdp('198.51.100.31', [20000]) }));
      send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
      pass(15);
    },
  },
  'timers.muxGrace': {
    after: timers({ muxGrace: 10_000 }),
    script(actor) {
      answered(actor, sdp(phone.address, [multiplexed]), sdp(gateway, [{ ...multiplexed, port: 20000 }]));
      actor.pass(3);
    },
  },
};

/** Settings that other parts than the inspector follow. */
const ELSEWHERE = [
  'insideInterfaces onFirewallError metrics metricsHosts web caps.backlog caps.history timers.firewallRetry',
  'freebsd.log freebsd.tag freebsd.queue freebsd.statesPerRule freebsd.udpFirst freebsd.udpSingle freebsd.udpMultiple',
  'holdEncrypted hep.from hep.speaksFor hep.maxAge hep.messagesPerSecond log.level log.format log.callId log.parties log.rate',
  'blocked.rate',
  'peersStore.confirm peersStore.confirmTimeout',
];
/** The settings that a reload changes. */
function reloaded(nodes: Entries, prefix = ''): string[] {
  return Object.entries(nodes).flatMap(([key, node]) => {
    if (node.node === 'section') return reloaded(node.entries, `${prefix}${key}.`);
    return node.reload === 'reload' ? [`${prefix}${key}`] : [];
  });
}

/** Whatever it was begun with, an inspector that was reloaded does what a new one does, and that is something else. */
function compare(before: InspectorSettings, change: Partial<InspectorSettings>, script: Script): void {
  const after = { ...before, ...change };
  let settings = before;
  const inspector = createInspector(() => settings);
  settings = after;
  inspector.reload();
  const fresh = play(
    createInspector(() => after),
    script,
  );
  assert.deepEqual(play(inspector, script), fresh);
  const old = createInspector(() => before);
  assert.notDeepEqual(play(old, script), fresh, 'the script shows the setting');
}

describe('a reload makes an inspector one that was begun with another', () => {
  for (const [name, change] of Object.entries(AFTER)) test(name, () => compare(BEFORE, change, common));
  for (const [name, { before = BEFORE, after, script }] of Object.entries(ALONE)) {
    test(name, () => compare(before, after, script));
  }

  test('for each setting that it changes', () => {
    const placed = [
      ...[...Object.keys(AFTER), ...Object.keys(ALONE)],
      ...ELSEWHERE.flatMap((names) => names.split(' ')),
    ];
    assert.deepEqual(placed.sort(), reloaded(entries).sort());
  });
});
