import type { Address } from '../address/address.ts';
import type { Refusal } from './refusal.ts';

/** All in ms. docs/timers.md says where each comes from. */
export interface CallTimers {
  readonly offer: number;
  readonly ringing: number;
  readonly ack: number;
  readonly mediaIdle: number;
  readonly holdIdle: number;
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
  call(source: Address, destination: Address, now: number): Refusal | null;
  offer(source: Address, now: number): Refusal | null;
  /** Counts a call that is there already, whatever the bounds. */
  adopt(source: Address, destination: Address): void;
  /** Whether what this host announces may be opened. */
  isInside(address: Address): boolean;
  /** The call counted by `call` or `adopt` is over. */
  release(source: Address, destination: Address): void;
}

/** What the tracker's parts share. */
export interface Context {
  readonly timers: () => CallTimers;
  readonly admission: Admission;
}
