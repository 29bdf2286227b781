import type { Address } from '../address/address.ts';
import type { SipMessage } from '../sip/message.ts';
import { type Call, callCount, callHash, type EndReason, otherSide } from './call.ts';
import type { Admission, CallTimers, Context } from './context.ts';
import { deadlineOf, endCall, expireCall } from './expiry.ts';
import { type Arrival, type Bodies, type Incoming, type Outcome, unchanged } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import { type Match, onAck, onBye, onCancel, onOffer, onTrickle, startAttempt } from './requests.ts';
import { onResponse } from './responses.ts';
import { answeredTransaction, isRetransmission } from './transactions.ts';

export interface Tracker {
  /** What one message does to the legs it belongs to; usually one, none when it is of no INVITE dialog. */
  handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[];
  /** Does what is due in this call at `now`. */
  expire(call: Call, now: number): Outcome;
  /** When `expire` is next due; Infinity never. */
  deadline(call: Call): number;
  /** Media was seen in a pinhole of this call. */
  media(call: Call, now: number): void;
  end(call: Call, reason: EndReason, now: number): Outcome;
  /** Takes up a call from a journal; false when a leg of its name is there already. */
  adopt(call: Call): boolean;
  calls(): Iterable<Call>;
}

/** Legs of one Call-ID, which are looked through for each message that has it. Those that ended count. */
export const MAX_LEGS = 64;
const NONE: readonly Outcome[] = [];
const NO_CALLS: readonly Call[] = [];

/**
 * Follows INVITE dialogs (RFC 3261) and their offers and answers (RFC 3264, 6337) as a host on the path sees
 * them. Knows no ports, no policy and no clock: time comes with every call.
 */
