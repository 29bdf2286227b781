import type { Address } from '../address/address.ts';
import { appended } from '../lists.ts';
import type { SipMessage } from '../sip/message.ts';
import { NOTHING_ANNOUNCED } from './announced.ts';
import { createAnnouncing } from './announcing.ts';
import {
  type Call,
  type EndReason,
  newCall,
  newStandingCall,
  otherSide,
  startAnew,
  type Transaction,
} from './call.ts';
import { learnContact } from './contact.ts';
import type { Admission, CallCaps, CallTimers, Context } from './context.ts';
import { deadlineOf, endCall, expireCall, latestEnd } from './expiry.ts';
import { findDialogs, learnAddresses, noteAck, signOfLife, takeStray } from './in-dialog.ts';
import { createLegs, MAX_LEGS, shareOut } from './legs.ts';
import { type Arrival, type Bodies, type Incoming, type Outcome, unchanged } from './outcome.ts';
import { createPlaces } from './places.ts';
import {
  type DialogSide,
  onAck,
  onBye,
  onCancel,
  onOffer,
  onOther,
  onTrickle,
  startAttempt,
} from './requests.ts';
import { keepRinging, onResponse } from './responses.ts';
import { arrive, keepUp, makeLike, takeBack, takeNew } from './share.ts';
import type { Standing } from './standing.ts';
import { acknowledge, answeredByStray, holdStray, takeAccepted } from './strays.ts';
import { addAddress, answeredTransaction, isRetransmission } from './transactions.ts';
import type { Side } from './wanted.ts';

type Handler = (context: Context, match: DialogSide, incoming: Incoming) => Outcome;

export interface Tracker {
  /** What one message does to the legs it belongs to; usually one, none when it is of no INVITE dialog. */
  handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[];
  /** Does what is due in this call at `now`; null when it is over and forgotten now. */
  expire(call: Call, now: number): Outcome | null;
  /** When `expire` is next due; Infinity never. */
  deadline(call: Call): number;
  /** Media was seen in a pinhole of this call, sent by the party of this side. */
  media(call: Call, from: Side | null, now: number): void;
  /** This side sends media; whether any of it arrives is not known. */
  sent(call: Call, from: Side, now: number): void;
  end(call: Call, reason: EndReason, now: number): Outcome;
  /** Begins a call that nobody can read, from a peer of `static-media` to a host inside. It takes no place of the others. */
  stand(name: string, parties: readonly [Address, Address], standing: Standing, now: number): Call;
  /** Takes up a call from a journal at `now`; false when a leg of its name is there already. */
  adopt(call: Call, now: number): boolean;
  /**
   * Takes up how a call is at another firewall, at `now`: in place of `known`, which has its name, or as one that is new
   * here; false when there is no room for that.
   */
  share(theirs: Call, known: Call | null, now: number): boolean;
  /** The call is known to go on, media being where it is not seen. */
  keep(call: Call, now: number): void;
  /** The call that has been over longest, forgotten now because there are too many; null while there is room. */
  surplus(): Call | null;
  /** Counts all calls anew: who is inside, or of which peer, has changed. */
  recount(): void;
  /** Whether some leg has this Call-ID. */
  knows(callId: string): boolean;
  calls(): Iterable<Call>;
  /** How many calls have not ended. */
  underWay(): number;
}

/** Methods whose responses may have a session description that counts. */
const DESCRIBING: ReadonlySet<string> = new Set(['INVITE', 'PRACK', 'UPDATE', 'BYE']);
const NONE: readonly Outcome[] = [];

/**
 * Follows INVITE dialogs (RFC 3261) and their offers and answers (RFC 3264, 6337) as a host on the path sees
 * them. Knows no ports, no policy and no clock: time comes with every call.
 */
