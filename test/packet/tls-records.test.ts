import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { readPacket } from '../../src/packet/ip.ts';
import { createTlsRecords } from '../../src/packet/tls-records.ts';
import { tcpPacket } from '../packets.ts';
import { host } from '../scene.ts';

const from = host('192.0.2.10', 5061);
const to = host('198.51.100.5', 40_000);
const SHORTEST = 80;

/** A record of TLS: type, version, length (RFC 8446 5.1). */
function record(type: number, length: number, minor = 3): Buffer {
  return Buffer.concat([
    Buffer.from([type, 3, minor, length >> 8, length & 0xff]),
    Buffer.alloc(length, 0x17),
  ]);
}

function createFollower() {
  const records = createTlsRecords(SHORTEST);
  return (seq: number, payload: Buffer, flags = 0x18, sender = from) => {
    const view = readPacket(tcpPacket(sender, to, { seq, payload, flags }));
    assert.ok(typeof view !== 'string');
    return records.endingIn(view);
  };
}

const kind = fc.tuple(fc.constantFrom(0x14, 0x15, 0x16, 0x17, 0x17, 0x17, 0x18), fc.nat(300), fc.nat(4));

describe('records of TLS', () => {
  it('are counted once each, in the segment in which they end, however they are cut and sent again', () => {
    const cuts = fc.array(fc.nat(2000), { maxLength: 20 });
    fc.assert(
      fc.property(
        fc.array(kind, { maxLength: 8 }),
        cuts,
        fc.nat(0xffff_ffff),
        cuts,
        (all, at, seq, again) => {
          const stream = Buffer.concat(all.map(([type, length, minor]) => record(type, length, minor)));
          const ends: number[] = [];
          let end = 0;
          for (const [type, length] of all) {
            end += 5 + length;
            if (type === 0x17 && length >= SHORTEST) ends.push(end);
          }
          const places = [0, ...at.map((place) => Math.min(place, stream.length)), stream.length];
          places.sort((a, b) => a - b);
          // Whose first segment has no whole head is no TLS that anybody can tell.
          if (places.some((place) => place > 0 && place < Math.min(5, stream.length))) return;
          const follow = createFollower();
          for (let n = 1; n < places.length; n++) {
            const [start, stop] = [places[n - 1]!, places[n]!];
            const found = follow(seq + start, stream.subarray(start, stop));
            assert.equal(found, ends.filter((one) => one > start && one <= stop).length);
            const back = Math.min(again[n] ?? 0, start);
            assert.equal(follow(seq + back, stream.subarray(back, stop)), 0, 'what was seen');
          }
        },
      ),
    );
  });

  it('of different connections have nothing to do with each other; a new one begins with its SYN', () => {
    const follow = createFollower();
    const data = record(0x17, 200);
    const other = { ...from, port: 5062 };
    follow(1000, data.subarray(0, 100));
    assert.equal(follow(1100, data.subarray(100), 0x18, other), 0);
    assert.equal(follow(1100, data.subarray(100)), 1);
    follow(2_000_000, Buffer.alloc(0), 0x02);
    assert.equal(follow(1000, data), 1, 'another connection between the same ports');
  });

  it('are nothing that is no TLS, and no more of a stream that stops to be', () => {
    const follow = createFollower();
    const data = record(0x17, 200);
    assert.equal(follow(0, Buffer.from('INVITE sip:a@b SIP/2.0\r\n\r\n')), 0);
    assert.equal(follow(100, record(0x17, 2 ** 14 + 2049).subarray(0, 1000)), 0);
    assert.equal(follow(5000, data), 1);
    assert.equal(follow(5205, Buffer.from('GET / HTTP/1.1\r\n\r\n')), 0);
    assert.equal(follow(5223, data.subarray(3)), 0);
    assert.equal(follow(5425, data), 1, 'and is TLS again');
  });

  it('throw nothing, whatever the segments', () => {
    const bytes = fc.oneof(
      fc.uint8Array({ maxLength: 60 }).map((one) => Buffer.from(one)),
      fc.tuple(kind, fc.nat(40)).map(([[type, length], cut]) => record(type, length).subarray(cut)),
    );
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(0xffff_ffff), bytes, fc.nat(255))), (segments) => {
        const follow = createFollower();
        for (const [seq, payload, flags] of segments) {
          const found = follow(seq, payload, flags);
          assert.ok(found >= 0 && found <= payload.length / 5 + 1);
        }
      }),
    );
  });
});
