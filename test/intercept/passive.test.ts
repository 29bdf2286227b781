import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { FilterInstruction } from '../../native-bindings/filter-program.ts';
import { MOST_RANGES, sipFilter } from '../../src/intercept/passive/filter.ts';
import { blockedFilter } from '../../src/intercept/pflog.ts';
import { ipPacket, tcpPacket, udpPacket } from '../packets.ts';
import { host } from '../scene.ts';

/** What a kernel does with a program (linux/filter.h): bytes taken of the packet, 0 for none. */
function run(program: readonly FilterInstruction[], packet: Uint8Array): number {
  let accumulator = 0;
  let index = 0;
  for (let at = 0; at < program.length; at++) {
    const { code, operand, whenTrue, whenFalse } = program[at]!;
    const half = (offset: number) => ((packet[offset] ?? 0) << 8) | (packet[offset + 1] ?? 0);
    const jump = (holds: boolean) => {
      at += holds ? whenTrue : whenFalse;
    };
    if (code === 0x06) return operand;
    // What reaches past the end ends the program.
    const last = [0x28, 0x48].includes(code) ? 1 : 0;
    const from = [0x48, 0x50].includes(code) ? index : 0;
    if ([0x30, 0x28, 0x48, 0x50].includes(code) && from + operand + last >= packet.length) return 0;
    if (code === 0x30) accumulator = packet[operand] ?? 0;
    else if (code === 0x50) accumulator = packet[index + operand] ?? 0;
    else if (code === 0x04) accumulator += operand;
    else if (code === 0x0c) accumulator += index;
    else if (code === 0x64) accumulator <<= operand;
    else if (code === 0x07) index = accumulator;
    else if (code === 0x28) accumulator = half(operand);
    else if (code === 0x48) accumulator = half(index + operand);
    else if (code === 0xb1) index = 4 * ((packet[operand] ?? 0) & 0x0f);
    else if (code === 0x54) accumulator &= operand;
    else if (code === 0x15) jump(accumulator === operand);
    else if (code === 0x35) jump(accumulator >= operand);
    else if (code === 0x25) jump(accumulator > operand);
    else assert.fail(`instruction ${code}`);
  }
  return assert.fail('no end');
}

const FAMILIES = [
  ['192.0.2.1', '198.51.100.1'],
  ['2001:db8::1', '2001:db8::2'],
] as const;

describe('the filter of packets that pass by', () => {
  const program = sipFilter([
    [5060, 5061],
    [5080, 5080],
  ]);
  const takes = (packet: Uint8Array) => run(program, packet) > 0;
  for (const [a, b] of FAMILIES) {
    it(`takes UDP and TCP from and to each port, and no other: ${a}`, () => {
      for (const [port, taken] of [
        [5059, false],
        [5060, true],
        [5061, true],
        [5062, false],
        [5079, false],
        [5080, true],
        [5081, false],
        [53, false],
      ] as const) {
        assert.equal(takes(udpPacket(host(a, port), host(b, 9), 'x')), taken, `from ${port}`);
        assert.equal(takes(udpPacket(host(a, 9), host(b, port), 'x')), taken, `to ${port}`);
        assert.equal(takes(tcpPacket(host(a, 9), host(b, port), { seq: 1 })), taken, `TCP to ${port}`);
      }
      assert.equal(
        takes(ipPacket(132, a, b, udpPacket(host(a, 5060), host(b, 5060), 'x').subarray(20))),
        false,
      );
    });
  }

  it('looks behind options, and takes fragments, whose ports nobody knows', () => {
    const plain = udpPacket(host('192.0.2.1', 5060), host('198.51.100.1', 9), 'x');
    const options = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(8, 1), plain.subarray(20)]);
    options[0] = 0x47;
    assert.equal(takes(options), true);
    const fragment = udpPacket(host('192.0.2.1', 9), host('198.51.100.1', 9), 'x');
    assert.equal(takes(fragment), false);
    fragment.writeUInt16BE(0x0010, 6);
    assert.equal(takes(fragment), true);
    assert.equal(takes(Buffer.from([0x60])), false);
    assert.equal(takes(Buffer.alloc(0)), false);
  });

  it('looks behind the header of a link', () => {
    const behind = sipFilter([[5060, 5060]], 14);
    const frame = (packet: Uint8Array) => Buffer.concat([Buffer.alloc(14, 0x45), packet]);
    for (const [a, b] of FAMILIES) {
      assert.ok(run(behind, frame(udpPacket(host(a, 9), host(b, 5060), 'x'))) > 0);
      assert.ok(run(behind, frame(tcpPacket(host(a, 5060), host(b, 9), { seq: 1 }))) > 0);
      assert.equal(run(behind, frame(udpPacket(host(a, 9), host(b, 5061), 'x'))), 0);
    }
    const plain = udpPacket(host('192.0.2.1', 5060), host('198.51.100.1', 9), 'x');
    const options = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(8, 1), plain.subarray(20)]);
    options[0] = 0x47;
    assert.ok(run(behind, frame(options)) > 0);
  });

  it('has jumps that are short enough for as many ranges as it takes', () => {
    const many = sipFilter(
      Array.from({ length: MOST_RANGES }, (_, n) => [1000 + 10 * n, 1004 + 10 * n] as const),
    );
    for (const { whenTrue, whenFalse } of many) assert.ok(whenTrue <= 255 && whenFalse <= 255);
    const last = 1004 + 10 * (MOST_RANGES - 1);
    const packet = (port: number) => tcpPacket(host('2001:db8::1', 9), host('2001:db8::2', port), { seq: 1 });
    assert.ok(run(many, packet(last)) > 0);
    assert.equal(run(many, packet(last + 1)), 0);
  });
});

