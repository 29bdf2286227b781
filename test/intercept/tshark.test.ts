import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, test } from 'node:test';
import { parseAddress } from '../../src/address/address.ts';
import { openCapture } from '../../src/intercept/capture.ts';
import type { PacketView } from '../../src/packet/ip.ts';
import { findPacket } from '../../src/packet/link.ts';
import { createPacketReader } from '../../src/packet/reader.ts';
import { createStreamTable } from '../../src/packet/stream.ts';
import { extension, fragmentHeader, ipv4, ipv6, tcp, udp } from '../packet/build.ts';
import { withoutShared } from '../shared.ts';
import { withoutTshark } from '../tshark.ts';
import { listedCaptures, pcap } from './captures.ts';

const skip = withoutShared || withoutTshark;

/**
 * Mutated on purpose: tshark also shows the ports of packets whose lengths no host would accept, and takes an IP
 * length beyond the frame for the frame's. Here only the ends of what we do read are compared.
 */
const DAMAGED = ['ntop__fuzz-2006-06-26-2594.pcap'];

const FIELDS = [
  'frame.number',
  'frame.time_epoch',
  'frame.protocols',
  'ip.src',
  'ip.dst',
  'ipv6.src',
  'ipv6.dst',
  'udp.srcport',
  'udp.dstport',
  'udp.length',
  'tcp.srcport',
  'tcp.dstport',
  'tcp.len',
  'tcp.seq_raw',
];

type Row = Readonly<Record<string, string>>;

/** The innermost occurrence of each field in each frame. */
function tshark(path: string): Map<number, Row> {
  // ESP without encryption (RFC 2410) is read by tshark when it is asked to.
  const esp = ['-o', 'esp.enable_null_encryption_decode_heuristic:TRUE'];
  const fields = ['-T', 'fields', '-E', 'occurrence=l', ...FIELDS.flatMap((f) => ['-e', f])];
  const args = ['-n', ...esp, '-r', path, ...fields];
  const run = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 1 << 28 });
  const rows = new Map<number, Row>();
  for (const line of run.stdout.split('\n').filter(Boolean)) {
    const values = line.split('\t');
    const row = Object.fromEntries(FIELDS.map((field, i) => [field, values[i] ?? '']));
    rows.set(Number(row['frame.number']), row);
  }
  return rows;
}

/** What tshark says of a frame, as one line; null when it sees neither UDP nor TCP. ICMP quotes others' headers. */
function seenByTshark(row: Row): string | null {
  const layers = row['frame.protocols']!.split(':');
  if (layers.includes('icmp') || layers.includes('icmpv6')) return null;
  const innermost = Math.max(layers.lastIndexOf('ip'), layers.lastIndexOf('ipv6'));
  const six = layers[innermost] === 'ipv6';
  const source = parseAddress(row[six ? 'ipv6.src' : 'ip.src']!);
  const destination = parseAddress(row[six ? 'ipv6.dst' : 'ip.dst']!);
  if (layers.indexOf('udp', innermost + 1) > 0) {
    const length = Number(row['udp.length']) - 8;
    return `udp ${source} ${row['udp.srcport']} ${destination} ${row['udp.dstport']} ${length}`;
  }
  if (layers.indexOf('tcp', innermost + 1) < 0) return null;
  const ports = `tcp ${source} ${row['tcp.srcport']} ${destination} ${row['tcp.dstport']}`;
  return `${ports} ${row['tcp.len']} ${row['tcp.seq_raw']}`;
}

function seenByUs(view: PacketView): string | null {
  if (view.protocol === 'other') return null;
  const { protocol, source, sourcePort, destination, destinationPort, payload, missing, tcp } = view;
  const ends = `${protocol} ${source} ${sourcePort} ${destination} ${destinationPort}`;
  const length = payload.length + missing;
  return tcp === null ? `${ends} ${length}` : `${ends} ${length} ${tcp.seq}`;
}

function endsOf(line: string): string {
  return line.split(' ').slice(0, 5).join(' ');
}

