import { isSdpError } from '../sdp/session.ts';
import type { SipMessage } from '../sip/message.ts';
import { type Call, type Dialog, NO_TAGS, otherSide, type Transaction } from './call.ts';
import type { Context } from './context.ts';
import { agree, describeAnswer, describeOffer, placeOffer, unread } from './offer-answer.ts';
import { changed, type Incoming, leaving, type Outcome, unchanged } from './outcome.ts';
import { addTransaction, isRetransmission } from './transactions.ts';
import type { Side } from './wanted.ts';

/** Where an in-dialog request belongs: which party of which dialog sent it. */
export interface DialogSide {
  readonly call: Call;
  readonly side: Side;
  readonly dialog: Dialog;
}

const MAX_TRICKLED = 32;
const MOST_STRAYS = 4;

/** The first INVITE of a call, or another attempt after 401, 407 or 3xx. */
export function startAttempt(context: Context, call: Call, incoming: Incoming): Outcome {
  const { message, arrival } = incoming;
  const { offer } = context.timers();
  call.state = 'calling';
  call.inviteCseq = message.cseq;
  call.dialogs = [];
  call.pastTags = NO_TAGS;
  call.idle = false;
  call.cancelled = false;
  call.earlyOver = !context.admission.isEarlyOpen(arrival.destination.address);
  call.mediaAt = arrival.now;
  call.signallingDeadline = arrival.now + offer;
  call.inviteExpires =
    message.expires === null ? Number.POSITIVE_INFINITY : arrival.now + message.expires * 1000 + offer;
  const { description, refusals } = describeOffer(context, null, incoming);
  call.invite = addTransaction(context, call, message, arrival, 0, description);
  return changed(call, leaving('new-attempt'), refusals);
}

/** re-INVITE, UPDATE, PRACK: an offer, or (in PRACK) the answer to the offer of a reliable 1xx (RFC 3262 5). */
export function onOffer(context: Context, { call, side, dialog }: DialogSide, incoming: Incoming): Outcome {
  const { message, arrival } = incoming;
  if (isRetransmission(call, message, side)) return unchanged(call);
  stays(call, dialog, side);
  const theirs = dialog.offers[otherSide(side)];
  if (message.method === 'PRACK' && theirs?.transaction.method === 'INVITE') {
    addTransaction(context, call, message, arrival, side, null);
    const answer = describeAnswer(context, call, incoming);
    return agree(context, call, dialog, theirs.description, otherSide(side), answer, true, arrival.now);
  }
  const described = describeOffer(context, call, incoming);
  const transaction = addTransaction(context, call, message, arrival, side, null);
  const outcome = placeOffer(call, dialog, side, transaction, described, arrival.now);
  const placed = dialog.offers[side];
  if (placed?.transaction === transaction) transaction.offer = placed.description;
  return outcome;
}

/** ACK of a 2xx: the answer, when the 2xx made the offer. */
export function onAck(context: Context, { call, side, dialog }: DialogSide, incoming: Incoming): Outcome {
  const { message, arrival } = incoming;
  if (dialog.confirmed && side === 0) {
    dialog.ackBy = Number.POSITIVE_INFINITY;
    dialog.acknowledged = true;
    call.acknowledges = true;
  }
  const offer = dialog.offers[otherSide(side)];
  if (offer === null || !isOf(offer.transaction, message, side)) return unchanged(call);
  // Without an answer that can be read, the caller has accepted the offer all the same.
  const { description, refusals } = describeAnswer(context, call, incoming);
  const answer = description ?? unread(arrival.source.address, offer.description.session);
  const described = { description: answer, refusals };
  return agree(context, call, dialog, offer.description, otherSide(side), described, true, arrival.now);
}

/** Whether the ACK of this side is for that INVITE: the other side counts its own CSeq, which may be the same (RFC 3261 12.2.1.1). */
function isOf(transaction: Transaction, { cseq }: SipMessage, side: Side): boolean {
  return transaction.method === 'INVITE' && transaction.side === side && transaction.cseq === cseq;
}

/**
 * BYE only marks: its final response, or the lack of one, ends the dialog. Another one of the same party after a
 * challenge has its own time to be answered.
 */
