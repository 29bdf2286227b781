import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { PacketView } from '../../src/packet/ip.ts';
import { createStreamTable, type StreamOptions } from '../../src/packet/stream.ts';
import { ipv4, tcp, viewOf } from './build.ts';

const FIN = 0x01;
const SYN = 0x02;
const RST = 0x04;
const ACK = 0x10;
const URG = 0x20;

const CLIENT = { source: '192.0.2.1', destination: '198.51.100.2' };
const SERVER = { source: '198.51.100.2', destination: '192.0.2.1' };

function segment(seq: number, payload: Buffer | string, flags = ACK, ack = 0): PacketView {
  return viewOf(
    ipv4(tcp(payload, { sourcePort: 40_000, destinationPort: 5060, seq, flags, ack }), {
      ...CLIENT,
      protocol: 6,
    }),
  );
}

function reply(seq: number, ack: number, payload: Buffer | string = '', flags = ACK): PacketView {
  return viewOf(
    ipv4(tcp(payload, { sourcePort: 5060, destinationPort: 40_000, seq, flags, ack }), {
      ...SERVER,
      protocol: 6,
    }),
  );
}

/** A table with one stream whose SYN was seen, and what it has delivered so far. */
function opened(isn = 1000, options: StreamOptions = {}) {
  const table = createStreamTable<string>(options);
  let text = '';
  const push = (view: PacketView, now = 0) => {
    const delivery = table.push(view, now);
    if (delivery?.bytes && delivery.stream.sourcePort === 40_000) text += delivery.bytes.toString('latin1');
    return delivery;
  };
  const first = push(segment(isn, '', SYN));
  assert.ok(first);
  return { table, push, stream: first.stream, text: () => text, at: (offset: number) => isn + 1 + offset };
}