export function createTracker(
  timers: () => CallTimers,
  caps: () => CallCaps,
  admission: Admission,
  firstCount = 1,
): Tracker {
  const legs = createLegs(firstCount);
  const context: Context = { timers, admission, leave: (call) => places.leave(call) };
  const places = createPlaces(context, admission, legs);
  const announcing = createAnnouncing(admission, legs);

  function handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const incoming = { message, arrival, bodies };
    const all = legs.of(message.callId);
    const own = take(all, incoming);
    const accepted = takeStrays(all, arrival.now);
    announcing.takeDown(incoming);
    return accepted.length === 0 ? own : [...own, ...accepted];
  }

  /** What waited for its sender to become the party's is done now. */
  function takeStrays(all: readonly Call[], now: number): readonly Outcome[] {
    let outcomes: Outcome[] | null = null;
    for (const call of all) {
      if (call.strays.length === 0) continue;
      outcomes ??= [];
      for (const held of takeAccepted(context, call, now)) {
        if (held.message.status === 0) outcomes.push(...inDialog(all, held, onAck));
        else outcomes.push(...(eachOf([call], held, answer) ?? NONE));
      }
    }
    return outcomes ?? NONE;
  }

  /** `all`: the legs of its Call-ID, before it. */
  function take(all: readonly Call[], incoming: Incoming): readonly Outcome[] {
    const { message } = incoming;
    if (message.status !== 0) return takeResponse(all, incoming);
    switch (message.method) {
      case 'INVITE':
        return message.toTag === '' ? takeInvite(all, incoming) : inDialog(all, incoming, onOffer);
      case 'ACK':
        return inDialog(all, incoming, onAck);
      case 'PRACK':
      case 'UPDATE':
        return inDialog(all, incoming, onOffer);
      case 'BYE':
        return inDialog(all, incoming, onBye);
      case 'CANCEL':
        return takeCancel(all, incoming);
      case 'INFO':
        return inDialog(all, incoming, message.sdp.kind === 'sdpfrag' ? onTrickle : onOther);
      default:
        return inDialog(all, incoming, onOther);
    }
  }

  /**
   * An INVITE outside a dialog: a retransmission; another attempt of a leg that failed (after 401, 407 or 3xx, or a
   * proxy that tries one contact after the other); or a leg of its own. A proxy that forks sends the same Call-ID,
   * tag and CSeq several times, told apart by the branch alone, and perhaps to one and the same address.
   */
  function takeInvite(all: readonly Call[], incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const own = all.length === 0 ? all : all.filter((call) => isSameLeg(call, message, arrival));
    const same = own.find((call) => isOld(call, message));
    if (same !== undefined) return [unchanged(same)];
    const failed = own.find((call) => mayTryAgain(call, message));
    if (failed !== undefined && failed.state !== 'ended') {
      beginAnew(failed, arrival.now);
      learnContact(context, failed, 0, incoming);
      return [startAttempt(context, failed, incoming)];
    }
    if (failed === undefined && all.length >= MAX_LEGS) {
      const detail = `${all.length} legs have the Call-ID of an INVITE from ${arrival.source.address}`;
      return [unchanged(null, [{ reason: 'legs-limit', detail }])];
    }
    const call = failed ?? begin(all, message, arrival);
    if (failed !== undefined) beginAnew(failed, arrival.now);
    // A device that has one Call-ID for all of its calls begins another.
    if (failed !== undefined && all.every(({ state }) => state === 'ended')) shareOut(all, NOTHING_ANNOUNCED);
    learnContact(context, call, 0, incoming);
    const { source, now } = arrival;
    const bytes = message.sdp.kind === 'sdp' ? message.sdp.bytes.length : 0;
    if (!admission.isInside(source.address)) {
      const madeRoom = places.wait(call, bytes, now);
      return [startAttempt(context, call, incoming), ...madeRoom];
    }
    const refused = places.take(call);
    const outcome = startAttempt(context, call, incoming);
    if (refused === null) return [outcome];
    return [places.setAside(call, refused, now, bytes, outcome.refusals)];
  }

  function begin(all: readonly Call[], message: SipMessage, arrival: Arrival): Call {
    const { callId } = message;
    const announced = announcing.claim(callId, all[0]);
    const call = newCall(legs.nextLegId(callId, all), message, arrival, announced, hardDeadline(arrival.now));
    legs.add(call);
    return call;
  }

  function beginAnew(call: Call, now: number): void {
    legs.revive(call);
    startAnew(call, now, hardDeadline(now));
  }

  const hardDeadline = (now: number) => latestEnd(timers(), now);

  function inDialog(all: readonly Call[], incoming: Incoming, handler: Handler): readonly Outcome[] {
    if (all.length === 0) return NONE;
    const { message, arrival } = incoming;
    for (const call of all) acknowledge(context, call, message, arrival);
    const before = takeStrays(all, arrival.now);
    const found = findDialogs(context, all, incoming);
    learnAddresses(context, found, incoming);
    noteAck(all, found, incoming);
    const { chosen, strays, isKnown } = found;
    if (chosen.length > 0) {
      const own = chosen.map((match) =>
        signOfLife(context, match.call, arrival, handler(context, match, incoming)),
      );
      return before.length === 0 ? own : [...before, ...own];
    }
    if (strays.length > 0) return strays.map((match) => takeStray(context, match, incoming));
    if (isKnown || handler === onOther) return before;
    const detail = `${message.method} from ${arrival.source.address} has not the tags or the sender of a known dialog`;
    return [unchanged(all[0]!, [{ reason: 'wrong-dialog', detail }])];
  }

  function takeCancel(all: readonly Call[], incoming: Incoming): readonly Outcome[] {
    return all.filter((call) => onCancel(context, call, incoming)).map((call) => unchanged(call));
  }

  function takeResponse(all: readonly Call[], incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const method = message.cseqMethod;
    const outcomes = eachOf(all, incoming, answer) ?? eachOf(all, incoming, strayAnswer);
    if (outcomes !== null) return outcomes;
    if (message.sdp.kind === 'none' || !DESCRIBING.has(method)) return NONE;
    const detail = `${message.status} to ${method} from ${arrival.source.address} with a session description`;
    return [unchanged(all[0] ?? null, [{ reason: 'response-without-request', detail }])];
  }

  /** Null where it answers no request of this call. */
  function answer(call: Call, incoming: Incoming): Outcome | null {
    const { message, arrival } = incoming;
    const transaction = answeredTransaction(context, call, message, arrival);
    return transaction === undefined ? null : answered(call, transaction, incoming);
  }

  function answered(call: Call, transaction: Transaction, incoming: Incoming): Outcome {
    const { message, arrival } = incoming;
    learnContact(context, call, otherSide(transaction.side), incoming);
    const refused = places.enter(call, transaction, message.status, arrival.now);
    const outcome = refused ?? onResponse(context, call, transaction, incoming);
    legs.settle(call);
    const accepts = message.status >= 200 && message.status < 300;
    return accepts ? signOfLife(context, call, arrival, outcome) : outcome;
  }

  /**
   * A response from another address than the request went to. A host inside that answers from another of its addresses
   * answers for itself; who hung up inside is done, whoever says so. Everything else waits for the one who asked.
   */
  function strayAnswer(call: Call, incoming: Incoming): Outcome | null {
    const { message, arrival } = incoming;
    const transaction = answeredByStray(call, message, arrival.destination.address);
    if (transaction === undefined) return null;
    const { status } = message;
    if (!admission.isInside(arrival.destination.address)) {
      if (!admission.isInside(arrival.source.address)) return null;
      addAddress(call, otherSide(transaction.side), arrival.source.address);
      return answered(call, transaction, incoming);
    }
    if (transaction.method === 'BYE') {
      const isOver = status >= 200 && status !== 401 && status !== 407;
      return isOver ? answered(call, transaction, incoming) : unchanged(call);
    }
    if (status < 200 && transaction === call.invite) keepRinging(context, call, arrival.now);
    holdStray(call, incoming);
    return unchanged(call);
  }

  function expire(call: Call, now: number): Outcome | null {
    if (call.state !== 'ended') return settled(call, expireCall(context, call, now));
    if (now < deadlineOf(context, call)) return unchanged(call);
    legs.forget(call);
    return null;
  }

  function share(theirs: Call, known: Call | null, now: number): boolean {
    arrive(theirs, timers(), now);
    return known === null
      ? takeNew(legs, places, announcing, theirs)
      : makeLike({ legs, places, timers: timers(), now }, known, theirs);
  }

  function surplus(): Call | null {
    const oldest = legs.surplus(caps().ended);
    if (oldest !== null) legs.forget(oldest);
    return oldest;
  }

  function sent(call: Call, from: Side, now: number): void {
    if (admission.isInside(call.parties[from])) call.ownAt = now;
  }

  function settled(call: Call, outcome: Outcome): Outcome {
    legs.settle(call);
    return outcome;
  }

  return {
    handle,
    expire,
    deadline: (call) => deadlineOf(context, call),
    media(call, from, now) {
      call.mediaAt = now;
      call.heardAt = now;
      if (from === null) call.untoldAt = now;
      else sent(call, from, now);
    },
    sent,
    stand: (name, parties, standing, now) =>
      legs.add(newStandingCall(legs.nextLegId(name), name, parties, standing, now)),
    end: (call, reason, now) => settled(call, endCall(context, call, reason, now)),
    adopt: (call, now) => takeBack(legs, places, arrive(call, timers(), now)),
    share,
    keep: keepUp,
    surplus,
    recount: places.recount,
    knows: (callId) => legs.of(callId).length > 0,
    calls: legs.all,
    underWay: legs.underWay,
  };
}

/** Null where it is of none of these calls. */
function eachOf(
  all: readonly Call[],
  incoming: Incoming,
  take: (call: Call, incoming: Incoming) => Outcome | null,
): Outcome[] | null {
  let outcomes: Outcome[] | null = null;
  for (const call of all) {
    const outcome = take(call, incoming);
    if (outcome !== null) outcomes = appended(outcomes, outcome);
  }
  return outcomes;
}

function isSameLeg({ standing, fromTag, parties }: Call, message: SipMessage, arrival: Arrival): boolean {
  return (
    standing === null &&
    fromTag === message.fromTag &&
    parties[0] === arrival.source.address &&
    parties[1] === arrival.destination.address
  );
}

/** A CSeq that went back is an INVITE on its way for long, unless the call is over: then it is another call. */
function isOld(call: Call, message: SipMessage): boolean {
  return isRetransmission(call, message, 0) || (call.state !== 'ended' && message.cseq < call.inviteCseq);
}

/** The response that ended the attempt before may have gone another way. */
function mayTryAgain(call: Call, { cseq }: SipMessage): boolean {
  if (call.state === 'ended') return true;
  return (call.state === 'calling' || call.state === 'ringing') && cseq > call.inviteCseq;
}
