import type { Address } from '../address/address.ts';
import type { Call } from './call.ts';
import type { Refusal } from './refusal.ts';

/** All in ms. docs/timers.md says where each comes from. */
export interface CallTimers {
  readonly offer: number;
  readonly ringing: number;
  readonly earlyAny: number;
  readonly ack: number;
  readonly mediaIdle: number;
  readonly holdIdle: number;
  readonly oneWay: number;
  readonly staticIdle: number;
  readonly sessionGrace: number;
  readonly sessionFloor: number;
  /** 0: no limit. */
  readonly maxCall: number;
  readonly afterBye: number;
  readonly afterCancel: number;
  readonly drain: number;
  readonly oldPort: number;
  readonly forks: number;
  readonly muxGrace: number;
  readonly retransmissionMemory: number;
}

/** Says no to a new call or offer by returning the refusal; null lets it be. */
export interface Admission {
  call(source: Address, destination: Address): Refusal | null;
  offer(source: Address, destination: Address, now: number): Refusal | null;
  /** The same for a description of which an outside party can send one after the other; it counts as `weight` of them. */
  answer(source: Address, now: number, weight: number): Refusal | null;
  /** Counts a call that is there already, whatever the bounds. */
  adopt(source: Address, destination: Address): void;
  /** Counts anew: who is inside, or of which peer, has changed. */
  recount(calls: Iterable<readonly [source: Address, destination: Address]>): void;
  /** Whether everybody may send to a port that is offered to this address. */
  isEarlyOpen(peer: Address): boolean;
  /** As whose a call from this address waits for an answer. */
  party(address: Address): Party;
  /** Whether what this host announces may be opened. */
  isInside(address: Address): boolean;
  /** Whether a pinhole may lead to this address: a host inside, or one that those may name in place of themselves. */
  isOpenable(address: Address): boolean;
  /** Whether both are of one named peer, whose addresses are one party. */
  isSamePeer(one: Address, other: Address): boolean;
  /** The call counted by `call` or `adopt` is over. */
  release(source: Address, destination: Address): void;
}

/** Who shares a room for calls that wait with whom. */
export interface Party {
  /** The name of a peer, which has a room of its own; '' for all others. */
  readonly pool: string;
  readonly key: string;
  /** Calls that may wait in this pool, and bytes of session descriptions that may be kept for them. */
  readonly most: number;
  readonly mostBytes: number;
}

/** Bounds on what the tracker remembers. */
export interface CallCaps {
  /** Calls that are over. */
  readonly ended: number;
}

/** What the tracker's parts share. */
export interface Context {
  readonly timers: () => CallTimers;
  readonly admission: Admission;
  /** The call is over: whatever place it had is free. */
  readonly leave: (call: Call) => void;
}
