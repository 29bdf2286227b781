import type { Address } from '../address/address.ts';
import type { Call } from '../call/call.ts';
import { isSameConnection, MOST_HELD_UP, type Standing } from '../call/standing.ts';

/** Standing calls that have not ended, by entry and address of the peer, and how many ports they may hold together. */
export interface StandingCalls {
  of(entry: string, peer: Address): Call | null;
  /**
   * Of two calls for the same, as firewalls that had not heard of each other begin them, the one whose name comes first has
   * all that either stands on; the other is a twin, and is here no more. Null: there is none.
   */
  add(call: Call): Call | null;
  has(call: Call): boolean;
  /** It has ended. */
  drop(call: Call): void;
  /** What calls weigh may have changed. */
  weighAgain(): void;
  all(): Iterable<Call>;
  readonly weight: number;
}

export function createStandingCalls(weightOf: (call: Call) => number): StandingCalls {
  const calls = new Map<string, Call>();
  /** Added up once: who is refused asks with each segment. */
  const weights = new Map<Call, number>();
  let weight = 0;

  function put(call: Call): void {
    drop(call);
    calls.set(keyOf(call.standing!.entry, call.parties[0]), call);
    weigh(call);
  }

  function weigh(call: Call): void {
    const one = weightOf(call);
    weights.set(call, one);
    weight += one;
  }

  function drop(call: Call): void {
    const one = weights.get(call);
    if (one === undefined) return;
    weights.delete(call);
    weight -= one;
    const key = keyOf(call.standing!.entry, call.parties[0]);
    if (calls.get(key) === call) calls.delete(key);
  }

  return {
    of: (entry, peer) => calls.get(keyOf(entry, peer)) ?? null,
    add(call) {
      const other = calls.get(keyOf(call.standing!.entry, call.parties[0]));
      if (other === undefined || other === call) {
        put(call);
        return null;
      }
      const [first, twin] = call.legId < other.legId ? [call, other] : [other, call];
      join(first.standing!, twin.standing!);
      drop(other);
      put(first);
      return twin;
    },
    has: (call) => weights.has(call),
    drop,
    weighAgain() {
      weight = 0;
      for (const call of weights.keys()) weigh(call);
    },
    all: () => weights.keys(),
    get weight() {
      return weight;
    },
  };
}

function keyOf(entry: string, peer: Address): string {
  return `${entry} ${peer}`;
}

/** Adds what only the other stands on. */
function join(standing: Standing, other: Standing): void {
  for (const one of other.connections) {
    const same = standing.connections.find((known) => isSameConnection(known, one));
    if (same === undefined) standing.connections.push(one);
    else if (one.seenAt > same.seenAt) Object.assign(same, one);
  }
  for (const one of other.registrations) {
    const same = standing.registrations.find(({ callId }) => callId === one.callId);
    if (same === undefined) standing.registrations.push(one);
    else same.until = Math.max(same.until, one.until);
  }
  standing.connections.splice(0, standing.connections.length - MOST_HELD_UP);
  standing.registrations.splice(0, standing.registrations.length - MOST_HELD_UP);
}
