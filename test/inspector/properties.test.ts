import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type CallRecord, readRecord, writeCall } from '../../src/inspector/record.ts';
import { createInspector, type Inspector } from '../../src/inspector.ts';
import { ipPacket, tcpPacket, udpPacket } from '../packets.ts';
import { createScene, type Host, host, networks, sdp, settingsWith, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');

/** What can be seen of an inspector from outside, in a form that compares. */
function picture(inspector: Inspector) {
  return {
    pinholes: [...inspector.pinholes()].map(({ id }) => id).sort(),
    calls: [...inspector.calls()]
      .map((call) => [call.callId, call.state, call.endReason, call.dialogs.map((dialog) => dialog.toTag)])
      .sort(),
    messages: inspector.stats.messages.tcp,
  };
}

/** The calls of an inspector, written by one machine at `now` and read by another, whose clock says `then` meanwhile. */
function handedOver(inspector: Inspector, now: number, then: number): CallRecord[] {
  const wall = () => 1.7e12;
  const writer = { machine: '0000000a', boot: 'one', now: () => now, wall };
  const reader = { machine: '0000000b', boot: 'other', now: () => then, wall };
  return [...inspector.calls()].map((call) => {
    const read = readRecord(writeCall(inspector.dump(call.legId)!, writer), reader);
    assert.equal(read.what, 'call', 'why' in read ? read.why : '');
    return (read as Extract<typeof read, { what: 'call' }>).record;
  });
}

describe('a TCP stream', () => {
  const offer = (callId: string, port: number) =>
    sip('INVITE', { callId, body: sdp('192.0.2.10', [port]), headers: ['Max-Forwards: 70'] });
  const stream = `${offer('one', 40000)}\r\n\r\n${sip('OPTIONS', { callId: 'o' })}${offer('two', 41000)}${offer('three', 42000)}`;
  const settings = settingsWith();

  function replay(segments: readonly { at: number; text: string }[], isn: number) {
    const inspector = createInspector(() => settings);
    inspector.inspect(tcpPacket(phone, pbx, { seq: isn, flags: 2 }), 0);
    let now = 1;
    for (const { at, text } of segments) {
      inspector.inspect(tcpPacket(phone, pbx, { seq: (isn + 1 + at) >>> 0, payload: text }), now++);
    }
    return picture(inspector);
  }

  const whole = replay([{ at: 0, text: stream }], 1);

  test('the whole of it in one segment opens three pinholes', () => {
    assert.equal(whole.pinholes.length, 3);
    assert.equal(whole.messages, 4);
  });

  test('any split, any order, any duplicate, any first sequence number gives the same', () => {
    const cuts = fc.uniqueArray(fc.integer({ min: 1, max: stream.length - 1 }), { maxLength: 40 });
    const isn = fc.oneof(fc.integer({ min: 0, max: 0xffffffff }), fc.constantFrom(0xfffffff0, 0xffffff00, 0));
    const plan = fc.tuple(cuts, isn, fc.infiniteStream(fc.nat()), fc.array(fc.nat(), { maxLength: 10 }));
    fc.assert(
      fc.property(plan, ([points, first, numbers, repeats]) => {
        const edges = [0, ...points.sort((a, b) => a - b), stream.length];
        const segments = edges
          .slice(1)
          .map((end, i) => ({ at: edges[i]!, text: stream.slice(edges[i], end) }));
        for (const repeat of repeats) segments.push(segments[repeat % segments.length]!);
        const shuffled = segments
          .map((segment) => ({ segment, order: numbers.next().value as number }))
          .sort((a, b) => a.order - b.order)
          .map(({ segment }) => segment);
        assert.deepEqual(replay(shuffled, first), whole);
      }),
      { numRuns: 300 },
    );
  });

  test('split at every single place', () => {
    for (let at = 1; at < stream.length; at++) {
      assert.deepEqual(
        replay(
          [
            { at: 0, text: stream.slice(0, at) },
            { at, text: stream.slice(at) },
          ],
          7,
        ),
        whole,
      );
    }
  });
});

describe('any bytes', () => {
  const inside = networks('192.0.2.0/24');

  test('never throw and never open anything, as packets or in UDP and TCP', () => {
    const settings = settingsWith({ inside });
    const bytes = fc.uint8Array({ maxLength: 2000 }).map((array) => Buffer.from(array));
    const packet = fc.oneof(
      bytes,
      bytes.map((payload) => udpPacket(phone, pbx, payload)),
      fc.tuple(bytes, fc.nat()).map(([payload, seq]) => tcpPacket(phone, pbx, { seq, payload })),
      fc
        .tuple(fc.nat(255), bytes)
        .map(([protocol, payload]) => ipPacket(protocol, phone.address, pbx.address, payload)),
    );
    fc.assert(
      fc.property(fc.array(packet, { maxLength: 10 }), (packets) => {
        const inspector = createInspector(() => settings);
        packets.forEach((one, now) => {
          const before = Buffer.from(one);
          const { change } = inspector.inspect(one, now);
          assert.equal(change, null);
          assert.ok(before.equals(one), 'not a byte of the packet is touched');
        });
      }),
      { numRuns: 1000 },
    );
  });

  test('a call with flipped bytes never throws and opens nothing outside policy', () => {
    const settings = settingsWith({ inside, mediaPorts: [[10_000, 50_000]] });
    const texts = [
      sip('INVITE', { body: sdp('192.0.2.10', [40000, { media: 'video', port: 40010 }]) }),
      sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000, { media: 'video', port: 20010 }]) }),
      sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }),
      sip('BYE', { to: 'b', cseq: 2 }),
      sip('200 BYE', { to: 'b', cseq: 2 }),
    ];
    const flips = fc.array(fc.tuple(fc.nat(4), fc.nat(2000), fc.nat(255)), { minLength: 1, maxLength: 20 });
    fc.assert(
      fc.property(flips, (list) => {
        const inspector = createInspector(() => settings);
        const messages = texts.map((text) => Buffer.from(text, 'latin1'));
        for (const [index, at, value] of list) messages[index]![at % messages[index]!.length] = value;
        messages.forEach((message, i) => {
          const up = i !== 1 && i !== 4;
          inspector.inspect(udpPacket(up ? phone : pbx, up ? pbx : phone, message), i);
        });
        for (const { address, ports, sources } of inspector.pinholes()) {
          assert.equal(address, '192.0.2.10', 'only the inside host itself');
          assert.ok(ports[0] >= 10_000 && ports[1] <= 50_000);
          assert.notEqual(sources, 'any');
        }
        inspector.tick(100_000_000);
        assert.deepEqual([...inspector.pinholes()], []);
      }),
      { numRuns: 1000 },
    );
  });
});