function assertSame(path: string, frames: number, exactly: boolean): void {
  const rows = tshark(path);
  assert.equal(rows.size, frames);
  const reader = createPacketReader({ tunnels: true });
  for (const frame of openCapture(path)) {
    const row = rows.get(frame.number)!;
    const packet = findPacket(frame.linkType, frame.bytes);
    const view = typeof packet === 'string' ? packet : reader.read(packet, frame.time);
    const ours = view === null || typeof view === 'string' ? null : seenByUs(view);
    const theirs = seenByTshark(row);
    const where = `frame ${frame.number} of ${path}`;
    if (exactly) assert.equal(ours, theirs, where);
    else if (ours !== null) assert.equal(endsOf(ours), endsOf(theirs ?? ''), where);
    const nanoseconds = String(frame.nanoseconds).padStart(9, '0');
    assert.equal(`${frame.seconds}.${nanoseconds}`, row['frame.time_epoch'], where);
  }
}

describe('every frame is what tshark says it is', { skip }, () => {
  for (const { path, frames } of withoutShared ? [] : listedCaptures()) {
    const name = basename(path);
    test(name, () => assertSame(path, frames, !DAMAGED.includes(name)));
  }
});

describe('packets in layers that no public capture has are what tshark says', { skip }, () => {
  const inner = ipv4(udp('INVITE'), { source: '10.0.0.1', destination: '10.0.0.2' });
  const inner6 = ipv6(tcp('INVITE', { seq: 0xffff_fff0 }), { next: 6 });
  const macs = '020000000002020000000001';
  const hex = (text: string, rest: Buffer) =>
    Buffer.concat([Buffer.from(text.replaceAll(' ', ''), 'hex'), rest]);
  const gre = (header: string, rest: Buffer) => ipv4(hex(header, rest), { protocol: 47 });
  const gtp = (flags: string, options: string) => {
    const rest = hex(options, inner);
    const length = rest.length.toString(16).padStart(4, '0');
    return ipv4(udp(hex(`${flags} ff ${length} 00000001`, rest), 2152, 2152));
  };
  const datagram = udp('x'.repeat(200));

  const layers: readonly (readonly [name: string, linkType: number, frames: readonly Buffer[]])[] = [
    [
      'tunnels',
      101,
      [
        ipv4(inner, { protocol: 4 }),
        ipv6(inner6, { next: 41 }),
        ipv4(ipv4(inner6, { protocol: 41 }), { protocol: 4 }),
        gre('0000 0800', inner),
        gre('b000 86dd 00000000 00000007 00000001', inner6),
        gre(`0000 6558 ${macs} 8100 0007 0800`, inner),
        gre(`0000 88be ${macs} 0800`, inner),
        gre(`1000 88be 00000001 1001000000000000 ${macs} 0800`, inner),
        gre(`1000 22eb 00000001 200100000000000000000000 ${macs} 0800`, inner),
        gtp('30', ''),
        gtp('32', '0001 00 00'),
        gtp('34', '0000 00 85 01 1009 00'),
      ],
    ],
    [
      'fragments',
      101,
      [
        ipv4(datagram.subarray(0, 104), { id: 7, more: true }),
        ipv4(datagram.subarray(104), { id: 7, offset: 104 }),
        ipv6(fragmentHeader(17, 9, 96, false, datagram.subarray(96)), { next: 44 }),
        ipv6(fragmentHeader(17, 9, 0, true, datagram.subarray(0, 96)), { next: 44 }),
        ipv6(fragmentHeader(17, 1, 0, false, datagram), { next: 44 }),
      ],
    ],
    [
      'IPv6 extension headers and IPv4 options',
      101,
      [
        ipv6(extension(60, 2, extension(17, 1, datagram)), { next: 0 }),
        ipv6(extension(17, 3, datagram, 2), { next: 43 }),
        ipv4(datagram, { options: Buffer.from('94040000', 'hex') }),
        ipv4(tcp('BYE', { options: Buffer.from('020405b4', 'hex') }), { protocol: 6 }),
      ],
    ],
    [
      'Ethernet',
      1,
      [
        hex(`${macs} 8100 0065 0800`, inner),
        hex(`${macs} 88a8 0065 8100 2066 86dd`, inner6),
        hex(`${macs} 8864 1100 0001 0024 0021`, inner),
        Buffer.concat([hex(`${macs} 0800`, inner), Buffer.alloc(12, 0x55)]),
        hex(`${macs} 0026 aaaa03 000000 0806`, Buffer.alloc(30)),
      ],
    ],
    ['SLL', 113, [hex('0000 0001 0006 0200000000010000 0800', inner)]],
    ['SLL2', 276, [hex('86dd 0000 00000002 0001 00 06 0200000000010000', inner6)]],
    ['null', 0, [hex('02000000', inner), hex('0000001c', inner6), hex('1e000000', inner6)]],
    ['loop', 108, [hex('00000002', inner), hex('00000018', inner6)]],
    ['PPP', 9, [hex('ff03 0021', inner), hex('0057', inner6)]],
    ['pflog', 117, [hex(`3d 02 00 00 656d30 ${'00'.repeat(57)}`, inner)]],
    ['raw IPv4', 228, [inner]],
    ['raw IPv6', 229, [inner6]],
  ];

  const directory = mkdtempSync(join(tmpdir(), 'tshark-'));
  after(() => rmSync(directory, { recursive: true }));
  for (const [name, linkType, frames] of layers) {
    test(name, () => {
      const path = join(directory, `${name.replaceAll(' ', '-')}.pcap`);
      const packets = frames.map((bytes, i) => ({ seconds: 1_700_000_000 + i, fraction: i, bytes }));
      writeFileSync(path, pcap(packets, { linkType }));
      assertSame(path, frames.length, true);
    });
  }
});