export function createTracker(timers: () => CallTimers, admission: Admission): Tracker {
  const context: Context = { timers, admission };
  const byCallId = new Map<string, Call[]>();
  /** Calls from outside that got no response of any kind yet, by the host that was called, oldest first. */
  const unanswered = new Map<Address, Set<Call>>();
  let nextCount = 1;

  function handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const incoming = { message, arrival, bodies };
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
        return message.sdp.kind === 'sdpfrag' ? inDialog(incoming, onTrickle) : NONE;
      default:
        return NONE;
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
    const same = legs.find((call) => isRetransmission(call, message, 0) || message.cseq < call.inviteCseq);
    if (same !== undefined) return [unchanged(same)];
    const failed = legs.find((call) => mayTryAgain(call, message));
    if (failed !== undefined && failed.state !== 'ended') {
      startAnew(failed, arrival);
      return [startAttempt(context, failed, incoming)];
    }
    if (failed === undefined && all.length >= MAX_LEGS) {
      const detail = `${all.length} legs have the Call-ID of an INVITE from ${arrival.source.address}`;
      return [unchanged(null, [{ reason: 'legs-limit', detail }])];
    }
    const { refused, madeRoom } = admit(arrival);
    if (refused !== null) return [unchanged(failed ?? null, [refused]), ...madeRoom];
    const call = failed ?? newCall(message, arrival);
    if (failed === undefined) remember(call);
    else startAnew(failed, arrival);
    const outcome = startAttempt(context, call, incoming);
    wait(call);
    return [outcome, ...madeRoom];
  }

  /** The response that ended the attempt before may have gone another way. */
  function mayTryAgain(call: Call, { cseq }: SipMessage): boolean {
    if (call.state === 'ended') return true;
    return (call.state === 'calling' || call.state === 'ringing') && cseq > call.inviteCseq;
  }

  function startAnew(call: Call, { now }: Arrival): void {
    call.endedAt = null;
    call.endReason = null;
    call.endStatus = 0;
    call.answeredAt = null;
    call.acknowledges = false;
    call.sessionDeadline = Number.POSITIVE_INFINITY;
    call.hardDeadline = hardDeadline(now);
  }

  function hardDeadline(now: number): number {
    const { maxCall } = timers();
    return maxCall > 0 ? now + maxCall : Number.POSITIVE_INFINITY;
  }

  /**
   * Counts a new call. Where there are too many, one from outside that nobody has answered in any way makes room:
   * it holds no pinhole, and a handful of INVITEs a second must not be enough to leave a host without any.
   */
  function admit({ source, destination, now }: Arrival): { refused: Refusal | null; madeRoom: Outcome[] } {
    const madeRoom: Outcome[] = [];
    let refused = admission.call(source.address, destination.address, now);
    if (refused === null) return { refused, madeRoom };
    const hosts =
      refused.reason === 'calls-limit' ? unanswered.keys() : [source.address, destination.address];
    for (const host of hosts) {
      const [oldest] = unanswered.get(host) ?? [];
      if (oldest === undefined) continue;
      madeRoom.push({ ...endCall(context, oldest, 'no-response', now), bystander: true });
      settle(oldest);
      refused = admission.call(source.address, destination.address, now);
      if (refused === null) break;
    }
    return { refused, madeRoom };
  }

  /** A call from outside waits for a first sign of the host that was called. */
  function wait(call: Call): void {
    const [source, destination] = call.parties;
    if (call.state !== 'calling' || admission.isInside(source)) return;
    const calls = unanswered.get(destination);
    if (calls === undefined) unanswered.set(destination, new Set([call]));
    else calls.add(call);
  }

  function settle(call: Call): void {
    if (call.state === 'calling') return;
    const calls = unanswered.get(call.parties[1]);
    if (calls?.delete(call) && calls.size === 0) unanswered.delete(call.parties[1]);
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
    const matches: (Match & { readonly starts: boolean; readonly ends: boolean })[] = [];
    let known = false;
    for (const call of legs) {
      for (const side of [0, 1] as const) {
        const localTag = side === 0 ? message.fromTag : message.toTag;
        const remoteTag = side === 0 ? message.toTag : message.fromTag;
        if (localTag !== call.fromTag) continue;
        const dialog = call.dialogs.find((one) => one.toTag === remoteTag);
        if (dialog === undefined) {
          // What follows the end of a dialog: the ACK of a failed INVITE, a retransmitted BYE.
          known ||= message.method === 'ACK' || call.state === 'ended';
          continue;
        }
        const starts = call.parties[side] === arrival.source.address;
        const ends = call.parties[otherSide(side)] === arrival.destination.address;
        if (starts || ends) matches.push({ call, side, dialog, starts, ends });
      }
    }
    const exact = matches.filter((match) => match.starts && match.ends);
    const chosen = exact.length > 0 ? exact : matches.some((match) => match.starts) ? matches : [];
    if (chosen.length > 0) return chosen.map((match) => handler(context, match, incoming));
    if (known) return NONE;
    const detail = `${message.method} from ${arrival.source.address} has not the tags or the sender of a known dialog`;
    return [unchanged(legs[0]!, [{ reason: 'wrong-dialog', detail }])];
  }

  function takeCancel(incoming: Incoming): readonly Outcome[] {
    const legs = byCallId.get(incoming.message.callId) ?? NO_CALLS;
    return legs.filter((call) => onCancel(context, call, incoming)).map((call) => unchanged(call));
  }

  function takeResponse(incoming: Incoming): readonly Outcome[] {
    const { message, arrival } = incoming;
    const method = message.cseqMethod;
    if (method !== 'INVITE' && method !== 'PRACK' && method !== 'UPDATE' && method !== 'BYE') return NONE;
    const legs = byCallId.get(message.callId) ?? NO_CALLS;
    const outcomes: Outcome[] = [];
    for (const call of legs) {
      const transaction = answeredTransaction(call, message, arrival);
      if (transaction === undefined) continue;
      outcomes.push(onResponse(context, call, transaction, incoming));
      settle(call);
    }
    if (outcomes.length > 0 || message.sdp.kind === 'none') return outcomes;
    const detail = `${message.status} to ${method} from ${arrival.source.address} with a session description`;
    return [unchanged(legs[0] ?? null, [{ reason: 'response-without-request', detail }])];
  }

  function newCall(message: SipMessage, { source, destination, now }: Arrival): Call {
    return {
      hash: callHash(message.callId, nextCount++),
      callId: message.callId,
      fromTag: message.fromTag,
      parties: [source.address, destination.address],
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
      acknowledges: false,
      cancelled: false,
      inviteExpires: Number.POSITIVE_INFINITY,
      signallingDeadline: Number.POSITIVE_INFINITY,
      sessionDeadline: Number.POSITIVE_INFINITY,
      hardDeadline: hardDeadline(now),
      mediaAt: now,
      held: false,
      armedAt: Number.POSITIVE_INFINITY,
      idle: false,
    };
  }

  function expire(call: Call, now: number): Outcome {
    if (call.state !== 'ended') {
      const outcome = expireCall(context, call, now);
      settle(call);
      return outcome;
    }
    if (now >= deadlineOf(context, call)) forget(call);
    return unchanged(call);
  }

  function adopt(call: Call): boolean {
    const legs = byCallId.get(call.callId);
    if (legs?.some((leg) => leg.hash === call.hash)) return false;
    call.armedAt = Number.POSITIVE_INFINITY;
    remember(call);
    nextCount = Math.max(nextCount, callCount(call.hash) + 1);
    if (call.state !== 'ended') admission.adopt(call.parties[0], call.parties[1]);
    wait(call);
    return true;
  }

  function remember(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
  }

  function forget(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined || !legs.includes(call)) return;
    if (legs.length === 1) byCallId.delete(call.callId);
    else legs.splice(legs.indexOf(call), 1);
  }

  function* calls(): Iterable<Call> {
    for (const legs of byCallId.values()) yield* legs;
  }

  return {
    handle,
    expire,
    deadline: (call) => deadlineOf(context, call),
    media: (call, now) => {
      call.mediaAt = now;
    },
    end: (call, reason, now) => {
      const outcome = endCall(context, call, reason, now);
      settle(call);
      return outcome;
    },
    adopt,
    calls,
  };
}