describe('stream', () => {
  test('in order, nothing is copied', () => {
    const { push, at, text } = opened();
    const view = segment(at(0), 'INVITE ');
    assert.equal(push(view)?.bytes, view.payload);
    push(segment(at(7), 'sip:a@b'));
    assert.equal(text(), 'INVITE sip:a@b');
  });

  test('a segment that arrives early waits for the one before it', () => {
    const { push, at, text } = opened();
    assert.equal(push(segment(at(3), 'def'))?.bytes, null);
    assert.equal(push(segment(at(6), 'ghi'))?.bytes, null);
    assert.equal(push(segment(at(0), 'abc'))?.bytes?.toString(), 'abcdefghi');
    assert.equal(text(), 'abcdefghi');
  });

  test('a retransmission yields nothing, a longer one only its new bytes', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'abc'));
    assert.equal(push(segment(at(0), 'abc'))?.bytes, null);
    assert.equal(push(segment(at(1), 'bcdef'))?.bytes?.toString(), 'def');
    assert.equal(stream.conflict, false);
  });

  test('a retransmission with other bytes freezes the stream, and the first copy stays', () => {
    const { push, at, stream, text } = opened();
    push(segment(at(0), 'm=audio 4000'));
    assert.equal(push(segment(at(8), '6000 RTP'))?.bytes?.toString(), ' RTP');
    assert.equal(stream.conflict, true);
    assert.equal(text(), 'm=audio 4000 RTP');
  });

  test('so does another copy of bytes that still wait', () => {
    const { push, at, stream, text } = opened();
    push(segment(at(4), '4000'));
    push(segment(at(4), '6000'));
    push(segment(at(0), 'port'));
    assert.equal(stream.conflict, true);
    assert.equal(text(), 'port4000');
  });

  test('so does a segment that fills the hole and contradicts what waits behind it', () => {
    const { push, at, stream, text } = opened();
    push(segment(at(4), '4000'));
    push(segment(at(0), 'port6000'));
    assert.equal(stream.conflict, true);
    assert.equal(text(), 'port4000');
  });

  test('what the receiver has acknowledged it will not read again: other bytes there change nothing', () => {
    const { push, at, stream, table } = opened();
    push(segment(at(0), 'abcdef'));
    assert.ok(table.bytes > 0);
    push(reply(1, at(6)));
    assert.equal(table.bytes, 0);
    assert.equal(push(segment(at(0), 'xyz'))?.bytes, null);
    assert.equal(stream.conflict, false);
  });

  test('a copy of bytes that are neither acknowledged nor remembered freezes the stream', () => {
    const { push, at, stream } = opened(1000, { windowBytes: 1024 });
    for (let i = 0; i < 4; i++) push(segment(at(i * 1000), Buffer.alloc(1000, 65 + i)));
    assert.equal(stream.conflict, false);
    push(segment(at(0), Buffer.alloc(1000, 65)));
    assert.equal(stream.conflict, true);
  });

  test('urgent data freezes the stream', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'a', ACK | URG));
    assert.equal(stream.conflict, true);
  });

  test('a keep-alive probe with a byte of rubbish is not a conflict', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'abc'));
    assert.equal(push(segment(at(2), Buffer.from([0])))?.bytes, null);
    assert.equal(stream.conflict, false);
  });

  test('sequence numbers wrap around', () => {
    const { push, text } = opened(0xffff_fffd);
    push(segment(0, 'cd'));
    push(segment(0xffff_fffe, 'ab'));
    push(segment(2, 'ef'));
    assert.equal(text(), 'abcdef');
  });

  test('a FIN that arrives early closes once all bytes before it are in', () => {
    const { push, at, stream, text } = opened();
    push(segment(at(3), 'def', FIN | ACK));
    assert.equal(stream.closed, false);
    push(segment(at(0), 'abc'));
    assert.equal(stream.closed, true);
    assert.equal(push(segment(at(6), 'more'))?.bytes, null);
    assert.equal(text(), 'abcdef');
  });

  test('a reset closes both directions when its sequence number is exact, and is no reset otherwise', () => {
    const { push, at, stream } = opened();
    push(reply(500, at(0), '', SYN | ACK));
    const other = push(reply(501, at(0), 'hello'))?.stream;
    push(segment(at(40), '', RST));
    assert.equal(stream.closed, false);
    push(segment(at(0), '', RST));
    assert.equal(stream.closed, true);
    assert.equal(other?.closed, true);
  });

  test('without a SYN the stream starts where it is picked up and says so', () => {
    const table = createStreamTable();
    assert.equal(table.push(segment(7000, ''), 0), null);
    const delivery = table.push(segment(7000, 'abc'), 0);
    assert.equal(delivery?.stream.midstream, true);
    assert.equal(delivery?.bytes?.toString(), 'abc');
    assert.equal(table.push(segment(6990, 'zzz'), 0)?.bytes, null);
    assert.equal(delivery?.stream.conflict, false);
    assert.equal(opened().stream.midstream, false);
  });

  test('a SYN with data is read from behind the SYN', () => {
    const table = createStreamTable();
    const delivery = table.push(segment(99, 'abc', SYN), 0);
    assert.equal(delivery?.bytes?.toString(), 'abc');
    assert.equal(table.push(segment(103, 'def'), 0)?.bytes?.toString(), 'def');
  });

  test('ports used again after the end make a new stream', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'abc', FIN | ACK));
    const again = push(segment(90_000, '', SYN))?.stream;
    assert.notEqual(again, stream);
    assert.equal(push(segment(90_001, 'xyz'))?.bytes?.toString(), 'xyz');
  });

  test('a SYN into a live stream changes nothing until a segment fits it', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'abc'));
    push(segment(0x7000_0000, '', SYN));
    const next = push(segment(at(3), 'def'));
    assert.equal(next?.stream, stream);
    assert.equal(next?.bytes?.toString(), 'def');
    const moved = push(segment(0x7000_0001, 'new'));
    assert.notEqual(moved?.stream, stream);
    assert.equal(moved?.stream.midstream, false);
    assert.equal(moved?.bytes?.toString(), 'new');
  });

  test('a hole the receiver has acknowledged is given up at the next segment', () => {
    const { push, at, stream } = opened();
    push(segment(at(0), 'abc'));
    push(segment(at(6), 'ghi'));
    push(reply(1, at(9)));
    const delivery = push(segment(at(9), 'jkl'));
    assert.equal(delivery?.bytes?.toString(), 'ghijkl');
    assert.equal(delivery?.gap, true);
    assert.equal(stream.gap, true);
    assert.equal(push(segment(at(12), 'mno'))?.gap, false);
  });

  test('a hole is given up after 30 s even when segments keep coming', () => {
    const { push, at, stream } = opened();
    push(segment(at(3), 'd'), 1000);
    for (let second = 2; second < 31; second++) {
      assert.equal(push(segment(at(2 + second), 'x'), second * 1000)?.bytes, null);
    }
    assert.equal(stream.gap, false);
    const delivery = push(segment(at(33), 'y'), 31_000);
    assert.equal(delivery?.gap, true);
    assert.equal(delivery?.bytes?.toString(), `d${'x'.repeat(29)}y`);
  });

  test('after 30 s without a packet the buffer goes, and the stream has a gap', () => {
    const { push, at, stream, table } = opened();
    push(segment(at(3), 'def'), 0);
    table.expire(29_999);
    assert.ok(table.bytes > 0);
    table.expire(30_000);
    assert.equal(table.bytes, 0);
    assert.equal(stream.gap, true);
    const delivery = push(segment(at(6), 'ghi'), 40_000);
    assert.equal(delivery?.bytes?.toString(), 'ghi');
    assert.equal(delivery?.gap, true);
  });

  test('a segment far beyond the window is not kept and does not move the stream', () => {
    const { push, at, stream, table } = opened();
    assert.equal(push(segment(at(200_000), 'far'))?.bytes, null);
    assert.equal(table.bytes, 0);
    assert.equal(push(segment(at(0), 'near'))?.bytes?.toString(), 'near');
    assert.equal(stream.gap, false);
  });

  describe('forged, with the addresses and ports of a connection whose both ends are seen', () => {
    function talking() {
      const open = opened();
      open.push(reply(500, open.at(0), '', SYN | ACK));
      open.push(segment(open.at(0), 'abc', ACK, 501));
      open.push(reply(501, open.at(3)));
      const goesOn = () => {
        assert.equal(open.push(segment(open.at(3), 'def', ACK, 501), 50_000)?.bytes?.toString(), 'def');
        assert.equal(open.text(), 'abcdef');
        assert.deepEqual([open.stream.conflict, open.stream.gap], [false, false]);
      };
      return { ...open, goesOn };
    }

    for (const distance of [0x1234_5678, 65_537, -3, -0x1234_5678]) {
      test(`urgent data ${distance} bytes from what is awaited freezes nothing`, () => {
        const { push, at, goesOn } = talking();
        push(segment((at(3) + distance) >>> 0, 'xxx', URG | ACK));
        goesOn();
      });

      test(`nor do data there, sent again 30 s later, move the stream`, () => {
        const { push, at, goesOn } = talking();
        push(segment((at(3) + distance) >>> 0, 'xxx'));
        push(segment((at(3) + distance) >>> 0, 'xxx'), 31_000);
        goesOn();
      });
    }

    test('a SYN that its receiver has not answered makes no new stream with what follows it', () => {
      const { push, at, goesOn } = talking();
      push(segment(0x7000_0000, '', SYN));
      push(reply(501, at(3)));
      push(segment(0x7000_0001, 'xxx', ACK, 501));
      goesOn();
    });

    test('one that was answered does, in both directions', () => {
      const { push } = talking();
      push(segment(0x7000_0000, '', SYN));
      push(reply(0x1000_0000, 0x7000_0001, '', SYN | ACK));
      const anew = push(segment(0x7000_0001, 'ghi', ACK, 0x1000_0001));
      assert.equal(anew?.bytes?.toString(), 'ghi');
      assert.equal(anew?.stream.midstream, false);
      const back = push(reply(0x1000_0001, 0x7000_0004, 'jkl'));
      assert.equal(back?.bytes?.toString(), 'jkl');
      assert.equal(back?.stream.midstream, false);
    });

    test('what passed unseen and was acknowledged is given up, however far', () => {
      const { push, at } = talking();
      push(reply(501, at(300_000)));
      const delivery = push(segment(at(300_000), 'ghi'));
      assert.equal(delivery?.bytes?.toString(), 'ghi');
      assert.equal(delivery?.gap, true);
    });
  });

  test('the cap over all streams holds, and the streams idle longest pay for it', () => {
    const table = createStreamTable({ maxBytes: 20 * 768 });
    const views = Array.from({ length: 100 }, (_, i) =>
      viewOf(
        ipv4(tcp('late', { sourcePort: 1000 + i, destinationPort: 5060, seq: 5000 + i * 3 }), {
          ...CLIENT,
          protocol: 6,
        }),
      ),
    );
    const streams = views.map((view, i) => {
      const syn = { ...view, payload: view.payload.subarray(0, 0), tcp: { seq: 4000, ack: 0, flags: SYN } };
      table.push(syn, i);
      const delivery = table.push(view, i);
      assert.ok(table.bytes <= 20 * 768);
      return delivery?.stream;
    });
    assert.equal(table.bytes, 20 * 768);
    assert.equal(streams.filter((stream) => stream?.gap).length, 80);
    assert.equal(streams.at(-1)?.gap, false);
  });

  test('the number of streams is bounded, and idle ones are forgotten', () => {
    const table = createStreamTable({ maxStreams: 10, streamIdleMs: 1000 });
    for (let port = 1; port <= 50; port++) {
      const packet = ipv4(tcp('x', { sourcePort: port, destinationPort: 5060 }), { ...CLIENT, protocol: 6 });
      table.push(viewOf(packet), port);
    }
    assert.equal(table.size, 10);
    table.expire(1049);
    assert.equal(table.size, 1);
  });

  test('an ignored stream stays known and delivers nothing', () => {
    const { push, at, stream, table } = opened();
    stream.user = 'not sip';
    push(segment(at(0), 'GET / '));
    push(segment(at(10), 'early'));
    table.ignore(stream);
    assert.equal(table.bytes, 0);
    const later = push(segment(at(6), 'HTTP'));
    assert.equal(later?.stream, stream);
    assert.equal(later?.stream.user, 'not sip');
    assert.equal(later?.bytes, null);
    assert.equal(stream.gap, false);
    push(segment(at(10), '', FIN | ACK));
    assert.equal(stream.closed, true);
  });

  test('both directions between one address and port are told apart by what they acknowledge', () => {
    const table = createStreamTable();
    const text = { first: '', back: '' };
    let first = null;
    for (const [seq, ack, payload] of [
      [0, 0, 'INVITE'],
      [0, 6, '100 Trying'],
      [10, 6, '200 OK'],
      [6, 16, 'ACK'],
      [9, 16, 'BYE'],
      [16, 12, '200 OK'],
    ] as const) {
      const ends = { source: '192.0.2.1', destination: '192.0.2.1', protocol: 6 };
      const delivery = table.push(viewOf(ipv4(tcp(payload, { destinationPort: 5060, seq, ack }), ends)), 0);
      first ??= delivery!.stream;
      text[delivery!.stream === first ? 'first' : 'back'] += delivery!.bytes;
      assert.equal(delivery!.stream.conflict, false);
    }
    assert.deepEqual(text, { first: 'INVITEACKBYE', back: '100 Trying200 OK200 OK' });
  });

  test('bytes the capture cut off leave a gap', () => {
    const { push, at, stream } = opened();
    const whole = ipv4(tcp('abcdef', { sourcePort: 40_000, destinationPort: 5060, seq: at(0) }), {
      ...CLIENT,
      protocol: 6,
    });
    assert.equal(push(viewOf(whole.subarray(0, whole.length - 2)))?.bytes?.toString(), 'abcd');
    push(reply(1, at(6)));
    const delivery = push(segment(at(6), 'ghi'));
    assert.equal(delivery?.gap, true);
    assert.equal(delivery?.bytes?.toString(), 'ghi');
    assert.equal(stream.gap, true);
  });
});

