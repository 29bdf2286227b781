import type { SipMessage } from '../sip/message.ts';
import { type Call, type Dialog, type EndReason, NO_STRAYS, type Offer, type Transaction } from './call.ts';
import type { CallTimers, Context } from './context.ts';
import { dropOffer } from './offer-answer.ts';
import { changed, leaving, NO_REFUSALS, type Outcome, unchanged } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import { standsUntil } from './standing.ts';
import { heldRefusal } from './strays.ts';
import { dropDialogs, strayRefusal } from './transactions.ts';
import type { CloseReason } from './wanted.ts';

/** A call that nobody answered in time is known for as many times `ringing` more: answered, it has its media. */
const LATE_ANSWER = 10;
const NEVER = Number.POSITIVE_INFINITY;

/** Why pinholes close when their call ends for this reason. */
export const CLOSE_REASONS: Readonly<Record<EndReason, CloseReason>> = {
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
  'connection-closed': 'connection-closed',
  'static-idle': 'static-idle',
  'registration-expired': 'registration-expired',
  unlisted: 'unlisted',
  administrator: 'administrator',
};

/** What happens in a call when nothing else does. */
interface Timer {
  readonly name: (call: Call, settings: CallTimers) => NextTimer['name'];
  /** In ms; Infinity when it does not run. */
  readonly at: (settings: CallTimers, call: Call) => number;
  readonly onExpiry: (context: Context, call: Call, now: number) => Outcome;
}

/** Every timer of a call that has not ended. Of several that are due at once the first here is the one. */
const TIMERS: readonly Timer[] = [
  {
    name: () => 'max-duration',
    at: (settings, call) => Math.max(call.hardDeadline, talkingUntil(settings, call)),
    onExpiry: (context, call, now) => endCall(context, call, 'max-duration', now),
  },
  {
    name: () => 'session-expired',
    at: (settings, call) => Math.max(call.sessionDeadline, talkingUntil(settings, call)),
    onExpiry: (context, call, now) => endCall(context, call, 'session-expired', now),
  },
  {
    name: waitingFor,
    at: signallingUntil,
    onExpiry: giveUp,
  },
  {
    name: ({ dialogs }) => {
      const first = dialogs.reduce((one, other) => (other.endsAt < one.endsAt ? other : one));
      return first.confirmed ? 'bye-timeout' : 'losing-fork';
    },
    at: (_, { dialogs }) => {
      let first = NEVER;
      for (const { endsAt } of dialogs) if (endsAt < first) first = endsAt;
      return first;
    },
    onExpiry: expireDialogs,
  },
  {
    name: whatStood,
    at: standingDeadline,
    onExpiry: (context, call, now) => endCall(context, call, whatStood(call, context.timers()), now),
  },
  {
    name: (call) => (call.held ? 'hold-idle' : 'media-idle'),
    at: idleDeadline,
    onExpiry: (_, call) => goIdle(call, call.held ? 'hold-idle' : 'media-idle'),
  },
  {
    name: () => 'one-way',
    at: (settings, call) => (isAtRest(call) && !isOffered(call) ? NEVER : oneWayUntil(settings, call)),
    onExpiry: (_, call) => goIdle(call, 'one-way'),
  },
  {
    name: () => 'early-over',
    at: ({ earlyAny }, { invite, answeredAt, earlyOver }) =>
      invite === null || answeredAt !== null || earlyOver ? NEVER : invite.startedAt + earlyAny,
    onExpiry: (_, call) => {
      call.earlyOver = true;
      return changed(call, leaving('early-over'));
    },
  },
  {
    name: () => 'offer-refused',
    at: (settings, call) => {
      let first = NEVER;
      for (const { offers } of call.dialogs) {
        for (const offer of offers) {
          if (offer !== null) first = Math.min(first, offerDeadline(settings, call, offer));
        }
      }
      return first;
    },
    onExpiry: expireOffers,
  },
  {
    name: () => 'wrong-dialog',
    at: ({ offer }, { transactions, strays }) => {
      let first = strays.length === 0 ? NEVER : strays[0]!.at + offer;
      for (const { waiting, startedAt } of transactions) {
        if (waiting !== null) first = Math.min(first, startedAt + offer);
      }
      return first;
    },
    onExpiry: expireStrays,
  },
  {
    name: () => 'missing-ack',
    at: (_, { dialogs }) => {
      let first = NEVER;
      for (const { ackBy } of dialogs) if (ackBy < first) first = ackBy;
      return first;
    },
    onExpiry: expireAcks,
  },
];

