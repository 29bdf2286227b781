import type { Address } from '../address/address.ts';
import { isSdpError, isSession, type SdpError, type Session, type Stream } from '../sdp/session.ts';
import {
  type Call,
  carryHold,
  type Described,
  type Description,
  type Dialog,
  otherSide,
  type Transaction,
} from './call.ts';
import type { Context } from './context.ts';
import { changed, type Incoming, leaving, NO_REFUSALS, type Outcome, unchanged } from './outcome.ts';
import { isRefusal, type Refusal } from './refusal.ts';
import { MAX_TRANSPORTS } from './streams.ts';
import { isEnabled } from './transport.ts';
import type { Side } from './wanted.ts';

const NOTHING: Described = { description: null, refusals: [] };

/**
 * An offer. What an outside party offers with a first INVITE changes nothing, and anybody may write its address on that;
 * within a call (`call`, else null) it changes where media may come from, and counts as the answers of that party do.
 */
export function describeOffer(context: Context, call: Call | null, incoming: Incoming): Described {
  if (!carriesSession(incoming)) return NOTHING;
  const { source, destination, now } = incoming.arrival;
  const isInside = context.admission.isInside(source.address);
  const refused =
    call === null || isInside
      ? context.admission.offer(source.address, destination.address, now)
      : overRate(context, call, incoming);
  return refused === null ? describe(incoming) : { description: null, refusals: [refused] };
}

/**
 * A provisional response can bring another description again and again, so that these are counted as offers are. A
 * 2xx, an ACK or a PRACK cannot.
 */
export function describeAnswer(context: Context, call: Call, incoming: Incoming): Described {
  if (!carriesSession(incoming)) return NOTHING;
  const { status } = incoming.message;
  const refused = status > 0 && status < 200 ? overRate(context, call, incoming) : null;
  return refused === null ? describe(incoming) : { description: null, refusals: [refused] };
}

/** Transports that are worked out in the time that a message takes which describes one or two. */
const LIGHT = 32;

/** With each description the whole call is worked out: one counts for as many as it takes the time of. */
function overRate({ admission }: Context, { dialogs }: Call, incoming: Incoming): Refusal | null {
  const { arrival, bodies } = incoming;
  const session = bodies.session();
  const streams = isSession(session) ? session.streams : [];
  const transports = streams.reduce((sum, { candidates }) => sum + 1 + candidates.length, 0);
  const looked = Math.min(MAX_TRANSPORTS, transports * Math.max(1, dialogs.length));
  return admission.answer(arrival.source.address, arrival.now, Math.max(1, Math.ceil(looked / LIGHT)));
}

/** Stands for a description that was there and cannot be used: the other party's streams, at no address. */
export function unread(owner: Address, { streams }: Session): Description {
  const session = {
    origin: '',
    version: '',
    streamsDropped: 0,
    bundles: [],
    streams: streams.map((stream) => ({
      ...stream,
      codecs: [],
      port: isEnabled(stream) ? 9 : 0,
      bundleOnly: false,
      connection: { kind: 'none' as const },
      rtcp: null,
      rtcpMux: false,
      candidates: [],
      setup: '',
    })),
  };
  return { session, owner, unread: true };
}

/** Lines that a description leaves out are switched off, at no address: those that it has keep their places. */
function padded(next: Description, agreed: readonly Stream[]): Description {
  const { streams } = next.session;
  if (streams.length >= agreed.length) return next;
  const off = agreed.slice(streams.length).map(switchedOff);
  return { ...next, session: { ...next.session, streams: [...streams, ...off] } };
}

function switchedOff(stream: Stream): Stream {
  return {
    ...stream,
    port: 0,
    bundleOnly: false,
    connection: { kind: 'none' as const },
    rtcp: null,
    candidates: [],
  };
}

/**
 * The answer with its m= lines at the places of those that they answer. RFC 3264 6 wants the order of the offer, and a
 * line of the same media type at its place is the answer to that. Of the others each answers the first offered line of
 * its type that has no answer, as stacks read it that look for lines by their type alone. What answers nothing is last.
 */
