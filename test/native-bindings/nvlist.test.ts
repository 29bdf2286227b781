import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import { type NvList, NvListError, packNvList, unpackNvList } from '../../native-bindings/freebsd/nvlist.ts';
import { sharedDir } from '../shared.ts';
import { nvlistBytes, withoutAbi } from './abi.ts';

/**
 * Packed by FreeBSD 15.1's own libnv: running true; names ["match", "", "memory"]; counters [1, 0, 2^64-1]; flags
 * [true, false, true]; rules [{nr 7}, {label "pinholed:x", empty {}}, {}]; nothing null; chksum 010203; last {nr 7}.
 */
const everyType = Buffer.from(
  [
    '6c0000000000000000000038020000000000000208000100000000000000000000000000000072756e6e696e6700010a06000e000000',
    '0000000003000000000000006e616d6573006d6174636800006d656d6f72790009090018000000000000000300000000000000636f756e',
    '746572730001000000000000000000000000000000ffffffffffffffff08060003000000000000000300000000000000666c6167730001',
    '00010b06000000000000000000030000000000000072756c6573006c000000000000000000007901000000000000030300080000000000',
    '000000000000000000006e72000700000000000000fe010000000000000000000000000000000000006c00000000000000000000340100',
    '00000000000406000b0000000000000000000000000000006c6162656c0070696e686f6c65643a78000506001300000000000000000000',
    '0000000000656d707479006c00000000000000000000e400000000000000ff01000000000000000000000000000000000000fe01000000',
    '0000000000000000000000000000006c00000000000000000000a900000000000000fe0100000000000000000000000000000000000001',
    '0800000000000000000000000000000000006e6f7468696e67000707000300000000000000000000000000000063686b73756d00010203',
    '050500310000000000000000000000000000006c617374006c0000000000000000000032000000000000000303000800000000000000000',
    '00000000000006e72000700000000000000ff01000000000000000000000000000000000000',
  ].join(''),
  'hex',
);

/** As deepEqual sees it: lists come back without a prototype. */
function plain(value: unknown): unknown {
  if (value instanceof Uint8Array || typeof value !== 'object' || value === null) return value;
  if (Array.isArray(value)) return value.map(plain);
  return Object.fromEntries(Object.entries(value).map(([name, item]) => [name, plain(item)]));
}

const name = fc.string({ unit: fc.constantFrom('a', 'b', 'c', '_', '.', '7'), minLength: 1, maxLength: 6 });
const number = fc.bigInt({ min: 0n, max: 0xffffffffffffffffn });
const text = fc.string({ unit: fc.constantFrom('p', ':', '0', 'ü'), maxLength: 8 });
const list = fc.letrec<{ list: NvList; value: NvList[string] }>((tie) => ({
  list: fc.dictionary(name, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  value: fc.oneof(
    { depthSize: 'small' },
    fc.boolean(),
    number,
    text,
    fc.uint8Array({ minLength: 1, maxLength: 9 }).map((bytes) => Buffer.from(bytes)),
    fc.array(number, { minLength: 1, maxLength: 3 }),
    fc.array(text, { minLength: 1, maxLength: 3 }),
    fc.array(fc.boolean(), { minLength: 1, maxLength: 3 }),
    tie('list'),
    fc.array(tie('list'), { minLength: 1, maxLength: 3 }),
  ),
})).list;

describe('nvlist', () => {
  it('unpacks every type as libnv packed it', () => {
    assert.deepEqual(plain(unpackNvList(everyType)), {
      running: true,
      names: ['match', '', 'memory'],
      counters: [1n, 0n, 0xffffffffffffffffn],
      flags: [true, false, true],
      rules: [{ nr: 7n }, { label: 'pinholed:x', empty: {} }, {}],
      nothing: false,
      chksum: Buffer.from([1, 2, 3]),
      last: { nr: 7n },
    });
  });

  it('packs what libnv packed to the same bytes', () => {
    const { nothing: _, ...rest } = unpackNvList(everyType);
    const packed = packNvList(rest);
    // libnv's null has no JavaScript value here: without that pair everything after it is the same, and every
    // header before it counts 27 bytes less.
    const at = everyType.indexOf('nothing') - 19;
    assert.deepEqual(packed.subarray(at), everyType.subarray(at + 27));
    assert.equal(packed.length, everyType.length - 27);
    assert.deepEqual(plain(unpackNvList(packed)), plain(rest));
  });

  it('unpacks what libnv packed for pf, and packs it to the same bytes', { skip: withoutAbi }, () => {
    for (const vector of [
      'kill_by_label',
      'kill_udp_192.0.2.10:40026_198.51.100.20:20000',
      'reply_killed_3',
    ]) {
      const bytes = nvlistBytes(vector);
      assert.deepEqual(packNvList(unpackNvList(bytes)), bytes);
    }
    assert.equal(unpackNvList(nvlistBytes('reply_killed_3'))['killed'], 3n);
  });

  it('reads back what it packed', () => {
    fc.assert(
      fc.property(list, (value) => assert.deepEqual(plain(unpackNvList(packNvList(value))), plain(value))),
      { numRuns: 300 },
    );
  });

  it('packs as the reference packer does', { skip: withoutPython() }, () => {
    const value = {
      nr: 5,
      addr: { inner: { addr: Uint8Array.of(1, 2) } },
      port: [0x5a9c, 0],
      name: 'em0',
      on: true,
    };
    const script = [
      `import sys; sys.path.insert(0, ${JSON.stringify(`${sharedDir}/freebsd`)}); from nvpack import *`,
      "pairs = [(NUM,'nr',5),(NVL,'addr',[(NVL,'inner',[(BIN,'addr',bytes([1,2]))])]),(NUMARR,'port',[0x5a9c,0])]",
      "print(pack(pairs + [(STR,'name','em0'),(BOOL,'on',True)]).hex())",
    ].join('\n');
    const run = spawnSync('python3', ['-c', script], { encoding: 'utf8' });
    assert.equal(packNvList(value).toString('hex'), run.stdout.trim(), run.stderr);
  });

  it('answers every cut and every changed byte with a list or an NvListError', () => {
    for (let length = 0; length < everyType.length; length++) {
      assert.throws(() => unpackNvList(everyType.subarray(0, length)), NvListError);
    }
    fc.assert(
      fc.property(fc.nat(everyType.length - 1), fc.nat(255), (offset, byte) => {
        const bytes = Buffer.from(everyType);
        bytes[offset] = byte;
        try {
          unpackNvList(bytes);
        } catch (error) {
          assert.ok(error instanceof NvListError, String(error));
        }
      }),
      { numRuns: 2000 },
    );
  });

  it('refuses what libnv has no form for', () => {
    assert.throws(() => packNvList({ empty: [] }), /nvlist array empty is empty/);
    assert.throws(() => packNvList({ ['x'.repeat(2048)]: 1 }), NvListError);
  });

  it('stops at a depth', () => {
    let deep: NvList = {};
    for (let depth = 0; depth < 40; depth++) deep = { deep };
    const bytes = packNvList(deep);
    assert.throws(() => unpackNvList(bytes), /nested deeper/);
  });
});

function withoutPython(): string | false {
  if (withoutAbi) return withoutAbi;
  return spawnSync('python3', ['--version']).status === 0
    ? false
    : 'needs python3 to run the reference packer';
}
