import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { ConnectionDirection } from '../../src/inspector/reading/connections.ts';
import { createInspector, type InspectorSettings } from '../../src/inspector.ts';
import { tcpPacket } from '../packets.ts';
import { type Host, host, networks, peer, sdp, settingsWith, sip } from '../scene.ts';

const pbx = host('192.168.1.10', 40000);
const trunk = host('203.0.113.5');
const stranger = host('198.51.100.9');

type Overrides = Parameters<typeof settingsWith>[0];

const NAMED: Overrides = { peers: [peer('itsp', { networks: networks('203.0.113.0/28') })] };

/** An inspector with 192.168.0.0/16 inside, and what crosses it on TCP connections. */
function createWire(overrides: Overrides = {}, known: readonly ConnectionDirection[] = []) {
  let settings: InspectorSettings = settingsWith({ inside: networks('192.168.0.0/16'), ...overrides });
  const inspector = createInspector(() => settings);
  inspector.remember(known, 0);
  const refusals: string[] = [];
  const next = new Map<string, number>();
  let now = 1000;
  let calls = 0;
  const key = (from: Host, to: Host) => `${from.address} ${from.port} ${to.address} ${to.port}`;

  function segment(from: Host, to: Host, fields: Parameters<typeof tcpPacket>[2]): void {
    now += 1;
    const { events } = inspector.inspect(tcpPacket(from, to, fields), now);
    for (const event of events) {
      if (event.type === 'refused') refusals.push(`${event.refusal.reason}: ${event.refusal.detail}`);
    }
  }

  /** What `from` sends next; without a handshake it is in the middle of the connection. */
  function send(from: Host, to: Host, payload: string): void {
    const seq = next.get(key(from, to)) ?? 5_000_000;
    next.set(key(from, to), seq + payload.length);
    segment(from, to, { seq, ack: next.get(key(to, from)) ?? 0, flags: 0x18, payload });
  }

  function handshake(from: Host, to: Host): void {
    const seq = 77;
    segment(from, to, { seq, flags: 2 });
    segment(to, from, { seq: 900, ack: seq + 1, flags: 0x12 });
    segment(from, to, { seq: seq + 1, ack: 901, flags: 0x10 });
    next.set(key(from, to), seq + 1);
    next.set(key(to, from), 901);
  }

  /** Whether an INVITE of `from` opens its media port. */
  function opens(from: Host, to: Host): boolean {
    calls++;
    const port = 20_000 + 2 * calls;
    send(
      from,
      to,
      sip('INVITE', { callId: `call-${calls}`, from: `f${calls}`, body: sdp(from.address, [port]) }),
    );
    return [...inspector.pinholes()].some(({ ports }) => ports[0] === port);
  }

  return {
    inspector,
    refusals,
    reset: (from: Host, to: Host) => segment(from, to, { seq: next.get(key(from, to))!, flags: 4 }),
    segment,
    send,
    handshake,
    opens,
    wait: (ms: number) => {
      now += ms;
    },
    reload: (more: Overrides) => {
      settings = settingsWith({ inside: networks('192.168.0.0/16'), ...more });
      inspector.reload();
    },
    reasons: () => refusals.map((text) => text.split(':')[0]),
  };
}

const directionOf = (from: Host, to: Host): ConnectionDirection => ({
  source: from.address,
  sourcePort: from.port,
  destination: to.address,
  destinationPort: to.port,
});

