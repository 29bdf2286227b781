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

/** What an inspector does with a script that most settings make a difference to. */
function play(inspector: Inspector): readonly string[] {
  const seen: string[] = [];
  let now = 1_000_000;

  function look(what: string, { verdict, events }: ReturnType<Inspector['tick']>): void {
    const refused = events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : []));
    const open = [...inspector.pinholes()].map(({ id }) => id).sort();
    const missed = events.flatMap((event) => (event.type === 'audio' ? [event.missing.join()] : []));
    seen.push(`${what} ${verdict} [${refused.sort()}] ${missed} ${open}`);
  }
  function send(from: Host, to: Host, text: string): void {
    look(text.slice(0, 12), inspector.inspect(udpPacket(from, to, text), ++now));
  }
  function segment(from: Host, seq: number, payload: string, flags?: number): void {
    const options = flags === undefined ? { seq, payload } : { seq, payload, flags };
    look('TCP', inspector.inspect(tcpPacket(from, pbx, options), ++now));
  }
  function wait(seconds: number): void {
    for (let passed = 0; passed < seconds; passed++) {
      now += 1000;
      look('wait', inspector.tick(now));
      look('counted', inspector.counted(now));
    }
  }

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
  return seen;
}

/** Settings that other parts than the inspector follow. */
const ELSEWHERE = [
  'insideInterfaces onFirewallError metrics metricsHosts web caps.backlog caps.history timers.firewallRetry',
  'freebsd.log freebsd.tag freebsd.queue freebsd.statesPerRule freebsd.udpFirst freebsd.udpSingle freebsd.udpMultiple',
  'holdEncrypted hep.from hep.speaksFor hep.maxAge hep.messagesPerSecond log.level log.format log.callId log.rate',
];
/** Settings that the inspector asks for in the same way as those above, and that no line of the script shows. */
const NOT_SHOWN = [
  'nat caps.unanswered caps.unansweredBytes caps.ended timers.earlyAny timers.ack timers.holdIdle timers.oneWay',
  'timers.sessionGrace timers.sessionFloor timers.afterBye timers.afterCancel timers.oldPort timers.forks',
  'timers.muxGrace timers.retransmissionMemory',
];

/** The settings that a reload changes. */
function reloaded(nodes: Entries, prefix = ''): string[] {
  return Object.entries(nodes).flatMap(([key, node]) => {
    if (node.node === 'section') return reloaded(node.entries, `${prefix}${key}.`);
    return node.reload === 'reload' ? [`${prefix}${key}`] : [];
  });
}

describe('a reload', () => {
  for (const [name, change] of Object.entries(AFTER)) {
    test(`of ${name} makes an inspector one that was begun with it`, () => {
      const after = { ...BEFORE, ...change };
      let settings = BEFORE;
      const inspector = createInspector(() => settings);
      settings = after;
      inspector.reload();
      const fresh = play(createInspector(() => after));
      assert.deepEqual(play(inspector), fresh);
      assert.notDeepEqual(play(createInspector(() => BEFORE)), fresh, 'the script shows the setting');
    });
  }

  test('has a place here for each setting that it changes', () => {
    const placed = [
      ...Object.keys(AFTER),
      ...[...ELSEWHERE, ...NOT_SHOWN].flatMap((names) => names.split(' ')),
    ];
    assert.deepEqual(placed.sort(), reloaded(entries).sort());
  });
});
