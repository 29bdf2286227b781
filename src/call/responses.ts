import { ownCopy } from '../own-copy.ts';
import { printable } from '../printable.ts';
import type { SipMessage } from '../sip/message.ts';
import {
  type Call,
  type Described,
  type Description,
  type Dialog,
  otherSide,
  type Transaction,
} from './call.ts';
import type { Context } from './context.ts';
import { endCall, isOver, isUnknownToCaller, refreshSession } from './expiry.ts';
import { agree, describeAnswer, dropOffer, placeOffer, unread } from './offer-answer.ts';
import { changed, type Incoming, leaving, type Outcome, unchanged } from './outcome.ts';
import { addAddress, dialogTag, dropDialogs, findOrAddDialog, strayRefusal } from './transactions.ts';
import type { Side } from './wanted.ts';

/** A response to a request that was seen from the other side. */
export function onResponse(
  context: Context,
  call: Call,
  transaction: Transaction,
  incoming: Incoming,
): Outcome {
  if (call.state === 'ended') return unchanged(call);
  const { message, arrival } = incoming;
  if (transaction.waiting !== null) {
    const { waiting } = transaction;
    if (message.status < 200) return unchanged(call);
    transaction.waiting = null;
    if (message.status >= 300 || !context.admission.isInside(arrival.source.address)) {
      transaction.final = message.status;
      return unchanged(call, [strayRefusal(transaction, `was answered ${message.status}`)]);
    }
    addAddress(call, transaction.side, transaction.source);
    const dialog = call.dialogs.find((one) => one.toTag === dialogTag(transaction, message));
    const offered = dialog?.offers[otherSide(transaction.side)] ?? null;
    if (dialog !== undefined && transaction.method === 'PRACK' && offered?.transaction.method === 'INVITE') {
      const { side } = transaction;
      agree(context, call, dialog, offered.description, otherSide(side), waiting, true, arrival.now);
      return changed(call, leaving('answered'));
    }
    if (dialog !== undefined && NEGOTIATES.has(transaction.method)) {
      placeOffer(call, dialog, transaction.side, transaction, waiting, arrival.now);
      const placed = dialog.offers[transaction.side];
      if (placed?.transaction === transaction) transaction.offer = placed.description;
    }
  }
  if (transaction.method === 'BYE') return onByeResponse(context, call, transaction, message, arrival.now);
  if (transaction === call.invite) return onInviteResponse(context, call, transaction, incoming);
  const dialog = call.dialogs.find((one) => one.toTag === dialogTag(transaction, message));
  if (dialog === undefined) return unchanged(call);
  if (message.status >= 200) {
    if (transaction.final !== 0) return unchanged(call);
    transaction.final = message.status;
  }
  if (transaction.method !== 'INVITE' && transaction.method !== 'UPDATE' && transaction.method !== 'PRACK') {
    return unchanged(call);
  }
  if (message.status >= 300) {
    dropOffer(dialog, transaction);
    return changed(call, leaving('offer-refused'));
  }
  if (message.status >= 200 && transaction.method !== 'PRACK') {
    refreshSession(context, call, message, arrival.now);
  }
  return takeDescription(context, call, dialog, transaction, incoming);
}

const NEGOTIATES: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'PRACK']);