function inPlace(answer: Description, { streams: offered }: Session): Description {
  const { streams } = answer.session;
  const isAtPlace = (stream: Stream, index: number) => offered[index]?.media === stream.media;
  if (streams.every(isAtPlace)) return padded(answer, offered);
  const placed = offered.map((_, index) => {
    const stream = streams[index];
    return stream !== undefined && isAtPlace(stream, index) ? stream : null;
  });
  const left = streams.filter((stream, index) => !isAtPlace(stream, index));
  const surplus = [...left.filter(isEnabled), ...left.filter((stream) => !isEnabled(stream))].filter(
    (stream) => {
      const index = offered.findIndex(({ media }, at) => placed[at] === null && media === stream.media);
      if (index >= 0) placed[index] = stream;
      return index < 0;
    },
  );
  const whole = placed.map((stream, index) => stream ?? switchedOff(offered[index]!));
  return { ...answer, session: { ...answer.session, streams: [...whole, ...surplus] } };
}

function carriesSession({ message }: Incoming): boolean {
  return message.sdp.kind === 'sdp' || message.sdp.kind === 'unusable';
}

function describe({ arrival, bodies }: Incoming): Described {
  const session = bodies.session();
  if (session === null) return NOTHING;
  if (isRefusal(session)) return { description: null, refusals: [session] };
  if (isSdpError(session)) return { description: null, refusals: [refusalOf(session)] };
  return { description: { session, owner: arrival.source.address }, refusals: capped(session) };
}

function refusalOf({ error, detail }: SdpError): Refusal {
  return { reason: error === 'sdp-too-large' ? 'message-too-large' : error, detail };
}

/** What of the description was left out because of the caps. */
function capped({ streams, streamsDropped }: Session): readonly Refusal[] {
  let candidates = 0;
  for (const stream of streams) candidates += stream.candidatesDropped;
  if (streamsDropped === 0 && candidates === 0) return NO_REFUSALS;
  const refusals: Refusal[] = [];
  if (streamsDropped > 0) {
    const detail = `${streams.length + streamsDropped} m= lines, the first ${streams.length} count`;
    refusals.push({ reason: 'too-many-streams', detail });
  }
  if (candidates > 0) {
    refusals.push({ reason: 'too-many-streams', detail: `${candidates} candidates over the cap` });
  }
  return refusals;
}

/** An offer in an established or early dialog: what it names opens, what is agreed stays (RFC 3264 8.3.1). */
export function placeOffer(
  call: Call,
  dialog: Dialog,
  side: Side,
  transaction: Transaction,
  { description, refusals }: Described,
  now: number,
): Outcome {
  if (description === null) return unchanged(call, refusals);
  const agreed = dialog.agreed?.sides[side];
  let problems = refusals;
  const lines = description.session.streams.length;
  if (agreed !== undefined && lines < agreed.session.streams.length) {
    const detail = `the offer has ${lines} m= lines, ${agreed.session.streams.length} are agreed`;
    problems = [...refusals, { reason: 'fewer-streams', detail }];
  }
  const whole = agreed === undefined ? description : padded(description, agreed.session.streams);
  dialog.offers[side] = { description: carryHold(whole, agreed), transaction };
  call.mediaAt = now;
  return changed(call, leaving('offer-refused'), problems);
}

/**
 * The answer to an offer. `settles`: it came in a message that cannot be lost, so that another description in the
 * same dialog's responses to the first INVITE is no answer any more (RFC 3261 13.2.1).
 */
export function agree(
  { timers }: Context,
  call: Call,
  dialog: Dialog,
  offer: Description,
  offerSide: Side,
  { description: answer, refusals }: Described,
  settles: boolean,
  now: number,
): Outcome {
  if (answer === null) return unchanged(call, refusals);
  const before = dialog.agreed;
  const lines = answer.session.streams.length;
  let problems = refusals;
  if (lines < offer.session.streams.length) {
    const detail = `the answer has ${lines} m= lines, the offer ${offer.session.streams.length}`;
    problems = [...refusals, { reason: 'fewer-streams', detail }];
  }
  const whole = inPlace(answer, offer.session);
  const carried = carryHold(whole, before?.sides[otherSide(offerSide)]);
  const sides: [Description, Description] = offerSide === 0 ? [offer, carried] : [carried, offer];
  dialog.agreed = { offerSide, sides, words: null };
  dialog.settled ||= settles;
  dialog.offers[offerSide] = null;
  call.mediaAt = now;
  const { oldPort, muxGrace } = timers();
  return changed(
    call,
    before === null ? leaving('answered', muxGrace) : leaving('moved', oldPort, 0, muxGrace),
    problems,
  );
}

/** The request that carried an offer has failed: the offer is gone, and what it had changed goes back. */
export function dropOffer(dialog: Dialog, transaction: Transaction): void {
  for (const side of [0, 1] as const) {
    if (dialog.offers[side]?.transaction === transaction) dialog.offers[side] = null;
  }
  if (transaction.replaced !== null) dialog.agreed = transaction.replaced;
}
