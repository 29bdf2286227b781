import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import {
  type CallRecord,
  type Recorded,
  readRecord,
  type Scribe,
  writeCall,
} from '../../src/inspector/record.ts';
import { createInspector } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import {
  createScene,
  host,
  networks,
  type Overrides,
  peerNetworks,
  sdp,
  settingsWith,
  sip,
} from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const inside = { inside: networks('192.0.2.0/24') };
const BEGUN = 1_000_000;

function scribeAt(now: number, more: Partial<Scribe> = {}): Scribe {
  return { machine: '0000000a', boot: 'one', now: () => now, wall: () => 1.7e12, ...more };
}

/** An answered call as a journal has it, ten seconds old. */
function answered(): string {
  const scene = createScene(inside);
  scene.send(phone, pbx, sip('INVITE', { body: sdp(phone.address, [40000]) }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp(pbx.address, [20000]) }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  scene.media(pbx.address, 20000, phone.address, 40000);
  scene.wait(BEGUN + 10_000 - scene.now);
  const [call] = scene.inspector.calls();
  return writeCall(scene.inspector.dump(call!.legId)!, scribeAt(scene.now));
}

const RECORD = answered();
const WRITTEN = BEGUN + 10_000;

function callOf(read: Recorded): CallRecord {
  assert.equal(read.what, 'call', 'why' in read ? read.why : '');
  return (read as Extract<Recorded, { what: 'call' }>).record;
}

function whyNot(text: string): string {
  const read = readRecord(text, scribeAt(WRITTEN));
  return read.what === 'refused' ? read.why : read.what;
}

type Plain = { [key: string]: unknown };

/** The record with one place of it, by its path, put to something else. */
function changed(path: readonly (string | number)[], value: unknown): string {
  const whole = JSON.parse(RECORD) as Plain;
  let place: Plain = whole;
  for (const key of path.slice(0, -1)) place = place[key] as Plain;
  place[path.at(-1)!] = value;
  return JSON.stringify(whole);
}

/** The times of a call before `now`, in ms. */
function ages({ call, held }: CallRecord, now: number) {
  return {
    started: now - call.startedAt,
    media: now - call.mediaAt,
    opened: now - held[0]!.openedAt,
    session: call.sessionDeadline,
  };
}

describe('a record of a call', () => {
  test('is text that says its version, its machine and its times relative to the moment of writing', () => {
    const { pinholed, machine, up, at, call, held } = JSON.parse(RECORD);
    assert.deepEqual([pinholed, machine, up, at], [4, '0000000a', WRITTEN, 1.7e12]);
    assert.deepEqual([call.startedAt, call.sessionDeadline, call.heardAt], [-9999, 'never', -9997]);
    assert.equal(held[0].openedAt, -9999);
    assert.equal(held[0].pinhole.id, undefined);
  });

  const same = { started: 9999, media: 9997, opened: 9999, session: Number.POSITIVE_INFINITY };
  const later = { started: 69_999, media: 69_997, opened: 69_999, session: Number.POSITIVE_INFINITY };

  test('is read by the clock that writer and reader share, whatever the wall clock was set to', () => {
    for (const wall of [1.7e12, 1.6e12, 1.8e12]) {
      const now = WRITTEN + 60_000;
      const read = callOf(readRecord(RECORD, scribeAt(now, { wall: () => wall })));
      assert.deepEqual(ages(read, now), later);
    }
  });

  test('is read by the wall clock on another machine, after another boot, and where boots cannot be told apart', () => {
    const wall = () => 1.7e12 + 60_000;
    for (const reader of [
      scribeAt(77, { boot: 'other', wall }),
      scribeAt(77, { boot: 'other', machine: '0000000b', wall }),
      scribeAt(5e9, { boot: null, wall }),
    ]) {
      assert.deepEqual(ages(callOf(readRecord(RECORD, reader)), reader.now()), later);
    }
  });

  test('has no age where the wall clock went back', () => {
    const reader = scribeAt(77, { boot: 'other', wall: () => 1.6e12 });
    assert.deepEqual(ages(callOf(readRecord(RECORD, reader)), 77), same);
  });

  test('of an older or a newer version is refused by its number, and so is what is none', () => {
    assert.equal(whyNot(changed(['pinholed'], 0)), 'it is of version 0, and only 1 to 4 are read here');
    assert.equal(whyNot(changed(['pinholed'], 5)), 'it is of version 5, and only 1 to 4 are read here');
    assert.equal(whyNot(changed(['pinholed'], '1')), 'it is of version "1", and only 1 to 4 are read here');
    for (const text of ['', '{', '[]', 'null', '7', '{"call":{}}']) {
      assert.equal(whyNot(text), 'it is no record', text);
    }
  });

  test('with a field too many, too few or of the wrong kind is refused by the name of the place', () => {
    const cases: readonly (readonly [path: readonly (string | number)[], value: unknown, why: string])[] = [
      [['call', 'extra'], 1, 'expected no record.call.extra'],
      [['call', 'state'], undefined, 'expected record.call.state'],
      [['call', 'parties', 1], 'example.com', 'expected an address at record.call.parties[1]'],
      [['call', 'parties', 1], '192.0.2.010', 'expected an address at record.call.parties[1]'],
      [['call', 'startedAt'], 5000, 'expected a time in ms at record.call.startedAt'],
      [['call', 'mediaAt'], 'never', 'expected a time in ms at record.call.mediaAt'],
      [['call', 'invite'], 9, 'expected only what is there to be named in record.call'],
      [['call', 'state'], 'ended', 'expected an end where the call is over, at record.call'],
      [
        ['held', 0, 'pinhole', 'ports'],
        [40001, 40000],
        'expected a range of ports at record.held[0].pinhole.ports',
      ],
      [
        ['held', 0, 'pinhole', 'ports'],
        [0, 65536],
        'expected a range of ports at record.held[0].pinhole.ports',
      ],
      [['machine'], 'this one', 'expected 8 to 8 characters of 0123456789abcdef at record.machine'],
    ];
    for (const [path, value, why] of cases) assert.equal(whyNot(changed(path, value)), why);
  });
});

/** What an inspector with these settings has open after it took this record up, and what it refused. */
function adopted(text: string, overrides: Overrides = inside) {
  const settings = settingsWith(overrides);
  const inspector = createInspector(() => settings);
  const read = readRecord(text, scribeAt(WRITTEN));
  const events = read.what === 'call' ? inspector.adopt([read.record], WRITTEN).events : [];
  return {
    inspector,
    open: [...inspector.pinholes()].map(({ id }) => id),
    refused: events.flatMap((event) => (event.type === 'refused' ? [event.refusal.reason] : [])),
  };
}

describe('a record that was tampered with', () => {
  const HELD = ['held', 0, 'pinhole'] as const;

  test('is no way to what the settings do not let be open', () => {
    assert.equal(adopted(RECORD).open.length, 1);
    const cases: readonly (readonly [field: string, value: unknown, reason: string])[] = [
      ['address', '203.0.113.9', 'not-inside'],
      ['address', '198.51.100.20', 'not-inside'],
      ['ports', [22, 22], 'port-out-of-range'],
      ['ports', [5060, 5061], 'denied-port'],
      ['protocol', 'tcp', 'tcp-media'],
      ['sources', 'any', 'no-source'],
      ['sources', [], 'no-source'],
      ['sources', ['127.0.0.1'], 'no-source'],
      ['sources', ['2001:db8::1'], 'no-source'],
      ['direction', 'out', 'not-inside'],
      [
        'translation',
        { external: '203.0.113.2', arrivesAt: '203.0.113.2', interface: null, by: 'pinhole' },
        'foreign-address',
      ],
    ];
    for (const [field, value, reason] of cases) {
      const { open, refused } = adopted(changed([...HELD, field], value), {
        ...inside,
        mediaPorts: [[1024, 65535]],
      });
      assert.deepEqual({ field, open, refused }, { field, open: [], refused: [reason] });
    }
  });

  test('has no peer that the settings do not allow, and lives no longer than a call may', () => {
    const { open, refused } = adopted(RECORD, { ...inside, peers: peerNetworks('203.0.113.0/24') });
    assert.deepEqual({ open, refused }, { open: [], refused: ['peer-not-allowed'] });
    const { inspector } = adopted(changed(['call', 'hardDeadline'], 'never'));
    const [call] = inspector.calls();
    const { maxCall } = settingsWith().timers;
    assert.equal(call!.hardDeadline, WRITTEN + maxCall);
  });

  const odd = fc.oneof(
    fc.constantFrom(
      'never',
      'before',
      'any',
      'in',
      'out',
      'ended',
      '192.0.2.10',
      '192.0.2.99',
      '203.0.113.1',
    ),
    fc.constantFrom(null, true, false, 0, 1, -1, 2, 9999, 40000, -1e15, 1e300, {}, []),
    fc.constantFrom([1, 65535], ['192.0.2.11'], [22, 22], '0:1', '1:0', '__proto__'),
  );

  /** All places of a plain value, by their paths. */
  function pathsOf(value: unknown): (string | number)[][] {
    if (typeof value !== 'object' || value === null) return [];
    return Object.entries(value).flatMap(([key, child]) => {
      const name = Array.isArray(value) ? Number(key) : key;
      return [[name], ...pathsOf(child).map((path) => [name, ...path])];
    });
  }

  const PATHS = pathsOf(JSON.parse(RECORD));

  const AFTERWARDS = [
    [phone, pbx, sip('INVITE', { to: 'b', cseq: 3, body: sdp(phone.address, [41000]) })],
    [pbx, phone, sip('200 INVITE', { to: 'b', cseq: 3, body: sdp(pbx.address, [21000]) })],
    [pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 2 })],
  ] as const;

  function assertHarmless(text: string): void {
    const { inspector } = adopted(text);
    for (const { address, ports, sources, protocol, direction } of inspector.pinholes()) {
      assert.ok(address.startsWith('192.0.2.'), address);
      assert.ok(ports[0] >= 1024 && (ports[1] < 5060 || ports[0] > 5061), String(ports));
      assert.ok(sources !== 'any' && sources.length > 0);
      assert.deepEqual([protocol, direction], ['udp', 'in']);
    }
    for (const [from, to, text] of AFTERWARDS) inspector.inspect(udpPacket(from, to, text), WRITTEN);
    let now = WRITTEN;
    for (let turns = 0; inspector.nextDeadline() < Number.POSITIVE_INFINITY && turns < 1000; turns++) {
      now = Math.max(now, inspector.nextDeadline());
      inspector.tick(now);
    }
    assert.deepEqual([...inspector.pinholes()], []);
  }

  test('in any place never throws, and opens nothing outside policy or for ever', () => {
    assert.ok(PATHS.length > 100);
    fc.assert(
      fc.property(fc.constantFrom(...PATHS), odd, (path, value) => assertHarmless(changed(path, value))),
      { numRuns: 3000 },
    );
  });

  test('in any bytes never throws', () => {
    const flips = fc.array(fc.tuple(fc.nat(RECORD.length - 1), fc.integer({ min: 0, max: 255 })), {
      minLength: 1,
      maxLength: 4,
    });
    fc.assert(
      fc.property(flips, (places) => {
        const bytes = Buffer.from(RECORD);
        for (const [at, value] of places) bytes[at] = value;
        assertHarmless(bytes.toString());
      }),
      { numRuns: 2000 },
    );
  });
});

