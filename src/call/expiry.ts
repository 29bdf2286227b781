import type { SipMessage } from '../sip/message.ts';
import type { Call, Dialog, EndReason, Offer } from './call.ts';
import type { CallTimers, Context } from './context.ts';
import { dropOffer } from './offer-answer.ts';
import { changed, leaving, type Outcome, unchanged } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import { dropDialogs } from './transactions.ts';
import type { CloseReason } from './wanted.ts';

const NEVER = Number.POSITIVE_INFINITY;

/** Why pinholes close when their call ends for this reason. */
const CLOSE_REASONS: Readonly<Record<EndReason, CloseReason>> = {
  bye: 'bye',
  'bye-timeout': 'bye-timeout',
  cancelled: 'cancelled',
  'cancel-timeout': 'cancelled',
  failed: 'call-failed',
  'no-response': 'no-response',
  'ringing-timeout': 'ringing-timeout',
  'session-expired': 'session-expired',
  'max-duration': 'max-duration',
  'over-limit': 'over-limit',
  administrator: 'administrator',
};

/** When something is due in this call, in ms; Infinity never. For an ended call, when it may be forgotten. */
export function deadlineOf({ timers }: Context, call: Call): number {
  const settings = timers();
  if (call.state === 'ended') return call.endedAt! + settings.retransmissionMemory;
  let at = Math.min(
    call.signallingDeadline,
    call.sessionDeadline,
    call.hardDeadline,
    idleDeadline(settings, call),
  );
  for (const dialog of call.dialogs) {
    at = Math.min(at, dialog.endsAt, dialog.ackBy);
    for (const offer of dialog.offers) if (offer !== null) at = Math.min(at, offerDeadline(settings, offer));
  }
  return at;
}

/** Does what is due in a call that has not ended. */
export function expireCall(context: Context, call: Call, now: number): Outcome {
  if (now >= call.hardDeadline) return endCall(context, call, 'max-duration', now);
  if (now >= call.sessionDeadline) return endCall(context, call, 'session-expired', now);
  if (now >= call.signallingDeadline) {
    const waiting = call.state === 'calling' ? 'no-response' : 'ringing-timeout';
    return endCall(context, call, call.cancelled ? 'cancel-timeout' : waiting, now);
  }
  if (call.dialogs.some((dialog) => now >= dialog.endsAt)) {
    const hungUp = call.dialogs.some((dialog) => now >= dialog.endsAt && dialog.bye?.side === 0);
    const over = dropDialogs(
      call,
      (dialog) => now >= dialog.endsAt || (hungUp && isUnknownToCaller(call, dialog)),
    );
    if (isOver(call)) return endCall(context, call, 'bye-timeout', now);
    return changed(call, leaving(over.some((dialog) => dialog.confirmed) ? 'bye-timeout' : 'losing-fork'));
  }
  const settings = context.timers();
  if (now >= idleDeadline(settings, call)) {
    const reason = call.held ? 'hold-idle' : 'media-idle';
    call.idle = true;
    return changed(call, leaving(reason));
  }
  return expireDialogs(context, call, now);
}

/**
 * Offers that were never answered, and a 2xx that was never acknowledged. Where the caller has acknowledged another,
 * it does not take part in this one.
 */
function expireDialogs(context: Context, call: Call, now: number): Outcome {
  const settings = context.timers();
  if (call.acknowledges && call.dialogs.some((dialog) => now >= dialog.ackBy)) {
    dropDialogs(call, (dialog) => now >= dialog.ackBy);
    return isOver(call)
      ? endCall(context, call, 'bye', now)
      : changed(call, leaving('losing-fork'), [missingAck(settings)]);
  }
  let dropped = false;
  let unacknowledged: Dialog | null = null;
  for (const dialog of call.dialogs) {
    for (const offer of dialog.offers) {
      if (offer === null || now < offerDeadline(settings, offer)) continue;
      dropOffer(dialog, offer.transaction);
      dropped = true;
    }
    if (now >= dialog.ackBy) {
      dialog.ackBy = NEVER;
      unacknowledged = dialog;
    }
  }
  const refusals = unacknowledged === null ? [] : [missingAck(settings)];
  return dropped ? changed(call, leaving('offer-refused'), refusals) : unchanged(call, refusals);
}

function missingAck({ ack }: CallTimers): Refusal {
  return { reason: 'missing-ack', detail: `no ACK within ${ack / 1000} s of the 2xx` };
}

/** When an offer without an answer is dropped, in ms. */
export function offerDeadline({ offer, ringing }: CallTimers, { transaction }: Offer): number {
  return transaction.startedAt + (transaction.method === 'INVITE' ? ringing : offer);
}

/** When the media of a call has been silent for too long, in ms; Infinity when nobody waits for it. */
export function idleDeadline({ mediaIdle, holdIdle }: CallTimers, call: Call): number {
  if (call.idle || !call.dialogs.some((dialog) => dialog.agreed !== null)) return NEVER;
  return call.mediaAt + (call.held ? holdIdle : mediaIdle);
}

/** Ends a call. Media under way may drain after an end that both parties know of. */
export function endCall(context: Context, call: Call, reason: EndReason, now: number): Outcome {
  if (call.state === 'ended') return unchanged(call);
  call.state = 'ended';
  call.endReason = reason;
  call.endedAt = now;
  call.invite = null;
  call.dialogs = [];
  // A flood of calls that fail at once must not keep their descriptions for as long as retransmissions may come. One
  // that only found no place may find one when it is answered.
  if (reason !== 'over-limit') dropDescriptions(call);
  context.leave(call);
  const known = reason === 'bye' || reason === 'failed' || reason === 'cancelled';
  return changed(call, leaving(CLOSE_REASONS[reason], known ? context.timers().drain : 0));
}

/** Nothing that this call's messages described is kept. */
export function dropDescriptions({ transactions }: Call): void {
  for (const transaction of transactions) {
    transaction.offer = null;
    transaction.replaced = null;
  }
}

/**
 * A fork that an answered call's caller never acknowledged, though its ACKs come past here: when that caller hangs up
 * it is over, and whoever answered for it has no part in what the caller does next.
 */
export function isUnknownToCaller(call: Call, dialog: Dialog): boolean {
  return call.answeredAt !== null && call.acknowledges && !dialog.acknowledged;
}

/** Nobody talks any more: forks that lost do not count, forks that still ring do. */
export function isOver({ dialogs, invite }: Call): boolean {
  const answered = invite === null || invite.final !== 0;
  return answered ? !dialogs.some((dialog) => dialog.confirmed) : dialogs.length === 0;
}

/** RFC 4028: each 2xx to INVITE or UPDATE says anew how long the session lives without another. */
export function refreshSession({ timers }: Context, call: Call, message: SipMessage, now: number): void {
  const { sessionFloor, sessionGrace, maxCall } = timers();
  if (message.sessionExpires === null) {
    call.sessionDeadline = NEVER;
    return;
  }
  const asked = Math.max(message.sessionExpires * 1000, sessionFloor);
  call.sessionDeadline = now + Math.min(asked, maxCall > 0 ? maxCall : asked) + sessionGrace;
}