/** Cuts `data` at the given places and returns [offset, bytes] pairs that together cover it. */
function cut(data: Buffer, cuts: readonly number[]): [number, Buffer][] {
  const places = [...new Set([0, ...cuts.map((place) => place % data.length)])].sort((a, b) => a - b);
  return places.map((start, i) => [start, data.subarray(start, places[i + 1] ?? data.length)]);
}

test('property: any split, order and repetition of segments delivers the bytes once', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 1, maxLength: 3000 }),
      fc.array(fc.nat(3000), { maxLength: 60 }),
      fc.array(fc.tuple(fc.nat(3000), fc.integer({ min: 1, max: 1500 })), { maxLength: 20 }),
      fc.oneof(fc.integer({ min: 0xffff_f000, max: 0xffff_ffff }), fc.nat(0xffff_ffff)),
      fc.infiniteStream(fc.nat()),
      fc.boolean(),
      (values, cuts, extra, isn, random, acks) => {
        const data = Buffer.from(values);
        const segments = cut(data, cuts);
        for (const [start, length] of extra) {
          const from = start % data.length;
          segments.push([from, data.subarray(from, from + length)]);
        }
        for (let i = segments.length - 1; i > 0; i--) {
          const j = (random.next().value as number) % (i + 1);
          [segments[i], segments[j]] = [segments[j]!, segments[i]!];
        }
        const table = createStreamTable();
        table.push(segment(isn, '', SYN), 0);
        const delivered: Buffer[] = [];
        let received = 0;
        let stream = null;
        for (const [offset, bytes] of segments) {
          const delivery = table.push(segment((isn + 1 + offset) >>> 0, bytes), 0);
          stream = delivery!.stream;
          assert.equal(delivery!.gap, false);
          if (delivery!.bytes === null) continue;
          delivered.push(Buffer.from(delivery!.bytes));
          received += delivery!.bytes.length;
          if (acks) table.push(reply(1, (isn + 1 + received) >>> 0), 0);
        }
        assert.deepEqual(Buffer.concat(delivered), data);
        assert.equal(stream!.conflict, false);
        assert.equal(stream!.gap, false);
      },
    ),
  );
});

