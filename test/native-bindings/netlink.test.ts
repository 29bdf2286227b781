import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { attributes, forEachMessage, messageWriter } from '../../native-bindings/linux/netlink.ts';
import { concatenate } from '../../native-bindings/linux/nftables.ts';

describe('netlink messages', () => {
  it('are laid out as netlink(7) says: header, padded attributes, nested attributes', () => {
    const writer = messageWriter(8);
    writer.message(0x0302, 1, 7, 2, 0x1234);
    writer.u8(1, 0xab);
    writer.nest(2, () => {
      writer.be32(3, 0x01020304);
      writer.text(4, 'pin');
    });
    writer.be16(5, 5060);
    writer.addFlags(4);
    assert.equal(
      writer.contents().toString('hex'),
      [
        '3800000002030500070000000000000002001234',
        '05000100ab000000',
        '14000280' + '0800030001020304' + '0800040070696e00',
        '0600050013c40000',
      ].join(''),
    );
  });

  it('are read back in order, several in one datagram', () => {
    const writer = messageWriter();
    for (let sequence = 1; sequence <= 3; sequence++) {
      writer.message(sequence, 0, sequence, 0, 0);
      writer.bytes(9, Buffer.alloc(sequence, sequence));
    }
    const seen: unknown[] = [];
    forEachMessage(writer.contents(), ({ type, sequence, bytes, start, end }) => {
      seen.push([type, sequence, attributes(bytes, start + 4, end).get(9)]);
    });
    assert.deepEqual(seen, [
      [1, 1, Buffer.from([1])],
      [2, 2, Buffer.from([2, 2])],
      [3, 3, Buffer.from([3, 3, 3])],
    ]);
  });

  it('never make a reader leave the bytes it was given', () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 200 }), (random) => {
        const bytes = Buffer.from(random);
        forEachMessage(bytes, ({ start, end }) => {
          assert.ok(start <= end && end <= bytes.length);
          for (const value of attributes(bytes, start, end).values()) assert.ok(value.length <= end - start);
        });
      }),
    );
  });

  it('refuse an attribute longer than its length field can say', () => {
    const writer = messageWriter();
    writer.message(1, 0, 1, 0, 0);
    assert.throws(() => writer.bytes(1, Buffer.alloc(65532)), /65532 bytes: expected at most 65531/);
    const halves = (): void => {
      writer.bytes(1, Buffer.alloc(40000));
      writer.bytes(1, Buffer.alloc(40000));
    };
    assert.throws(() => writer.nest(2, halves), /expected at most 65535/);
  });

  it('concatenate a set’s key with each field padded to four bytes', () => {
    const key = concatenate([Buffer.from([17]), Buffer.from([192, 0, 2, 10]), Buffer.from([0x13, 0xc4])]);
    assert.equal(key.toString('hex'), '11000000c000020a13c40000');
  });
});
