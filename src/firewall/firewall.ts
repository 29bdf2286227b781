import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Deviation } from './deviation.ts';

/** Packets and bytes that a pinhole's rules have passed since it was opened. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** The same, and what the hosts that the pinhole leads to have sent to where it lets in. */
export interface TwoWayTraffic extends Traffic {
  /** In packets, of the flows there are now: less than before where one has ended. Null where nobody tells who sends. */
  readonly sent: number | null;
}

/** What pinholes had passed when they were closed, by id. */
export type LastCounts = ReadonlyMap<string, Traffic>;

export const NOT_COUNTED: LastCounts = new Map();

/**
 * A packet filter as the data path has it: the one who writes. `pf.ts`, `nftables.ts` and `model.ts` implement it;
 * nothing above it knows which. All of it is synchronous, a packet waits for it, and every part may throw FirewallError.
 * Nobody else may write what is below it, and no two of them may be open on the same anchors or table.
 */
export interface Firewall {
  /**
   * Opens and closes pinholes as one change: when it returns, the filter has confirmed all of it. On error the filter is
   * as it was before. Rules of closed pinholes are gone when it returns; their states live until they are retired.
   * Returns what closed pinholes had passed, by id, where the filter tells that as it takes their rules out, and only then
   * (nftables); the others are told when they are retired.
   */
  commit(change: Change): LastCounts;
  /**
   * Makes the filter ready for commits again, and returns the pinholes that it holds, read back from the kernel. With
   * thousands of them that takes a while: `alive` is called now and then meanwhile.
   */
  list(alive?: () => void): Pinhole[];
  /**
   * Whether the filter still holds what was committed. Asked twice a second: it costs less than a millisecond, and may
   * miss what `FirewallControl.compare` finds. After `false` there has to come a `list`.
   */
  intact(): boolean;
  /** Removes every rule and state that this daemon made. */
  clear(): void;
  close(): void;
}

/**
 * The same filter as another thread or process has it, with descriptors of its own, beside the one that commits: it reads,
 * and removes states. No packet waits for it, and no rule is changed by it. All of it may take milliseconds, and may throw
 * FirewallError.
 */
export interface FirewallControl {
  /** Reads what pinholes have passed. */
  traffic(): TrafficReading;
  /** Reads all rules from the kernel, and compares them with those of these pinholes. */
  compare(intended: readonly Pinhole[]): Deviation;
  /** Removes states (conntrack entries) that would go on passing packets otherwise than the rules say now. */
  retire(what: Retirement): Retired;
  close(): void;
}

export interface TrafficReading {
  /** By pinhole id. They are of this reading until the next one, which may put its own in their place. */
  readonly counts: ReadonlyMap<string, TwoWayTraffic>;
  /** Pinholes whose media passes by states that count for nobody: to be retired, for the next packet to count. */
  readonly uncounted: readonly Pinhole[];
}

export interface Retirement {
  /** Closed, and committed so: the states of their flows go, unless an open pinhole lets the same packets pass. */
  readonly closed?: readonly Pinhole[];
  /** The same are retired once more in a moment: what is found of them without a walk over all states is enough for now. */
  readonly quickly?: boolean;
  /** Opened a moment ago: states from before that keep their packets from being translated go. */
  readonly opened?: readonly Pinhole[];
  /** Of a reading of traffic. */
  readonly uncounted?: readonly Pinhole[];
}

export interface Retired {
  /** How many states were removed. */
  readonly states: number;
  /** What those of `closed` had passed of which `commit` did not tell, as far as it is known. */
  readonly counts: LastCounts;
  /** It was done quickly, and states may be left. */
  readonly isPartial?: boolean;
}

/** A filter refused or could not be reached. `code` is the errno's symbol where there is one: EBUSY, EPERM. */
export class FirewallError extends Error {
  override readonly name = 'FirewallError';
  readonly code: string;
  /** Whether the same call may succeed in a moment (EBUSY). */
  readonly transient: boolean;
  constructor(message: string, code: string, transient = false) {
    super(message);
    this.code = code;
    this.transient = transient;
  }
}
