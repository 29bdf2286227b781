import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { describe, test } from 'node:test';
import fc from 'fast-check';
import { type PacketError, readPacket } from '../../src/packet/ip.ts';
import { extension, fragmentHeader, ipv4, ipv6, tcp, udp, viewOf } from './build.ts';

/** RFC 768 in RFC 791, written by hand: 192.0.2.1:5060 to 198.51.100.2:5062, "OK". */
const UDP4 = Buffer.from(
  '45b8001e 1c464000 4011b1e6 c0000201 c6336402 13c413c6 000a0000 4f4b'.replaceAll(' ', ''),
  'hex',
);

function refused(packet: Buffer, error: PacketError): void {
  assert.equal(readPacket(packet), error);
}

describe('IPv4', () => {
  test('UDP', () => {
    const view = viewOf(UDP4);
    assert.deepEqual(
      { ...view, payload: view.payload.toString() },
      {
        family: 4,
        protocol: 'udp',
        protocolNumber: 17,
        source: '192.0.2.1',
        destination: '198.51.100.2',
        sourcePort: 5060,
        destinationPort: 5062,
        payload: 'OK',
        missing: 0,
        fragment: null,
        tcp: null,
      },
    );
    assert.equal(view.payload.buffer, UDP4.buffer);
  });

  test('TCP with options', () => {
    const options = Buffer.from('020405b40402080a', 'hex');
    const view = viewOf(
      ipv4(tcp('BYE', { seq: 0xffff_fff0, ack: 0x8000_0001, flags: 0x18, options }), { protocol: 6 }),
    );
    assert.equal(view.protocol, 'tcp');
    assert.deepEqual(view.tcp, { seq: 0xffff_fff0, ack: 0x8000_0001, flags: 0x18 });
    assert.equal(view.payload.toString(), 'BYE');
  });

  test('options of the header are skipped', () => {
    const view = viewOf(ipv4(udp('x'), { options: Buffer.from('94040000', 'hex') }));
    assert.equal(view.sourcePort, 5060);
    assert.equal(view.payload.toString(), 'x');
  });

  test('padding behind the total length is no payload', () => {
    const view = viewOf(Buffer.concat([UDP4, Buffer.alloc(16, 0x55)]));
    assert.equal(view.payload.toString(), 'OK');
    const empty = viewOf(Buffer.concat([ipv4(tcp(''), { protocol: 6 }), Buffer.alloc(6)]));
    assert.equal(empty.payload.length, 0);
  });

  test('bytes behind the UDP length are no payload', () => {
    assert.equal(viewOf(ipv4(udp('OK and more', 1, 2, 10))).payload.toString(), 'OK');
  });

  test('a packet cut short says how much is missing', () => {
    const view = viewOf(ipv4(udp('0123456789')).subarray(0, 32));
    assert.equal(view.payload.toString(), '0123');
    assert.equal(view.missing, 6);
    const segment = viewOf(ipv4(tcp('0123456789'), { protocol: 6 }).subarray(0, 44));
    assert.equal(segment.payload.toString(), '0123');
    assert.equal(segment.missing, 6);
    const options = viewOf(
      ipv4(tcp('0123456789', { options: Buffer.alloc(8) }), { protocol: 6 }).subarray(0, 44),
    );
    assert.equal(options.payload.length, 0);
    assert.equal(options.missing, 10);
  });

  test('the authentication header is stepped over', () => {
    const ah = Buffer.from('110400000000000100000001aabbccddeeff001122334455'.slice(0, 48), 'hex');
    assert.equal(viewOf(ipv4(Buffer.concat([ah, udp('x')]), { protocol: 51 })).payload.toString(), 'x');
  });

  test('ESP and everything else is other', () => {
    const view = viewOf(ipv4(Buffer.alloc(40), { protocol: 50 }));
    assert.deepEqual(
      [view.protocol, view.protocolNumber, view.sourcePort, view.payload.length],
      ['other', 50, 0, 40],
    );
  });

  test('a segment captured before segmentation offload has total length 0', () => {
    assert.equal(viewOf(ipv4(tcp('INVITE'), { protocol: 6, totalLength: 0 })).payload.toString(), 'INVITE');
    refused(ipv4(udp('x'), { totalLength: 0 }), 'ipv4-total-length');
  });

  test('a fragment is told apart and its ports are not believed', () => {
    const first = viewOf(ipv4(udp('01234567'), { id: 77, more: true }));
    assert.deepEqual(first.fragment, { id: 77, offset: 0, more: true });
    assert.deepEqual([first.protocol, first.protocolNumber, first.sourcePort], ['other', 17, 0]);
    const last = viewOf(ipv4(Buffer.from('89'), { id: 77, offset: 16 }));
    assert.deepEqual(last.fragment, { id: 77, offset: 16, more: false });
    assert.equal(last.payload.toString(), '89');
  });

  test('what is wrong has a name', () => {
    refused(Buffer.alloc(0), 'ip-short');
    refused(UDP4.subarray(0, 19), 'ip-short');
    refused(Buffer.alloc(40, 0x55), 'ip-version');
    refused(Buffer.from([0x44, ...UDP4.subarray(1)]), 'ipv4-header-length');
    refused(Buffer.from([0x4f, ...UDP4.subarray(1)]), 'ipv4-total-length');
    refused(ipv4(Buffer.alloc(0), { options: Buffer.alloc(40) }).subarray(0, 30), 'ip-short');
    refused(ipv4(udp('x'), { totalLength: 19 }), 'ipv4-total-length');
    refused(ipv4(udp('').subarray(0, 7)), 'udp-header');
    refused(ipv4(udp('x', 1, 2, 7)), 'udp-length');
    refused(ipv4(udp('x', 1, 2, 0)), 'udp-length');
    refused(ipv4(udp('x', 1, 2, 10)), 'udp-length');
    refused(ipv4(tcp('').subarray(0, 19), { protocol: 6 }), 'tcp-header');
    const offset = tcp('');
    offset[12] = 0x40;
    refused(ipv4(offset, { protocol: 6 }), 'tcp-data-offset');
    offset[12] = 0x60;
    refused(ipv4(offset, { protocol: 6 }), 'tcp-data-offset');
  });
});

