import type { SipMessage } from '../sip/message.ts';
import { type Announcements, announce, announceCandidates } from './announced.ts';
import { type Call, callCount, callHash, type EndReason, otherSide, type Transaction } from './call.ts';
import { learnContact } from './contact.ts';
import type { Admission, CallCaps, CallTimers, Context, Party } from './context.ts';
import { deadlineOf, dropDescriptions, endCall, expireCall } from './expiry.ts';
import { createFifo } from './fifo.ts';
import {
  type Arrival,
  type Bodies,
  changed,
  type Incoming,
  leaving,
  type Outcome,
  unchanged,
} from './outcome.ts';
import type { Refusal } from './refusal.ts';
import {
  type Match,
  onAck,
  onBye,
  onCancel,
  onOffer,
  onOther,
  onStray,
  onTrickle,
  startAttempt,
} from './requests.ts';
import { keepRinging, onResponse } from './responses.ts';
import { acknowledge, answeredByStray, holdStray, takeAccepted } from './strays.ts';
import { addAddress, answeredTransaction, isParty, isRetransmission } from './transactions.ts';
import { createWaiting } from './waiting.ts';
import type { Side } from './wanted.ts';

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
  /** Takes up a call from a journal at `now`; false when a leg of its name is there already. */
  adopt(call: Call, now: number): boolean;
  /** The call that has been over longest, forgotten now because there are too many; null while there is room. */
  surplus(): Call | null;
  /** Counts all calls anew: who is inside, or of which peer, has changed. */
  recount(): void;
  /** Whether some leg has this Call-ID. */
  knows(callId: string): boolean;
  calls(): Iterable<Call>;
}

/** Legs of one Call-ID, which are looked through for each message that has it. Those that ended count. */
const MAX_LEGS = 64;
/** Call-IDs without a leg whose announcements are kept; the oldest goes for a new one. */
const MAX_WITHOUT_LEG = 4096;
/** Methods whose responses may have a session description that counts. */
const DESCRIBING: ReadonlySet<string> = new Set(['INVITE', 'PRACK', 'UPDATE', 'BYE']);
const NONE: readonly Outcome[] = [];
/** Bytes of a session description that are kept for a call without a place. */
const MOST_KEPT = 1024;
const NO_CALLS: readonly Call[] = [];

/**
 * Follows INVITE dialogs (RFC 3261) and their offers and answers (RFC 3264, 6337) as a host on the path sees
 * them. Knows no ports, no policy and no clock: time comes with every call.
 */