/** What happens in a call when nothing else does, and when, in ms of the clock it runs on. */
export interface NextTimer {
  readonly name: EndReason | CloseReason | 'missing-ack' | 'wrong-dialog' | 'forgotten';
  readonly at: number;
}

/** The timer of a call that runs out first; null when none runs. Its pinholes have timers of their own. */
export function nextTimer(settings: CallTimers, call: Call): NextTimer | null {
  if (call.state === 'ended') return { name: 'forgotten', at: forgottenAt(settings, call) };
  const next = earliest(settings, call);
  const timer = TIMERS.find(({ at }) => at(settings, call) === next);
  return timer === undefined || next === NEVER ? null : { name: timer.name(call, settings), at: next };
}

/** When something is due in this call, in ms; Infinity never. For an ended call, when it may be forgotten. */
export function deadlineOf({ timers }: Context, call: Call): number {
  const settings = timers();
  if (call.state === 'ended') return forgottenAt(settings, call);
  return earliest(settings, call);
}

/** Does what is due in a call that has not ended. */
export function expireCall(context: Context, call: Call, now: number): Outcome {
  const settings = context.timers();
  const due = TIMERS.find(({ at }) => now >= at(settings, call));
  return due === undefined ? unchanged(call) : due.onExpiry(context, call, now);
}

function forgottenAt({ retransmissionMemory, ringing }: CallTimers, call: Call): number {
  const most = mayBeAnswered(call) ? LATE_ANSWER * ringing : 0;
  return call.endedAt! + Math.max(retransmissionMemory, most);
}

/** Whether this call was given up before anybody had answered, so that an answer may come yet. */
export function mayBeAnswered({ state, endReason, invite }: Call): boolean {
  return (
    state === 'ended' && invite !== null && (endReason === 'ringing-timeout' || endReason === 'no-response')
  );
}

/** Asked after each message: with no function made on the way. */
function earliest(settings: CallTimers, call: Call): number {
  let first = NEVER;
  for (const { at } of TIMERS) {
    const due = at(settings, call);
    if (due < first) first = due;
  }
  return first;
}

function waitingFor({ state, cancelled }: Call): EndReason {
  if (cancelled) return 'cancel-timeout';
  return state === 'calling' ? 'no-response' : 'ringing-timeout';
}

/** Of the calls that ring nowhere only those of hosts inside are waited for: anybody may send INVITEs to nobody. */
function giveUp(context: Context, call: Call, now: number): Outcome {
  const reason = waitingFor(call);
  const isWaitedFor =
    reason === 'ringing-timeout' || (reason === 'no-response' && context.admission.isInside(call.parties[0]));
  return endCall(context, call, reason, now, isWaitedFor);
}

/** Forks that lost and dialogs whose BYE got no answer; see `isUnknownToCaller`. */
function expireDialogs(context: Context, call: Call, now: number): Outcome {
  const hungUp = call.dialogs.some((dialog) => now >= dialog.endsAt && dialog.bye?.side === 0);
  const isDue = (dialog: Dialog) => now >= dialog.endsAt || (hungUp && isUnknownToCaller(call, dialog));
  const over = dropDialogs(call, isDue);
  if (isOver(call)) return endCall(context, call, 'bye-timeout', now);
  return changed(call, leaving(over.some((dialog) => dialog.confirmed) ? 'bye-timeout' : 'losing-fork'));
}

