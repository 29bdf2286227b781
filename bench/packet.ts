// What the packet room costs: ns of CPU time (garbage collection included) for each operation, best of ten rounds. `npx tsx bench/packet.ts`
import { Buffer } from 'node:buffer';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { openCapture } from '../src/intercept/capture.ts';
import { createFragmentReassembler } from '../src/packet/fragments.ts';
import { readPacket } from '../src/packet/ip.ts';
import { classifyMedia } from '../src/packet/media.ts';
import { createPacketReader } from '../src/packet/reader.ts';
import { createStreamTable } from '../src/packet/stream.ts';
import { pcap } from '../test/intercept/captures.ts';
import { fragmentHeader, ipv4, ipv6, tcp, udp, viewOf } from '../test/packet/build.ts';

let sink = 0;

/** `work` does `operations` of them. */
function measure(name: string, operations: number, work: () => void): void {
  let best = Number.POSITIVE_INFINITY;
  for (let round = 0; round < 10; round++) {
    const start = process.cpuUsage();
    work();
    const { user, system } = process.cpuUsage(start);
    best = Math.min(best, (user + system) * 1000);
  }
  console.log(`${name.padEnd(58)} ${(best / operations).toFixed(0).padStart(7)} ns`);
}

const N = 200_000;
const invite = Buffer.alloc(800, 'INVITE sip:bob@example.com SIP/2.0\r\n');

function packetsFrom(count: number, make: (i: number) => Buffer): Buffer[] {
  return Array.from({ length: count }, (_, i) => make(i));
}

for (const peers of [1, 1000, 20_000]) {
  const four = packetsFrom(peers, (i) =>
    ipv4(udp(invite), { source: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}` }),
  );
  const six = packetsFrom(peers, (i) => ipv6(udp(invite), { source: `2001:db8::${(i + 1).toString(16)}` }));
  for (const [name, packets] of [
    ['IPv4', four],
    ['IPv6', six],
  ] as const) {
    measure(`readPacket, UDP, ${name}, ${peers} source(s)`, N, () => {
      for (let i = 0; i < N; i++) {
        const view = readPacket(packets[i % peers]!);
        if (typeof view !== 'string') sink += view.payload.length;
      }
    });
  }
}

const segment = ipv4(tcp(invite), { protocol: 6 });
measure('readPacket, TCP, IPv4', N, () => {
  for (let i = 0; i < N; i++) if (typeof readPacket(segment) !== 'string') sink++;
});

const reader = createPacketReader({ tunnels: true });
const gre = ipv4(Buffer.concat([Buffer.from('00000800', 'hex'), ipv4(udp(invite))]), { protocol: 47 });
measure('PacketReader.read, UDP in GRE', N, () => {
  for (let i = 0; i < N; i++) if (reader.read(gre, i) !== null) sink++;
});

const whole = udp(Buffer.alloc(3000));
const parts = [0, 1480, 2960].map((offset) =>
  viewOf(
    ipv6(fragmentHeader(17, 1, offset, offset < 2960, whole.subarray(offset, offset + 1480)), { next: 44 }),
  ),
);
const reassembler = createFragmentReassembler();
measure('fragments, for each of three of a 3000-byte datagram', N, () => {
  for (let i = 0; i < N; i++) if (reassembler.add(parts[i % 3]!, 0) !== null) sink++;
});

for (const streams of [1, 1000, 50_000]) {
  const views = Array.from({ length: streams }, (_, i) => ({
    ...viewOf(segment),
    source: `10.${i >> 16}.${(i >> 8) & 255}.${i & 255}`,
  }));
  const table = createStreamTable({ maxStreams: 200_000 });
  const next = new Array<number>(streams).fill(0);
  measure(`stream push in order, 800 bytes, ${streams} stream(s), no ACKs seen`, N, () => {
    for (let i = 0; i < N; i++) {
      const stream = i % streams;
      const seq = next[stream]!;
      next[stream] = (seq + invite.length) >>> 0;
      if (table.push({ ...views[stream]!, tcp: { seq, ack: 0, flags: 0x10 } }, 0)?.bytes) sink++;
    }
  });
}

{
  const forward = viewOf(segment);
  const backward = viewOf(
    ipv4(tcp('', { sourcePort: 5062, destinationPort: 5060 }), {
      protocol: 6,
      source: '198.51.100.2',
      destination: '192.0.2.1',
    }),
  );
  const table = createStreamTable();
  let seq = 0;
  measure('stream push in order, 800 bytes, then its ACK, for both', N, () => {
    for (let i = 0; i < N; i++) {
      table.push({ ...forward, tcp: { seq, ack: 0, flags: 0x10 } }, 0);
      seq = (seq + invite.length) >>> 0;
      table.push({ ...backward, tcp: { seq: 1, ack: seq, flags: 0x10 } }, 0);
    }
  });
}

for (const count of [16_000, 64_000]) {
  const one = viewOf(ipv4(tcp('x'), { protocol: 6 }));
  measure(`stream push, ${count} one-byte segments in reverse order`, count, () => {
    const table = createStreamTable();
    table.push({ ...one, payload: Buffer.alloc(0), tcp: { seq: 0, ack: 0, flags: 2 } }, 0);
    for (let i = count; i > 0; i--) table.push({ ...one, tcp: { seq: i, ack: 0, flags: 0x10 } }, 0);
  });
}

const rtp = Buffer.from(`80080001000000a012345678${'d5'.repeat(160)}`, 'hex');
measure('classifyMedia, RTP', N, () => {
  for (let i = 0; i < N; i++) if (classifyMedia(rtp) === 'rtp') sink++;
});
measure('classifyMedia, SIP', N, () => {
  for (let i = 0; i < N; i++) if (classifyMedia(invite) === null) sink++;
});

const directory = mkdtempSync(join(tmpdir(), 'bench-'));
const file = join(directory, 'a.pcap');
writeFileSync(
  file,
  pcap(packetsFrom(N, () => ipv4(udp(rtp))).map((bytes, i) => ({ seconds: i, fraction: 0, bytes }))),
);
measure('openCapture, pcap, for each frame of 214 bytes', N, () => {
  for (const frame of openCapture(file)) sink += frame.bytes.length;
});
rmSync(directory, { recursive: true });

if (sink === 0) throw new Error('nothing was measured');
