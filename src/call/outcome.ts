import type { TransportAddress } from '../address/address.ts';
import type { SdpError, Session, TrickledCandidates } from '../sdp/session.ts';
import type { SipMessage } from '../sip/message.ts';
import { type Call, isHeld } from './call.ts';
import type { Refusal } from './refusal.ts';
import type { CloseReason, Departure } from './wanted.ts';

/** How a message came. */
export interface Arrival {
  readonly source: TransportAddress;
  readonly destination: TransportAddress;
  /** ms, of the clock that all of the inspector runs on. */
  readonly now: number;
}

/** The session description or fragment of the message at hand, read only when the tracker needs it. */
export interface Bodies {
  session(): Session | SdpError | Refusal | null;
  fragment(): readonly TrickledCandidates[] | SdpError;
}

/** One message on its way through the tracker. */
export interface Incoming {
  readonly message: SipMessage;
  readonly arrival: Arrival;
  readonly bodies: Bodies;
}

/** What one message or one deadline did. */
export interface Outcome {
  /** The call the message belongs to; null when it belongs to none. */
  readonly call: Call | null;
  /** Not null when what the call wants may have changed: how the pinholes no longer wanted leave. */
  readonly departure: Departure | null;
  readonly refusals: readonly Refusal[];
  /** The call is not the message's: it was given up to make room for one that is. */
  readonly bystander?: true;
}

export const NO_REFUSALS: readonly Refusal[] = [];

/** The call wants what it wanted before. */
export function unchanged(call: Call | null, refusals: readonly Refusal[] = NO_REFUSALS): Outcome {
  return { call, departure: null, refusals };
}

/** The call may want something else now. */
export function changed(
  call: Call,
  departure: Departure,
  refusals: readonly Refusal[] = NO_REFUSALS,
): Outcome {
  call.held = isHeld(call);
  return { call, departure, refusals };
}

/** Pinholes no longer wanted go at once, or after so many ms (see Departure). */
export function leaving(
  reason: CloseReason,
  movedLinger = 0,
  goneLinger = movedLinger,
  muxLinger = movedLinger,
): Departure {
  return { reason, movedLinger, goneLinger, muxLinger };
}
