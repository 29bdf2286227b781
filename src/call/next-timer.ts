import { type Call, type EndReason, isHeld } from './call.ts';
import type { CallTimers } from './context.ts';
import { idleDeadline, offerDeadline } from './expiry.ts';
import type { CloseReason } from './wanted.ts';

/** What happens in a call when nothing else does, and when, in ms of the clock it runs on. */
export interface NextTimer {
  readonly name: EndReason | CloseReason | 'missing-ack' | 'forgotten';
  readonly at: number;
}

/** The timer of a call that runs out first; null when none runs. Its pinholes have timers of their own. */
export function nextTimer(timers: CallTimers, call: Call): NextTimer | null {
  let next: NextTimer = { name: 'forgotten', at: Number.POSITIVE_INFINITY };
  const consider = (name: NextTimer['name'], at: number) => {
    if (at < next.at) next = { name, at };
  };
  if (call.state === 'ended') return { name: 'forgotten', at: call.endedAt! + timers.retransmissionMemory };
  consider('max-duration', call.hardDeadline);
  consider('session-expired', call.sessionDeadline);
  const waiting = call.state === 'calling' ? 'no-response' : 'ringing-timeout';
  consider(call.cancelled ? 'cancel-timeout' : waiting, call.signallingDeadline);
  consider(isHeld(call) ? 'hold-idle' : 'media-idle', idleDeadline(timers, call));
  for (const dialog of call.dialogs) {
    consider(dialog.confirmed ? 'bye-timeout' : 'losing-fork', dialog.endsAt);
    consider('missing-ack', dialog.ackBy);
    for (const offer of dialog.offers) {
      if (offer !== null) consider('offer-refused', offerDeadline(timers, offer));
    }
  }
  return next.at === Number.POSITIVE_INFINITY ? null : next;
}
