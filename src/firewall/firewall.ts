import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { Deviation } from './deviation.ts';

/** Packets and bytes that a pinhole's rules have passed since it was opened. */
export interface Traffic {
  readonly packets: number;
  readonly bytes: number;
}

/** What pinholes had passed when they were closed, by id. */
export type LastCounts = ReadonlyMap<string, Traffic>;

export const NOT_COUNTED: LastCounts = new Map();

/**
 * The seam to a packet filter. `pf.ts`, `nftables.ts` and `model.ts` implement it; nothing above it knows which.
 * All of it is synchronous: when `commit` returns, the filter has confirmed the change.
 */
export interface Firewall {
  /**
   * Opens and closes pinholes as one change. On error the filter is left as it was before, and FirewallError
   * says why. Rules of closed pinholes are gone when it returns; their states may live until `killStates`.
   * Returns what closed pinholes had passed, by id, where the filter tells when it takes their rules out.
   */
  commit(change: Change): LastCounts;
  /** Removes the states (or conntrack entries) that these closed pinholes made. Returns how many. May take ms. */
  killStates(closed: readonly Pinhole[]): number;
  /** Pinholes as the filter itself lists them, read back from it. */
  list(): Pinhole[];
  /** Counters by pinhole id. */
  traffic(): Map<string, Traffic>;
  /** Removes every rule and state this daemon made. */
  clear(): void;
  close(): void;
}

/** What another thread does beside the one that commits: nothing that a packet waits for. */
export interface FirewallControl extends Pick<Firewall, 'killStates' | 'traffic' | 'close'> {
  /** Reads all rules from the kernel, and compares them with those of these pinholes. Changes nothing. */
  compare(intended: readonly Pinhole[]): Deviation;
  /**
   * Where states from before a pinhole would keep its packets from being translated: removes them. Returns how many.
   * May take ms.
   */
  killUntranslated?(opened: readonly Pinhole[]): number;
  /** Where `commit` does not tell: what pinholes had passed that were closed a moment ago, before their states go. */
  lastCounts?(closed: readonly Pinhole[]): LastCounts;
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
