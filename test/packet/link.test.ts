import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { test } from 'node:test';
import fc from 'fast-check';
import { findPacket, type LinkError } from '../../src/packet/link.ts';
import { ipv4, ipv6, udp } from './build.ts';

const PACKET = ipv4(udp('OK'));
const PACKET6 = ipv6(udp('OK'));
const MACS = '02000000000202000000000 1'.replace(' ', '');

function framed(header: string, packet = PACKET): Buffer {
  return Buffer.concat([Buffer.from(header.replaceAll(' ', ''), 'hex'), packet]);
}

/** Link type and header by the documents at https://www.tcpdump.org/linktypes.html. */
const HEADERS: readonly (readonly [name: string, linkType: number, header: string, packet?: Buffer])[] = [
  ['Ethernet', 1, `${MACS} 0800`],
  ['Ethernet, IPv6', 1, `${MACS} 86dd`, PACKET6],
  ['802.1Q', 1, `${MACS} 8100 0065 0800`],
  ['802.1ad with 802.1Q', 1, `${MACS} 88a8 0065 8100 2066 86dd`, PACKET6],
  ['QinQ of old', 1, `${MACS} 9100 0065 9100 0066 8100 0001 0800`],
  ['PPPoE', 1, `${MACS} 8864 1100 0001 0020 0021`],
  ['PPPoE in a VLAN', 1, `${MACS} 8100 0007 8864 1100 0001 0036 0057`, PACKET6],
  ['PPP', 9, 'ff03 0021'],
  ['PPP with compressed fields', 9, '57', PACKET6],
  ['Cisco or Frame PPP in HDLC', 50, 'ff03 0057', PACKET6],
  ['MPLS', 1, `${MACS} 8847 00064140`],
  ['MPLS, three labels', 1, `${MACS} 8100 0007 8847 00064040 00065040 00066140`, PACKET6],
  ['MPLS multicast', 1, `${MACS} 8848 00064140`],
  ['MPLS pseudowire', 1, `${MACS} 8847 00064140 ${MACS} 0800`],
  ['MPLS pseudowire with a control word', 1, `${MACS} 8847 00064140 00000001 ${MACS} 8100 0007 0800`],
  ['PPPoE without Ethernet', 51, '1100 0001 0020 0021'],
  // ERF: timestamp, type, flags, lengths; TYPE_ETH has two bytes before its frame.
  ['ERF, Ethernet', 197, `0000000000000000 02 00 0000 0000 0000 0000 ${MACS} 0800`],
  [
    'ERF with two extensions',
    197,
    `0000000000000000 82 00 0000 0000 0000 81000000000000ff 0100000000000000 0000 ${MACS} 0800`,
  ],
  ['ERF, IPv6', 197, '0000000000000000 17 00 0000 0000 0000', PACKET6],
  // nflog: a prefix of 5 bytes padded to 8, then the payload.
  [
    'nflog',
    239,
    `02 00 0001 0500 0a00 00 000000 ${(4 + PACKET.length).toString(16).padStart(2, '0')}00 0900`,
  ],
  ['raw (BSD)', 12, ''],
  ['raw (OpenBSD)', 14, ''],
  ['raw', 101, '', PACKET6],
  ['IPv4', 228, ''],
  ['IPv6', 229, '', PACKET6],
  ['null, little endian', 0, '02000000'],
  ['null, big endian', 0, '00000002'],
  ['null, IPv6 of FreeBSD', 0, '1c000000', PACKET6],
  ['null, IPv6 of macOS', 0, '1e000000', PACKET6],
  ['null, IPv6 of Linux', 0, '0000000a', PACKET6],
  ['loop, IPv6 of OpenBSD', 108, '00000018', PACKET6],
  ['Linux SLL', 113, '0000 0001 0006 0200000000010000 0800'],
  ['Linux SLL, VLAN', 113, '0004 0001 0006 0200000000010000 8100 0065 86dd', PACKET6],
  ['Linux SLL2', 276, '0800 0000 00000002 0001 00 06 0200000000010000'],
  ['pflog of FreeBSD', 117, `3d 02 00 00${'00'.repeat(60)}`],
  ['pflog of OpenBSD, IPv6', 117, `64 18 00 00${'00'.repeat(96)}`, PACKET6],
];

for (const [name, linkType, header, packet = PACKET] of HEADERS) {
  test(`${name} (${linkType})`, () => {
    const frame = framed(header, packet);
    assert.deepEqual(findPacket(linkType, frame), packet);
    for (let length = 0; length < frame.length - packet.length; length++) {
      const found = findPacket(linkType, frame.subarray(0, length));
      assert.ok(typeof found === 'string', `${length} bytes`);
    }
  });
}

test('frames without IP are told apart', () => {
  const cases: readonly [number, string, LinkError][] = [
    [1, `${MACS} 0806`, 'link-not-ip'],
    [1, `${MACS} 0026 4242 03`, 'link-not-ip'],
    [1, `${MACS} 0026 aaaa03 000000 0800`, 'link-not-ip'],
    [1, `${MACS} 8863 1109 0000 0000`, 'link-not-ip'],
    [1, `${MACS} 8864 1100 0001 000a c021`, 'link-not-ip'],
    [1, `${MACS} ${'8100 0001'.repeat(5)} 0800`, 'link-not-ip'],
    [0, '07000000', 'link-not-ip'],
    [113, '0000 0001 0006 0200000000010000 0806', 'link-not-ip'],
    [117, '3d 11 00 00', 'link-short'],
    [105, '', 'link-type-unknown'],
  ];
  for (const [linkType, header, error] of cases) {
    assert.equal(findPacket(linkType, framed(header, Buffer.alloc(4))), error);
  }
  assert.equal(findPacket(105, PACKET), 'link-type-unknown');
});

test('PPPoE leaves out padding', () => {
  const frame = Buffer.concat([framed(`${MACS} 8864 1100 0001 0020 0021`), Buffer.alloc(6)]);
  assert.deepEqual(findPacket(1, frame), PACKET);
});

test('property: no bytes throw', () => {
  const linkTypes = fc.constantFrom(...HEADERS.map(([, linkType]) => linkType), 105);
  const start = fc.constantFrom(...HEADERS.map(([, , header]) => framed(header, Buffer.alloc(0))));
  fc.assert(
    fc.property(
      linkTypes,
      start,
      fc.nat(40),
      fc.uint8Array({ maxLength: 60 }),
      (linkType, head, cut, rest) => {
        const bytes = Buffer.concat([head.subarray(0, cut), rest]);
        const found = findPacket(linkType, bytes);
        if (typeof found === 'string') return;
        assert.ok(found.byteOffset + found.length <= bytes.byteOffset + bytes.length);
      },
    ),
    { numRuns: 2000 },
  );
});
