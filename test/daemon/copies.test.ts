import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { addressBytes } from '../../src/address/address.ts';
import type { Settings } from '../../src/config/load.ts';
import { createCopies } from '../../src/daemon/data-path/copies.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { createInspector, type Inspection } from '../../src/inspector.ts';
import { CHUNK, KIND } from '../../src/intercept/hep/chunks.ts';
import { encodeHep, type ToMirror } from '../../src/intercept/hep/encode.ts';
import type { HepArrival } from '../../src/intercept/hep/listener.ts';
import { KAMAILIO } from '../intercept/hep-vectors.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, networks, sdp, sip } from '../scene.ts';
import { settingsWith } from './doubles.ts';

const pbx = host('192.168.1.10', 5061);
const phone = host('192.168.1.20');
const provider = host('203.0.113.5', 5061);
const WALL = 1_800_000_000_000;
const KEY = Buffer.from('a secret');

interface Copied extends Partial<Pick<ToMirror, 'key' | 'seenAt' | 'kind'>> {
  readonly sender?: string;
}

/** An inspector and a packet filter that are told by packets, by copies, or by both. */
function createPlace(
  changes: Partial<Settings['hep']> = {},
  key: Uint8Array | null = KEY,
  nat: Settings['nat'] = [],
) {
  const base = settingsWith({ inside: networks('192.168.0.0/16'), nat });
  const settings = { ...base, hep: { ...base.hep, from: networks('192.168.1.10'), ...changes } };
  const inspector = createInspector(() => settings);
  const firewall = createModelFirewall();
  const refused: string[] = [];
  const commits: string[] = [];
  const errors: unknown[] = [];
  let arrivals: HepArrival[] = [];
  let now = 1000;
  const done = ({ change, events }: Inspection) => {
    for (const event of events) if (event.type === 'refused') refused.push(event.refusal.reason);
    if (change === null) return;
    firewall.commit(change);
    const ports = (list: typeof change.open) =>
      list.map(({ address, ports: [first] }) => `${address} ${first}`);
    commits.push(`+${ports(change.open).sort()} -${ports(change.close).sort()}`);
  };
  const copies = createCopies({
    listener: { wait() {}, receive: () => arrivals.splice(0), close() {} },
    copied: () => {},
    ...{ key, inspector, done, clock: () => now, wall: () => WALL + now },
    settings: () => settings,
    unexpected: (_, error) => errors.push(error),
  });
  const arrive = (sender: string, bytes: Buffer | null, fault: string | null = null) => {
    arrivals = [...arrivals, { sender, bytes, fault }];
    copies.take();
    assert.deepEqual(errors, []);
  };
  return {
    inspector,
    refused,
    commits,
    arrive,
    pass(ms: number) {
      now += ms;
      done(inspector.tick(now));
    },
    packet: (from: Host, to: Host, text: string) => done(inspector.inspect(udpPacket(from, to, text), now)),
    copy(from: Host, to: Host, text: string, how: Copied = {}) {
      const { sender = '192.168.1.10', seenAt = WALL + now, kind = KIND.sip } = how;
      const one = { source: from, destination: to, transport: 'tcp', agent: 1, correlation: null } as const;
      const bytes = encodeHep({
        ...one,
        ...{ seenAt, kind, payload: Buffer.from(text, 'latin1') },
        key: how.key === undefined ? KEY : how.key,
      });
      arrive(sender, bytes);
    },
    open: () => [...inspector.pinholes()].map(({ address, ports: [first] }) => `${address} ${first}`).sort(),
  };
}

type Step = readonly [from: Host, to: Host, text: string];

/** A call of the PBX that is answered and ended, with what both sides announce. */
const CALL: readonly Step[] = [
  [pbx, provider, sip('INVITE', { body: sdp(pbx.address, [10_000]) })],
  [provider, pbx, sip('180 INVITE', { to: 'b' })],
  [provider, pbx, sip('200 INVITE', { to: 'b', body: sdp(provider.address, [20_000]) })],
  [pbx, provider, sip('ACK', { to: 'b' })],
  [pbx, provider, sip('INVITE', { to: 'b', cseq: 2, body: sdp(pbx.address, [10_002]) })],
  [provider, pbx, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp(provider.address, [20_000]) })],
  [pbx, provider, sip('ACK', { to: 'b', cseq: 2 })],
  [provider, pbx, sip('BYE', { from: 'b', to: 'a', cseq: 1 })],
  [pbx, provider, sip('200 BYE', { from: 'b', to: 'a', cseq: 1 })],
];
const INVITE = CALL[0]!;