/** Both directions of a stream as tshark puts them together, by `source port > destination port`. */
function followed(path: string, stream: string): Map<string, string> {
  const args = ['-n', '-r', path, '-q', '-z', `follow,tcp,raw,${stream}`];
  const lines = spawnSync('tshark', args, { encoding: 'utf8', maxBuffer: 1 << 28 }).stdout.split('\n');
  const port = (node: string) =>
    lines
      .find((line) => line.startsWith(node))
      ?.split(':')
      .at(-1);
  const [zero, one] = [port('Node 0:'), port('Node 1:')];
  const bytes = lines.filter((line) => /^\t?[0-9a-f]+$/.test(line));
  const direction = (back: boolean) =>
    bytes
      .filter((line) => line.startsWith('\t') === back)
      .map((line) => line.trim())
      .join('');
  return new Map([
    [`${zero} > ${one}`, direction(false)],
    [`${one} > ${zero}`, direction(true)],
  ]);
}

/** nokia__10_tcp_volte is left out: it gives both ends one address and port, which tshark takes for one direction. */
describe('TCP streams are what tshark makes of them', { skip }, () => {
  const names = ['sip-body-large', 'sip-tcp-method', 'sip-tcp-pattern', 'Over-TCP', '11_tcp', '50_sip'];
  for (const { path } of withoutShared ? [] : listedCaptures()) {
    if (!names.some((name) => path.includes(name))) continue;
    test(basename(path), () => {
      const reader = createPacketReader();
      const table = createStreamTable<string>();
      const ours = new Map<string, string>();
      for (const frame of openCapture(path)) {
        const packet = findPacket(frame.linkType, frame.bytes);
        const view = typeof packet === 'string' ? null : reader.read(packet, frame.time);
        if (view === null || typeof view === 'string') continue;
        const delivery = table.push(view, frame.time);
        if (!delivery?.bytes) continue;
        assert.equal(delivery.gap, false);
        assert.equal(delivery.stream.conflict, false);
        const key = `${view.sourcePort} > ${view.destinationPort}`;
        ours.set(key, (ours.get(key) ?? '') + delivery.bytes.toString('hex'));
      }
      const args = ['-n', '-r', path, '-T', 'fields', '-e', 'tcp.stream'];
      const listed = spawnSync('tshark', args, { encoding: 'utf8' }).stdout.split('\n').filter(Boolean);
      const theirs = [...new Set(listed)].flatMap((stream) => [...followed(path, stream)]);
      const withBytes = theirs.filter(([, bytes]) => bytes !== '');
      assert.ok(withBytes.length > 0);
      assert.deepEqual(Object.fromEntries(ours), Object.fromEntries(withBytes));
    });
  }
});