describe('a TCP connection that is older than the daemon', () => {
  it('is never read, whatever comes on it and however long it was silent, and is told once', () => {
    const wire = createWire();
    assert.equal(wire.opens(pbx, stranger), false);
    wire.wait(5000);
    assert.equal(wire.opens(pbx, stranger), false);
    wire.send(stranger, pbx, sip('OPTIONS'));
    assert.deepEqual(wire.refusals, ['older-connection: TCP 192.168.1.10 40000 > 198.51.100.9 5060']);
    assert.equal(wire.inspector.stats.olderConnections, 1);
    assert.equal(wire.inspector.stats.messages.tcp, 0);
  });

  it("is not told of where it is none of SIP: a browser's POST with SIP at the start of a segment", () => {
    const wire = createWire();
    wire.send(pbx, stranger, 'POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n');
    wire.wait(5000);
    assert.equal(wire.opens(pbx, stranger), false);
    assert.deepEqual(wire.reasons(), ['older-connection']);
  });

  it('counts no more once it has ended, and is read when it is made anew', () => {
    const wire = createWire();
    wire.opens(pbx, stranger);
    wire.segment(pbx, stranger, { seq: 9, flags: 4 });
    wire.handshake(pbx, stranger);
    assert.equal(wire.opens(pbx, stranger), true);
    assert.equal(wire.inspector.stats.olderConnections, 0);
  });

  it('to a peer with a name is read from the next message on, at once', () => {
    const wire = createWire(NAMED);
    const invite = sip('INVITE', { body: sdp(pbx.address, [30_000]) });
    wire.send(pbx, trunk, invite.slice(150));
    assert.equal(wire.opens(pbx, trunk), true);
    wire.send(trunk, pbx, sip('200 OPTIONS').slice(30) + sip('OPTIONS', { callId: 'x' }));
    assert.equal(wire.inspector.stats.messages.tcp, 2);
    assert.deepEqual(wire.reasons(), ['stream-unusable', 'stream-unusable']);
    assert.match(
      wire.refusals[0]!,
      new RegExp(`read on after ${invite.length - 150} bytes that were passed over`),
    );
  });

  it('is read where the journal knows it, and no other', () => {
    const first = createWire();
    first.handshake(pbx, trunk);
    assert.equal(first.opens(pbx, trunk), true);
    first.send(trunk, pbx, sip('200 INVITE', { callId: 'call-1', from: 'f1', to: 'b' }));
    const changes = first.inspector.directionChanges();
    assert.deepEqual(changes, [
      { what: 'opened', direction: directionOf(pbx, trunk) },
      { what: 'opened', direction: directionOf(trunk, pbx) },
    ]);
    const second = createWire(
      {},
      changes.map(({ direction }) => direction),
    );
    assert.equal(second.opens(pbx, trunk), true);
    assert.equal(second.opens(host('192.168.1.10', 40001), trunk), false);
  });

  it("is not read in the inside host's direction where only a server's answers looked like SIP", () => {
    const first = createWire();
    first.handshake(pbx, stranger);
    first.send(pbx, stranger, 'POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n');
    first.send(stranger, pbx, sip('200 OPTIONS'));
    const known = first.inspector.directionChanges().map(({ direction }) => direction);
    assert.deepEqual(known, [directionOf(stranger, pbx)]);
    const second = createWire({}, known);
    assert.equal(second.opens(pbx, stranger), false);
  });

  it("the server's direction is read on where the inside host's is known", () => {
    const wire = createWire({}, [directionOf(pbx, trunk)]);
    wire.send(trunk, pbx, sip('OPTIONS'));
    assert.equal(wire.inspector.stats.messages.tcp, 1);
  });

  it('is forgotten by the journal when it ends', () => {
    const wire = createWire();
    wire.handshake(pbx, trunk);
    wire.opens(pbx, trunk);
    wire.inspector.directionChanges();
    wire.reset(pbx, trunk);
    assert.deepEqual(wire.inspector.directionChanges(), [
      { what: 'closed', direction: directionOf(pbx, trunk) },
    ]);
  });

  it('is forgotten with any number of others, where a journal had more than are kept now', () => {
    const known = Array.from({ length: 200_000 }, (_, index) => ({
      ...directionOf(pbx, trunk),
      sourcePort: index % 60_000,
      destinationPort: 5060 + Math.floor(index / 60_000),
    }));
    const { inspector } = createWire({ caps: { tcpConnections: 1 } }, known);
    const crowded = inspector.directionChanges().filter(({ what }) => what === 'crowded');
    assert.equal(crowded.length, known.length - 2);
  });
});

describe('a stream out of step', () => {
  it('heals with the next message of a peer with a name, and stays unread with any other', () => {
    for (const [peers, heals] of [
      [NAMED, true],
      [{}, false],
    ] as const) {
      const other = trunk;
      const wire = createWire(peers);
      wire.handshake(pbx, other);
      assert.equal(wire.opens(pbx, other), true);
      wire.send(pbx, other, 'this is no SIP\r\n');
      assert.equal(wire.opens(pbx, other), heals);
    }
  });

  it('is told once where what follows a message cannot be read, and not where nothing of it was SIP', () => {
    for (const [first, reasons] of [
      ['', ['stream-unusable']],
      ['hello\r\n', []],
    ] as const) {
      const wire = createWire();
      wire.handshake(pbx, stranger);
      if (first !== '') wire.send(pbx, stranger, first);
      assert.equal(wire.opens(pbx, stranger), first === '');
      wire.send(pbx, stranger, 'hello, are you there?\r\n');
      assert.equal(wire.opens(pbx, stranger), false);
      wire.send(pbx, stranger, 'hello\r\n');
      assert.deepEqual(wire.reasons(), reasons);
    }
  });

  it('that did not begin with SIP is not read, be the peer known by name', () => {
    const wire = createWire(NAMED);
    wire.handshake(pbx, trunk);
    wire.send(pbx, trunk, 'POST / HTTP/1.1\r\nContent-Length: 99999\r\n\r\n');
    assert.equal(wire.opens(pbx, trunk), false);
  });
});

