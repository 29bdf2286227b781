import { FirewallError } from '../../firewall/firewall.ts';
import type { Happening } from '../../inspector/happening.ts';
import type { CallRecord, Inspection } from '../../inspector.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';
import type { DataPathEnds } from '../platform/platform.ts';
import { type CommitterDeps, createCommitter } from './committer.ts';
import { createLeftovers } from './leftovers.ts';
import { differences } from './reconcile.ts';

interface FilterKeeperDeps extends Omit<CommitterDeps, 'firewall' | 'isDoubted' | 'failed'> {
  readonly ends: Pick<DataPathEnds, 'firewall' | 'interceptor'>;
  /** Tells of an error where there should be none. */
  readonly unexpected: (where: string, error: unknown) => void;
}

const INTACT_CHECK = 500;
const LEFTOVERS_CHECK = 1000;
const REPAIR_FIRST = 100;
const REPAIR_LAST = 5000;
const NO_PINHOLES: readonly Pinhole[] = [];

/**
 * Keeps the packet filter as the inspector says: confirms changes, looks whether somebody else changed the rules, puts
 * them right, and keeps what a killed daemon left behind for calls that live.
 */
export function createFilterKeeper(deps: FilterKeeperDeps) {
  const { ends, inspector, outbox, counters, settings, clock, beat, unexpected } = deps;
  const { firewall, interceptor } = ends;
  const leftovers = createLeftovers();
  let leftoversAt = Number.POSITIVE_INFINITY;
  /** When the filter is to be compared with the intended set; Infinity while there is no reason to doubt it. */
  let repairAt = Number.POSITIVE_INFINITY;
  let repairDelay = REPAIR_FIRST;
  let checkAt = clock() + INTACT_CHECK;
  const isDoubted = () => repairAt !== Number.POSITIVE_INFINITY;
  const committer = createCommitter({ ...deps, firewall, isDoubted, failed });

  function failed(error: Error): void {
    if (isDoubted()) return;
    outbox.say('error', `the packet filter refused a change, it will be asked again: ${error.message}`);
    repairAt = clock() + repairDelay;
  }

  /** Whether the packet filter has everything that this packet's calls need. */
  function confirm({ change, events }: Inspection): boolean {
    return (change === null || commit(change)) && committer.retryMissing(events);
  }

  function commit(change: Change): boolean {
    if (leftovers.size > 0 && change.open.length > 0) {
      const close = leftovers.handOver(change);
      if (close.length > 0) committer.tryCommit({ open: NO_PINHOLES, close });
    }
    return committer.commit(change);
  }

  /**
   * What was decided before an error was not committed. The comparison reads the whole filter, so that an error
   * that comes with every packet must not bring it on each time.
   */
  function doubt(now: number): void {
    if (!isDoubted()) repairAt = now + REPAIR_LAST;
  }

  /** Does what is due at `now`. */
  function turn(now: number): void {
    if (now >= checkAt) check(now);
    if (now >= repairAt) repair(now);
    if (now >= leftoversAt) closeLeftovers(now);
  }

  /** Whether somebody else has changed our rules. */
  function check(now: number): void {
    checkAt = now + INTACT_CHECK;
    for (const text of interceptor.news()) outbox.say('warn', text);
    let intact = true;
    try {
      intact = firewall.intact();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      outbox.say('error', `the packet filter cannot be asked: ${reason}`);
    }
    if (intact || isDoubted()) return;
    outbox.say('warn', 'rules of open pinholes are gone from the packet filter, or others came: rebuilding');
    repairAt = now;
  }

  function repair(now: number): void {
    try {
      const { opened, removed } = compare();
      outbox.say('warn', `the packet filter is as it should be again: ${opened} added, ${removed} removed`);
      committer.missing.clear();
      repairAt = Number.POSITIVE_INFINITY;
      repairDelay = REPAIR_FIRST;
      counters.repairs++;
    } catch (error) {
      repairDelay = Math.min(repairDelay * 2, REPAIR_LAST);
      repairAt = now + repairDelay;
      if (!(error instanceof FirewallError)) unexpected('a repair', error);
    }
  }

  /** Makes the filter hold what the inspector says. Throws what a commit fails with. */
  function compare(): { opened: number; removed: number } {
    let opened = 0;
    let removed = 0;
    for (const change of differences(
      firewall.list(() => beat(clock())),
      all(),
    )) {
      const error = committer.tryCommit(change);
      if (error !== null) throw error;
      for (const { id } of change.open) committer.missing.delete(id);
      opened += change.open.length;
      removed += change.close.length;
      if (change.close.length > 0) outbox.closed(change.close);
      beat(clock());
    }
    return { opened, removed };
  }

  /** Leaves nothing in the filter. */
  function clear(): void {
    try {
      firewall.clear();
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      outbox.say('error', `rules may be left in the packet filter: ${reason}`);
    }
  }

  /** Everything that the filter is to hold. */
  function* all(): Iterable<Pinhole> {
    yield* inspector.pinholes();
    yield* leftovers.pinholes();
  }

  /** Before what is due in the calls is done: what that closes is not left over. */
  function takeLeftovers(records: readonly CallRecord[]): void {
    const now = clock();
    leftovers.take(firewall.list(), records, now);
    if (leftovers.size === 0) return;
    leftoversAt = now + LEFTOVERS_CHECK;
    outbox.say(
      'warn',
      `${leftovers.size} pinholes of live calls that the journal does not know stay as long as media uses them`,
    );
  }

  function closeLeftovers(now: number): void {
    const { mediaIdle, maxCall } = settings().timers;
    const close = leftovers.expire(now, mediaIdle, maxCall);
    leftoversAt = leftovers.size > 0 ? now + LEFTOVERS_CHECK : Number.POSITIVE_INFINITY;
    if (close.length > 0 && commit({ open: NO_PINHOLES, close })) outbox.closed(close);
  }

  return {
    confirm,
    commit,
    compare,
    clear,
    doubt,
    turn,
    all,
    takeLeftovers,
    /** When something is due, in ms of the clock; leftovers wait for the next turn. */
    due: () => Math.min(repairAt, checkAt),
    repairSoon() {
      repairAt = Math.min(repairAt, clock());
    },
    note(events: readonly Happening[]) {
      if (leftovers.size > 0) leftovers.note(events);
    },
    /** Media was seen in the pinhole with this id. */
    traffic(id: string, now: number) {
      if (leftovers.size > 0) leftovers.traffic(id, now);
    },
    missing: () => committer.missing.size,
    times: committer.times,
    exposure: committer.exposure,
  };
}

export type FilterKeeper = ReturnType<typeof createFilterKeeper>;