function onInviteResponse(context: Context, call: Call, invite: Transaction, incoming: Incoming): Outcome {
  const { message, arrival } = incoming;
  if (message.status >= 300) return onInviteFailure(context, call, invite, message.status, arrival.now);
  if (message.status < 200) {
    keepRinging(context, call, arrival.now);
    // RFC 3261 12.1: 100 makes no dialog, even if it has a tag.
    if (message.status === 100 || (message.toTag === '' && message.sdp.kind === 'none'))
      return unchanged(call);
  }
  name(call, message.toTag);
  const forks = call.dialogs.length;
  const known = call.dialogs.some((one) => one.toTag === message.toTag);
  const awaited = (call.answeredAt ?? Number.POSITIVE_INFINITY) + context.timers().forks;
  if (!known && arrival.now > awaited) return tooLate(call, message);
  const dialog = findOrAddDialog(call, message.toTag);
  if (dialog === null) return unchanged(call);
  const isNew = call.dialogs.length > forks;
  // A fork that is heard of only after another one has answered has lost as well.
  if (isNew && message.status < 200 && call.answeredAt !== null) dialog.endsAt = awaited;
  let departure = forks > 0 && isNew ? leaving('answered') : null;
  if (message.status >= 200) {
    const repeated = dialog.confirmed;
    confirm(context, call, dialog, message, arrival.now);
    if (repeated) return unchanged(call);
    departure = leaving('losing-fork');
  }
  if (dialog.settled) return { ...unchanged(call), departure };
  const isBare = message.status >= 200 && message.sdp.kind === 'none';
  if (isBare) takeOver(call, dialog, invite);
  const taken =
    isBare && dialog.agreed === null && invite.offer !== null
      ? agreeUnread(context, call, dialog, invite.offer, invite.side, incoming)
      : takeDescription(context, call, dialog, invite, incoming);
  return taken.departure === null ? { ...taken, departure } : taken;
}

/** The tag belongs to the callee that had not told one. */
function name({ dialogs }: Call, tag: string): void {
  const unnamed = dialogs.find(({ toTag }) => toTag === '');
  if (unnamed !== undefined && !dialogs.some(({ toTag }) => toTag === tag)) unnamed.toTag = ownCopy(tag);
}

/**
 * A 2xx that answers an offer without a description goes on with the one that came before it, even where that had
 * another tag: there is no other, and the parties talk.
 */
function takeOver(call: Call, dialog: Dialog, invite: Transaction): void {
  if (dialog.agreed !== null || !invite.offered) return;
  const before = call.dialogs.filter((one) => one !== dialog && one.agreed !== null && !one.confirmed).at(-1);
  if (before === undefined) return;
  dialog.agreed = before.agreed;
  dialog.settled = true;
}

/** RFC 3261 13.2.2.4: 64*T1 after the first 2xx no others are awaited. Those of dialogs that are over are nothing new. */
function tooLate(call: Call, { status, toTag }: SipMessage): Outcome {
  if (call.pastTags.includes(toTag)) return unchanged(call);
  const detail = `${status} with the new To tag ${printable(toTag, 64)}, long after another party had answered`;
  return unchanged(call, [{ reason: 'late-fork', detail }]);
}

/** A failure ends all early dialogs (RFC 3261 13.2.2.3); those that a 2xx confirmed go on. */
function onInviteFailure(
  context: Context,
  call: Call,
  invite: Transaction,
  status: number,
  now: number,
): Outcome {
  if (invite.final !== 0) return unchanged(call);
  invite.final = status;
  call.invite = null;
  call.dialogs = call.dialogs.filter((dialog) => dialog.confirmed);
  if (call.dialogs.length > 0) return changed(call, leaving('losing-fork'));
  call.endStatus = status;
  return endCall(context, call, status === 487 ? 'cancelled' : 'failed', now);
}

/** A provisional response: nobody has given up. */
export function keepRinging({ timers }: Context, call: Call, now: number): void {
  if (call.state !== 'calling' && call.state !== 'ringing') return;
  call.state = 'ringing';
  // RFC 3261 9.1: after a CANCEL the end is 64*T1 away at most, whatever still rings.
  if (!call.cancelled) call.signallingDeadline = Math.min(now + timers().ringing, call.inviteExpires);
}

function confirm(context: Context, call: Call, dialog: Dialog, message: SipMessage, now: number): void {
  const { ack, forks } = context.timers();
  if (call.invite !== null) call.invite.final ||= message.status;
  if (!dialog.confirmed) {
    dialog.confirmed = true;
    dialog.endsAt = Number.POSITIVE_INFINITY;
    dialog.ackBy = now + ack;
    for (const fork of call.dialogs) {
      if (!fork.confirmed) fork.endsAt = Math.min(fork.endsAt, now + forks);
    }
  }
  if (call.state !== 'terminating') call.state = 'confirmed';
  call.answeredAt ??= now;
  // Who had given up has to acknowledge what was answered all the same.
  call.acknowledges ||= call.cancelled;
  call.signallingDeadline = Number.POSITIVE_INFINITY;
  refreshSession(context, call, message, now);
}

