import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import {
  array,
  at,
  be16,
  be32,
  bytes,
  cstring,
  i16,
  i32,
  overlay,
  struct,
  u8,
  u16,
  u32,
  u64,
} from '../../native-bindings/struct.ts';

const inner = struct('inner', 4, { a: at(0, u8), b: at(2, be16) });
const outer = struct('outer', 48, {
  small: at(0, i16),
  number: at(4, u32),
  signed: at(8, i32),
  wire: at(12, be32),
  big: at(16, u64),
  name: at(24, cstring(8)),
  blob: at(32, bytes(4)),
  pairs: at(36, array(inner, 2)),
  half: at(44, u16),
});

describe('struct', () => {
  it('puts every kind of field where the table says, in its byte order', () => {
    const buffer = outer.encode({
      small: -2,
      number: 0x11223344,
      signed: -1,
      wire: 0x0a0b0c0d,
      big: 0x0102030405060708n,
      name: 'em0',
      blob: Uint8Array.of(9, 8),
      pairs: [{ a: 1, b: 0x1234 }, { b: 5060 }],
      half: 0xfffe,
    });
    assert.equal(
      buffer.toString('hex'),
      'feff0000443322 11ffffffff0a0b0c0d0807060504030201656d300000000000090800000100123400001 3c4feff0000'.replaceAll(
        ' ',
        '',
      ),
    );
  });

  it('reads back what it wrote', () => {
    fc.assert(
      fc.property(
        fc.record(
          {
            small: fc.integer({ min: -0x8000, max: 0x7fff }),
            number: fc.nat({ max: 0xffffffff }),
            signed: fc.integer(),
            wire: fc.nat({ max: 0xffffffff }),
            big: fc.bigInt({ min: 0n, max: 0xffffffffffffffffn }),
            name: fc.string({ unit: fc.constantFrom('a', '0', '.', 'é'), maxLength: 3 }),
            blob: fc.uint8Array({ minLength: 4, maxLength: 4 }).map((blob) => Buffer.from(blob)),
            pairs: fc.array(fc.record({ a: fc.nat(255), b: fc.nat(65535) }, { noNullPrototype: true }), {
              minLength: 2,
              maxLength: 2,
            }),
            half: fc.nat(65535),
          },
          { noNullPrototype: true },
        ),
        (values) => assert.deepEqual(outer.decode(outer.encode(values)), values),
      ),
    );
  });

  it('clears its own bytes and touches no others', () => {
    const buffer = Buffer.alloc(10, 0xff);
    inner.encode({ b: 1 }, buffer, 3);
    assert.equal(buffer.toString('hex'), 'ffffff00000001ffffff');
  });

  it('gets and sets one member', () => {
    const buffer = outer.encode({ number: 7, half: 3 });
    outer.set('number', 9, buffer);
    assert.equal(outer.get('number', buffer), 9);
    assert.equal(outer.get('half', buffer), 3);
  });

  it('lets a union’s members lie over each other', () => {
    const either = struct('either', 4, { address: at(0, bytes(4)), name: overlay(0, cstring(4)) });
    assert.deepEqual(either.decode(either.encode({ name: 'abc' })).address, Buffer.from('abc\0'));
  });

  it('refuses a table that overlaps or does not fit', () => {
    assert.throws(() => struct('bad', 8, { a: at(0, u32), b: at(2, u8) }), /struct bad: b overlaps/);
    assert.throws(() => struct('bad', 8, { a: at(6, u32) }), /struct bad: a reaches past byte 8/);
  });

  it('names the member that a value does not fit', () => {
    assert.throws(
      () => outer.encode({ half: 65536 }),
      /outer.half is 65536: expected an integer from 0 to 65535/,
    );
    assert.throws(() => outer.encode({ wire: 1.5 }), /outer.wire is 1.5/);
    assert.throws(() => outer.encode({ name: 'bridge10' }), /outer.name has 8 bytes: expected at most 7/);
    assert.throws(() => outer.encode({ name: 'a\0b' }), /outer.name has a NUL/);
    assert.throws(
      () => outer.encode({ blob: Buffer.alloc(5) }),
      /outer.blob has 5 bytes: expected at most 4/,
    );
    assert.throws(() => outer.encode({ pairs: [{}, { a: 256 }] }), /inner.a is 256/);
    assert.throws(() => outer.encode({ big: -1n }), /outer.big is -1/);
    assert.throws(
      () => outer.encode({}, Buffer.alloc(47)),
      /struct outer needs 48 bytes at offset 0 of a buffer of 47/,
    );
    assert.throws(() => outer.decode(Buffer.alloc(48), 1), RangeError);
  });
});