test('property: one changed byte in any overlap is a conflict, and the first copies are what comes out', () => {
  fc.assert(
    fc.property(
      fc.uint8Array({ minLength: 2, maxLength: 2000 }),
      fc.array(fc.nat(2000), { maxLength: 20 }),
      fc.nat(2000),
      fc.nat(20),
      (values, cuts, where, when) => {
        const data = Buffer.from(values);
        const at = where % data.length;
        const segments = cut(data, cuts).reverse();
        // The forged copy comes behind the segment that holds the true byte.
        const holder = segments.findIndex(([start, bytes]) => start <= at && at < start + bytes.length);
        const forged = Buffer.from([data[at]! ^ 0x55 || 0x55]);
        if (forged[0] === data[at] || forged[0] === 0) return;
        const place = Math.min(segments.length, holder + 1 + when);
        segments.splice(place, 0, [at, forged]);
        const table = createStreamTable();
        const stream = table.push(segment(5, '', SYN), 0)!.stream;
        const delivered = segments.map(([offset, bytes]) => {
          const got = table.push(segment(6 + offset, bytes), 0)!.bytes;
          return got === null ? Buffer.alloc(0) : Buffer.from(got);
        });
        assert.deepEqual(Buffer.concat(delivered), data);
        assert.equal(stream.conflict, true);
      },
    ),
  );
});