export function createTracker(timers: () => CallTimers, caps: () => CallCaps, admission: Admission): Tracker {
  const waiting = createWaiting<Call>();
  /** Calls that have a place. */
  const counted = new Set<Call>();
  const context: Context = { timers, admission, leave };
  const byCallId = new Map<string, Call[]>();
  /** Calls that are over, the one that ended first at the front. */
  const ended = createFifo<Call>();
  /** What outside parties named at addresses that could be opened, by Call-IDs that have no leg (yet). */
  const withoutLeg = new Map<string, Announcements>();
  let nextCount = 1;

  function handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const incoming = { message, arrival, bodies };
    const outcomes = [...take(incoming), ...takeStrays(incoming)];
    takeDown(incoming);
    return outcomes;
  }

  /** What waited for its sender to become the party's is done now. */
  function takeStrays({ message: { callId }, arrival: { now } }: Incoming): readonly Outcome[] {
    const outcomes: Outcome[] = [];
    for (const call of byCallId.get(callId) ?? NO_CALLS) {
      if (call.strays.length === 0) continue;
      for (const held of takeAccepted(context, call, now)) {
        outcomes.push(...(held.message.status === 0 ? inDialog(held, onAck) : answer(call, held)));
      }
    }
    return outcomes;
  }

  /** What of this description others may name after it. Before the INVITE that comes here the Call-ID has no leg. */
  function takeDown({ message: { callId, sdp }, arrival, bodies }: Incoming): void {
    if (sdp.kind !== 'sdp' && sdp.kind !== 'sdpfrag') return;
    const outside = !admission.isInside(arrival.source.address);
    const leg = byCallId.get(callId)?.[0];
    if (leg === undefined && !outside) return;
    const list = leg?.announced ?? withoutLeg.get(callId) ?? [];
    if (sdp.kind === 'sdp') {
      const session = bodies.session();
      if (session !== null && 'streams' in session) announce(list, session, outside, admission.isOpenable);
    } else {
      const fragment = bodies.fragment();
      if ('error' in fragment) return;
      for (const { candidates } of fragment) {
        announceCandidates(list, candidates, outside, admission.isOpenable);
      }
    }
    if (leg !== undefined || list.length === 0 || withoutLeg.has(callId)) return;
    if (withoutLeg.size >= MAX_WITHOUT_LEG) withoutLeg.delete(withoutLeg.keys().next().value!);
    withoutLeg.set(callId, list);
  }

  function take(incoming: Incoming): readonly Outcome[] {
    const { message } = incoming;
    if (message.status !== 0) return takeResponse(incoming);
    switch (message.method) {
      case 'INVITE':
        return message.toTag === '' ? takeInvite(incoming) : inDialog(incoming, onOffer);
      case 'ACK':
        return inDialog(incoming, onAck);
      case 'PRACK':
      case 'UPDATE':
        return inDialog(incoming, onOffer);
      case 'BYE':
        return inDialog(incoming, onBye);
      case 'CANCEL':
        return takeCancel(incoming);
      case 'INFO':
        return inDialog(incoming, message.sdp.kind === 'sdpfrag' ? onTrickle : onOther);
      default:
        return inDialog(incoming, onOther);
    }
  }

  /**
   * An INVITE outside a dialog: a retransmission; another attempt of a leg that failed (after 401, 407 or 3xx, or a
   * proxy that tries one contact after the other); or a leg of its own. A proxy that forks sends the same Call-ID,
   * tag and CSeq several times, told apart by the branch alone, and perhaps to one and the same address.
   */
  function takeInvite(incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const all = byCallId.get(message.callId) ?? NO_CALLS;
    const legs = all.filter(
      ({ fromTag, parties }) =>
        fromTag === message.fromTag &&
        parties[0] === arrival.source.address &&
        parties[1] === arrival.destination.address,
    );
    const same = legs.find((call) => isOld(call, message));
    if (same !== undefined) return [unchanged(same)];
    const failed = legs.find((call) => mayTryAgain(call, message));
    if (failed !== undefined && failed.state !== 'ended') {
      startAnew(failed, arrival);
      learnContact(context, failed, 0, incoming);
      return [startAttempt(context, failed, incoming)];
    }
    if (failed === undefined && all.length >= MAX_LEGS) {
      const detail = `${all.length} legs have the Call-ID of an INVITE from ${arrival.source.address}`;
      return [unchanged(null, [{ reason: 'legs-limit', detail }])];
    }
    const call = failed ?? newCall(message, arrival);
    if (failed === undefined) remember(call);
    else startAnew(failed, arrival);
    // A device that has one Call-ID for all of its calls begins another.
    if (failed !== undefined && all.every(({ state }) => state === 'ended')) call.announced.length = 0;
    learnContact(context, call, 0, incoming);
    const { source, now } = arrival;
    const bytes = message.sdp.kind === 'sdp' ? message.sdp.bytes.length : 0;
    if (!admission.isInside(source.address)) {
      const party = admission.party(source.address);
      const madeRoom = makeRoom(party, bytes, now);
      waiting.add(call, party, bytes);
      return [startAttempt(context, call, incoming), ...madeRoom];
    }
    const refused = takePlace(call);
    const outcome = startAttempt(context, call, incoming);
    if (refused === null) return [outcome];
    return [setAside(call, refused, now, bytes, outcome.refusals)];
  }

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
    settle(call);
    return changed(call, leaving('over-limit'), [...before, refused]);
  }

  /**
   * The host that was called has a place for the call, or the one that calls is to have one after all. Null: it may
   * go on.
   */
  function enter(call: Call, transaction: Transaction, status: number, now: number): Outcome | null {
    const rang = call.endReason === 'ringing-timeout' && transaction === call.invite && status >= 200;
    const isLate = call.state === 'ended' && (call.endReason === 'over-limit' || rang);
    if (transaction.method !== 'INVITE' || status <= 100 || status >= 300) return null;
    if (!isLate && !waiting.has(call)) return null;
    const refused = takePlace(call);
    if (refused !== null) {
      return isLate ? unchanged(call, [refused]) : setAside(call, refused, now, waiting.bytes(call));
    }
    if (isLate) reopen(call, transaction, now);
    // So late it takes the caller's ACK as well.
    call.acknowledges ||= rang;
    return null;
  }

  function takePlace(call: Call): Refusal | null {
    const refused = admission.call(call.parties[0], call.parties[1]);
    if (refused !== null) return refused;
    waiting.delete(call);
    counted.add(call);
    return null;
  }

  function leave(call: Call): void {
    if (counted.delete(call)) admission.release(call.parties[0], call.parties[1]);
    waiting.delete(call);
  }

  /** The call that had been given up for want of a place goes on with this INVITE of its. */
  function reopen(call: Call, invite: Transaction, now: number): void {
    ended.delete(call);
    call.state = 'calling';
    call.endReason = null;
    call.endedAt = null;
    call.invite = invite;
    call.mediaAt = now;
    call.signallingDeadline = now + timers().offer;
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

  function startAnew(call: Call, { now }: Arrival): void {
    ended.delete(call);
    call.endedAt = null;
    call.endReason = null;
    call.endStatus = 0;
    call.answeredAt = null;
    call.acknowledges = false;
    call.heardAt = Number.NEGATIVE_INFINITY;
    call.untoldAt = Number.NEGATIVE_INFINITY;
    call.ownAt = now;
    call.sessionDeadline = Number.POSITIVE_INFINITY;
    call.hardDeadline = hardDeadline(now);
  }

  function hardDeadline(now: number): number {
    const { maxCall } = timers();
    return maxCall > 0 ? now + maxCall : Number.POSITIVE_INFINITY;
  }

  function settle(call: Call): void {
    if (call.state === 'ended') ended.add(call);
  }

  /**
   * Finds the dialogs an in-dialog request belongs to: Call-ID, both tags, and a sender that is the party whose
   * tag it uses. A leg with exactly these two addresses is the one; without it (the request bypasses a proxy
   * that the INVITE took) every leg of the dialog that starts at the sender or ends at the receiver is meant.
   */
  function inDialog(
    incoming: Incoming,
    handler: (context: Context, match: Match, incoming: Incoming) => Outcome,
  ): readonly Outcome[] {
    const { message, arrival } = incoming;
    const legs = byCallId.get(message.callId);
    if (legs === undefined) return NONE;
    for (const call of legs) acknowledge(context, call, message, arrival);
    const before = takeStrays(incoming);
    const matches: (Match & { readonly starts: boolean; readonly ends: boolean })[] = [];
    let known = false;
    for (const call of legs) {
      for (const side of [0, 1] as const) {
        const localTag = side === 0 ? message.fromTag : message.toTag;
        const remoteTag = side === 0 ? message.toTag : message.fromTag;
        if (localTag !== call.fromTag) continue;
        const dialog =
          call.state === 'ended' ? undefined : call.dialogs.find((one) => one.toTag === remoteTag);
        if (dialog === undefined) {
          // What follows the end of a dialog: the ACK of a failed INVITE, a retransmitted BYE.
          known ||= message.method === 'ACK' || call.state === 'ended';
          continue;
        }
        const starts = isParty(context, call, side, arrival.source.address);
        const ends = isParty(context, call, otherSide(side), arrival.destination.address);
        if (starts || ends) matches.push({ call, side, dialog, starts, ends });
      }
    }
    const exact = matches.filter((match) => match.starts && match.ends);
    const isOwn = admission.isInside(arrival.source.address);
    // A host inside for which another one had signalled: a proxy without Record-Route, the other node of a pair.
    const joins = isOwn && !admission.isInside(arrival.destination.address);
    const chosen = exact.length > 0 ? exact : joins || matches.some(({ starts }) => starts) ? matches : [];
    if (chosen.length > 0) {
      for (const { call, side, starts, ends } of chosen) {
        if (isOwn && starts && !ends) addAddress(call, otherSide(side), arrival.destination.address);
        if (joins && !starts) addAddress(call, side, arrival.source.address);
        if (starts) learnContact(context, call, side, incoming);
      }
      const own = chosen.map((match) => signOfLife(match.call, arrival, handler(context, match, incoming)));
      return before.length === 0 ? own : [...before, ...own];
    }
    if (matches.length > 0 && admission.isInside(arrival.destination.address)) {
      return matches.map((match) => {
        if (message.method !== 'ACK') return onStray(context, match, incoming);
        holdStray(match.call, incoming);
        return unchanged(match.call);
      });
    }
    if (known || handler === onOther) return before;
    const detail = `${message.method} from ${arrival.source.address} has not the tags or the sender of a known dialog`;
    return [unchanged(legs[0]!, [{ reason: 'wrong-dialog', detail }])];
  }

  /**
   * A party inside goes on with the call: it sends a request in a dialog of it, or a 2xx to one. That counts as media
   * does, and a call that has lost its pinholes because nothing was heard has them again.
   */
  function signOfLife(call: Call, { source, now }: Arrival, outcome: Outcome): Outcome {
    if (call.state === 'ended' || !admission.isInside(source.address)) return outcome;
    call.ownAt = now;
    call.mediaAt = now;
    if (!call.idle || call.state === 'terminating') return outcome;
    call.idle = false;
    return outcome.departure === null ? changed(call, leaving('answered'), outcome.refusals) : outcome;
  }

  function takeCancel(incoming: Incoming): readonly Outcome[] {
    const legs = byCallId.get(incoming.message.callId) ?? NO_CALLS;
    return legs.filter((call) => onCancel(context, call, incoming)).map((call) => unchanged(call));
  }

  function takeResponse(incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const method = message.cseqMethod;
    const legs = byCallId.get(message.callId) ?? NO_CALLS;
    const outcomes: Outcome[] = [];
    for (const call of legs) outcomes.push(...answer(call, incoming));
    if (outcomes.length > 0) return outcomes;
    for (const call of legs) outcomes.push(...strayAnswer(call, incoming));
    if (outcomes.length > 0 || message.sdp.kind === 'none' || !DESCRIBING.has(method)) return outcomes;
    const detail = `${message.status} to ${method} from ${arrival.source.address} with a session description`;
    return [unchanged(legs[0] ?? null, [{ reason: 'response-without-request', detail }])];
  }

  function answer(call: Call, incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const transaction = answeredTransaction(context, call, message, arrival);
    return transaction === undefined ? NONE : [answered(call, transaction, incoming)];
  }

  function answered(call: Call, transaction: Transaction, incoming: Incoming): Outcome {
    const { message, arrival } = incoming;
    learnContact(context, call, otherSide(transaction.side), incoming);
    const refused = enter(call, transaction, message.status, arrival.now);
    const outcome = refused ?? onResponse(context, call, transaction, incoming);
    settle(call);
    const accepts = message.status >= 200 && message.status < 300;
    return accepts ? signOfLife(call, arrival, outcome) : outcome;
  }

  /**
   * A response from another address than the request went to. A host inside that answers from another of its addresses
   * answers for itself; who hung up inside is done, whoever says so. Everything else waits for the one who asked.
   */
  function strayAnswer(call: Call, incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const transaction = answeredByStray(call, message, arrival.destination.address);
    if (transaction === undefined) return NONE;
    const { status } = message;
    if (!admission.isInside(arrival.destination.address)) {
      if (!admission.isInside(arrival.source.address)) return NONE;
      addAddress(call, otherSide(transaction.side), arrival.source.address);
      return [answered(call, transaction, incoming)];
    }
    if (transaction.method === 'BYE') {
      const isOver = status >= 200 && status !== 401 && status !== 407;
      return [isOver ? answered(call, transaction, incoming) : unchanged(call)];
    }
    if (status < 200 && transaction === call.invite) keepRinging(context, call, arrival.now);
    holdStray(call, incoming);
    return [unchanged(call)];
  }

  function newCall(message: SipMessage, { source, destination, now }: Arrival): Call {
    return {
      hash: callHash(message.callId, nextCount++),
      callId: message.callId,
      fromTag: message.fromTag,
      parties: [source.address, destination.address],
      also: [[], []],
      from: message.from,
      to: message.to,
      startedAt: now,
      state: 'calling',
      endReason: null,
      endStatus: 0,
      answeredAt: null,
      endedAt: null,
      invite: null,
      inviteCseq: message.cseq,
      dialogs: [],
      pastTags: [],
      transactions: [],
      strays: [],
      announced: announcedIn(message.callId),
      acknowledges: false,
      cancelled: false,
      earlyOver: false,
      inviteExpires: Number.POSITIVE_INFINITY,
      signallingDeadline: Number.POSITIVE_INFINITY,
      sessionDeadline: Number.POSITIVE_INFINITY,
      hardDeadline: hardDeadline(now),
      mediaAt: now,
      heardAt: Number.NEGATIVE_INFINITY,
      ownAt: now,
      untoldAt: Number.NEGATIVE_INFINITY,
      held: false,
      idle: false,
    };
  }

  function announcedIn(callId: string): Announcements {
    const list = byCallId.get(callId)?.[0]?.announced ?? withoutLeg.get(callId) ?? [];
    withoutLeg.delete(callId);
    return list;
  }

  function expire(call: Call, now: number): Outcome | null {
    if (call.state !== 'ended') {
      const outcome = expireCall(context, call, now);
      settle(call);
      return outcome;
    }
    if (now < deadlineOf(context, call)) return unchanged(call);
    forget(call);
    return null;
  }

  function adopt(call: Call, now: number): boolean {
    const legs = byCallId.get(call.callId);
    if (legs?.some((leg) => leg.hash === call.hash)) return false;
    call.hardDeadline = Math.min(call.hardDeadline, hardDeadline(now));
    call.announced = legs?.[0]?.announced ?? call.announced;
    remember(call);
    nextCount = Math.max(nextCount, callCount(call.hash) + 1);
    if (call.state === 'ended') ended.add(call);
    else if (call.state === 'calling' && !admission.isInside(call.parties[0])) {
      waiting.add(call, admission.party(call.parties[0]), 0);
    } else {
      counted.add(call);
      admission.adopt(call.parties[0], call.parties[1]);
    }
    return true;
  }

  function surplus(): Call | null {
    if (ended.size <= caps().ended) return null;
    const oldest = ended.first()!;
    forget(oldest);
    return oldest;
  }

  function recount(): void {
    admission.recount([...counted].map(({ parties }) => parties));
  }

  function remember(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
  }

  function forget(call: Call): void {
    ended.delete(call);
    const legs = byCallId.get(call.callId);
    if (legs === undefined || !legs.includes(call)) return;
    if (legs.length === 1) byCallId.delete(call.callId);
    else legs.splice(legs.indexOf(call), 1);
  }

  function sent(call: Call, from: Side, now: number): void {
    if (admission.isInside(call.parties[from])) call.ownAt = now;
  }

  function* calls(): Iterable<Call> {
    for (const legs of byCallId.values()) yield* legs;
  }

  return {
    handle,
    expire,
    deadline: (call) => deadlineOf(context, call),
    media: (call, from, now) => {
      call.mediaAt = now;
      call.heardAt = now;
      if (from === null) call.untoldAt = now;
      else sent(call, from, now);
    },
    sent,
    end: (call, reason, now) => {
      const outcome = endCall(context, call, reason, now);
      settle(call);
      return outcome;
    },
    adopt,
    surplus,
    recount,
    knows: (callId) => byCallId.has(callId),
    calls,
  };
}