describe('calls of a journal', () => {
  const dumped = (count: number, ended: boolean): CallRecord[] => {
    const scene = createScene(inside);
    for (let i = 0; i < count; i++) {
      const callId = `${i}`;
      scene.send(phone, pbx, sip('INVITE', { callId }));
      scene.send(pbx, phone, sip(ended ? '486 INVITE' : '200 INVITE', { callId, to: 'b' }));
    }
    return [...scene.inspector.calls()].map(({ legId }) => scene.inspector.dump(legId)!);
  };

  test('that go on take places of their hosts', () => {
    const scene = createScene({ ...inside, caps: { callsPerHost: 3 } });
    scene.apply(scene.inspector.adopt(dumped(2, false), scene.now));
    for (const callId of ['third', 'fourth']) {
      scene.send(phone, pbx, sip('INVITE', { callId, body: sdp(phone.address, [50_000]) }));
    }
    assert.deepEqual(scene.refusals(), ['calls-per-host-limit']);
  });

  test('that are over take none, and are remembered up to the cap', () => {
    const scene = createScene({ ...inside, caps: { callsPerHost: 1, ended: 100 } });
    scene.apply(scene.inspector.adopt(dumped(150, true), scene.now));
    assert.equal([...scene.inspector.calls()].length, 100);
    scene.send(phone, pbx, sip('INVITE', { callId: 'first', body: sdp(phone.address, [50_000]) }));
    assert.deepEqual(scene.refusals(), []);
    assert.equal(scene.open().length, 1);
  });
});