export function onBye(
  context: Context,
  { call, side, dialog }: DialogSide,
  { message, arrival }: Incoming,
): Outcome {
  if (isRetransmission(call, message, side)) return unchanged(call);
  addTransaction(context, call, message, arrival, side, null);
  const endsAt = arrival.now + context.timers().afterBye;
  const { bye } = dialog;
  const again = bye?.challenged === true && bye.side === side;
  dialog.endsAt = again && dialog.confirmed ? endsAt : Math.min(dialog.endsAt, endsAt);
  // That the party inside has hung up is not for the other one to say anew.
  const isOwn = bye === null || bye.side === side || context.admission.isInside(arrival.source.address);
  if (isOwn) dialog.bye = { side, challenged: false };
  if (call.dialogs.length === 1) call.state = 'terminating';
  return unchanged(call);
}

/**
 * A request with the tags of a dialog from an address that is not the party's: another node of a trunk, a phone that
 * has moved, one that sends past the proxy, or a stranger. It waits for what the party inside says to it.
 */
export function onStray(context: Context, { call, side }: DialogSide, incoming: Incoming): Outcome {
  const { message, arrival } = incoming;
  if (isRetransmission(call, message, side)) return unchanged(call);
  const strays = call.transactions.filter(({ waiting }) => waiting !== null);
  if (strays.length >= MOST_STRAYS) call.transactions.splice(call.transactions.indexOf(strays[0]!), 1);
  const described = describeOffer(context, call, incoming);
  addTransaction(context, call, message, arrival, side, null).waiting = described;
  return unchanged(call);
}

/** INFO with a trickle-ICE fragment (RFC 8840). */
export function onTrickle(context: Context, { call, side, dialog }: DialogSide, incoming: Incoming): Outcome {
  const { message, arrival, bodies } = incoming;
  if (isRetransmission(call, message, side)) return unchanged(call);
  stays(call, dialog, side);
  addTransaction(context, call, message, arrival, side, null);
  const fragment = bodies.fragment();
  if (isSdpError(fragment)) return unchanged(call, [{ reason: 'malformed-sdp', detail: fragment.detail }]);
  const { trickled } = dialog;
  const more = fragment.flatMap(({ mid, candidates }) => candidates.map((candidate) => ({ mid, candidate })));
  const known = trickled[side];
  const list = [...known, ...more].slice(0, Math.max(MAX_TRICKLED, known.length));
  if (list.length === known.length) return unchanged(call);
  dialog.trickled = side === 0 ? [list, trickled[1]] : [trickled[0], list];
  return changed(call, leaving('unused-candidate'));
}

/** OPTIONS, INFO, NOTIFY, MESSAGE...: nothing but a sign that the dialog lives, once a party inside takes part in it. */
export function onOther(
  context: Context,
  { call, side, dialog }: DialogSide,
  { message, arrival }: Incoming,
): Outcome {
  if (isRetransmission(call, message, side)) return unchanged(call);
  if (message.method === 'INFO') stays(call, dialog, side);
  addTransaction(context, call, message, arrival, side, null);
  return unchanged(call);
}

/**
 * Who was asked to hang up with credentials and goes on with the session has not hung up. A subscription outlives it
 * (RFC 5057 5.3): NOTIFY and the like say nothing of it.
 */
function stays(call: Call, dialog: Dialog, side: Side): void {
  if (dialog.bye?.challenged !== true || dialog.bye.side !== side) return;
  dialog.bye = null;
  dialog.endsAt = Number.POSITIVE_INFINITY;
  if (call.state === 'terminating') call.state = 'confirmed';
}

/** CANCEL only marks (RFC 3261 9.1): the INVITE's own final response decides. Whether it was for this call. */
export function onCancel({ timers }: Context, call: Call, { message, arrival }: Incoming): boolean {
  const { invite } = call;
  const cancels =
    invite !== null &&
    invite.branch === message.branch &&
    invite.cseq === message.cseq &&
    invite.source === arrival.source.address &&
    invite.destination === arrival.destination.address;
  if (cancels && (call.state === 'calling' || call.state === 'ringing')) {
    call.cancelled = true;
    call.signallingDeadline = Math.min(call.signallingDeadline, arrival.now + timers().afterCancel);
  }
  return cancels;
}
