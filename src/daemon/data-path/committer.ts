import type { Settings } from '../../config/schema.ts';
import { type Firewall, FirewallError } from '../../firewall/firewall.ts';
import type { Happening } from '../../inspector/happening.ts';
import type { Inspector } from '../../inspector.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { DataPathCounters } from '../messages.ts';
import { createExposureMeter } from './exposure.ts';
import { createHistogram } from './histogram.ts';
import type { Outbox } from './outbox.ts';

export interface CommitterDeps {
  readonly firewall: Firewall;
  readonly inspector: Inspector;
  readonly outbox: Outbox;
  readonly counters: DataPathCounters;
  readonly settings: () => Settings;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  /** Sleeps, blocking the thread. */
  readonly pause: (ms: number) => void;
  readonly beat: (now: number) => void;
  /** Whether the filter has failed and is to be put right: it is not waited for then. */
  readonly isDoubted: () => boolean;
  /** A change failed for good; it is to be done later. */
  readonly failed: (error: Error) => void;
}

const NO_PINHOLES: readonly Pinhole[] = [];

/** Has changes confirmed by the packet filter, and remembers what it refused to open. */
export function createCommitter(deps: CommitterDeps) {
  const { firewall, inspector, outbox, counters, settings, clock, pause, beat, isDoubted, failed } = deps;
  /** Pinholes that the packet filter refused to open. */
  const missing = new Map<string, Pinhole>();
  const times = createHistogram();
  const exposure = createExposureMeter();

  /** Asks a busy filter again. False when it failed: the change is done later, as far as it is still wanted. */
  function commit(change: Change): boolean {
    const effective = missing.size === 0 ? change : withoutMissing(change);
    if (effective === null) return true;
    const error = tryCommit(effective);
    if (error === null) return true;
    counters.commitErrors++;
    const { refusals } = inspector.stats;
    refusals.set('firewall-error', (refusals.get('firewall-error') ?? 0) + 1);
    failed(error);
    for (const pinhole of effective.open) missing.set(pinhole.id, pinhole);
    return false;
  }

  /** Null when the filter confirmed. */
  function tryCommit(change: Change): Error | null {
    const patience = isDoubted() ? 0 : settings().timers.firewallRetry;
    const startedAt = clock();
    const giveUpAt = startedAt + patience;
    beat(startedAt);
    for (;;) {
      try {
        outbox.counted(firewall.commit(change));
        counters.commits++;
        const confirmedAt = clock();
        times.record(confirmedAt - startedAt);
        exposure.change(change, confirmedAt);
        beat(confirmedAt);
        return null;
      } catch (error) {
        if (!(error instanceof FirewallError)) {
          counters.exceptions++;
          return error instanceof Error ? error : new Error(String(error));
        }
        if (!error.transient || clock() >= giveUpAt) return error;
        counters.retries++;
        beat(clock());
        pause(1);
      }
    }
  }

  /** A change without the closing of what was never opened; null when nothing is left of it. */
  function withoutMissing({ open, close }: Change): Change | null {
    const there = close.filter(({ id }) => !missing.delete(id));
    return open.length + there.length === 0 ? null : { open, close: there };
  }

  /** The missing pinholes of the calls that these messages belong to are asked for once more. False when they stay missing. */
  function retryMissing(events: readonly Happening[]): boolean {
    if (missing.size === 0) return true;
    const open: Pinhole[] = [];
    for (const event of events) {
      if (event.type !== 'message') continue;
      for (const legId of event.legIds) open.push(...missingOf(legId));
    }
    if (open.length === 0) return true;
    if (tryCommit({ open, close: NO_PINHOLES }) !== null) return false;
    for (const { id } of open) missing.delete(id);
    return true;
  }

  function missingOf(legId: string): Pinhole[] {
    return inspector.held(legId).flatMap(({ pinhole }) => missing.get(pinhole.id) ?? []);
  }

  return { commit, tryCommit, retryMissing, missing, times, exposure };
}
