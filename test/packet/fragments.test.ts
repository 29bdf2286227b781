import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { createFragmentReassembler } from '../../src/packet/fragments.ts';
import { type PacketView, readPacket } from '../../src/packet/ip.ts';
import { extension, fragmentHeader, ipv4, ipv6, udp, viewOf } from './build.ts';

const INVITE = Buffer.from(`INVITE sip:bob@example.com SIP/2.0\r\n${'x'.repeat(3000)}`);

type Make = (offset: number, more: boolean, bytes: Buffer) => PacketView;

const v4: Make = (offset, more, bytes) => viewOf(ipv4(bytes, { id: 4711, offset, more }));
const v6: Make = (offset, more, bytes) =>
  viewOf(ipv6(fragmentHeader(17, 0x1234_5678, offset, more, bytes), { next: 44 }));

/** The fragments of `datagram` when each but the last carries `size` bytes. */
function fragmentsOf(make: Make, datagram: Buffer, size: number): PacketView[] {
  const views: PacketView[] = [];
  for (let offset = 0; offset < datagram.length; offset += size) {
    const end = Math.min(offset + size, datagram.length);
    views.push(make(offset, end < datagram.length, datagram.subarray(offset, end)));
  }
  return views;
}

for (const [name, make] of [
  ['IPv4', v4],
  ['IPv6', v6],
] as const) {
  describe(`${name} fragments`, () => {
    test('in any order make the datagram, once', () => {
      const views = fragmentsOf(make, udp(INVITE), 1480);
      for (const order of [
        [0, 1, 2],
        [2, 1, 0],
        [1, 2, 0],
        [1, 0, 1, 0, 2],
      ]) {
        const reassembler = createFragmentReassembler();
        const results = order.map((i) => reassembler.add(views[i]!, 0));
        const whole = results.pop();
        assert.ok(results.every((result) => result === null));
        assert.ok(whole && typeof whole !== 'string');
        assert.deepEqual([whole.protocol, whole.sourcePort, whole.destinationPort], ['udp', 5060, 5062]);
        assert.deepEqual(whole.payload, INVITE);
        assert.equal(whole.fragment, null);
        assert.equal(reassembler.bytes, 0);
        assert.equal(reassembler.datagrams, 0);
      }
    });

    test('what is kept does not change with the buffer it came in', () => {
      const reassembler = createFragmentReassembler();
      const views = fragmentsOf(make, udp(INVITE), 1480);
      reassembler.add(views[0]!, 0);
      views[0]!.payload.fill(0);
      reassembler.add(views[1]!, 0);
      const whole = reassembler.add(views[2]!, 0);
      assert.ok(whole && typeof whole !== 'string');
      assert.deepEqual(whole.payload, INVITE);
    });

    test('an overlap refuses the datagram for good (RFC 5722)', () => {
      const datagram = udp(INVITE);
      for (const [offset, length, more] of [
        [8, 16, true],
        [1472, 16, true],
        [1480, 1472, true],
        [2960, 8, true],
        [2952, 16, true],
        [3040, 8, false],
        [1480, 8, false],
      ] as const) {
        const reassembler = createFragmentReassembler();
        const views = fragmentsOf(make, datagram, 1480);
        reassembler.add(views[0]!, 0);
        reassembler.add(views[2]!, 0);
        const error = reassembler.add(make(offset, more, Buffer.alloc(length)), 0);
        const overlaps = offset + length > 2960 || offset < 1480 || !more;
        assert.equal(error, overlaps ? 'fragment-overlap' : null, `${offset}+${length}`);
        if (!overlaps) continue;
        assert.equal(reassembler.add(views[1]!, 29_999), 'fragment-overlap');
        assert.equal(reassembler.bytes, 0);
        assert.equal(reassembler.add(views[0]!, 30_000), null);
      }
    });

    test('a copy with other bytes is an overlap', () => {
      const reassembler = createFragmentReassembler();
      const [first] = fragmentsOf(make, udp(INVITE), 1480);
      reassembler.add(first!, 0);
      assert.equal(
        reassembler.add({ ...first!, payload: Buffer.alloc(first!.payload.length, 1) }, 0),
        'fragment-overlap',
      );
    });

    test('lengths that no sender makes are refused', () => {
      const fresh = () => createFragmentReassembler();
      assert.equal(fresh().add(make(0, true, Buffer.alloc(7)), 0), 'fragment-length');
      assert.equal(fresh().add(make(8, false, Buffer.alloc(0)), 0), 'fragment-length');
      assert.equal(fresh().add({ ...make(0, true, Buffer.alloc(8)), missing: 8 }, 0), 'fragment-length');
      assert.equal(fresh().add(make(65_528, false, Buffer.alloc(8)), 0), 'fragment-too-long');
      assert.equal(fresh().add(make(65_528, false, Buffer.alloc(7)), 0), null);
    });

    test('after the time-out what came before is gone', () => {
      const reassembler = createFragmentReassembler();
      const views = fragmentsOf(make, udp(INVITE), 1480);
      reassembler.add(views[0]!, 0);
      reassembler.add(views[1]!, 29_999);
      assert.equal(reassembler.add(views[2]!, 30_000), null);
      assert.equal(reassembler.datagrams, 1);
    });

    test('a datagram in too many fragments is refused', () => {
      const reassembler = createFragmentReassembler({ maxFragments: 4 });
      const results = fragmentsOf(make, Buffer.alloc(80), 8).map((view) => reassembler.add(view, 0));
      assert.deepEqual(results.slice(3, 5), [null, 'fragment-limit']);
    });
  });
}