describe('any conversation', () => {
  const hosts: readonly Host[] = [phone, pbx, host('192.0.2.11'), host('203.0.113.66')];
  const mediaHosts = networks('192.0.2.99');
  const pick = <T>(...values: T[]) => fc.constantFrom(...values);

  const line = fc.record({
    media: pick('audio', 'audio', 'video', 'image'),
    port: pick(0, 22, 5060, 10_000, 10_000, 10_002, 20_000, 65_535),
    proto: pick('RTP/AVP', 'RTP/AVP', 'UDP/TLS/RTP/SAVPF', 'udptl', 'TCP/MSRP'),
    attributes: fc.subarray(['rtcp-mux', 'sendonly', 'inactive', 'rtcp:12345', 'bundle-only', 'mid:0']),
  });
  const lines = fc.array(line, { minLength: 1, maxLength: 3 });
  const bodyOf = (address: string) => lines.map((list) => sdp(address, list));
  const anyAddress = pick(
    '192.0.2.10',
    '192.0.2.11',
    '192.0.2.99',
    '198.51.100.20',
    '203.0.113.66',
    '0.0.0.0',
  );
  const body = fc.tuple(anyAddress, lines).map(([address, list]) => sdp(address, list));

  const wild = fc.record({
    from: pick(...hosts),
    to: pick(...hosts),
    start: pick(
      'INVITE',
      'ACK',
      'PRACK',
      'UPDATE',
      'BYE',
      'CANCEL',
      '183 INVITE',
      '200 INVITE',
      '200 UPDATE',
      '200 BYE',
    ),
    fromTag: pick('a', 'b'),
    toTag: pick('', 'a', 'b', 'c'),
    cseq: pick(1, 2, 3),
    body: fc.option(body, { nil: '' }),
  });

  /** Messages of one call between phone (tag a) and pbx (tags b and c), each going the way it really goes. */
  const up = (start: string, toTag: string, cseq = 1) => ({
    from: phone,
    to: pbx,
    start,
    fromTag: 'a',
    toTag,
    cseq,
  });
  const down = (start: string, toTag: string, cseq = 1) => ({
    from: pbx,
    to: phone,
    start,
    fromTag: 'a',
    toTag,
    cseq,
  });
  const back = (start: string, cseq: number) => ({
    from: pbx,
    to: phone,
    start,
    fromTag: 'b',
    toTag: 'a',
    cseq,
  });
  const plausible = fc
    .tuple(
      pick(
        up('INVITE', ''),
        up('INVITE', '', 2),
        down('180 INVITE', 'b'),
        down('183 INVITE', 'b'),
        down('183 INVITE', 'c'),
        down('200 INVITE', 'b'),
        down('200 INVITE', 'b'),
        down('200 INVITE', 'c'),
        down('407 INVITE', 'x'),
        down('487 INVITE', 'b'),
        up('ACK', 'b'),
        up('PRACK', 'b', 2),
        down('200 PRACK', 'b', 2),
        up('INVITE', 'b', 3),
        down('183 INVITE', 'b', 3),
        down('200 INVITE', 'b', 3),
        down('488 INVITE', 'b', 3),
        up('ACK', 'b', 3),
        back('UPDATE', 7),
        { ...up('200 UPDATE', 'a', 7), fromTag: 'b' },
        { ...up('491 UPDATE', 'a', 7), fromTag: 'b' },
        up('CANCEL', ''),
        up('BYE', 'b', 4),
        down('401 BYE', 'b', 4),
        down('200 BYE', 'b', 4),
      ),
      fc.boolean(),
      fc.boolean(),
    )
    .chain(([message, withBody, own]) =>
      withBody
        ? (own ? bodyOf(message.from.address) : body).map((text) => ({ ...message, body: text }))
        : fc.constant({ ...message, body: '' }),
    );

  const step = fc
    .tuple(
      fc.oneof({ weight: 9, arbitrary: plausible }, { weight: 1, arbitrary: wild }),
      fc.record({
        callId: pick('x', 'x', 'x', 'y'),
        reliable: fc.boolean(),
        wait: pick(0, 0, 0, 10, 1_000, 33_000, 400_000),
        twice: fc.boolean(),
      }),
    )
    .map(([message, more]) => ({ ...message, ...more }));
  const opening = fc.tuple(bodyOf(phone.address), fc.boolean()).map(
    ([text, twice]): Step => ({
      ...up('INVITE', ''),
      body: text,
      callId: 'x',
      reliable: false,
      wait: 0,
      twice,
    }),
  );
  const conversation = (length: number) =>
    fc.tuple(opening, fc.array(step, { maxLength: length })).map(([first, rest]) => [first, ...rest]);

  type Step = typeof step extends fc.Arbitrary<infer T> ? T : never;

  function play(steps: readonly Step[]) {
    const scene = createScene({ inside: networks('192.0.2.0/24'), mediaHosts });
    const announced = new Set<string>();
    for (const one of steps) {
      const { from, to } = one;
      const text = sip(one.start, {
        callId: one.callId,
        from: one.fromTag,
        to: one.toTag,
        cseq: one.cseq,
        body: one.body,
        headers: one.reliable ? ['Require: 100rel', 'RSeq: 1'] : [],
      });
      for (const match of one.body.matchAll(/c=IN IP4 (\S+)/g)) announced.add(`${from.address} ${match[1]}`);
      for (let i = one.twice ? 2 : 1; i > 0; i--) scene.send(from, to, text);
      scene.wait(one.wait);
      for (const pinhole of scene.inspector.pinholes()) {
        const { address, ports, sources, protocol } = pinhole;
        const owners = hosts.filter((owner) => announced.has(`${owner.address} ${address}`));
        const entitled = owners.some(
          (owner) =>
            owner.address.startsWith('192.0.2.') && (owner.address === address || address === '192.0.2.99'),
        );
        assert.ok(entitled, `${pinhole.id} was announced by an inside host entitled to it`);
        assert.ok(ports[0] >= 1024 && ports[1] <= 65_535 && ports[0] <= ports[1]);
        assert.ok(ports[0] > 5060 || ports[1] < 5060, 'no denied port');
        assert.ok(sources !== 'any' && sources.length > 0);
        assert.equal(protocol, 'udp');
      }
    }
    return scene;
  }

  test('opens only what an inside host announced for itself or a media host, and leaves nothing behind', () => {
    fc.assert(
      fc.property(conversation(25), (steps) => {
        const scene = play(steps);
        scene.wait(13 * 3_600_000);
        assert.deepEqual(scene.open(), []);
        assert.deepEqual([...scene.inspector.calls()], []);
        assert.equal(scene.inspector.nextDeadline(), Number.POSITIVE_INFINITY);
      }),
      { numRuns: 1500 },
    );
  });

  test('what is due is done alike, all at once or for one call at a time', () => {
    fc.assert(
      fc.property(conversation(25), fc.constantFrom(10_000, 300_000, 46_800_000), (steps, later) => {
        const [whole, parts] = [play(steps), play(steps)];
        const at = whole.now + later;
        const told = (one: Inspector, most?: number) =>
          one.tick(at, most).events.filter((event) => event.type !== 'call' || event.what !== 'changed');
        const some = [];
        while (parts.inspector.nextDeadline() <= at) some.push(...told(parts.inspector, 1));
        assert.deepEqual(some, told(whole.inspector), 'apart from how a call is before what happens to it');
        const idsOf = (inspector: Inspector) => [...inspector.pinholes()].map(({ id }) => id);
        assert.deepEqual(idsOf(parts.inspector), idsOf(whole.inspector));
        assert.equal(whole.inspector.nextDeadline(), parts.inspector.nextDeadline());
      }),
      { numRuns: 500 },
    );
  });

  test('sending everything twice changes nothing', () => {
    fc.assert(
      fc.property(conversation(25), (steps) => {
        const still = steps.map((one) => ({ ...one, wait: 0 }));
        const once = play(still.map((one) => ({ ...one, twice: false })));
        const twice = play(still.map((one) => ({ ...one, twice: true })));
        assert.deepEqual(twice.open(), once.open());
        assert.equal(twice.commits, once.commits);
      }),
      { numRuns: 1000 },
    );
  });

  test('a journal taken at any moment and taken up again goes on as if nothing had happened', () => {
    fc.assert(
      fc.property(
        conversation(12),
        fc.array(step, { maxLength: 12 }),
        pick(0, -900_000, 7e9),
        (all, second, apart) => {
          // What an outside party names at inside hosts in a Call-ID without a call is in no journal.
          const first = all.map((one) =>
            !one.from.address.startsWith('192.0.2.') && one.body.includes('192.0.2.')
              ? { ...one, body: '' }
              : one,
          );
          const scene = play(first);
          const settings = settingsWith({ inside: networks('192.0.2.0/24'), mediaHosts });
          const restarted = createInspector(() => settings);
          let now = scene.now;
          restarted.adopt(handedOver(scene.inspector, now, now + apart), now + apart);
          assert.deepEqual(picture(restarted).pinholes, picture(scene.inspector).pinholes);
          for (const one of second) {
            now += one.wait + 1;
            const { callId, cseq, fromTag, toTag } = one;
            const text = sip(one.start, { callId, cseq, body: one.body, from: fromTag, to: toTag });
            const packet = udpPacket(one.from, one.to, text);
            for (const [inspector, at] of [
              [scene.inspector, now],
              [restarted, now + apart],
            ] as const) {
              inspector.tick(at);
              inspector.inspect(packet, at);
            }
          }
          assert.deepEqual(picture(restarted), picture(scene.inspector));
        },
      ),
      { numRuns: 500 },
    );
  });
});
