import type { Call, Transaction } from './call.ts';
import type { Admission, Context, Party } from './context.ts';
import { dropDescriptions, endCall, mayBeAnswered } from './expiry.ts';
import type { Legs } from './legs.ts';
import { changed, leaving, type Outcome, unchanged } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import { createWaiting } from './waiting.ts';

/** Which calls have a place, and which wait for one. */
export interface Places {
  /**
   * The call waits: it comes from outside, and the host that it calls has not answered. Those that give way to it, as
   * outcomes of their own.
   */
  wait(call: Call, bytes: number, now: number): readonly Outcome[];
  /** A place for a call from inside; null, or what refuses it. */
  take(call: Call): Refusal | null;
  /** Takes the place that a call has, or the one that it waits in. */
  leave(call: Call): void;
  enter(call: Call, transaction: Transaction, status: number, now: number): Outcome | null;
  setAside(call: Call, refused: Refusal, now: number, bytes: number, before?: readonly Refusal[]): Outcome;
  /** A call from a journal, that is not over, has what it had. */
  adopt(call: Call): void;
  /** `adopt` for a call that another firewall has, within the bounds; false when there is no place. */
  share(call: Call): boolean;
  /** Counts all calls anew: who is inside, or of which peer, has changed. */
  recount(): void;
}

/** Bytes of a session description that are kept for a call without a place. */
const MOST_KEPT = 1024;

export function createPlaces(context: Context, admission: Admission, legs: Legs): Places {
  const waiting = createWaiting<Call>();
  /** Calls that have a place. */
  const counted = new Set<Call>();

  /**
   * A call from outside waits for a first answer of the host that was called, and takes no place before: a handful
   * of INVITEs a second must not be enough to leave a host without any. Where too many wait, one gives way.
   */
  function makeRoom(party: Party, bytes: number, now: number): Outcome[] {
    const outcomes: Outcome[] = [];
    const of = party.pool === '' ? '' : ` of ${party.pool}`;
    for (let call = waiting.surplus(party, bytes); call !== undefined; call = waiting.surplus(party, bytes)) {
      const detail = `${waiting.size(party.pool)} calls${of} wait for a first answer`;
      const outcome = setAside(call, { reason: 'unanswered-limit', detail }, now, waiting.bytes(call));
      outcomes.push({ ...outcome, bystander: true });
    }
    return outcomes;
  }

  /**
   * A call without a place is remembered as one that is over, with the reason, until it is answered: with its offer,
   * unless that takes much memory.
   */
  function setAside(
    call: Call,
    refused: Refusal,
    now: number,
    bytes: number,
    before: readonly Refusal[] = [],
  ): Outcome {
    endCall(context, call, 'over-limit', now);
    if (bytes > MOST_KEPT) dropDescriptions(call);
    legs.settle(call);
    return changed(call, leaving('over-limit'), [...before, refused]);
  }

  /**
   * The host that was called has a place for the call, or the one that calls is to have one after all. Null: it may
   * go on.
   */
  function enter(call: Call, transaction: Transaction, status: number, now: number): Outcome | null {
    const rang = mayBeAnswered(call) && transaction === call.invite && status >= 200;
    const isLate = call.state === 'ended' && (call.endReason === 'over-limit' || rang);
    if (transaction.method !== 'INVITE' || status <= 100 || status >= 300) return null;
    if (!isLate && !waiting.has(call)) return null;
    const refused = take(call);
    if (refused !== null) {
      return isLate ? unchanged(call, [refused]) : setAside(call, refused, now, waiting.bytes(call));
    }
    if (isLate) reopen(call, transaction, now);
    // So late it takes the caller's ACK as well.
    call.acknowledges ||= rang;
    return null;
  }

  function take(call: Call): Refusal | null {
    const refused = admission.call(call.parties[0], call.parties[1]);
    if (refused !== null) return refused;
    waiting.delete(call);
    counted.add(call);
    return null;
  }

  /** The call that had been given up for want of a place goes on with this INVITE of its. */
  function reopen(call: Call, invite: Transaction, now: number): void {
    legs.revive(call);
    call.state = 'calling';
    call.endReason = null;
    call.endedAt = null;
    call.invite = invite;
    call.mediaAt = now;
    call.signallingDeadline = now + context.timers().offer;
  }

  function leave(call: Call): void {
    if (counted.delete(call)) admission.release(call.parties[0], call.parties[1]);
    waiting.delete(call);
  }

  /** Whether a call from elsewhere is one that `wait` was for. */
  function isWaiting({ state, parties }: Call): boolean {
    return state === 'calling' && !admission.isInside(parties[0]);
  }

  return {
    wait(call, bytes, now) {
      const party = admission.party(call.parties[0]);
      const madeRoom = makeRoom(party, bytes, now);
      waiting.add(call, party, bytes);
      return madeRoom;
    },
    take,
    leave,
    enter,
    setAside,
    share(call) {
      if (!isWaiting(call)) return take(call) === null;
      const party = admission.party(call.parties[0]);
      if (waiting.surplus(party, 0) !== undefined) return false;
      waiting.add(call, party, 0);
      return true;
    },
    adopt(call) {
      if (isWaiting(call)) {
        waiting.add(call, admission.party(call.parties[0]), 0);
        return;
      }
      counted.add(call);
      admission.adopt(call.parties[0], call.parties[1]);
    },
    recount: () => admission.recount([...counted].map(({ parties }) => parties)),
  };
}