describe('what a host mirrors by HEP', () => {
  it('opens and closes what the message itself would have', () => {
    const place = createPlace();
    place.copy(...INVITE);
    assert.deepEqual(place.open(), ['192.168.1.10 10000']);
    for (const step of CALL.slice(1)) place.copy(...step);
    place.pass(60_000);
    assert.deepEqual(place.open(), []);
    assert.deepEqual(place.refused, ['not-inside']);
    assert.equal(place.inspector.stats.mirrored, CALL.length);
  });

  it('changes nothing more where the same crosses the firewall, in whatever order and however often', () => {
    const alone = createPlace();
    for (const step of CALL) {
      alone.packet(...step);
      alone.pass(20);
    }
    alone.pass(90_000);
    assert.equal(alone.commits.length, 3);
    assert.deepEqual(alone.open(), []);
    const way = fc.array(fc.constantFrom('packet', 'copy'), { minLength: 1, maxLength: 4 });
    fc.assert(
      fc.property(fc.tuple(...CALL.map(() => way)), (ways) => {
        const place = createPlace();
        for (const [n, step] of CALL.entries()) {
          for (const one of ways[n]!) place[one as 'packet' | 'copy'](...step);
          place.pass(20);
        }
        place.pass(90_000);
        assert.deepEqual(place.commits, alone.commits);
        assert.deepEqual(place.refused, alone.refused);
        assert.equal(place.inspector.stats.callsStarted, 1);
      }),
    );
  });

  it('names the host itself where its socket is bound to every address', () => {
    const place = createPlace();
    place.copy(host('0.0.0.0', 5061), provider, INVITE[2]);
    assert.deepEqual(place.open(), ['192.168.1.10 10000']);
  });

  const forged: readonly (readonly [string, string, Copied, Step, Partial<Settings['hep']>?])[] = [
    ['comes from a host that is not named', 'hep-unknown-sender', { sender: '203.0.113.66' }, INVITE],
    ['has no key', 'hep-wrong-key', { key: null }, INVITE],
    ['has another key', 'hep-wrong-key', { key: Buffer.from('a secreT') }, INVITE],
    ['has a longer key', 'hep-wrong-key', { key: Buffer.from('a secret and more') }, INVITE],
    ['is old', 'hep-too-old', { seenAt: WALL - 9_000 }, INVITE],
    ['is of the future', 'hep-too-old', { seenAt: WALL + 9_000 }, INVITE],
    [
      'is of another inside host',
      'hep-not-spoken-for',
      {},
      [phone, provider, sip('INVITE', { body: sdp(phone.address, [10_000]) })],
    ],
    [
      'is what another inside host sends to it',
      'hep-not-spoken-for',
      {},
      [phone, pbx, sip('INVITE', { body: sdp(phone.address, [10_000]) })],
    ],
    ['is to another inside host', 'hep-not-spoken-for', {}, [provider, phone, sip('OPTIONS')]],
    ['is between two strangers', 'hep-not-spoken-for', {}, [provider, host('203.0.113.7'), sip('OPTIONS')]],
  ];
  for (const [what, reason, how, step] of forged) {
    it(`opens nothing where it ${what}`, () => {
      const place = createPlace();
      place.copy(...step, how);
      place.pass(10);
      place.copy(...step, how);
      assert.deepEqual(place.refused, [reason], 'told once, counted twice');
      assert.equal(place.inspector.stats.refusals.get(reason as 'hep-too-old'), 2);
      assert.deepEqual(place.open(), []);
      assert.equal(place.inspector.stats.mirrored, 0);
      place.copy(...INVITE);
      assert.deepEqual(
        place.open(),
        ['192.168.1.10 10000'],
        'and does not stand in the way of what is right',
      );
    });
  }

  it('opens for nobody but the host that mirrors and those it speaks for, whoever it says was speaking with whom', () => {
    const addresses = [
      ...['192.168.1.10', '192.168.1.20', '192.168.1.30', '192.168.1.40', '203.0.113.5', '203.0.113.66'],
      ...['0.0.0.0', '::', '::ffff:192.168.1.40', '2001:db8::1', '255.255.255.255', '127.0.0.1'],
    ];
    const one = fc.constantFrom(...addresses);
    const copy = fc.tuple(
      ...([one, one, one, fc.constantFrom('192.168.1.10', '192.168.1.30')] as const),
      fc.constantFrom('INVITE', '200 INVITE', '183 INVITE', 'ACK', 'UPDATE'),
      fc.integer({ min: -9_000, max: 9_000 }),
    );
    fc.assert(
      fc.property(fc.array(copy, { maxLength: 12 }), (copies) => {
        // Two proxies in a row, each of which mirrors; the first speaks for a telephone as well.
        const place = createPlace({
          from: networks('192.168.1.10', '192.168.1.30'),
          speaksFor: networks('192.168.1.20'),
        });
        for (const [source, destination, announced, sender, start, off] of copies) {
          const body = sdp(announced.includes(':') ? '192.168.1.40' : announced, [10_000]);
          const seenAt = WALL + 1000 + off;
          place.copy(host(source), host(destination), sip(start, { body, to: 'b' }), { sender, seenAt });
        }
        for (const { address } of place.inspector.pinholes()) {
          assert.ok(['192.168.1.10', '192.168.1.20', '192.168.1.30'].includes(address), address);
        }
      }),
      { numRuns: 300 },
    );
  });

  it('does not stand for another that mirrors as well', () => {
    const place = createPlace({ from: networks('192.168.1.10', '192.168.1.30') });
    const other = host('192.168.1.30', 5061);
    place.copy(other, provider, sip('INVITE', { body: sdp(other.address, [10_000]) }));
    assert.deepEqual([place.open(), place.refused], [[], ['hep-not-spoken-for']]);
    place.copy(other, provider, sip('INVITE', { body: sdp(other.address, [10_000]) }), {
      sender: other.address,
    });
    assert.deepEqual(place.open(), ['192.168.1.30 10000']);
  });

  it('names no host by a socket for everybody of the other family', () => {
    const place = createPlace();
    place.copy(host('::', 5061), host('2001:db8::5', 5061), INVITE[2]);
    assert.deepEqual([place.open(), place.refused], [[], ['hep-unreadable']]);
  });

  it('is refused with addresses of two families, once it is known who sent it', () => {
    const place = createPlace();
    const copy = (key: Buffer | null) => {
      const bytes = encodeHep({
        ...{ source: pbx, destination: provider, transport: 'tcp', agent: 1, correlation: null, key },
        ...{ seenAt: WALL + 1000, kind: KIND.sip, payload: Buffer.from(INVITE[2], 'latin1') },
      });
      const source = Buffer.concat([
        Buffer.from([0, 0, 0, CHUNK.sourceIPv6, 0, 22]),
        addressBytes('2001:db8::5'),
      ]);
      const both = Buffer.concat([bytes!, source]);
      both.writeUInt16BE(both.length, 4);
      place.arrive('192.168.1.10', both);
    };
    copy(null);
    assert.deepEqual(place.refused, ['hep-wrong-key']);
    copy(KEY);
    assert.deepEqual([place.open(), place.refused], [[], ['hep-wrong-key', 'hep-unreadable']]);
  });

  it('is refused where it does not say who the other party is', () => {
    const unnamed: readonly (readonly [Host, Host])[] = [
      // FreeSWITCH over IPv6: it copies 4 bytes of flow information in place of each address.
      [host('::', 5061), host('::', 5061)],
      [host('0.0.0.0', 5061), host('0.0.0.0', 5061)],
      // What kamailio and OpenSIPS write for a destination that they do not know.
      [pbx, host('255.255.255.255', 5060)],
      [host('255.255.255.255', 5060), pbx],
    ];
    for (const [from, to] of unnamed) {
      const place = createPlace();
      place.copy(from, to, INVITE[2]);
      assert.deepEqual(
        [place.open(), place.refused],
        [[], ['hep-unreadable']],
        `${from.address} ${to.address}`,
      );
      assert.equal(place.inspector.stats.mirrored, 0);
    }
  });

  describe('from behind nat', () => {
    const external = { address: '203.0.113.2' };
    const behind = (...hosts: string[]) => [
      { external, hosts: networks(...hosts), translation: null, arrivesAt: null },
    ];
    const outer = host(external.address, 5061);

    it('may say the address that stands for its host, as OpenSIPS does', () => {
      for (const own of [pbx, outer]) {
        const place = createPlace({}, KEY, behind('192.168.1.10'));
        const body = sdp(external.address, [10_000]);
        place.copy(own, provider, sip('INVITE', { body }));
        const answer = sip('200 INVITE', { to: 'b', body: sdp(provider.address, [20_000]) });
        place.copy(provider, own, answer);
        const ofCopies = place.refused.filter((reason) => reason.startsWith('hep-'));
        assert.deepEqual([place.open(), ofCopies], [['192.168.1.10 10000'], []], own.address);
        place.copy(own, provider, sip('BYE', { to: 'b', cseq: 2 }));
        place.copy(provider, own, sip('200 BYE', { to: 'b', cseq: 2 }));
        place.pass(60_000);
        assert.deepEqual(place.open(), [], own.address);
      }
    });

    it('may not say one that stands for others', () => {
      for (const hosts of [['192.168.1.20'], ['192.168.1.11', '192.168.1.20']]) {
        const place = createPlace({}, KEY, behind(...hosts));
        place.copy(outer, provider, sip('INVITE', { body: sdp(external.address, [10_000]) }));
        assert.deepEqual([place.open(), place.refused], [[], ['hep-not-spoken-for']]);
      }
    });

    it('says by it who the other is where both are behind it, and nothing where it is all that is said', () => {
      const place = createPlace({}, KEY, behind('192.168.1.10', '192.168.1.20'));
      place.copy(pbx, outer, sip('INVITE', { body: sdp(external.address, [10_000]) }));
      assert.deepEqual([place.inspector.stats.mirrored, place.refused], [1, []]);
      place.copy(outer, outer, sip('INVITE', { callId: 'other', body: sdp(external.address, [10_002]) }));
      assert.deepEqual([place.inspector.stats.mirrored, place.refused], [1, ['hep-unreadable']]);
    });
  });

  it('opens for a host that it may speak for', () => {
    const place = createPlace({ speaksFor: networks('192.168.1.20') });
    place.copy(phone, provider, sip('INVITE', { body: sdp(phone.address, [10_000]) }));
    assert.deepEqual(place.open(), ['192.168.1.20 10000']);
  });

  it('opens nothing towards an outside address, and nothing on the word of an outside party', () => {
    const place = createPlace();
    place.copy(provider, pbx, sip('INVITE', { body: sdp(pbx.address, [10_000]) }));
    place.copy(pbx, provider, sip('INVITE', { callId: 'other', body: sdp('203.0.113.9', [10_000]) }));
    assert.deepEqual(place.open(), []);
  });

  it('needs no key where none is asked for; versions 1 and 2 have none, and version 1 no time', () => {
    const place = createPlace({ from: networks('127.0.0.1') }, null);
    place.copy(pbx, provider, INVITE[2], { sender: '127.0.0.1', key: null });
    place.arrive('127.0.0.1', KAMAILIO.version1);
    place.arrive('127.0.0.1', KAMAILIO.version2);
    assert.deepEqual(place.refused, ['hep-not-spoken-for', 'hep-too-old']);
    const asking = createPlace({ from: networks('127.0.0.1') });
    asking.arrive('127.0.0.1', KAMAILIO.version2);
    assert.deepEqual(asking.refused, ['hep-wrong-key']);
  });

  it('is refused by name where it cannot be read, and passed over where it is no SIP', () => {
    const place = createPlace();
    place.arrive('192.168.1.10', Buffer.from('HEP3'));
    place.arrive('192.168.1.10', null, 'no message of HEP version 3 where one should begin');
    assert.deepEqual(place.refused, ['hep-unreadable']);
    place.copy(...INVITE, { kind: KIND.log });
    assert.deepEqual(place.open(), []);
    assert.deepEqual(place.refused, ['hep-unreadable']);
  });

  it('is limited by the second, each host by itself', () => {
    const place = createPlace({ messagesPerSecond: 10, from: networks('192.168.1.10', '192.168.1.11') });
    for (let count = 0; count < 12; count++) place.copy(pbx, provider, sip('OPTIONS'));
    assert.equal(place.inspector.stats.mirrored, 10);
    assert.deepEqual(place.refused, ['hep-rate-limit']);
    place.copy(host('192.168.1.11'), provider, sip('OPTIONS'), { sender: '192.168.1.11' });
    assert.equal(place.inspector.stats.mirrored, 11);
    place.pass(100);
    for (let count = 0; count < 3; count++) place.copy(pbx, provider, sip('OPTIONS'));
    assert.equal(place.inspector.stats.mirrored, 12);
  });

  it('keeps its rate from those who send in its name without the key', () => {
    const place = createPlace({ messagesPerSecond: 10 });
    for (let count = 0; count < 1000; count++) {
      place.copy(pbx, provider, sip('OPTIONS'), { key: Buffer.from('guessed') });
      place.arrive('192.168.1.10', Buffer.from('HEP3 and nothing'));
    }
    place.copy(...INVITE);
    assert.deepEqual(place.open(), ['192.168.1.10 10000']);
    assert.deepEqual(place.refused, ['hep-wrong-key', 'hep-unreadable']);
  });
});