describe('too many connections', () => {
  const caps = { tcpConnections: 100 };
  const spoofed = (index: number) => host(`198.18.${index >> 8}.${index & 255}`, 1024 + index);

  it('forged SYNs push out no connection that is made', () => {
    const wire = createWire({ caps });
    wire.handshake(pbx, stranger);
    assert.equal(wire.opens(pbx, stranger), true);
    const idle = host('192.168.1.10', 40001);
    wire.handshake(idle, stranger);
    const server = host('192.168.1.20');
    for (let index = 0; index < 1000; index++) {
      wire.segment(spoofed(index), server, { seq: index, flags: 2 });
      // A server that listens answers each.
      wire.segment(server, spoofed(index), { seq: 5, ack: index + 1, flags: 0x12 });
    }
    assert.equal(wire.opens(pbx, stranger), true);
    assert.equal(wire.opens(idle, stranger), true);
    assert.deepEqual(wire.refusals, []);
  });

  for (const [name, forged] of [
    ['urgent data', [{ seq: 0x1234_5678, flags: 0x38, payload: 'x' }]],
    [
      'data, twice',
      [
        { seq: 0x1234_5678, flags: 0x18, payload: 'x' },
        { seq: 0x1234_5678, flags: 0x18, payload: 'x' },
      ],
    ],
    [
      'a SYN and data',
      [
        { seq: 0x1234_5678, flags: 2 },
        { seq: 0x1234_5679, flags: 0x18, payload: 'x' },
      ],
    ],
  ] as const) {
    it(`forged in the name of the other end, ${name} with numbers that are guessed stop no reading`, () => {
      const wire = createWire();
      wire.handshake(pbx, trunk);
      wire.send(pbx, trunk, sip('OPTIONS'));
      wire.send(trunk, pbx, sip('200 OPTIONS'));
      wire.send(pbx, trunk, sip('OPTIONS', { cseq: 2 }));
      for (const fields of forged) {
        wire.segment(trunk, pbx, fields);
        wire.wait(31_000);
      }
      wire.send(pbx, trunk, sip('INVITE', { callId: 'call', body: sdp(pbx.address, [20_000]) }));
      const body = sdp('198.51.100.40', [4000]);
      wire.send(trunk, pbx, sip('200 INVITE', { callId: 'call', to: 'b', body }));
      const [pinhole] = wire.inspector.pinholes();
      assert.deepEqual(pinhole?.sources, ['198.51.100.40', '203.0.113.5']);
    });
  }

  for (const overrides of [{}, NAMED]) {
    const who = overrides === NAMED ? 'with a name' : 'without a name';
    it(`what a stranger has relayed to a peer ${who} neither ends the reading nor has a message in its body`, () => {
      const wire = createWire(overrides);
      wire.handshake(pbx, trunk);
      wire.send(pbx, trunk, sip('OPTIONS'));
      const headers = Array.from({ length: 300 }, (_, index) => `X-${index}: y`);
      const hidden = sip('INVITE', { callId: 'hidden', body: sdp(pbx.address, [3478]) });
      wire.send(
        pbx,
        trunk,
        sip('MESSAGE', { callId: 'm', headers, contentType: 'text/plain', body: hidden }),
      );
      assert.deepEqual([...wire.inspector.pinholes()], []);
      assert.equal(wire.opens(pbx, trunk), true);
    });
  }

  it('strict, what cannot be read does not pass when it is sent again either', () => {
    const wire = createWire({ strict: true });
    wire.handshake(pbx, trunk);
    const bad = sip('OPTIONS', { headers: ['Call-ID: another'] });
    for (const payload of [bad, bad, sip('OPTIONS')]) {
      const packet = tcpPacket(pbx, trunk, { seq: 78, ack: 901, flags: 0x18, payload });
      assert.equal(wire.inspector.inspect(packet, 5000).verdict, 'drop');
    }
  });

  it('nor do forged segments in the middle of connections', () => {
    const wire = createWire({ caps });
    wire.handshake(pbx, stranger);
    for (let index = 0; index < 1000; index++) {
      wire.segment(spoofed(index), host('192.168.1.20'), { seq: index, payload: 'x' });
      wire.segment(spoofed(index), host('192.168.1.20'), { seq: index, payload: sip('OPTIONS') });
    }
    assert.equal(wire.opens(pbx, stranger), true);
    assert.ok(wire.inspector.stats.olderConnections <= 100);
  });

  it('connections without SIP go first; one that SIP was read on is named, and read again', () => {
    const wire = createWire({ caps });
    wire.handshake(pbx, stranger);
    assert.equal(wire.opens(pbx, stranger), true);
    for (let index = 0; index < 150; index++) wire.handshake(spoofed(index), host('192.168.1.20'));
    assert.equal(wire.refusals.length, 0);
    for (let index = 0; index < 150; index++) {
      wire.handshake(spoofed(1000 + index), host('192.168.1.20'));
      wire.send(spoofed(1000 + index), host('192.168.1.20'), sip('OPTIONS', { callId: `o${index}` }));
      wire.send(host('192.168.1.20'), spoofed(1000 + index), sip('200 OPTIONS', { callId: `o${index}` }));
    }
    const evicted = wire.refusals.filter((text) =>
      text.includes('TCP 192.168.1.10 40000 > 198.51.100.9 5060'),
    );
    assert.equal(evicted.length, 1, wire.refusals.join('\n'));
    assert.ok(wire.reasons().every((reason) => reason === 'stream-evicted'));
  });

  it('connections that are no SIP take no room of the others', () => {
    const wire = createWire({ caps });
    wire.handshake(pbx, stranger);
    assert.equal(wire.opens(pbx, stranger), true);
    for (let index = 0; index < 1000; index++) {
      wire.handshake(spoofed(index), host('192.168.1.20'));
      wire.send(spoofed(index), host('192.168.1.20'), 'GET / HTTP/1.1\r\n\r\n');
      wire.send(host('192.168.1.20'), spoofed(index), 'HTTP/1.1 400 no\r\n\r\n');
    }
    assert.equal(wire.opens(pbx, stranger), true);
  });
});

