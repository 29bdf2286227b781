import type { SipMessage } from '../sip/message.ts';
import { type Call, callCount, callHash, type EndReason, otherSide } from './call.ts';
import type { Admission, CallTimers, Context } from './context.ts';
import { deadlineOf, endCall, expireCall } from './expiry.ts';
import { type Arrival, type Bodies, type Incoming, type Outcome, unchanged } from './outcome.ts';
import { type Match, onAck, onBye, onCancel, onOffer, onTrickle, startAttempt } from './requests.ts';
import { onResponse } from './responses.ts';
import { answeredTransaction } from './transactions.ts';

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
  readonly size: number;
}

const NONE: readonly Outcome[] = [];
const NO_CALLS: readonly Call[] = [];

/**
 * Follows INVITE dialogs (RFC 3261) and their offers and answers (RFC 3264, 6337) as a host on the path sees
 * them. Knows no ports, no policy and no clock: time comes with every call.
 */
export function createTracker(timers: () => CallTimers, admission: Admission): Tracker {
  const context: Context = { timers, admission };
  const byCallId = new Map<string, Call[]>();
  let size = 0;
  let nextCount = 1;

  function handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const incoming = { message, arrival, bodies };
    if (message.status !== 0) return takeResponse(incoming);
    switch (message.method) {
      case 'INVITE':
        return message.toTag === '' ? [takeInvite(incoming)] : inDialog(incoming, onOffer);
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

  function takeInvite(incoming: Incoming): Outcome {
    const { message, arrival } = incoming;
    const { source, destination, now } = arrival;
    const known = byCallId
      .get(message.callId)
      ?.find(
        (call) =>
          call.fromTag === message.fromTag &&
          call.parties[0] === source.address &&
          call.parties[1] === destination.address,
      );
    if (known !== undefined) return takeRepeatedInvite(known, incoming);
    const refused = admission.call(source.address, destination.address, now);
    if (refused !== null) return unchanged(null, [refused]);
    const call = newCall(message, arrival);
    remember(call);
    return startAttempt(context, call, incoming);
  }

  /** Same Call-ID, tag and addresses again: a retransmission, or a new attempt after 401, 407 or 3xx. */
  function takeRepeatedInvite(call: Call, incoming: Incoming): Outcome {
    const { message, arrival } = incoming;
    const { source, destination, now } = arrival;
    const repeated = call.transactions.some(
      (one) => one.method === 'INVITE' && one.branch === message.branch,
    );
    if (repeated || message.cseq <= call.inviteCseq || call.state === 'confirmed') return unchanged(call);
    if (call.state === 'ended') {
      const refused = admission.call(source.address, destination.address, now);
      if (refused !== null) return unchanged(call, [refused]);
      call.endedAt = null;
      call.endReason = null;
      call.endStatus = 0;
    }
    return startAttempt(context, call, incoming);
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
      if (transaction !== undefined) outcomes.push(onResponse(context, call, transaction, incoming));
    }
    if (outcomes.length > 0 || message.sdp.kind === 'none') return outcomes;
    const detail = `${message.status} to ${method} from ${arrival.source.address} with a session description`;
    return [unchanged(legs[0] ?? null, [{ reason: 'response-without-request', detail }])];
  }

  function newCall(message: SipMessage, { source, destination, now }: Arrival): Call {
    const { maxCall } = timers();
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
      transactions: [],
      cancelled: false,
      inviteExpires: Number.POSITIVE_INFINITY,
      signallingDeadline: Number.POSITIVE_INFINITY,
      sessionDeadline: Number.POSITIVE_INFINITY,
      hardDeadline: maxCall > 0 ? now + maxCall : Number.POSITIVE_INFINITY,
      mediaAt: now,
      held: false,
      armedAt: Number.POSITIVE_INFINITY,
      idle: false,
    };
  }

  function expire(call: Call, now: number): Outcome {
    if (call.state !== 'ended') return expireCall(context, call, now);
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
    return true;
  }

  function remember(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
    size++;
  }

  function forget(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined || !legs.includes(call)) return;
    size--;
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
    end: (call, reason, now) => endCall(context, call, reason, now),
    adopt,
    calls,
    get size() {
      return size;
    },
  };
}
