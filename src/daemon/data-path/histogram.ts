/** Upper bounds of the buckets, in µs: powers of two up to a second. What is slower has a bucket of its own. */
export const BUCKET_BOUNDS: readonly number[] = Array.from({ length: 21 }, (_, power) => 2 ** power);

/** How often something took how long, as plain data. */
export interface Distribution {
  /** Not cumulative: one more than there are bounds, the last for what is beyond. */
  readonly counts: readonly number[];
  readonly count: number;
  /** ms, all together. */
  readonly sum: number;
  /** ms. */
  readonly longest: number;
}

interface Histogram {
  /** One that took `ms`. */
  record(ms: number): void;
  read(): Distribution;
}

/** Fixed buckets on a logarithmic scale: one count costs a few nanoseconds and no memory. */
export function createHistogram(): Histogram {
  const counts = new Float64Array(BUCKET_BOUNDS.length + 1);
  let count = 0;
  let sum = 0;
  let longest = 0;
  return {
    record(ms) {
      counts[bucketOf(ms * 1000)]!++;
      count++;
      sum += ms;
      if (ms > longest) longest = ms;
    },
    read: () => ({ counts: [...counts], count, sum, longest }),
  };
}

/** The first bucket whose bound is not below this many µs. */
function bucketOf(micros: number): number {
  if (micros <= 1) return 0;
  if (micros > BUCKET_BOUNDS.at(-1)!) return BUCKET_BOUNDS.length;
  return 32 - Math.clz32(Math.ceil(micros) - 1);
}

/**
 * The bound in µs under which `share` (0 to 1) of all were: never less than the truth, at most twice it. Null when
 * there was none, Infinity beyond the last bound.
 */
export function quantile({ counts, count }: Distribution, share: number): number | null {
  if (count === 0) return null;
  let below = 0;
  for (const [index, inBucket] of counts.entries()) {
    below += inBucket;
    if (below >= share * count) return BUCKET_BOUNDS[index] ?? Number.POSITIVE_INFINITY;
  }
  return Number.POSITIVE_INFINITY;
}