it('the bounds of TCP follow a reload', () => {
  const wire = createWire({ caps: { tcpConnections: 1000 } });
  for (let index = 0; index < 50; index++) {
    const from = host('192.168.1.10', 30_000 + index);
    wire.handshake(from, stranger);
    assert.equal(wire.opens(from, stranger), true);
  }
  wire.reload({ caps: { tcpConnections: 10 } });
  wire.handshake(pbx, stranger);
  assert.ok(wire.reasons().includes('stream-evicted'));
});

describe('media over TCP of a PBX behind NAT, signalled over TCP', () => {
  const EXTERNAL = '192.0.2.200';
  const behindNat: Overrides = {
    tcpMedia: true,
    outbound: true,
    nat: [
      { external: { address: EXTERNAL }, hosts: networks(pbx.address), translation: null, arrivesAt: null },
    ],
  };
  const line = (port: number, setup: string) => ({
    media: 'message',
    port,
    proto: 'TCP/MSRP',
    attributes: [`setup:${setup}`],
  });
  const { address: at } = trunk;
  const wayIn = { direction: 'in', protocol: 'tcp', address: pbx.address, sources: [at], external: EXTERNAL };
  const wayOut = {
    direction: 'out',
    protocol: 'tcp',
    address: at,
    sources: [pbx.address],
    external: EXTERNAL,
  };

  for (const [offer, answer, expected] of [
    ['passive', 'active', { ...wayIn, port: 20_000 }],
    ['active', 'passive', { ...wayOut, port: 30_000 }],
    ['actpass', 'active', { ...wayIn, port: 20_000 }],
  ] as const) {
    it(`opens to whom ${offer} answered ${answer} has connected to, by the external address`, () => {
      const wire = createWire(behindNat);
      wire.handshake(pbx, trunk);
      wire.send(pbx, trunk, sip('INVITE', { body: sdp(EXTERNAL, [line(20_000, offer)]) }));
      wire.send(trunk, pbx, sip('200 INVITE', { to: 'b', body: sdp(at, [line(30_000, answer)]) }));
      wire.send(pbx, trunk, sip('ACK', { to: 'b' }));
      const open = [...wire.inspector.pinholes()].map(
        ({ direction, protocol, address, sources, translation, ports }) => ({
          ...{ direction, protocol, address, sources, port: ports[0] },
          external: translation?.external ?? null,
        }),
      );
      assert.deepEqual(open, [expected]);
      wire.send(pbx, trunk, sip('BYE', { to: 'b', cseq: 2 }));
      wire.send(trunk, pbx, sip('200 BYE', { to: 'b', cseq: 2 }));
      wire.inspector.tick(100_000);
      assert.deepEqual([...wire.inspector.pinholes()], []);
    });
  }
});
