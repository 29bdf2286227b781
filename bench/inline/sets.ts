/**
 * Which kind of nftables set should hold the pinholes: hashes with one element for each port, or intervals?
 * Prints the time of a commit that opens one pinhole (two ports, two sources) and of one that closes it, and of
 * one lookup that finds nothing, by the number of elements in the set. Needs root; makes a network namespace.
 *
 *   node --import tsx bench/inline/sets.ts
 */
import { writeFileSync } from 'node:fs';
import { loadLibc } from '../../native-bindings/engine.ts';
import { CLONE_NEWNET } from '../../native-bindings/linux/constants.ts';
import { openNetlink } from '../../native-bindings/linux/netlink.ts';
import { concatenate, nftBatch, type SetElement } from '../../native-bindings/linux/nftables.ts';
import { run } from '../../test/native-bindings/namespace.ts';
import { median } from '../quantile.ts';

const SIZES = [0, 1000, 10_000, 40_000];
/** More elements than this in an interval set take minutes to put in. */
const MOST_INTERVALS = 1000;
const ROUNDS = 200;
/** Rules with the same lookup, so that the lookup shows beside the rest of a packet's way. */
const LOOKUPS = 50;
const PACKETS = 20_000;

const KINDS = {
  'hash, grows (nft_rhash)': { options: 'counter;', interval: false },
  'hash, fixed (nft_hash)': { options: 'size 131072; counter;', interval: false },
  'intervals (nft_pipapo)': { options: 'flags interval; counter;', interval: true },
} as const;

try {
  // Where the scheduler shares out by session, nice(1) has no say over the work of other sessions.
  writeFileSync('/proc/self/autogroup', '-20');
} catch {}
const libc = await loadLibc();
libc.check('unshare', libc.unshare(CLONE_NEWNET), 'CLONE_NEWNET');
run('ip', 'link', 'set', 'lo', 'up');
const socket = openNetlink(libc);
const batch = nftBatch(socket);

function be16(value: number): Buffer {
  return Buffer.from([value >> 8, value & 0xff]);
}

function key(source: Buffer, destination: Buffer, port: number): Buffer {
  return concatenate([Buffer.from([17]), source, destination, be16(port)]);
}

/** The elements of pinhole `index`: two ports, two sources. */
function pinhole(index: number, interval: boolean): SetElement[] {
  const destination = Buffer.from([10, 0, index & 0xff, (index >> 8) & 0xff]);
  const sources = [Buffer.from([192, 0, 2, index & 0x7f]), Buffer.from([198, 51, 100, index & 0x7f])];
  const port = 10_000 + 2 * (index % 20_000);
  return sources.flatMap((source) =>
    interval
      ? [{ key: key(source, destination, port), keyEnd: key(source, destination, port + 1) }]
      : [{ key: key(source, destination, port) }, { key: key(source, destination, port + 1) }],
  );
}

/** Median µs of `work`. */
function time(rounds: number, work: (round: number) => void): number {
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const from = process.hrtime.bigint();
    work(round);
    times.push(Number(process.hrtime.bigint() - from) / 1000);
  }
  return median(times);
}

const receiver = libc.check('socket', libc.socket(2, 2, 0));
const address = Buffer.alloc(16);
address.writeUInt16LE(2);
address.writeUInt16BE(9, 2);
address.set([127, 0, 0, 1], 4);
libc.check('bind', libc.bind(receiver, address, address.length));
const payload = Buffer.alloc(160);

/** µs of one datagram over loopback; the receiver's buffer fills up, which costs the same every time. */
function datagram(): number {
  const from = process.hrtime.bigint();
  for (let n = 0; n < PACKETS; n++) libc.sendto(receiver, payload, payload.length, 0, address, 16);
  return Number(process.hrtime.bigint() - from) / 1000 / PACKETS;
}

function best(rounds: number, measure: () => number): number {
  return Math.min(...Array.from({ length: rounds }, measure));
}

datagram();
console.log('set                       elements   open µs  close µs  lookup ns');
for (const [name, { options, interval }] of Object.entries(KINDS)) {
  for (const size of SIZES) {
    if (interval && size > MOST_INTERVALS) continue;
    run('nft', 'flush', 'ruleset');
    run('nft', 'add', 'table', 'inet', 'bench');
    run('nft', `add set inet bench s { type inet_proto . ipv4_addr . ipv4_addr . inet_service; ${options} }`);
    run('nft', 'add chain inet bench input { type filter hook input priority -1; }');
    const perPinhole = interval ? 2 : 4;
    const pinholes = size / perPinhole;
    for (let index = 0; index < pinholes; index += 1000) {
      const count = Math.min(1000, pinholes - index);
      batch.addElements(
        'bench',
        's',
        Array.from({ length: count }, (_, n) => pinhole(index + n, interval)).flat(),
      );
      batch.commit();
    }
    const rounds = interval && size > 0 ? 20 : ROUNDS;
    const open = time(rounds, (round) => {
      batch.addElements('bench', 's', pinhole(100_000 + round, interval));
      batch.commit();
    });
    const close = time(rounds, (round) => {
      batch.deleteElements('bench', 's', pinhole(100_000 + round, interval));
      batch.commit();
    });
    const without = best(5, datagram);
    const rule = 'add rule inet bench input meta l4proto . ip saddr . ip daddr . th dport @s accept';
    for (let n = 0; n < LOOKUPS; n++) run('nft', rule);
    const lookup = (Math.max(0, best(5, datagram) - without) / LOOKUPS) * 1000;
    console.log(
      `${name.padEnd(24)} ${String(size).padStart(9)} ${open.toFixed(1).padStart(9)} ${close.toFixed(1).padStart(9)} ${lookup.toFixed(0).padStart(10)}`,
    );
  }
}
socket.close();
