/**
 * The firewall's own lock for loading its ruleset. Every rule that `pfctl -f` loads must carry a ticket of the address pool
 * that one DIOCBEGINADDRS of ours takes away: then pfSense turns the filter off for a moment, and OPNsense loads the ruleset
 * before. So none is asked for while the lock is held; a ticket that we have serves as long as it is good.
 */
import type { FileLock } from '../../../native-bindings/file-lock.ts';
import { FirewallError } from '../firewall.ts';

export interface ReloadGate {
  /** Does `act` while no ruleset is being loaded. Throws FirewallError when that takes too long. */
  between<T>(act: () => T): T;
  /**
   * Does `act`, in which all waiting together takes no longer than one waiting may: where one ruleset is loaded after the
   * other, each takes the ticket away that was waited for.
   */
  within<T>(act: () => T): T;
}

/** ms that a packet waits for a ruleset to be loaded, and between two looks. */
const WAIT = 300;
const LOOK_EVERY = 5;

export const OPEN_GATE: ReloadGate = { between: (act) => act(), within: (act) => act() };

interface GateClock {
  now(): number;
  /** Returns after so many ms; no packet is taken meanwhile. */
  sleep(ms: number): void;
}

const realClock: GateClock = {
  now: () => performance.now(),
  sleep: (ms) => void Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, ms),
};

export function createReloadGate(lock: FileLock, clock: GateClock = realClock): ReloadGate {
  /** Until when is waited; null outside of `within`. */
  let patience: number | null = null;
  return {
    within(act) {
      patience = clock.now() + WAIT;
      try {
        return act();
      } finally {
        patience = null;
      }
    },
    between(act) {
      const until = patience ?? clock.now() + WAIT;
      while (!lock.tryShared()) {
        if (clock.now() >= until) {
          throw new FirewallError(`the firewall has been loading its ruleset for ${WAIT} ms`, 'EBUSY', true);
        }
        clock.sleep(LOOK_EVERY);
      }
      try {
        return act();
      } finally {
        lock.release();
      }
    },
  };
}
