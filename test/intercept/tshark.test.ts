import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, test } from 'node:test';
import { parseAddress } from '../../src/address/address.ts';
import { openCapture } from '../../src/intercept/capture.ts';
import type { PacketView } from '../../src/packet/ip.ts';
import { findPacket } from '../../src/packet/link.ts';
import { createPacketReader } from '../../src/packet/reader.ts';
import { withoutShared } from '../shared.ts';
import { listedCaptures } from './captures.ts';

const withoutTshark =
  withoutShared ||
  (spawnSync('tshark', ['--version']).status === 0 ? false : 'needs tshark (Debian package tshark)');

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
  const args = ['-n', '-r', path, '-T', 'fields', '-E', 'occurrence=l', ...FIELDS.flatMap((f) => ['-e', f])];
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

describe('every frame is what tshark says it is', { skip: withoutTshark }, () => {
  for (const { path, frames } of withoutShared ? [] : listedCaptures()) {
    const name = basename(path);
    test(name, () => {
      assert.ok(existsSync(path));
      const rows = tshark(path);
      assert.equal(rows.size, frames);
      const reader = createPacketReader({ tunnels: true });
      for (const frame of openCapture(path)) {
        const row = rows.get(frame.number)!;
        const packet = findPacket(frame.linkType, frame.bytes);
        const view = typeof packet === 'string' ? packet : reader.read(packet, frame.time);
        const ours = view === null || typeof view === 'string' ? null : seenByUs(view);
        const theirs = seenByTshark(row);
        if (!DAMAGED.includes(name)) assert.equal(ours, theirs, `frame ${frame.number}`);
        else if (ours !== null) assert.equal(endsOf(ours), endsOf(theirs ?? ''), `frame ${frame.number}`);
        const nanoseconds = String(frame.nanoseconds).padStart(9, '0');
        assert.equal(`${frame.seconds}.${nanoseconds}`, row['frame.time_epoch'], `frame ${frame.number}`);
      }
    });
  }
});