/**
 * When a call that nobody answers is given up, in ms: early media that was agreed on outlasts it, as media of a call does.
 * Not where somebody has hung up, who may have made another fork meanwhile.
 */
function signallingUntil(settings: CallTimers, call: Call): number {
  const { signallingDeadline, cancelled, state } = call;
  if (signallingDeadline === NEVER || cancelled || state === 'terminating' || isAtRest(call))
    return signallingDeadline;
  return Math.max(signallingDeadline, talkingUntil(settings, call));
}

/** The pinholes go, the call does not: it has them again when a party inside goes on with it. */
function goIdle(call: Call, reason: CloseReason): Outcome {
  call.idle = true;
  return changed(call, leaving(reason));
}

/** Offers that were never answered. */
function expireOffers(context: Context, call: Call, now: number): Outcome {
  const settings = context.timers();
  for (const dialog of call.dialogs) {
    for (const offer of dialog.offers) {
      if (offer !== null && now >= offerDeadline(settings, call, offer)) dropOffer(dialog, offer.transaction);
    }
  }
  return changed(call, leaving('offer-refused'));
}

/** Messages of strangers that nobody inside accepted. */
function expireStrays(context: Context, call: Call, now: number): Outcome {
  const { offer } = context.timers();
  const isDue = ({ waiting, startedAt }: Transaction) => waiting !== null && now >= startedAt + offer;
  const due = call.transactions.filter(isDue);
  call.transactions = call.transactions.filter((one) => !isDue(one));
  const held = call.strays.filter(({ at }) => now >= at + offer);
  call.strays = call.strays.filter((one) => !held.includes(one));
  return unchanged(call, [...due.map((one) => strayRefusal(one, 'got no answer')), ...held.map(heldRefusal)]);
}

/** A 2xx that was never acknowledged. Where the caller has acknowledged another, it takes no part in this one. */
function expireAcks(context: Context, call: Call, now: number): Outcome {
  const detail = `no ACK within ${context.timers().ack / 1000} s of the 2xx`;
  const refusals: readonly Refusal[] = [{ reason: 'missing-ack', detail }];
  if (call.acknowledges) {
    dropDialogs(call, (dialog) => now >= dialog.ackBy);
    return isOver(call)
      ? endCall(context, call, 'bye', now)
      : changed(call, leaving('losing-fork'), refusals);
  }
  for (const dialog of call.dialogs) if (now >= dialog.ackBy) dialog.ackBy = NEVER;
  return unchanged(call, refusals);
}

/**
 * When an offer without an answer is dropped, in ms. One in the 2xx to the first INVITE waits for the ACK (RFC 3261 13.2.2.4),
 * however long that has rung.
 */
function offerDeadline(
  { offer, ringing }: CallTimers,
  { invite, answeredAt }: Call,
  { transaction }: Offer,
): number {
  if (transaction.method !== 'INVITE') return transaction.startedAt + offer;
  if (transaction !== invite || invite.final === 0) return transaction.startedAt + ringing;
  return (answeredAt ?? transaction.startedAt) + ringing;
}

/** Whether there is no media that somebody waits for. */
function isAtRest({ idle, dialogs }: Call): boolean {
  if (idle) return true;
  for (const { agreed } of dialogs) if (agreed !== null) return false;
  return true;
}

/** Whether somebody waits for an answer, at a port that is open meanwhile. */
function isOffered({ idle, invite }: Call): boolean {
  return !idle && invite !== null && invite.offer !== null;
}

/** When the media of a call has been silent for too long, in ms; Infinity when nobody waits for it. */
function idleDeadline({ mediaIdle, holdIdle }: CallTimers, call: Call): number {
  return isAtRest(call) ? NEVER : call.mediaAt + (call.held ? holdIdle : mediaIdle);
}