describe('the filter of what pf logs', () => {
  const program = blockedFilter([
    [10_000, 19_999],
    [30_000, 30_000],
  ]);
  /** struct pfloghdr (net/if_pflog.h): length, family, action; 69 bytes on FreeBSD 15, 61 before. */
  const logged = (packet: Uint8Array, { action = 1, length = 69, family = 2 } = {}) => {
    const header = Buffer.alloc((length + 3) & ~3, 0x11);
    header.set([length, family, action]);
    return Buffer.concat([header, packet]);
  };
  const takes = (frame: Uint8Array) => run(program, frame) > 0;

  it('takes UDP that was dropped on its way to a port for media', () => {
    for (const length of [61, 64, 69]) {
      for (const [[a, b], family] of [
        [FAMILIES[0], 2],
        [FAMILIES[1], 28],
      ] as const) {
        const to = (port: number) => udpPacket(host(a, 9), host(b, port), 'x');
        for (const port of [10_000, 19_999, 30_000])
          assert.equal(takes(logged(to(port), { length, family })), true, `${a} ${port} ${length}`);
        for (const port of [9999, 20_000, 29_999, 30_001])
          assert.equal(takes(logged(to(port), { length, family })), false, `${a} ${port} ${length}`);
        assert.equal(takes(logged(to(10_000), { length, family, action: 0 })), false, 'it passed');
        assert.equal(takes(logged(udpPacket(host(a, 10_000), host(b, 9), 'x'), { length, family })), false);
        assert.equal(
          takes(logged(tcpPacket(host(a, 9), host(b, 10_000), { seq: 1 }), { length, family })),
          false,
        );
      }
    }
  });

  it('looks behind options of IPv4, and takes no fragment, whose port nobody knows', () => {
    const plain = udpPacket(host('192.0.2.1', 9), host('198.51.100.1', 10_000), 'x');
    const options = Buffer.concat([plain.subarray(0, 20), Buffer.alloc(8, 1), plain.subarray(20)]);
    options[0] = 0x47;
    assert.equal(takes(logged(options)), true);
    plain.writeUInt16BE(0x0010, 6);
    assert.equal(takes(logged(plain)), false);
    assert.equal(takes(logged(plain, { family: 24 })), false);
    assert.equal(takes(Buffer.from([69, 2])), false);
  });

  it('has jumps that are short enough for many ranges', () => {
    const many = blockedFilter(
      Array.from({ length: 100 }, (_, n) => [1000 + 10 * n, 1004 + 10 * n] as const),
    );
    for (const { whenTrue, whenFalse } of many) assert.ok(whenTrue <= 255 && whenFalse <= 255);
    const packet = (port: number) => logged(udpPacket(host('192.0.2.1', 9), host('192.0.2.2', port), 'x'));
    assert.ok(run(many, packet(1994)) > 0);
    assert.equal(run(many, packet(1995)), 0);
  });
});
