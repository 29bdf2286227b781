/**
 * How the packets of a flow lie in time: how many passed and how many were blocked in each of a row of equal
 * buckets. A list ends with its last bucket that is not empty. Times are in ms.
 */
export interface Density {
  /** Where the first bucket begins. */
  readonly from: number;
  /** Of one bucket. */
  width: number;
  readonly passed: number[];
  readonly blocked: number[];
}

const MAX_BUCKETS = 128;
/** Two packets of the usual 20 ms. */
const FINEST = 40;

/** No packets yet; the first one will come at `from`. */
export function createDensity(from: number): Density {
  return { from, width: FINEST, passed: [], blocked: [] };
}

/** Counts a packet. When the buckets do not reach that far, each two become one: memory stays bounded. */
export function countPacket(density: Density, at: number, outcome: 'passed' | 'blocked'): void {
  let bucket = Math.max(0, Math.floor((at - density.from) / density.width));
  while (bucket >= MAX_BUCKETS) {
    halve(density.passed);
    halve(density.blocked);
    density.width *= 2;
    bucket = Math.floor(bucket / 2);
  }
  const counts = density[outcome];
  while (counts.length <= bucket) counts.push(0);
  counts[bucket]!++;
}

function halve(counts: number[]): void {
  for (let i = 0; i < counts.length; i += 2) counts[i / 2] = counts[i]! + (counts[i + 1] ?? 0);
  counts.length = Math.ceil(counts.length / 2);
}