describe('IPv6', () => {
  test('UDP', () => {
    const view = viewOf(ipv6(udp('OK')));
    assert.deepEqual(
      [view.family, view.protocol, view.source, view.destination, view.payload.toString()],
      [6, 'udp', '2001:db8::1', '2001:db8::2', 'OK'],
    );
  });

  test('extension headers in a row', () => {
    const chain = extension(43, 1, extension(60, 2, extension(51, 3, ah(17, udp('x')))));
    assert.equal(viewOf(ipv6(chain, { next: 0 })).payload.toString(), 'x');
  });

  function ah(next: number, rest: Buffer): Buffer {
    const header = Buffer.alloc(16);
    header[0] = next;
    header[1] = 2;
    return Buffer.concat([header, rest]);
  }

  test('a fragment is told apart behind other headers', () => {
    const packet = ipv6(extension(44, 1, fragmentHeader(6, 0xdead_beef, 1232, true, Buffer.alloc(16))), {
      next: 60,
    });
    const view = viewOf(packet);
    assert.deepEqual(view.fragment, { id: 0xdead_beef, offset: 1232, more: true });
    assert.deepEqual([view.protocol, view.protocolNumber, view.payload.length], ['other', 6, 16]);
  });

  test('an atomic fragment is a whole packet (RFC 6946)', () => {
    const view = viewOf(ipv6(fragmentHeader(17, 1, 0, false, udp('x')), { next: 44 }));
    assert.equal(view.fragment, null);
    assert.equal(view.payload.toString(), 'x');
  });

  test('padding behind the payload length is no payload', () => {
    assert.equal(viewOf(Buffer.concat([ipv6(udp('x')), Buffer.alloc(9)])).payload.toString(), 'x');
  });

  test('no next header', () => {
    assert.equal(viewOf(ipv6(Buffer.alloc(0), { next: 59 })).protocol, 'other');
  });

  test('what is wrong has a name', () => {
    refused(ipv6(udp('x')).subarray(0, 39), 'ip-short');
    refused(ipv6(extension(17, 1, udp('x', 1, 2, 0)), { next: 0, payloadLength: 0 }), 'ipv6-jumbogram');
    refused(ipv6(udp('x', 1, 2, 0)), 'udp-length');
    refused(ipv6(extension(17, 1, udp('x'), 0), { next: 43 }), 'ipv6-routing-header');
    refused(ipv6(extension(0, 1, extension(17, 1, udp('x'))), { next: 60 }), 'ipv6-extension-chain');
    let chain = udp('x');
    for (let i = 0; i < 9; i++) chain = extension(i === 0 ? 17 : 60, 1, chain);
    refused(ipv6(chain, { next: 60 }), 'ipv6-extension-chain');
    const long = extension(17, 1, udp('x'));
    long[1] = 9;
    refused(ipv6(long, { next: 60 }), 'ipv6-extension-chain');
    const mapped = ipv6(udp('x'));
    mapped.fill(0, 8, 18);
    mapped.fill(0xff, 18, 20);
    refused(mapped, 'ipv6-mapped-address');
  });
});

test('addresses that share a slot of the cache keep their own text', () => {
  for (let round = 0; round < 2; round++) {
    for (let i = 0; i < 30_000; i++) {
      const packet = Buffer.from(UDP4);
      packet.writeUInt32BE(i * 65_537, 12);
      const text = `${packet[12]}.${packet[13]}.${packet[14]}.${packet[15]}`;
      assert.equal(viewOf(packet).source, text);
    }
  }
  for (let i = 1; i < 30_000; i++) {
    const packet = ipv6(udp(''));
    packet.writeUInt32BE(i, 20);
    const low = i & 0xffff;
    const high = i >>> 16;
    const tail = high === 0 ? `:${low.toString(16)}` : `${high.toString(16)}:${low.toString(16)}`;
    assert.equal(viewOf(packet).source, high === 0 ? `2001:db8:${tail}` : `2001:db8::${tail}`);
  }
});

test('property: no bytes throw, and a payload lies within them', () => {
  const start = fc.constantFrom(0x45, 0x46, 0x4f, 0x60, 0x00);
  const next = fc.constantFrom(0, 4, 6, 17, 43, 44, 47, 51, 59, 60);
  fc.assert(
    fc.property(start, next, fc.uint8Array({ maxLength: 120 }), (first, protocol, values) => {
      const bytes = Buffer.from(values);
      if (bytes.length > 9) {
        bytes[0] = first;
        bytes[first === 0x60 ? 6 : 9] = protocol;
        const off = (values[1]! % 5) - 2;
        if (first === 0x60) bytes.writeUInt16BE(Math.max(0, bytes.length - 40 + off), 4);
        else bytes.writeUInt16BE(bytes.length + off, 2);
      }
      const view = readPacket(bytes);
      if (typeof view === 'string') return;
      const from = view.payload.byteOffset - bytes.byteOffset;
      assert.ok(from >= 20 || view.payload.length === 0);
      assert.ok(from + view.payload.length <= bytes.length);
      assert.ok(view.missing >= 0);
    }),
    { numRuns: 2000 },
  );
});