test('memory is bounded, and the oldest datagrams go first', () => {
  const reassembler = createFragmentReassembler({ maxBytes: 100_000, maxDatagrams: 50 });
  for (let id = 0; id < 1000; id++) {
    reassembler.add(viewOf(ipv4(Buffer.alloc(1480), { id, more: true })), id);
    assert.ok(reassembler.bytes <= 100_000);
    assert.ok(reassembler.datagrams <= 50);
  }
  assert.equal(reassembler.datagrams, 50);
  const last = reassembler.add(viewOf(ipv4(Buffer.alloc(8), { id: 999, offset: 1480 })), 1000);
  assert.equal(last, 'udp-length');
});

test('fragments of different datagrams do not mix', () => {
  const reassembler = createFragmentReassembler();
  const [first, , third] = fragmentsOf(v4, udp(INVITE), 1480);
  reassembler.add(first!, 0);
  reassembler.add(third!, 0);
  const middle = udp(INVITE).subarray(1480, 2960);
  for (const other of [
    { id: 4712 },
    { id: 4711, protocol: 6 },
    { id: 4711, source: '192.0.2.9' },
    { id: 4711, destination: '192.0.2.9' },
  ]) {
    assert.equal(reassembler.add(viewOf(ipv4(middle, { ...other, offset: 1480, more: true })), 0), null);
  }
  assert.notEqual(reassembler.add(v4(1480, true, middle), 0), null);
});

test('headers behind the fragment header are read once the datagram is whole', () => {
  const reassembler = createFragmentReassembler();
  const inner = extension(17, 1, udp('OK'));
  reassembler.add(viewOf(ipv6(fragmentHeader(60, 9, 0, true, inner.subarray(0, 8)), { next: 44 })), 0);
  const whole = reassembler.add(
    viewOf(ipv6(fragmentHeader(60, 9, 8, false, inner.subarray(8)), { next: 44 })),
    0,
  );
  assert.ok(whole && typeof whole !== 'string');
  assert.equal(whole.payload.toString(), 'OK');
});

test('a fragment of a fragment is refused', () => {
  const reassembler = createFragmentReassembler();
  const inner = fragmentHeader(17, 1, 0, true, Buffer.alloc(8));
  reassembler.add(viewOf(ipv6(fragmentHeader(44, 9, 0, true, inner.subarray(0, 8)), { next: 44 })), 0);
  const whole = reassembler.add(
    viewOf(ipv6(fragmentHeader(44, 9, 8, false, inner.subarray(8)), { next: 44 })),
    0,
  );
  assert.equal(whole, 'ipv6-extension-chain');
});

test('property: order and repetition of the fragments do not matter', () => {
  fc.assert(
    fc.property(
      fc.constantFrom(v4, v6),
      fc.uint8Array({ minLength: 1, maxLength: 2000 }),
      fc.integer({ min: 2, max: 60 }),
      fc.infiniteStream(fc.nat()),
      (make, values, units, random) => {
        const payload = Buffer.from(values);
        const views = fragmentsOf(
          make,
          udp(payload),
          Math.max(8, Math.ceil(payload.length / 800) * 8, units * 8),
        );
        if (views.length < 2) return;
        const last = (random.next().value as number) % views.length;
        const order: number[] = [];
        for (let i = 0; i < views.length; i++) {
          if (i !== last) order.push(i);
          if (i !== last && (random.next().value as number) % 3 === 0) order.push(i);
        }
        for (let i = order.length - 1; i > 0; i--) {
          const j = (random.next().value as number) % (i + 1);
          [order[i], order[j]] = [order[j]!, order[i]!];
        }
        const reassembler = createFragmentReassembler();
        for (const i of order) assert.equal(reassembler.add(views[i]!, 0), null);
        const whole = reassembler.add(views[last]!, 0);
        assert.ok(whole && typeof whole !== 'string');
        assert.deepEqual(whole.payload, payload);
      },
    ),
  );
});

test('property: no sequence of fragments throws, and memory is bounded', () => {
  const piece = fc.tuple(fc.nat(3), fc.nat(40), fc.boolean(), fc.nat(64), fc.boolean(), fc.nat(5000));
  fc.assert(
    fc.property(fc.array(piece, { maxLength: 80 }), (pieces) => {
      const reassembler = createFragmentReassembler({ maxBytes: 2000, maxDatagrams: 3 });
      let now = 0;
      for (const [id, units, more, length, six, pause] of pieces) {
        now += pause;
        const bytes = Buffer.alloc(length, id);
        const packet = six
          ? ipv6(fragmentHeader(17, id, units * 8, more, bytes), { next: 44 })
          : ipv4(bytes, { id, offset: units * 8, more });
        const view = readPacket(packet);
        if (typeof view !== 'string') reassembler.add(view, now);
        assert.ok(reassembler.bytes <= 2000);
        assert.ok(reassembler.datagrams <= 3);
      }
    }),
  );
});
