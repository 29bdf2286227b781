import { type PortRange, portsIn } from '../../address/ports.ts';

/** How the destination ports are divided among shard anchors. */
export interface Layout {
  /** Names of the shards, in the order of their ports: `00`, `01`... */
  readonly names: readonly string[];
  /** Ports of each shard. Together they are 1 to 65535, in order and without gaps. */
  readonly ranges: readonly PortRange[];
  /** Index of the shard that has this port. */
  shardOf(port: number): number;
}

const FIRST_PORT = 1;
const LAST_PORT = 65535;

/**
 * Divides all ports among at most `count` shards so that each has as many of the `expected` ports as another. A
 * shard begins at an even port, so that RTP and the RTCP beside it fall into one. The ports that are not expected
 * belong to the shard next to them: a pinhole of an older configuration still has its place.
 */
export function layOut(expected: readonly PortRange[], count: number): Layout {
  const total = portsIn(expected);
  const sorted = [...expected].sort((a, b) => a[0] - b[0]);
  const starts = [FIRST_PORT];
  let passed = 0;
  let next = 1;
  for (const [first, last] of sorted) {
    const size = last - first + 1;
    for (; next < count; next++) {
      const port = first + Math.round((total * next) / count) - passed;
      if (port > last) break;
      const even = port & ~1;
      if (even > starts.at(-1)!) starts.push(even);
    }
    passed += size;
  }
  const ranges = starts.map((start, index): PortRange => [start, (starts[index + 1] ?? LAST_PORT + 1) - 1]);
  const width = Math.max(2, String(ranges.length - 1).length);
  const shards = new Uint8Array(LAST_PORT + 1);
  for (const [index, [first, last]] of ranges.entries()) shards.fill(index, first, last + 1);
  return {
    ranges,
    names: ranges.map((_, index) => String(index).padStart(width, '0')),
    shardOf: (port) => shards[port]!,
  };
}
