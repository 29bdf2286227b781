import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import type { PacketError } from '../../src/packet/ip.ts';
import { createPacketReader } from '../../src/packet/reader.ts';
import { readTunnel } from '../../src/packet/tunnel.ts';
import { fragmentHeader, ipv4, ipv6, udp, viewOf } from './build.ts';

const INNER = ipv4(udp('INVITE'), { source: '10.0.0.1', destination: '10.0.0.2' });
const INNER6 = ipv6(udp('INVITE'));
const MACS = '020000000002020000000001';

function hex(text: string, rest: Buffer): Buffer {
  return Buffer.concat([Buffer.from(text.replaceAll(' ', ''), 'hex'), rest]);
}

function inner(outer: Buffer): string | null {
  const found = readTunnel(viewOf(outer));
  return found === null || typeof found === 'string' ? found : `${found.source} ${found.payload}`;
}

describe('tunnels', () => {
  test('IP in IP', () => {
    assert.equal(inner(ipv4(INNER, { protocol: 4 })), '10.0.0.1 INVITE');
    assert.equal(inner(ipv4(INNER6, { protocol: 41 })), '2001:db8::1 INVITE');
    assert.equal(inner(ipv6(INNER, { next: 4 })), '10.0.0.1 INVITE');
    assert.equal(inner(ipv6(INNER6, { next: 41 })), '2001:db8::1 INVITE');
  });

  test('GRE: RFC 2784, checksum, key and sequence number', () => {
    for (const header of [
      '0000 0800',
      '8000 0800 abcd0000',
      '2000 0800 00000007',
      '3000 0800 00000007 00000001',
      'b000 0800 abcd0000 00000007 00000001',
    ]) {
      assert.equal(inner(ipv4(hex(header, INNER), { protocol: 47 })), '10.0.0.1 INVITE', header);
    }
    assert.equal(inner(ipv6(hex('0000 86dd', INNER6), { next: 47 })), '2001:db8::1 INVITE');
  });

  test('GRE: Ethernet inside, with a VLAN tag', () => {
    const frame = hex(`0000 6558 ${MACS} 8100 0007 0800`, INNER);
    assert.equal(inner(ipv4(frame, { protocol: 47 })), '10.0.0.1 INVITE');
  });

  test('VXLAN, Geneve and L2TP', () => {
    const over = (port: number, payload: Buffer) => ipv4(udp(payload, 50000, port));
    for (const [port, header] of [
      [4789, `08000000 00002a00 ${MACS} 0800`],
      [8472, `08000000 00002a00 ${MACS} 8100 0007 0800`],
      [6081, `0000 6558 00002a00 ${MACS} 0800`],
      [6081, '0240 0800 00002a00 0102030405060708'],
      [1701, '0002 0001 0002 ff03 0021'],
      [1701, '4802 0040 0001 0002 0005 0006 21'],
      [1701, '0202 0001 0002 0003 aabbcc 21'],
    ] as const) {
      assert.equal(inner(over(port, hex(header, INNER))), '10.0.0.1 INVITE', header);
      for (let length = 0; length < 24; length++)
        readTunnel(viewOf(over(port, hex(header, INNER).subarray(0, length))));
    }
    assert.equal(inner(over(4789, hex(`00000000 00002a00 ${MACS} 0800`, INNER))), null, 'no network');
    assert.equal(
      inner(over(1701, hex('c802 0040 0001 0002 0005 0006 21', INNER))),
      null,
      'a control message',
    );
  });

  test('ESP without encryption (RFC 2410), by its own layout', () => {
    const pad = (protocol: number) => `01 02 02 ${protocol.toString(16).padStart(2, '0')}`;
    const esp = (packet: Buffer, protocol: number, check: number) =>
      Buffer.concat([hex('00001000 00000001', packet), hex(pad(protocol), Buffer.alloc(check, 0xa5))]);
    for (const check of [0, 12, 16]) {
      assert.equal(
        inner(ipv4(esp(INNER, 4, check), { protocol: 50 })),
        '10.0.0.1 INVITE',
        `tunnel, ${check}`,
      );
      assert.equal(
        inner(ipv4(esp(INNER6, 41, check), { protocol: 50 })),
        '2001:db8::1 INVITE',
        `tunnel, ${check}`,
      );
      const transport = inner(ipv4(esp(udp('INVITE'), 17, check), { protocol: 50, source: '10.0.0.9' }));
      assert.equal(transport, '10.0.0.9 INVITE', `transport, ${check}`);
    }
    const natted = ipv4(udp(esp(INNER, 4, 12), 4500, 4500));
    assert.equal(inner(natted), '10.0.0.1 INVITE', 'RFC 3948');
    assert.equal(
      inner(ipv4(hex('00001000 00000001', Buffer.alloc(64, 0x5a)), { protocol: 50 })),
      null,
      'encrypted',
    );
  });

  test('ERSPAN I, II and III', () => {
    for (const header of [
      `0000 88be ${MACS} 0800`,
      `1000 88be 00000001 1001000000000000 ${MACS} 0800`,
      `1000 22eb 00000001 200100000000000000000000 ${MACS} 0800`,
      `1000 22eb 00000001 200100000000000000000001 0000000000000000 ${MACS} 0800`,
    ]) {
      assert.equal(inner(ipv4(hex(header, INNER), { protocol: 47 })), '10.0.0.1 INVITE', header);
    }
  });

  test('PPTP', () => {
    const ppp = hex('ff03 0021', INNER);
    const length = ppp.length.toString(16).padStart(4, '0');
    for (const header of [
      `2001 880b ${length} 0001`,
      `3001 880b ${length} 0001 00000005`,
      `3081 880b ${length} 0001 00000005 00000004`,
    ]) {
      assert.equal(inner(ipv4(hex(header, ppp), { protocol: 47 })), '10.0.0.1 INVITE', header);
    }
    assert.equal(inner(ipv4(hex('2081 880b 0000 0001 00000004', Buffer.alloc(0)), { protocol: 47 })), null);
  });

  test('GTP-U, with sequence number and extension headers', () => {
    const gtp = (flags: string, options: string) => {
      const rest = hex(options, INNER);
      return ipv4(
        udp(hex(`${flags} ff ${rest.length.toString(16).padStart(4, '0')} 00000001`, rest), 2152, 2152),
      );
    };
    assert.equal(inner(gtp('30', '')), '10.0.0.1 INVITE');
    assert.equal(inner(gtp('32', '0001 00 00')), '10.0.0.1 INVITE');
    assert.equal(inner(gtp('34', '0000 00 85 01 1009 00')), '10.0.0.1 INVITE');
    assert.equal(inner(gtp('34', '0000 00 c0 01 0000 85 02 100900000000 00')), '10.0.0.1 INVITE');
    assert.equal(inner(gtp('34', '0000 00 85 00 1009 00')), 'tunnel-header');
    assert.equal(inner(gtp('34', `0000 00 85 ${'01 0000 85'.repeat(9)}`)), 'tunnel-header');
    assert.equal(inner(ipv4(udp(hex('30 01 0004 00000001', Buffer.alloc(4)), 2152, 2152))), null);
  });

  test('what is no tunnel, or holds no IP', () => {
    assert.equal(inner(ipv4(udp('INVITE'))), null);
    assert.equal(inner(ipv4(hex('0000 0806', Buffer.alloc(28)), { protocol: 47 })), null);
    assert.equal(inner(ipv4(Buffer.alloc(30), { protocol: 50 })), null);
  });

  test('damage has a name', () => {
    const refused: readonly [string, PacketError][] = [
      ['0000', 'tunnel-header'],
      ['4000 0800 00000000', 'tunnel-header'],
      ['0003 0800', 'tunnel-header'],
      ['a000 0800 0000', 'tunnel-header'],
      ['0000 6558 0200', 'tunnel-header'],
      ['0000 0800 45', 'ip-short'],
    ];
    for (const [bytes, error] of refused) {
      assert.equal(inner(ipv4(hex(bytes, Buffer.alloc(0)), { protocol: 47 })), error, bytes);
    }
  });
});

