import { createFifo } from '../call/fifo.ts';

/** Whether `who` may do `weight` more at `now` (ms) where `rate` are allowed a second. */
type RateLimit = (who: string, rate: number, now: number, weight?: number) => boolean;

/**
 * Token buckets that hold one second's worth each. Of at most `most` it is remembered what they did; past it the one idle
 * longest is forgotten.
 */
export function createRateLimit(most: number): RateLimit {
  const buckets = new Map<string, { tokens: number; at: number }>();
  const latest = createFifo<string>();
  /** At the end of `latest` already. */
  let last: string | null = null;

  function forgetOne(): void {
    const idle = latest.first()!;
    latest.delete(idle);
    buckets.delete(idle);
  }

  return (who, rate, now, weight = 1) => {
    const bucket = buckets.get(who) ?? { tokens: rate, at: now };
    if (who !== last) {
      latest.delete(who);
      if (latest.size >= most) forgetOne();
      latest.add(who);
      buckets.set(who, bucket);
      last = who;
    }
    const tokens = Math.min(rate, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    const price = Math.min(weight, rate);
    const granted = tokens >= price;
    bucket.tokens = granted ? tokens - price : tokens;
    bucket.at = now;
    return granted;
  };
}
