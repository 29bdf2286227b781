import type { Address } from '../address/address.ts';
import type { Admission } from '../call/context.ts';
import type { Refusal } from '../call/refusal.ts';
import type { NamedPeer } from './peers.ts';
import type { Policy } from './policy.ts';

export interface AdmissionCaps {
  readonly calls: number;
  readonly callsPerHost: number;
  readonly offersPerSecond: number;
}

/** Hosts whose offer rate is remembered; past it the one idle longest is forgotten. */
const MAX_BUCKETS = 8192;

/**
 * Bounds what calls may use: calls at a time, in all, for one inside host and for one named peer, and offers a
 * second from one source (a token bucket that holds one second's worth).
 */
export function createAdmission(
  caps: () => AdmissionCaps,
  policy: () => Pick<Policy, 'isInside' | 'peerOf'>,
): Admission {
  let calls = 0;
  const callsOfHost = new Map<Address, number>();
  const callsOfPeer = new Map<string, number>();
  const buckets = new Map<string, { tokens: number; at: number }>();

  function hostsOf(source: Address, destination: Address): Address[] {
    const { isInside } = policy();
    const hosts: Address[] = [];
    if (isInside(source)) hosts.push(source);
    if (destination !== source && isInside(destination)) hosts.push(destination);
    return hosts;
  }

  function peersOf(source: Address, destination: Address): NamedPeer[] {
    const { peerOf } = policy();
    const [one, other] = [peerOf(source), peerOf(destination)];
    if (one === null) return other === null ? [] : [other];
    return other === null || other.name === one.name ? [one] : [one, other];
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
    for (const { name, calls: most } of peersOf(source, destination)) {
      const count = callsOfPeer.get(name) ?? 0;
      if (most !== null && count >= most) {
        return { reason: 'calls-per-peer-limit', detail: `${name} has ${count} calls, at most ${most}` };
      }
    }
    adopt(source, destination);
    return null;
  }

  function adopt(source: Address, destination: Address): void {
    calls++;
    for (const host of hostsOf(source, destination)) count(callsOfHost, host, 1);
    for (const { name } of peersOf(source, destination)) count(callsOfPeer, name, 1);
  }

  function release(source: Address, destination: Address): void {
    calls--;
    for (const host of hostsOf(source, destination)) count(callsOfHost, host, -1);
    for (const { name } of peersOf(source, destination)) count(callsOfPeer, name, -1);
  }

  function offer(source: Address, now: number): Refusal | null {
    const peer = policy().peerOf(source);
    const rate = peer?.offersPerSecond ?? caps().offersPerSecond;
    const who = peer?.name ?? source;
    const bucket = buckets.get(who) ?? { tokens: rate, at: now };
    const tokens = Math.min(rate, bucket.tokens + ((now - bucket.at) / 1000) * rate);
    buckets.delete(who);
    if (buckets.size >= MAX_BUCKETS) buckets.delete(buckets.keys().next().value!);
    const granted = tokens >= 1;
    buckets.set(who, { tokens: granted ? tokens - 1 : tokens, at: now });
    return granted
      ? null
      : { reason: 'offer-rate-limit', detail: `${who} makes more than ${rate} offers a second` };
  }

  return { call, adopt, isInside: (address) => policy().isInside(address), release, offer };
}

/** Counts up or down; what comes to nothing is forgotten. */
function count<Key>(counts: Map<Key, number>, key: Key, by: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}
