import type { Address } from '../address/address.ts';
import type { Admission } from '../call/context.ts';
import type { Refusal } from '../call/refusal.ts';

export interface AdmissionCaps {
  readonly calls: number;
  readonly callsPerHost: number;
  readonly offersPerSecond: number;
}

/** Hosts whose offer rate is remembered; past it the one idle longest is forgotten. */
const MAX_BUCKETS = 8192;

/**
 * Bounds what calls may use: calls at a time, in all and for one inside host, and offers a second from one
 * source (a token bucket that holds one second's worth).
 */
export function createAdmission(
  caps: () => AdmissionCaps,
  isInside: (address: Address) => boolean,
): Admission {
  let calls = 0;
  const callsOfHost = new Map<Address, number>();
  const buckets = new Map<Address, { tokens: number; at: number }>();

  function hostsOf(source: Address, destination: Address): Address[] {
    const hosts: Address[] = [];
    if (isInside(source)) hosts.push(source);
    if (destination !== source && isInside(destination)) hosts.push(destination);
    return hosts;
  }

  function call(source: Address, destination: Address): Refusal | null {
    const limit = caps();
    if (calls >= limit.calls)
      return { reason: 'calls-limit', detail: `${calls} calls, at most ${limit.calls}` };
    for (const host of hostsOf(source, destination)) {
      const count = callsOfHost.get(host) ?? 0;
      if (count >= limit.callsPerHost) {
        return {
          reason: 'calls-per-host-limit',
          detail: `${host} has ${count} calls, at most ${limit.callsPerHost}`,
        };
      }
    }
    adopt(source, destination);
    return null;
  }

  function adopt(source: Address, destination: Address): void {
    calls++;
    for (const host of hostsOf(source, destination)) {
      callsOfHost.set(host, (callsOfHost.get(host) ?? 0) + 1);
    }
  }

  function release(source: Address, destination: Address): void {
    calls--;
    for (const host of hostsOf(source, destination)) {
      const count = (callsOfHost.get(host) ?? 1) - 1;
      if (count > 0) callsOfHost.set(host, count);
      else callsOfHost.delete(host);
    }
  }

  function offer(source: Address, now: number): Refusal | null {
    const rate = caps().offersPerSecond;
    const bucket = buckets.get(source) ?? { tokens: rate, at: now };
    const tokens = Math.min(rate, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    buckets.delete(source);
    if (buckets.size >= MAX_BUCKETS) buckets.delete(buckets.keys().next().value!);
    const granted = tokens >= 1;
    buckets.set(source, { tokens: granted ? tokens - 1 : tokens, at: now });
    return granted
      ? null
      : { reason: 'offer-rate-limit', detail: `${source} makes more than ${rate} offers a second` };
  }

  return { call, adopt, isInside, release, offer };
}
