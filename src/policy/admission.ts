import { type Address, addressBytes, familyOf } from '../address/address.ts';
import type { Admission, Party } from '../call/context.ts';
import type { Refusal } from '../call/refusal.ts';
import type { NamedPeer } from './peers.ts';
import type { Policy } from './policy.ts';
import { createRateLimit } from './rate-limit.ts';

export interface AdmissionCaps {
  readonly calls: number;
  readonly callsPerHost: number;
  /** Calls from outside that wait for a first answer, and bytes of their session descriptions. */
  readonly unanswered: number;
  readonly unansweredBytes: number;
  readonly offersPerSecond: number;
}

/** Hosts whose offer rate is remembered. */
const MAX_BUCKETS = 8192;
/** Bounds below this are too small to be shared. */
const LEAST_SHARED = 100;
const NOBODY: readonly Address[] = [];
const NO_PEERS: readonly NamedPeer[] = [];

/**
 * Bounds what calls may use: calls at a time, in all, for one inside host and for one named peer, and offers a
 * second (a token bucket that holds one second's worth). Places are shared by a moving threshold: who has as many
 * as are left gets no more, so that there is always room for who has few, and one alone may have half of them.
 */
export function createAdmission(
  caps: () => AdmissionCaps,
  policy: () => Pick<Policy, 'isInside' | 'isOpenable' | 'peerOf'>,
  isEarlyOpen: (peer: Address) => boolean,
): Admission {
  let calls = 0;
  const callsOfHost = new Map<Address, number>();
  /** Calls of an outside party with an inside host. */
  const callsBetween = new Map<Address, Map<string, number>>();
  const callsOfPeer = new Map<string, number>();
  const isWithin = createRateLimit(MAX_BUCKETS);

  function hostsOf(source: Address, destination: Address): readonly Address[] {
    const { isInside } = policy();
    const isOther = destination !== source && isInside(destination);
    if (!isInside(source)) return isOther ? [destination] : NOBODY;
    return isOther ? [source, destination] : [source];
  }

  function peersOf(source: Address, destination: Address): readonly NamedPeer[] {
    const { peerOf } = policy();
    const [one, other] = [peerOf(source), peerOf(destination)];
    if (one === null) return other === null ? NO_PEERS : [other];
    return other === null || other.name === one.name ? [one] : [one, other];
  }

  function party(address: Address): Party {
    const { unanswered, unansweredBytes: mostBytes } = caps();
    const peer = policy().peerOf(address);
    if (peer === null) return { pool: '', key: partyKey(address), most: unanswered, mostBytes };
    const most = Math.min(unanswered, peer.calls ?? unanswered);
    return { pool: peer.name, key: peer.name, most, mostBytes };
  }

  /** The outside party that shares the places of an inside host; null when the other one is inside, or named. */
  function rivalOf(host: Address, source: Address, destination: Address): string | null {
    const other = host === source ? destination : source;
    const { isInside, peerOf } = policy();
    return isInside(other) || peerOf(other) !== null ? null : partyKey(other);
  }

  function call(source: Address, destination: Address): Refusal | null {
    const refusal = overLimit(source, destination);
    if (refusal === null) adopt(source, destination);
    return refusal;
  }

  function overLimit(source: Address, destination: Address): Refusal | null {
    const limit = caps();
    if (calls >= limit.calls)
      return { reason: 'calls-limit', detail: `${calls} calls, at most ${limit.calls}` };
    for (const host of hostsOf(source, destination)) {
      const count = callsOfHost.get(host) ?? 0;
      if (count >= limit.callsPerHost) {
        const detail = `${host} has ${count} calls, at most ${limit.callsPerHost}`;
        return { reason: 'calls-per-host-limit', detail };
      }
      if (hasItsShare(count, calls, limit.calls)) {
        const detail = `${host} has ${count} calls, the other ${limit.calls - calls} places are for others`;
        return { reason: 'calls-limit', detail };
      }
      const rival = rivalOf(host, source, destination);
      const between = rival === null ? 0 : (callsBetween.get(host)?.get(rival) ?? 0);
      if (hasItsShare(between, count, limit.callsPerHost)) {
        const other = host === source ? destination : source;
        const detail = `${other} has ${between} calls with ${host}, its other ${limit.callsPerHost - count} places are for others`;
        return { reason: 'calls-per-host-limit', detail };
      }
    }
    for (const { name, calls: most } of peersOf(source, destination)) {
      const count = callsOfPeer.get(name) ?? 0;
      if (most !== null && count >= most) {
        return { reason: 'calls-per-peer-limit', detail: `${name} has ${count} calls, at most ${most}` };
      }
    }
    return null;
  }

  function adopt(source: Address, destination: Address): void {
    add(source, destination, 1);
  }

  function release(source: Address, destination: Address): void {
    add(source, destination, -1);
  }

  function add(source: Address, destination: Address, by: 1 | -1): void {
    calls += by;
    for (const host of hostsOf(source, destination)) {
      count(callsOfHost, host, by);
      const rival = rivalOf(host, source, destination);
      if (rival !== null) countBetween(host, rival, by);
    }
    for (const { name } of peersOf(source, destination)) count(callsOfPeer, name, by);
  }

  function countBetween(host: Address, rival: string, by: 1 | -1): void {
    const ofHost = callsBetween.get(host) ?? new Map<string, number>();
    count(ofHost, rival, by);
    if (ofHost.size === 0) callsBetween.delete(host);
    else callsBetween.set(host, ofHost);
  }

  function recount(pairs: Iterable<readonly [Address, Address]>): void {
    calls = 0;
    for (const counts of [callsOfHost, callsBetween, callsOfPeer]) counts.clear();
    for (const [source, destination] of pairs) adopt(source, destination);
  }

  function offer(source: Address, destination: Address, now: number): Refusal | null {
    const { isInside, peerOf } = policy();
    // What an outside party offers opens nothing, and anybody may write its address on a datagram.
    if (!isInside(source)) return null;
    const peer = peerOf(destination);
    const rate = peer?.offersPerSecond ?? caps().offersPerSecond;
    const bounded = peer !== null && peer.offersPerSecond !== null ? peer.name : source;
    if (isWithin(bounded, rate, now)) return null;
    const detail =
      bounded === source
        ? `${source} makes more than ${rate} offers a second`
        : `more than ${rate} offers a second in calls with ${bounded}`;
    return { reason: 'offer-rate-limit', detail };
  }

  function answer(source: Address, now: number, weight: number): Refusal | null {
    const peer = policy().peerOf(source);
    const rate = peer?.offersPerSecond ?? caps().offersPerSecond;
    const who = peer?.name ?? source;
    if (isWithin(`answers of ${who}`, rate, now, weight)) return null;
    const detail = `${who} sends more than ${rate} descriptions a second, long ones counted as several`;
    return { reason: 'answer-rate-limit', detail };
  }

  function isSamePeer(one: Address, other: Address): boolean {
    const { peerOf } = policy();
    const peer = peerOf(one);
    return peer !== null && peer.name === peerOf(other)?.name;
  }

  return {
    call,
    adopt,
    recount,
    party,
    isEarlyOpen,
    isInside: (address) => policy().isInside(address),
    isOpenable: (address) => policy().isOpenable(address),
    isSamePeer,
    release,
    offer,
    answer,
  };
}

/** Whether one who has `own` of the `used` places of `all` gets no more of them. */
function hasItsShare(own: number, used: number, all: number): boolean {
  return all >= LEAST_SHARED && own >= all - used;
}

/** An IPv6 site chooses the lower half of its addresses: a /64 is one party. */
function partyKey(address: Address): string {
  if (familyOf(address) === 4) return address;
  return Buffer.from(addressBytes(address).subarray(0, 8)).toString('hex');
}

/** Counts up or down; what comes to nothing is forgotten. */
function count<Key>(counts: Map<Key, number>, key: Key, by: 1 | -1): void {
  const sum = (counts.get(key) ?? 0) + by;
  if (sum > 0) counts.set(key, sum);
  else counts.delete(key);
}
