import { type Call, legCount, legIdOf } from './call.ts';
import { createFifo } from './fifo.ts';

/** All legs that are known, those that are over included, by their Call-IDs. */
export interface Legs {
  /** In the order in which they came. */
  of(callId: string): readonly Call[];
  /** The name of the next leg of this Call-ID. */
  nextLegId(callId: string): string;
  add(call: Call): void;
  /** `add` for one that has its name already; false when a leg of that name is there. */
  adopt(call: Call): boolean;
  /** Notes it where the call is over now. */
  settle(call: Call): void;
  /** The call is not over, after all. */
  revive(call: Call): void;
  forget(call: Call): void;
  /** The one that has been over longest, where more than `most` are; null else. */
  surplus(most: number): Call | null;
  all(): Iterable<Call>;
}

const NO_CALLS: readonly Call[] = [];

export function createLegs(): Legs {
  const byCallId = new Map<string, Call[]>();
  /** Calls that are over, the one that ended first at the front. */
  const ended = createFifo<Call>();
  let nextCount = 1;

  function add(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
  }

  function settle(call: Call): void {
    if (call.state === 'ended') ended.add(call);
  }

  return {
    of: (callId) => byCallId.get(callId) ?? NO_CALLS,
    nextLegId: (callId) => legIdOf(callId, nextCount++),
    add,
    adopt(call) {
      const legs = byCallId.get(call.callId);
      if (legs?.some((leg) => leg.legId === call.legId)) return false;
      call.announced = legs?.[0]?.announced ?? call.announced;
      add(call);
      nextCount = Math.max(nextCount, legCount(call.legId) + 1);
      settle(call);
      return true;
    },
    settle,
    revive: (call) => ended.delete(call),
    forget(call) {
      ended.delete(call);
      const legs = byCallId.get(call.callId);
      if (legs === undefined || !legs.includes(call)) return;
      if (legs.length === 1) byCallId.delete(call.callId);
      else legs.splice(legs.indexOf(call), 1);
    },
    surplus: (most) => (ended.size <= most ? null : ended.first()!),
    *all() {
      for (const legs of byCallId.values()) yield* legs;
    },
  };
}
