import { isUsual } from '../call/refusal.ts';
import type { Distribution } from '../daemon/data-path/histogram.ts';
import { BUCKET_BOUNDS, quantile } from '../daemon/data-path/histogram.ts';
import type { DataPathStatus } from '../daemon/messages.ts';
import type { ExposureResult, HistogramResult, Quantiles } from './protocol.ts';
import { microseconds, seconds } from './units.ts';

/** Median and 99th percentile, in seconds. */
export function quantilesOf(distribution: Distribution): Quantiles {
  const bound = (share: number) => {
    const micros = quantile(distribution, share);
    if (micros === null || micros === Number.POSITIVE_INFINITY) return null;
    return Math.min(microseconds(micros), seconds(distribution.longest));
  };
  return { median: bound(0.5), p99: bound(0.99), longest: seconds(distribution.longest) };
}

/** The buckets in seconds. */
export function histogramOf({ counts, count, sum, longest }: Distribution): HistogramResult {
  const buckets = counts.map((inBucket, index) => {
    const bound = BUCKET_BOUNDS[index];
    return { le: bound === undefined ? null : microseconds(bound), count: inBucket };
  });
  return { buckets, count, sum: seconds(sum), longest: seconds(longest) };
}

const IPV4_ADDRESSES = 2 ** 32;

/**
 * What pinholes let in, beside a rule that opens the ports of `range` to everybody: towards each host that had a
 * pinhole, for as long as was measured.
 */
export function exposureOf(
  { exposure }: DataPathStatus,
  range: readonly [first: number, last: number],
): ExposureResult {
  const { span, ports, portTime, sourceTime, anySourceTime, hosts, sources, full } = exposure;
  const portSeconds = seconds((range[1] - range[0] + 1) * hosts * span);
  const pinholes = {
    portSeconds: seconds(portTime),
    portsNow: ports,
    sources,
    sourcePortSeconds: seconds(sourceTime + anySourceTime * IPV4_ADDRESSES),
    anySourcePortSeconds: seconds(anySourceTime),
  };
  const sourcePortSeconds = portSeconds * IPV4_ADDRESSES;
  const by = (whole: number, part: number) => (part === 0 ? null : whole / part);
  return {
    ...{ span: seconds(span), range, hosts, atLeast: full },
    static: { portSeconds, sources: IPV4_ADDRESSES, sourcePortSeconds },
    pinholes,
    ratio: {
      portSeconds: by(portSeconds, pinholes.portSeconds),
      sourcePortSeconds: by(sourcePortSeconds, pinholes.sourcePortSeconds),
    },
  };
}

/** How often anything was refused, but for what is usual. */
export function refusedOf(refusals: Readonly<Record<string, number>>): number {
  return Object.entries(refusals).reduce((sum, [reason, count]) => sum + (isUsual(reason) ? 0 : count), 0);
}