describe('reader', () => {
  const nested = (levels: number) => {
    let packet = INNER;
    for (let i = 0; i < levels; i++) packet = ipv4(packet, { protocol: 4 });
    return packet;
  };

  test('follows four tunnels and no more, and none unless asked to', () => {
    const reader = createPacketReader({ tunnels: true });
    const view = reader.read(nested(4), 0);
    assert.ok(view && typeof view !== 'string');
    assert.equal(view.payload.toString(), 'INVITE');
    assert.equal(reader.read(nested(5), 0), 'tunnel-depth');
    const outer = createPacketReader().read(nested(1), 0);
    assert.ok(outer && typeof outer !== 'string');
    assert.equal(outer.protocol, 'other');
  });

  test('puts fragments together outside and inside a tunnel', () => {
    const reader = createPacketReader({ tunnels: true });
    const datagram = udp('x'.repeat(100));
    const parts = [
      ipv6(fragmentHeader(17, 5, 0, true, datagram.subarray(0, 64)), { next: 44 }),
      ipv6(fragmentHeader(17, 5, 64, false, datagram.subarray(64)), { next: 44 }),
    ];
    const [first, second] = parts.map((part) => hex('0000 86dd', part));
    assert.equal(reader.read(ipv4(first!, { protocol: 47, id: 1 }), 0), null);
    assert.equal(reader.read(ipv4(second!.subarray(0, 48), { protocol: 47, id: 2, more: true }), 0), null);
    const whole = reader.read(ipv4(second!.subarray(48), { protocol: 47, id: 2, offset: 48 }), 0);
    assert.ok(whole && typeof whole !== 'string');
    assert.equal(whole.payload.toString(), 'x'.repeat(100));
    assert.equal(reader.fragments.bytes, 0);
  });
});

test('property: no bytes throw', () => {
  const reader = createPacketReader({ tunnels: true, maxBytes: 10_000 });
  const protocol = fc.constantFrom(4, 41, 47, 17);
  const headers = ['0000 0800', '2001 880b', 'b000 6558', '1000 22eb', '34ff', '30ff', '45'];
  const start = fc.constantFrom(...headers.map((header) => hex(header, Buffer.alloc(0))));
  fc.assert(
    fc.property(protocol, start, fc.uint8Array({ maxLength: 80 }), (number, head, rest) => {
      const bytes = Buffer.concat([head, rest]);
      reader.read(ipv4(number === 17 ? udp(bytes, 2152, 2152) : bytes, { protocol: number }), 0);
      readTunnel(viewOf(ipv4(number === 17 ? udp(bytes, 2152, 2152) : bytes, { protocol: number })));
    }),
    { numRuns: 2000 },
  );
});
