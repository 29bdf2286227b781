import { type Announcements, mergeAnnounced } from './announced.ts';
import { type Call, legCount, legIdOf } from './call.ts';
import { createFifo } from './fifo.ts';

/** All legs that are known, those that are over included, by their Call-IDs. */
export interface Legs {
  /** In the order in which they came. */
  of(callId: string): readonly Call[];
  /** The name of the next leg of this Call-ID, which has these: none that a leg has which was taken up. */
  nextLegId(callId: string, legs?: readonly Call[]): string;
  add(call: Call): Call;
  /**
   * `add` for one that has its name already; false when a leg of that name is there. One that was counted here (`own`)
   * has its count no more to give.
   */
  adopt(call: Call, own: boolean): boolean;
  /** Notes it where the call is over now. */
  settle(call: Call): void;
  /** The call is not over, after all. */
  revive(call: Call): void;
  forget(call: Call): void;
  /** The one that has been over longest, where more than `most` are; null else. */
  surplus(most: number): Call | null;
  all(): Iterable<Call>;
  /** How many are not over. */
  underWay(): number;
}

/** Legs of one Call-ID, which are looked through for each message that has it. Those that ended count. */
export const MAX_LEGS = 64;
const NO_CALLS: readonly Call[] = [];
const HALF = 2 ** 31;

/** `first`: where legs are counted from, so that firewalls which share their calls give no name twice. */
export function createLegs(first = 1): Legs {
  const byCallId = new Map<string, Call[]>();
  /** Calls that are over, the one that ended first at the front. */
  const ended = createFifo<Call>();
  let nextCount = first;
  let count = 0;

  function add(call: Call): Call {
    count++;
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
    return call;
  }

  function settle(call: Call): void {
    if (call.state === 'ended') ended.add(call);
  }

  return {
    of: (callId) => byCallId.get(callId) ?? NO_CALLS,
    nextLegId(callId, legs = byCallId.get(callId) ?? NO_CALLS) {
      for (;;) {
        const legId = legIdOf(callId, nextCount++);
        if (legs.every((leg) => leg.legId !== legId)) return legId;
      }
    },
    add,
    adopt(call, own) {
      const legs = byCallId.get(call.callId);
      if (legs?.some((leg) => leg.legId === call.legId)) return false;
      add(call);
      if (legs !== undefined) shareOut(legs, mergeAnnounced(legs[0]!.announced, call.announced));
      if (own) nextCount = later(nextCount, legCount(call.legId) + 1);
      settle(call);
      return true;
    },
    settle,
    revive: (call) => ended.delete(call),
    forget(call) {
      ended.delete(call);
      const legs = byCallId.get(call.callId);
      if (legs === undefined || !legs.includes(call)) return;
      count--;
      if (legs.length === 1) byCallId.delete(call.callId);
      else legs.splice(legs.indexOf(call), 1);
    },
    surplus: (most) => (ended.size <= most ? null : ended.first()!),
    *all() {
      for (const legs of byCallId.values()) yield* legs;
    },
    underWay: () => count - ended.size,
  };
}

/** All legs of a Call-ID have one list. */
export function shareOut(legs: readonly Call[], list: Announcements): void {
  for (const leg of legs) leg.announced = list;
}

/** The one of two counts that comes after the other; counts go round at 2^32. */
function later(one: number, other: number): number {
  return (other - one) >>> 0 < HALF ? other : one;
}
