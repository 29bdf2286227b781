import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import {
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  realpathSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import fc from 'fast-check';
import {
  CaptureError,
  type CaptureReader,
  mergeCaptures,
  openCapture,
  openCaptures,
} from '../../src/intercept/capture.ts';
import { withoutShared } from '../shared.ts';
import { block, enhanced, interfaceBlock, listedCaptures, pcap, section, writer } from './captures.ts';

const directory = mkdtempSync(join(tmpdir(), 'capture-'));
after(() => rmSync(directory, { recursive: true }));
let written = 0;
const onlyLinux = process.platform === 'linux' ? false : 'open files are read from /proc';

function file(bytes: Buffer): string {
  const path = join(directory, `${written++}.cap`);
  writeFileSync(path, bytes);
  return path;
}

function open(bytes: Buffer): CaptureReader {
  return openCapture(file(bytes));
}

const A = Buffer.from('first');
const B = Buffer.from('second!');

describe('pcap', () => {
  for (const littleEndian of [true, false]) {
    for (const [magic, fraction, nanoseconds] of [
      [0xa1b2c3d4, 123_456, 123_456_000],
      [0xa1b23c4d, 123_456_789, 123_456_789],
      [0xa1b2cd34, 123_456, 123_456_000],
    ] as const) {
      test(`${magic.toString(16)}, ${littleEndian ? 'little' : 'big'} endian`, () => {
        const packets = [
          { seconds: 1_700_000_000, fraction, bytes: A, originalLength: 90 },
          { seconds: 4_000_000_000, fraction: 0, bytes: B },
        ];
        const reader = open(pcap(packets, { littleEndian, magic, linkType: 113 }));
        const frames = [...reader];
        assert.equal(reader.format, 'pcap');
        assert.equal(reader.damage, null);
        assert.deepEqual(frames, [
          {
            file: reader.file,
            number: 1,
            seconds: 1_700_000_000,
            nanoseconds,
            time: 1_700_000_000_000 + nanoseconds / 1e6,
            linkType: 113,
            bytes: A,
            originalLength: 90,
            truncated: true,
          },
          {
            file: reader.file,
            number: 2,
            seconds: 4_000_000_000,
            nanoseconds: 0,
            time: 4_000_000_000_000,
            linkType: 113,
            bytes: B,
            originalLength: 7,
            truncated: false,
          },
        ]);
      });
    }
  }

  test('version 2.2 has the lengths in the other order', () => {
    const frames = [...open(pcap([{ seconds: 1, fraction: 0, bytes: A, originalLength: 99 }], { minor: 2 }))];
    assert.deepEqual(
      frames.map((frame) => [frame.bytes.toString(), frame.originalLength]),
      [['first', 99]],
    );
  });

  test('the upper bits of the link type are no link type', () => {
    const [frame] = open(pcap([{ seconds: 1, fraction: 0, bytes: A }], { linkType: 0x4400_0001 }));
    assert.equal(frame?.linkType, 1);
  });

  test('a fraction of more than a second is carried over', () => {
    const [frame] = open(pcap([{ seconds: 1, fraction: 2_500_000, bytes: A }]));
    assert.deepEqual([frame?.seconds, frame?.nanoseconds], [3, 500_000_000]);
  });

  test('an impossible length is damage, and says where', () => {
    const bytes = pcap([
      { seconds: 1, fraction: 0, bytes: A },
      { seconds: 2, fraction: 0, bytes: B },
    ]);
    const at = 24 + 16 + A.length + 8;
    bytes.writeUInt32LE(0x7fff_ffff, at);
    const reader = open(bytes);
    assert.equal([...reader].length, 1);
    assert.ok(reader.damage instanceof CaptureError);
    assert.equal(reader.damage.offset, at);
    assert.equal(reader.damage.found, '2147483647');
    assert.match(reader.damage.message, /\.cap: at offset 53: expected the captured length of frame 2/);
  });
});

describe('pcapng', () => {
  for (const littleEndian of [true, false]) {
    test(`${littleEndian ? 'little' : 'big'} endian, every packet block`, () => {
      const { uint16, uint32 } = writer(littleEndian);
      const reader = open(
        Buffer.concat([
          section(littleEndian),
          interfaceBlock(1, [], { littleEndian, snapLength: 5 }),
          interfaceBlock(113, [], { littleEndian }),
          enhanced(A, { id: 1, ticks: 1_700_000_000_123_456n, littleEndian, originalLength: 60 }),
          block(3, Buffer.concat([uint32(7), B]), littleEndian),
          block(
            2,
            Buffer.concat([uint16(0), uint16(3), uint32(0), uint32(2_000_001), uint32(7), uint32(7), B]),
            littleEndian,
          ),
        ]),
      );
      const frames = [...reader].map((f) => [
        f.number,
        f.linkType,
        f.seconds,
        f.nanoseconds,
        f.bytes.toString(),
        f.originalLength,
        f.truncated,
      ]);
      assert.equal(reader.format, 'pcapng');
      assert.equal(reader.damage, null);
      assert.deepEqual(frames, [
        [1, 113, 1_700_000_000, 123_456_000, 'first', 60, true],
        [2, 1, 1_700_000_000, 123_456_000, 'secon', 7, true],
        [3, 1, 2, 1000, 'second!', 7, false],
      ]);
    });
  }

  test('if_tsresol and if_tsoffset', () => {
    const offset = Buffer.alloc(8);
    offset.writeBigInt64LE(-100n);
    for (const [resolution, ticks, seconds, nanoseconds] of [
      [9, 1_700_000_000_123_456_789n, 1_700_000_000, 123_456_789],
      [3, 1_700_000_000_123n, 1_700_000_000, 123_000_000],
      [0, 1_700_000_000n, 1_700_000_000, 0],
      [0x80 | 10, (1_700_000_000n << 10n) + 512n, 1_700_000_000, 500_000_000],
      [12, 1_700_000_000_123_456n, 1700, 123],
      [6, 1_700_000_000_123_456n, 1_700_000_000, 123_456_000],
    ] as const) {
      for (const [options, shift] of [
        [[[9, Buffer.from([resolution])]], 0],
        [
          [
            [2, Buffer.from('em0')],
            [9, Buffer.from([resolution])],
            [14, offset],
          ],
          -100,
        ],
      ] as const) {
        const [frame] = open(Buffer.concat([section(), interfaceBlock(1, options), enhanced(A, { ticks })]));
        assert.deepEqual([frame?.seconds, frame?.nanoseconds], [seconds + shift, nanoseconds]);
      }
    }
  });

  test('if_tsoffset in a big-endian section', () => {
    const offset = Buffer.alloc(8);
    offset.writeBigInt64BE(3600n);
    const [frame] = open(
      Buffer.concat([
        section(false),
        interfaceBlock(1, [[14, offset]], { littleEndian: false }),
        enhanced(A, { ticks: 5_000_000n, littleEndian: false }),
      ]),
    );
    assert.equal(frame?.seconds, 3605);
  });

  test('sections of either byte order, each with its own interfaces', () => {
    const reader = open(
      Buffer.concat([
        section(true),
        interfaceBlock(1),
        enhanced(A),
        section(false),
        interfaceBlock(276, [], { littleEndian: false }),
        enhanced(B, { littleEndian: false }),
      ]),
    );
    assert.deepEqual(
      [...reader].map((frame) => [frame.number, frame.linkType, frame.bytes.toString()]),
      [
        [1, 1, 'first'],
        [2, 276, 'second!'],
      ],
    );
  });

  test('other blocks are skipped, and those that tshark numbers are numbered', () => {
    const skipped = [4, 5, 7, 10, 0x7777].map((type) => block(type, Buffer.alloc(12)));
    const numbered = [9, 0xbad, 0x4000_0bad].map((type) =>
      block(type, Buffer.from('\xa9~\0\0text', 'latin1')),
    );
    const reader = open(
      Buffer.concat([section(), interfaceBlock(1), ...skipped, enhanced(A), ...numbered, enhanced(B)]),
    );
    assert.deepEqual(
      [...reader].map((frame) => frame.number),
      [1, 5],
    );
  });

  test('what is damaged has a name and a place', () => {
    const start = Buffer.concat([section(), interfaceBlock(1), enhanced(A)]);
    const trailer = enhanced(B);
    trailer.writeUInt32LE(1, trailer.length - 4);
    const odd = enhanced(B);
    odd.writeUInt32LE(41, 4);
    const long = enhanced(B);
    long.writeUInt32LE(20, 20);
    for (const [bytes, expected] of [
      [trailer, /the block length 40 again, found 1/],
      [odd, /a block length from 12 to 16777216, a multiple of 4, found 41/],
      [long, /the 20 bytes of frame 2, found 8 bytes/],
      [enhanced(B, { id: 3 }), /an interface below 1, found 3/],
      [enhanced(B).subarray(0, 30), /a block of 40 bytes, found 30 bytes/],
      [Buffer.alloc(5), /a block of 12 bytes or more, found 5 bytes/],
      [
        Buffer.concat([section().subarray(0, 8), Buffer.alloc(20)]),
        /the byte-order magic 1a2b3c4d, found 0000/,
      ],
    ] as const) {
      const reader = open(Buffer.concat([start, bytes]));
      assert.equal([...reader].length, 1);
      assert.match(reader.damage?.message ?? 'no damage', expected);
      assert.ok(reader.damage!.offset >= start.length);
    }
  });

  test('no more interfaces than a packet block can name (draft-tuexen-opsawg-pcapng 4.3: 16 bits)', () => {
    const most = Buffer.concat([section(), ...Array.from({ length: 65_536 }, () => interfaceBlock(1))]);
    const whole = open(Buffer.concat([most, enhanced(A, { id: 65_535 })]));
    assert.equal([...whole].length, 1);
    assert.equal(whole.damage, null);
    const reader = open(Buffer.concat([most, interfaceBlock(1), enhanced(A)]));
    assert.equal([...reader].length, 0);
    assert.match(reader.damage?.message ?? 'no damage', /at most 65536 interfaces/);
  });
});

/** Deflate data of two stored blocks, the second of which is damaged. */
function split(bytes: Buffer): Buffer {
  const half = bytes.length >> 1;
  const head = (last: number, length: number, complement: number) => {
    const block = Buffer.alloc(5);
    block[0] = last;
    block.writeUInt16LE(length, 1);
    block.writeUInt16LE(complement, 3);
    return block;
  };
  return Buffer.concat([
    head(0, half, ~half & 0xffff),
    bytes.subarray(0, half),
    head(1, bytes.length - half, 0),
    bytes.subarray(half),
  ]);
}

describe('files', () => {
  test('what is no capture is refused at once', () => {
    for (const [bytes, found] of [
      [Buffer.alloc(0), /found an empty file/],
      [Buffer.from('INVITE sip:bob@example.com'), /found bytes 494e5649/],
      [gzipSync('INVITE sip:bob@example.com'), /found bytes 494e5649/],
      [Buffer.from([0x1f, 0x8b, 8, 0, 1, 2, 3, 4, 5, 6, 7, 8]), /expected gzip data/],
    ] as const) {
      assert.throws(
        () => open(bytes),
        (error) => error instanceof CaptureError && error.offset === 0 && found.test(error.message),
      );
    }
    assert.throws(
      () => openCapture(join(directory, 'missing.pcap')),
      /missing\.pcap: cannot be read: there is no such file$/,
    );
    assert.throws(() => openCapture(directory), CaptureError);
  });

  test('a header alone is an empty capture, half a header is damage', () => {
    const header = pcap([]);
    const reader = open(header);
    assert.deepEqual([...reader], []);
    assert.equal(reader.damage, null);
    const half = open(header.subarray(0, 20));
    assert.deepEqual([...half], []);
    assert.match(half.damage?.message ?? '', /a pcap file header of 24 bytes, found 20 bytes/);
  });

  test('gzip, whole and cut short', () => {
    const bytes = pcap(Array.from({ length: 100 }, (_, i) => ({ seconds: i, fraction: 0, bytes: A })));
    assert.equal([...open(gzipSync(bytes))].length, 100);
    const packed = gzipSync(bytes, { level: 0 });
    const cut = open(packed.subarray(0, packed.length / 2));
    const { length } = [...cut];
    assert.ok(length > 10 && length < 100);
    assert.ok(cut.damage instanceof CaptureError);
  });

  test('a small gzip file that would fill the memory is not read, and it is said how it can be', () => {
    const bomb = gzipSync(Buffer.concat([pcap([]), Buffer.alloc(64 << 20)]));
    assert.ok(bomb.length < 1 << 20);
    assert.throws(() => open(bomb), /expected gzip data of at most 64 MiB \(for more: gunzip -c /);
    assert.deepEqual([...open(gzipSync(Buffer.concat([pcap([]), Buffer.alloc(1 << 20)])))].length, 65_536);
  });

  test('gzip with a wrong check is read whole, gzip with damage up to it, and both are said', () => {
    const bytes = pcap(
      Array.from({ length: 100 }, (_, i) => ({
        seconds: i,
        fraction: 0,
        bytes: Buffer.alloc(64, `${i * i}`),
      })),
    );
    const wrong = gzipSync(bytes);
    wrong[wrong.length - 8]! ^= 1;
    const checked = open(wrong);
    assert.equal([...checked].length, 100);
    assert.match(checked.damage?.message ?? '', /incorrect data check/);

    // Stored blocks: the length of the last one and its complement (RFC 1951 3.2.4) are made to differ.
    const stored = Buffer.concat([gzipSync(bytes, { level: 0 })]);
    const damaged = Buffer.concat([stored.subarray(0, 10), split(bytes), stored.subarray(-8)]);
    const partly = open(damaged);
    const { length } = [...partly];
    assert.ok(length > 10 && length < 100, String(length));
    assert.ok(partly.damage instanceof CaptureError);
  });

  test('frames stay as they were while a file larger than any buffer is read', () => {
    const packets = Array.from({ length: 3000 }, (_, i) => ({
      seconds: i,
      fraction: 0,
      bytes: Buffer.alloc(1400, i),
    }));
    const frames = [...open(pcap(packets))];
    assert.equal(frames.length, 3000);
    for (const [i, frame] of frames.entries()) assert.deepEqual(frame.bytes, packets[i]!.bytes);
  });

  test('a reader may be left before its end', () => {
    const reader = open(pcap([A, B].map((bytes, i) => ({ seconds: i, fraction: 0, bytes }))));
    for (const frame of reader) {
      assert.equal(frame.number, 1);
      break;
    }
    reader.close();
    assert.equal(reader.damage, null);
  });
});

describe('mergeCaptures', () => {
  const at = (seconds: number, fraction: number, name: string) => ({
    seconds,
    fraction,
    bytes: Buffer.from(name),
  });

  test('orders by time, keeps numbers, and keeps the order of readers for equal times', () => {
    const readers = [
      open(pcap([at(1, 0, 'a1'), at(3, 5, 'a2'), at(3, 5, 'a3')])),
      open(pcap([at(3, 5, 'b1'), at(2, 0, 'b2'), at(9, 0, 'b3')])),
      open(pcap([])),
      open(pcap([at(0, 999_999, 'd1')])),
    ];
    const merged = [...mergeCaptures(readers)].map((frame) => `${frame.bytes}:${frame.number}`);
    assert.deepEqual(merged, ['d1:1', 'a1:1', 'a2:2', 'a3:3', 'b1:1', 'b2:2', 'b3:3']);
  });

  test('damage in one file does not end the others', () => {
    const whole = pcap([at(1, 0, 'a1'), at(3, 0, 'a2')]);
    const readers = [open(whole.subarray(0, -1)), open(pcap([at(2, 0, 'b1'), at(4, 0, 'b2')]))];
    assert.deepEqual(
      [...mergeCaptures(readers)].map((frame) => frame.bytes.toString()),
      ['a1', 'b1', 'b2'],
    );
    assert.ok(readers[0]!.damage);
    assert.equal(readers[1]!.damage, null);
  });

  test('openCaptures: one of several files that is none leaves none of them open', {
    skip: onlyLinux,
  }, () => {
    const good = file(pcap([at(1, 0, 'a1')]));
    const isOpen = () =>
      readdirSync('/proc/self/fd').filter((fd) => pathOf(fd) === realpathSync(good)).length;
    const pathOf = (fd: string) => {
      try {
        return readlinkSync(`/proc/self/fd/${fd}`);
      } catch {
        return null;
      }
    };
    assert.throws(() => openCaptures([good, join(directory, 'missing.pcap')]), CaptureError);
    assert.equal(isOpen(), 0);
    const captures = openCaptures([good]);
    assert.equal(isOpen(), 1);
    assert.deepEqual(
      [...captures].map(({ bytes }) => `${bytes}`),
      ['a1'],
    );
    captures.close();
    assert.equal(isOpen(), 0);
  });
});

test('every public capture has the number of frames that capinfos counts', { skip: withoutShared }, () => {
  const captures = listedCaptures();
  assert.ok(captures.length > 60);
  for (const { path, frames } of captures) {
    const reader = openCapture(path);
    let count = 0;
    for (const frame of reader) assert.equal(frame.number, ++count);
    assert.equal(count, frames, path);
    assert.equal(reader.damage, null, path);
  }
});

const SMALL_PCAP = pcap([
  { seconds: 1, fraction: 5, bytes: A },
  { seconds: 2, fraction: 6, bytes: B },
  { seconds: 3, fraction: 7, bytes: A },
]);
const SMALL_PCAPNG = Buffer.concat([
  section(),
  interfaceBlock(1, [[9, Buffer.from([9])]]),
  enhanced(A),
  enhanced(B),
  enhanced(A),
]);

for (const [name, bytes, ends] of [
  ['pcap', SMALL_PCAP, [45, 68, 89]],
  ['pcapng', SMALL_PCAPNG, [28 + 28 + 40, 28 + 28 + 80, 28 + 28 + 120]],
] as const) {
  test(`${name}: cut at any byte, all frames before the cut are read`, () => {
    assert.equal(bytes.length, ends.at(-1));
    const boundaries = new Set<number>([...ends, ...(name === 'pcap' ? [24] : [28, 56])]);
    for (let length = 4; length < bytes.length; length++) {
      const reader = open(bytes.subarray(0, length));
      const frames = [...reader];
      assert.equal(frames.length, ends.filter((end) => end <= length).length, `${length} bytes`);
      assert.equal(reader.damage === null, boundaries.has(length), `${length} bytes`);
      if (reader.damage) assert.ok(reader.damage.offset <= length);
    }
  });

  test(`property: ${name} with changed bytes never throws, and frames before the change stay`, () => {
    fc.assert(
      fc.property(
        fc.array(fc.tuple(fc.nat(bytes.length - 5), fc.integer({ min: 1, max: 255 })), {
          minLength: 1,
          maxLength: 5,
        }),
        (changes) => {
          const changed = Buffer.from(bytes);
          for (const [at, bits] of changes) changed[4 + at]! ^= bits;
          const first = Math.min(...changes.map(([at]) => 4 + at));
          const reader = open(changed);
          const frames = [...reader];
          const untouched =
            first >= (name === 'pcap' ? 24 : 56) ? ends.filter((end) => end <= first).length : 0;
          assert.ok(frames.length >= untouched);
          for (let i = 0; i < untouched; i++) assert.deepEqual(frames[i]?.bytes, [A, B, A][i]);
        },
      ),
      { numRuns: 300 },
    );
  });
}

test('property: no bytes behind the magic number throw', () => {
  const magic = fc.constantFrom(
    SMALL_PCAP.subarray(0, 4),
    SMALL_PCAPNG.subarray(0, 28),
    SMALL_PCAP.subarray(0, 24),
  );
  fc.assert(
    fc.property(magic, fc.uint8Array({ maxLength: 200 }), (start, rest) => {
      const reader = open(Buffer.concat([start, rest]));
      for (const frame of reader) assert.ok(frame.bytes.length <= rest.length);
    }),
    { numRuns: 300 },
  );
});

test('what is read is what is in the file', { skip: withoutShared }, () => {
  const { path } = listedCaptures().find((capture) => capture.path.endsWith('sip_call.pcap'))!;
  const raw = readFileSync(path);
  let at = 24;
  for (const frame of openCapture(path)) {
    at += 16;
    assert.deepEqual(frame.bytes, raw.subarray(at, at + frame.bytes.length));
    at += frame.bytes.length;
  }
  assert.equal(at, raw.length);
});
