import { appended } from '../lists.ts';
import { type Call, otherSide } from './call.ts';
import { learnContact } from './contact.ts';
import type { Context } from './context.ts';
import { type Arrival, changed, type Incoming, leaving, type Outcome, unchanged } from './outcome.ts';
import { type DialogSide, onStray } from './requests.ts';
import { holdStray } from './strays.ts';
import { addAddress, isParty } from './transactions.ts';

/** A dialog with the tags of a request, and which of its addresses are those of the dialog's parties. */
interface Candidate extends DialogSide {
  readonly starts: boolean;
  readonly ends: boolean;
}

const SIDES = [0, 1] as const;
const NO_CANDIDATES: readonly Candidate[] = [];

/** Where an in-dialog request belongs. */
interface Placement {
  /** The dialogs that it is of. */
  readonly chosen: readonly Candidate[];
  /** Those that it may be of, once the party inside goes on with it: it came from an address that is not the party's. */
  readonly strays: readonly Candidate[];
  /** It may be of a dialog that is over. */
  readonly isKnown: boolean;
}

/**
 * Finds the dialogs an in-dialog request belongs to: Call-ID, both tags, and a sender that is the party whose
 * tag it uses. A leg with exactly these two addresses is the one; without it (the request bypasses a proxy
 * that the INVITE took) every leg of the dialog that starts at the sender or ends at the receiver is meant.
 */
export function findDialogs(context: Context, legs: readonly Call[], incoming: Incoming): Placement {
  const { admission } = context;
  const { destination } = incoming.arrival;
  const { candidates, isKnown } = candidatesOf(context, legs, incoming);
  const [first] = candidates;
  if (candidates.length === 1 && first!.starts && first!.ends) {
    return { chosen: candidates, strays: NO_CANDIDATES, isKnown };
  }
  const exact = candidates.filter(({ starts, ends }) => starts && ends);
  if (exact.length > 0) {
    const chosen = hangsUpInside(context, incoming)
      ? candidates.filter(({ starts }) => starts)
      : betweenThemselves(exact, incoming.arrival);
    return { chosen, strays: [], isKnown };
  }
  // A host inside for which another one had signalled: a proxy without Record-Route, the other node of a pair.
  const joins = joinsIn(context, incoming.arrival);
  if (joins || candidates.some(({ starts }) => starts)) return { chosen: candidates, strays: [], isKnown };
  const strays = admission.isInside(destination.address) ? candidates : [];
  return { chosen: [], strays, isKnown };
}

/**
 * A party inside that hangs up has done so in each leg that has this dialog: the other one may have called it from two
 * addresses, or answered it from two with one tag.
 */
function hangsUpInside({ admission }: Context, { message, arrival }: Incoming): boolean {
  return message.method === 'BYE' && admission.isInside(arrival.source.address);
}

/** Of dialogs that a request fits, those that began between its two addresses, before those that have only learnt of one. */
function betweenThemselves(
  exact: readonly Candidate[],
  { source, destination }: Arrival,
): readonly Candidate[] {
  const own = exact.filter(
    ({ call: { parties }, side }) =>
      parties[side] === source.address && parties[otherSide(side)] === destination.address,
  );
  return own.length > 0 ? own : exact;
}

function candidatesOf(
  context: Context,
  legs: readonly Call[],
  { message, arrival }: Incoming,
): { readonly candidates: readonly Candidate[]; readonly isKnown: boolean } {
  let candidates: Candidate[] | null = null;
  let isKnown = false;
  for (const call of legs) {
    for (const side of SIDES) {
      const localTag = side === 0 ? message.fromTag : message.toTag;
      const remoteTag = side === 0 ? message.toTag : message.fromTag;
      if (localTag !== call.fromTag) continue;
      const isOver = call.state === 'ended';
      const dialog = isOver ? undefined : call.dialogs.find((one) => one.toTag === remoteTag);
      if (dialog === undefined) {
        // What follows the end of a dialog: the ACK of a failed INVITE, a retransmitted BYE.
        isKnown ||= message.method === 'ACK' || isOver;
        continue;
      }
      const starts = isParty(context, call, side, arrival.source.address);
      const ends = isParty(context, call, otherSide(side), arrival.destination.address);
      if (starts || ends) candidates = appended(candidates, { call, side, dialog, starts, ends });
    }
  }
  return { candidates: candidates ?? NO_CANDIDATES, isKnown };
}

function joinsIn({ admission }: Context, { source, destination }: Arrival): boolean {
  return admission.isInside(source.address) && !admission.isInside(destination.address);
}

/** What the addresses of a request, and its Contact, tell of the parties of its dialogs. */
export function learnAddresses(context: Context, { chosen }: Placement, incoming: Incoming): void {
  const { source, destination } = incoming.arrival;
  const isOwn = context.admission.isInside(source.address);
  const joins = joinsIn(context, incoming.arrival);
  for (const { call, side, starts, ends } of chosen) {
    if (isOwn && starts && !ends) addAddress(call, otherSide(side), destination.address);
    if (joins && !starts) addAddress(call, side, source.address);
    if (starts) learnContact(context, call, side, incoming);
  }
}

/** Where the ACK of a caller comes past here, so do those that it sends in its other legs: see `isUnknownToCaller`. */
export function noteAck(legs: readonly Call[], { chosen }: Placement, { message }: Incoming): void {
  if (legs.length < 2 || message.method !== 'ACK') return;
  for (const { call, side, dialog } of chosen) {
    if (side !== 0 || !dialog.confirmed) continue;
    for (const leg of legs) {
      if (leg.fromTag === call.fromTag && leg.parties[0] === call.parties[0]) leg.acknowledges = true;
    }
  }
}

/** A request from an address that is not the party's waits for what the party inside does. */
export function takeStray(context: Context, match: DialogSide, incoming: Incoming): Outcome {
  if (incoming.message.method !== 'ACK') return onStray(context, match, incoming);
  holdStray(match.call, incoming);
  return unchanged(match.call);
}

/**
 * A party inside goes on with the call: it sends a request in a dialog of it, or a 2xx to one. That counts as media
 * does, and a call that has lost its pinholes because nothing was heard has them again.
 */
export function signOfLife(
  { admission }: Context,
  call: Call,
  { source, now }: Arrival,
  outcome: Outcome,
): Outcome {
  if (call.state === 'ended' || !admission.isInside(source.address)) return outcome;
  call.ownAt = now;
  call.mediaAt = now;
  if (!call.idle || call.state === 'terminating') return outcome;
  call.idle = false;
  return outcome.departure === null ? changed(call, leaving('answered'), outcome.refusals) : outcome;
}