test('property: no sequence of segments throws, and the caps hold', () => {
  const flags = fc.constantFrom(0, ACK, SYN, SYN | ACK, FIN | ACK, RST, URG | ACK);
  const near = fc.integer({ min: -5000, max: 5000 });
  fc.assert(
    fc.property(
      fc.array(
        fc.tuple(
          fc.boolean(),
          fc.oneof(near, fc.nat(0xffff_ffff)),
          fc.nat(2000),
          flags,
          fc.nat(40_000),
          near,
        ),
        { maxLength: 100 },
      ),
      (packets) => {
        const table = createStreamTable({ windowBytes: 4096, maxBytes: 20 * 768, maxStreams: 1 });
        let now = 0;
        for (const [forward, seq, length, bits, pause, ack] of packets) {
          now += pause;
          const make = forward ? segment : (s: number, p: Buffer, f: number, a: number) => reply(s, a, p, f);
          table.push(make(seq >>> 0, Buffer.alloc(length, seq), bits, ack >>> 0), now);
          assert.ok(table.bytes <= 20 * 768);
          assert.ok(table.size <= 1);
        }
        table.expire(now + 8_000_000);
        assert.equal(table.bytes, 0);
        assert.equal(table.size, 0);
      },
    ),
  );
});

test('60,000 segments of one byte in reverse order come out whole', () => {
  const table = createStreamTable();
  table.push(segment(0, '', SYN), 0);
  const view = segment(1, 'x');
  for (let offset = 60_000; offset > 0; offset--) {
    const early = { ...view, tcp: { seq: 1 + offset, ack: 0, flags: ACK } };
    assert.equal(table.push(early, 0)?.bytes, null);
  }
  assert.equal(table.push(view, 0)?.bytes?.length, 60_001);
});