/**
 * Until when a call counts as one in which people talk, whatever its session timer and its age say: media was seen a
 * moment ago, and the party inside has given a sign of life lately.
 */
function talkingUntil(settings: CallTimers, call: Call): number {
  return Math.min(call.heardAt + settings.mediaIdle, oneWayUntil(settings, call));
}

/**
 * Until when the party outside may be the only one to send. Media that nobody can tell the sender of may be the party
 * inside's, but not for longer than a call may last without any other sign of it.
 */
function oneWayUntil({ oneWay, maxCall }: CallTimers, { ownAt, untoldAt }: Call): number {
  const most = maxCall > 0 ? ownAt + maxCall : NEVER;
  return Math.max(ownAt + oneWay, Math.min(untoldAt + oneWay, most));
}

/** When a standing call has nothing more to stand on; Infinity for any other. Talk under way outlasts a silent connection. */
function standingDeadline(settings: CallTimers, call: Call): number {
  if (call.standing === null) return NEVER;
  const { connected, registered } = standsUntil(call.standing, settings.staticIdle);
  const spoken = call.standing.connections.length > 0 ? talkingUntil(settings, call) : connected;
  return Math.max(connected, registered, spoken);
}

/** What is there last. */
function whatStood({ standing }: Call, { staticIdle }: CallTimers): 'static-idle' | 'registration-expired' {
  if (standing === null) return 'static-idle';
  const { connected, registered } = standsUntil(standing, staticIdle);
  return registered > connected ? 'registration-expired' : 'static-idle';
}

/** Ends of which both parties know. */
const KNOWN_TO_BOTH: ReadonlySet<EndReason> = new Set(['bye', 'failed', 'cancelled', 'connection-closed']);

/** Ends a call. Media under way may drain after an end that both parties know of. With `isWaitedFor` it may be answered yet. */
export function endCall(
  context: Context,
  call: Call,
  reason: EndReason,
  now: number,
  isWaitedFor = false,
): Outcome {
  if (call.state === 'ended') return unchanged(call);
  call.state = 'ended';
  call.endReason = reason;
  call.endedAt = now;
  if (!isWaitedFor) {
    call.invite = null;
    call.dialogs = [];
  }
  // A flood of calls that fail at once must not keep their descriptions for as long as retransmissions may come. One
  // that only found no place may find one when it is answered.
  if (reason !== 'over-limit' && !isWaitedFor) dropDescriptions(call);
  const refusals = call.strays.length === 0 ? NO_REFUSALS : call.strays.map(heldRefusal);
  call.strays = NO_STRAYS;
  context.leave(call);
  const known = KNOWN_TO_BOTH.has(reason);
  return changed(call, leaving(CLOSE_REASONS[reason], known ? context.timers().drain : 0), refusals);
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

/** When a call that begins at `now` has lasted for as long as one may, in ms. */
export function latestEnd({ maxCall }: Pick<CallTimers, 'maxCall'>, now: number): number {
  return maxCall > 0 ? now + maxCall : Number.POSITIVE_INFINITY;
}

/** Nobody talks any more: forks that lost do not count, forks that still ring do. */
export function isOver({ dialogs, invite }: Call): boolean {
  const answered = invite === null || invite.final !== 0;
  return answered ? !dialogs.some((dialog) => dialog.confirmed) : dialogs.length === 0;
}

/**
 * RFC 4028: each 2xx to INVITE or UPDATE says anew how long the session lives without another. Whatever it says, the
 * call has its `maxCall`.
 */
export function refreshSession({ timers }: Context, call: Call, message: SipMessage, now: number): void {
  const { sessionFloor, sessionGrace } = timers();
  const asked = message.sessionExpires;
  call.sessionDeadline = asked === null ? NEVER : now + Math.max(asked * 1000, sessionFloor) + sessionGrace;
}