/** What an offer that could not be used changes nothing of, or, at first, what its answer says of it. */
function unreadOffer(
  { agreed }: Dialog,
  { side, source }: Transaction,
  { description }: Described,
): Description | null {
  return agreed?.sides[side] ?? (description === null ? null : unread(source, description.session));
}

/** The description in a 1xx or 2xx: the answer to the request's offer, or the offer when it had none. */
function takeDescription(
  context: Context,
  call: Call,
  dialog: Dialog,
  transaction: Transaction,
  incoming: Incoming,
): Outcome {
  const { message, arrival } = incoming;
  if (message.sdp.kind === 'none') return unchanged(call);
  const described = describeAnswer(context, call, incoming);
  const { offered, side, method } = transaction;
  const offer = transaction.offer ?? (offered ? unreadOffer(dialog, transaction, described) : null);
  if (offer !== null) {
    if (described.description === null && message.status >= 200) {
      const read = agreeUnread(context, call, dialog, offer, side, incoming);
      return { ...read, refusals: [...described.refusals, ...read.refusals] };
    }
    if (transaction !== call.invite && message.status < 200) transaction.replaced ??= dialog.agreed;
    const settles = message.status >= 200 || message.rseq !== null;
    return agree(context, call, dialog, offer, side, described, settles, arrival.now);
  }
  if (method === 'INVITE') {
    return placeOffer(call, dialog, otherSide(side), transaction, described, arrival.now);
  }
  const detail = `${message.status} to ${method} has a session description, the request had none`;
  return unchanged(call, [...described.refusals, { reason: 'unexpected-answer', detail }]);
}

/** What was accepted in words that cannot be read: where the offerer listens is known, and who signals to it. */
function agreeUnread(
  context: Context,
  call: Call,
  dialog: Dialog,
  offer: Description,
  offerSide: Side,
  { arrival }: Incoming,
): Outcome {
  const description = unread(arrival.source.address, offer.session);
  return agree(context, call, dialog, offer, offerSide, { description, refusals: [] }, true, arrival.now);
}

/**
 * Any final response ends the dialog (RFC 3261 15.1.1). A challenge asks for the BYE once more. The time that is left
 * runs on where a party inside has hung up: nobody else may keep its port open, and only it can say that it stays.
 */
function onByeResponse(
  context: Context,
  call: Call,
  transaction: Transaction,
  message: SipMessage,
  now: number,
): Outcome {
  if (message.status < 200 || transaction.final !== 0) return unchanged(call);
  transaction.final = message.status;
  const tag = dialogTag(transaction, message);
  if (message.status === 401 || message.status === 407) {
    const answered = call.answeredAt !== null;
    const dialog = call.dialogs.find(({ toTag }) => toTag === tag);
    // Where the other party has hung up as well, this asks that one for nothing.
    if (dialog === undefined || dialog.bye?.side !== transaction.side) return unchanged(call);
    if (dialog.confirmed && context.admission.isInside(transaction.source)) {
      dialog.bye.challenged = true;
      return unchanged(call);
    }
    if (dialog.confirmed || !answered) dialog.endsAt = Number.POSITIVE_INFINITY;
    dialog.bye = null;
    if (call.state === 'terminating') call.state = answered ? 'confirmed' : 'ringing';
    return unchanged(call);
  }
  const hungUp = transaction.side === 0;
  dropDialogs(call, (dialog) => dialog.toTag === tag || (hungUp && isUnknownToCaller(call, dialog)));
  if (isOver(call)) return endCall(context, call, 'bye', now);
  return changed(call, leaving('bye', context.timers().drain));
}
