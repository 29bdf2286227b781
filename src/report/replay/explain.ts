import { type Address, familyOf } from '../../address/address.ts';
import { portsText, transportText } from '../../call/description.ts';
import { REFUSALS } from '../../call/refusal.ts';
import type { CloseReason } from '../../call/wanted.ts';
import { printable } from '../../printable.ts';
import { type Announcement, type Announcements, isPrivate } from './announced.ts';
import type { CallRecord } from './calls.ts';
import type { Cause } from './cause.ts';
import type { BlockedSpell, Flow } from './flows.ts';
import type { Block, Place } from './model.ts';
import type { PinholeRecord } from './pinholes.ts';

/** Everything that is known at the end of the capture. */
export interface Knowledge {
  readonly announcements: Announcements;
  readonly call: (hash: string) => CallRecord | null;
  readonly pinholesOf: (call: string) => readonly PinholeRecord[];
  /** The flow the other way round. */
  readonly reverse: (flow: Flow) => Flow | null;
  /** Whether a host of this address sent or received SIP. */
  readonly speaksSip: (address: Address) => boolean;
  /** `frame 12`, and of which file where there are several. */
  readonly frame: (place: Place) => string;
}

type Explanation = Pick<Block, 'reason' | 'text' | 'advice'>;

/** Why these packets were blocked, in a sentence for the one who wonders why there is no audio. */
export function explain(flow: Flow, spell: BlockedSpell, known: Knowledge): Block {
  const { first, firstAt, packets } = spell;
  const { reason, text, advice } = explainCause(flow, spell, spell.cause, known);
  const notes = `${outboundNote(flow, spell, known)}${laterNote(flow, spell, known)}`;
  return { reason, first, firstAt, packets, text: text + notes, advice };
}

/** The first packets were blocked, and then it passed. */
function laterNote({ firstPassed }: Flow, { firstAt }: BlockedSpell, { frame }: Knowledge): string {
  if (firstPassed === null || firstPassed.at < firstAt) return '';
  const how = firstPassed.by === 'state' ? ' as the way back of the other direction, by its state' : '';
  return ` From ${frame(firstPassed.place)} on it passes${how}.`;
}

function explainCause(flow: Flow, spell: BlockedSpell, cause: Cause, known: Knowledge): Explanation {
  if (flow.source === flow.destination) {
    return {
      reason: 'same-host',
      text: `${flow.source} sends to itself, which crosses no firewall.`,
      advice: '',
    };
  }
  switch (cause.kind) {
    case 'wrong-source':
      return explainSource(flow, cause.pinholes, cause.agreed, known);
    case 'closed':
      return explainClosed(flow, spell, cause.pinhole, known);
    case 'refused':
      return explainRefused(flow, spell, cause, known);
    case 'not-opened':
      return explainNotOpened(flow, cause.announcement, known);
    case 'unannounced':
      return explainUnannounced(flow, spell, known);
  }
}

// --- a pinhole was there ---------------------------------------------------------------------------------

function explainSource(
  flow: Flow,
  pinholes: readonly PinholeRecord[],
  agreed: boolean,
  known: Knowledge,
): Explanation {
  const { source, sourcePort } = flow;
  const to = destinationOf(flow);
  const pinhole = pinholes[0]!;
  const where = `${to} (${printable(pinhole.media, 20)}, announced in ${known.frame(pinhole.opened)})`;
  const right = pinholes.find(({ sources }) => sources === 'any' || sources.includes(source));
  if (right !== undefined) {
    return {
      reason: 'wrong-source',
      text: `It came from port ${sourcePort} of ${source}, but only its port ${right.sourcePort} may send to ${where}.`,
      advice: 'The device does not send from the port it receives on: set symmetric: false.',
    };
  }
  const allowed = [...new Set(pinholes.flatMap(({ sources }) => (sources === 'any' ? [] : sources)))];
  const signalling = pinholes.map((one) => signallingPeer(one, known));
  const named = allowed.map((address) =>
    signalling.includes(address)
      ? `${address} (the signalling peer)`
      : `${address} (announced as its media address)`,
  );
  if (!agreed) {
    return {
      reason: 'early-media',
      text: `It came from ${source} before the call was answered, when only ${list(named)} may send to ${where}.`,
      advice:
        'Early media from another host than the one that signals: set early-media-source: any, or let that host announce its address in a 183.',
    };
  }
  const unnamed = known.announcements.names(source) ? '' : 'which no SDP in the capture names, ';
  const hidden = allowed.find((address) => isPrivate(address) && !signalling.includes(address));
  if (hidden !== undefined && !isPrivate(source)) {
    return {
      reason: 'nat',
      text: `It came from ${source}, but the peer announced the private address ${hidden}: it sits behind NAT, and its media leaves from another address than its signalling. Only ${list(named)} may send to ${where}.`,
      advice: `If ${source} is the peer's, let it announce that address (STUN, external address setting), or set media-source: any.`,
    };
  }
  return {
    reason: 'wrong-source',
    text: `It came from ${source}, ${unnamed}but only ${list(named)} may send to ${where}.`,
    advice: `If ${source} belongs to the peer, let the peer announce it, or set media-source: any. If it does not, it was blocked rightly.`,
  };
}

/** Where the other party's signalling comes from. */
function signallingPeer({ call, slot }: PinholeRecord, known: Knowledge): Address | null {
  const parties = known.call(call)?.parties;
  return parties?.[slot.startsWith('0:') ? 1 : 0] ?? null;
}

/** What had happened when a pinhole was closed, and what can be done about packets that come after it. */
const CLOSINGS: Readonly<Record<CloseReason, { readonly text: string; readonly advice: string }>> = {
  bye: { text: 'the call had ended with BYE', advice: '' },
  'bye-timeout': { text: 'a BYE had been left without an answer', advice: 'Find out why the BYE got none.' },
  cancelled: { text: 'the call had been cancelled', advice: '' },
  'call-failed': { text: 'the call had failed', advice: '' },
  'no-response': {
    text: 'the INVITE had got no response for timers.offer',
    advice: 'Is the way of the responses in this capture? If the callee is slow, raise timers.offer.',
  },
  'ringing-timeout': {
    text: 'the call had rung for longer than timers.ringing',
    advice: 'Raise timers.ringing.',
  },
  'session-expired': {
    text: 'the session timer (RFC 4028) had run out without a refresh',
    advice: 'Find out why neither side sent its re-INVITE or UPDATE, or raise timers.session-grace.',
  },
  'max-duration': { text: 'the call had lasted for timers.max-call', advice: 'Raise timers.max-call.' },
  'media-idle': {
    text: 'no media had been seen for timers.media-idle',
    advice: 'Raise timers.media-idle if long silence is normal here, or switch comfort noise on.',
  },
  'hold-idle': { text: 'the call had been on hold for timers.hold-idle', advice: 'Raise timers.hold-idle.' },
  'offer-refused': {
    text: 'the offer that announced it had been refused',
    advice: 'The device sends to a port that was never agreed on.',
  },
  'stream-disabled': {
    text: 'the answer had switched this stream off (port 0)',
    advice: 'The device sends a stream that was refused.',
  },
  moved: {
    text: 'the stream had moved to another port',
    advice: 'The device still sends to the old port.',
  },
  answered: {
    text: 'the answer had put another in its place',
    advice: 'The device sends where the answer did not agree to.',
  },
  replaced: { text: 'another had taken its place', advice: '' },
  'rtcp-mux': {
    text: 'both sides had agreed on one port for RTP and RTCP (rtcp-mux)',
    advice: 'The device agreed on rtcp-mux but still sends RTCP to a port of its own.',
  },
  bundled: {
    text: 'the answer had put this stream into the transport of another (BUNDLE)',
    advice: 'The device agreed on BUNDLE but still uses the port of the single stream.',
  },
  'losing-fork': { text: 'another phone had taken the call', advice: '' },
  'unused-candidate': {
    text: 'nothing had come to this ICE candidate for timers.ice-unused',
    advice: 'Raise timers.ice-unused if ICE takes that long here.',
  },
  'new-attempt': { text: 'the caller had tried again with another offer', advice: '' },
  administrator: { text: 'it had been closed by hand', advice: '' },
};

function explainClosed(
  flow: Flow,
  { firstAt }: BlockedSpell,
  pinhole: PinholeRecord,
  { frame }: Knowledge,
): Explanation {
  const { text, advice } = CLOSINGS[pinhole.closeReason ?? 'answered'];
  const by = pinhole.closed === null ? '' : ` (${frame(pinhole.closed)})`;
  const late = seconds(firstAt - (pinhole.closedAt ?? firstAt));
  return {
    reason: 'closed',
    text: `It came ${late} after the ${printable(pinhole.media, 20)} pinhole to ${destinationOf(flow)} was closed: ${text}${by}.`,
    advice,
  };
}

// --- announced, but nothing was opened -------------------------------------------------------------------

function explainRefused(
  flow: Flow,
  { firstAt }: BlockedSpell,
  { announcement, refusal }: Extract<Cause, { kind: 'refused' }>,
  { frame, call }: Knowledge,
): Explanation {
  const { owner, summary, place } = announcement;
  const endedAt = announcement.call === null ? null : (call(announcement.call)?.endedAt ?? null);
  const over =
    endedAt !== null && endedAt < firstAt
      ? ` The call had ended ${seconds(firstAt - endedAt)} before, too.`
      : '';
  const said = `${owner} announced ${destinationOf(flow)} in ${frame(place)} (${summary})`;
  const isForeign = refusal.reason === 'foreign-address';
  if (isForeign && isPrivate(flow.destination) && !isPrivate(owner)) {
    return {
      reason: 'nat',
      text: `${said}, a private address, though it signals from ${owner}: from outside its own network nobody reaches it (foreign-address).${over}`,
      advice: `Let ${owner} announce the address it is reached at (external address, NAT or STUN setting). If ${flow.destination} is a gateway or relay that is reached from here, set media-hosts: [${flow.destination}].`,
    };
  }
  if (isForeign && familyOf(flow.destination) !== familyOf(owner)) {
    return {
      reason: 'refused',
      text: `${said}, while it signals over IPv${familyOf(owner)}: whether both addresses are one host cannot be seen (foreign-address).${over}`,
      advice: `If ${flow.destination} is ${owner}, or a relay of its own, set media-hosts: [${flow.destination}].`,
    };
  }
  if (isForeign) {
    return {
      reason: 'refused',
      text: `${said}, which is not its own address: a host may open pinholes towards itself only (foreign-address).${over}`,
      advice: `If ${flow.destination} is a gateway or relay that takes the media for ${owner}, set media-hosts: [${flow.destination}].`,
    };
  }
  const { means, advice } = REFUSALS[refusal.reason];
  return {
    reason: 'refused',
    text: `${said}, but that was refused (${refusal.reason}). ${means}${over}`,
    advice,
  };
}

function explainNotOpened(flow: Flow, announcement: Announcement, { frame }: Knowledge): Explanation {
  const { owner, summary, place, call, candidate } = announcement;
  const said = `${owner} announced ${destinationOf(flow)} in ${frame(place)} (${summary})`;
  if (call === null) {
    return {
      reason: 'not-opened',
      text: `${said}, but that message belongs to no call that was seen from its INVITE on.`,
      advice: 'Capture the whole call, and both directions of its signalling.',
    };
  }
  if (candidate === 'relay') {
    return {
      reason: 'not-opened',
      text: `${said} as a relayed ICE candidate: that is a port of the relay, and no host opens one there.`,
      advice: 'The rules in front of the relay have to let it in; here nothing is to do.',
    };
  }
  if (candidate !== null) {
    return {
      reason: 'not-opened',
      text: `${said} as an ICE candidate, and it was not opened or not any more.`,
      advice: 'Set ice: true if it is off; raise timers.ice-unused if ICE takes long.',
    };
  }
  return {
    reason: 'not-opened',
    text: `${said}, but that description never came into force: it was no offer or answer that the call waited for.`,
    advice: 'Look at the ladder of the call: was it answered already, or over?',
  };
}

// --- never announced -------------------------------------------------------------------------------------

function explainUnannounced(flow: Flow, { firstAt }: BlockedSpell, known: Knowledge): Explanation {
  const { announcements, frame } = known;
  const { destination, destinationPort, source } = flow;
  const to = destinationOf(flow);
  const isReply = flow.firstPassed?.by === 'state';
  const later = announcements.at(destination, destinationPort).find(({ at }) => at >= firstAt);
  if (later !== undefined) {
    return {
      reason: 'announced-later',
      text: `It came ${seconds(later.at - firstAt)} before ${later.owner} announced ${to}, which happened only in ${frame(later.place)} (${later.summary}).`,
      advice: 'Media that is faster than the SDP is lost until the SDP passes; a few packets do no harm.',
    };
  }
  if (flow.kinds.stun !== undefined && flow.kinds.rtp === undefined && isStunServer(flow)) {
    return never(`${to} is a STUN or TURN server, not a party of a call.`, '');
  }
  const elsewhere = announcements.ownedElsewhere(destination, destinationPort);
  if (elsewhere !== null && isPrivate(elsewhere.address)) {
    return behindNat(
      `${destination} announced the private address ${transportText(elsewhere.address, destinationPort)} in ${frame(elsewhere.place)} (${elsewhere.summary}) instead of ${to}: it sits behind NAT.`,
      elsewhere,
    );
  }
  if (elsewhere !== null) {
    const there = transportText(elsewhere.address, destinationPort);
    return {
      reason: 'other-address',
      text: `${destination} announced ${there} in ${frame(elsewhere.place)} (${elsewhere.summary}), not itself: nobody announced ${to}.`,
      advice: `The sender ignores the announced address and sends back to ${destination}, where the signalling comes from.`,
    };
  }
  const near = announcements.near(destination, firstAt);
  if (near !== null) {
    const what = `${near.media} ${transportText(near.address, portsText(near.ports))}`;
    return {
      reason: 'other-port',
      text: `Nobody announced ${to}; of this host ${frame(near.place)} (${near.summary}) announced ${what}.`,
      advice: isReply
        ? ''
        : 'The sender uses a port that was not agreed on, or the SDP for it is not in the capture.',
    };
  }
  const same = announcements.ofPort(destinationPort);
  if (same !== null && isPrivate(same.address) && !isPrivate(destination)) {
    return behindNat(
      `Nobody announced ${to}, but ${same.owner} announced the same port at the private address ${same.address} in ${frame(same.place)} (${same.summary}): probably that host, seen from beyond its NAT.`,
      same,
    );
  }
  if (same !== null && announcements.near(source, firstAt)?.callId === same.callId) {
    return {
      reason: 'other-address',
      text: `Nobody announced ${to}; the same port was announced at ${same.address} in ${frame(same.place)} (${same.summary}).`,
      advice: `Find out why the media goes to ${destination} instead: an address rewritten on the way, or a phone with two addresses.`,
    };
  }
  if (isReply) return never(`Nobody announced ${to}.`, '');
  const also = announcements.names(source) ? '' : ` or ${source}`;
  return never(
    `No session description in the capture names ${destination}${also}: the signalling of this stream is not here.`,
    known.speaksSip(destination)
      ? 'Its SIP is in the capture, its SDP is not: was the capture started in the middle of the call?'
      : 'It may take another path, be encrypted (TLS), have happened before the capture, or not be SIP.',
  );
}

function behindNat(text: string, { address, owner }: Announcement): Explanation {
  return {
    reason: 'nat',
    text,
    advice: `Let the device announce the address it is reached at (STUN, an external-address setting or its SBC) instead of ${address}${owner === address ? '' : `, or capture on the side where it is ${address}`}.`,
  };
}

function never(text: string, advice: string): Explanation {
  return { reason: 'never-announced', text, advice };
}

/** Without a pinhole a packet may still pass in real life: by the state that an outgoing packet made. */
function outboundNote(flow: Flow, { firstAt }: BlockedSpell, { reverse, frame }: Knowledge): string {
  const back = reverse(flow);
  if (back === null || back.outbound === 0 || back.firstAt > firstAt) return '';
  return ` The host inside had sent to it first (${frame(back.first)}), so a rule of yours that keeps state on the way out would let it in.`;
}

function isStunServer({ destinationPort, sourcePort }: Flow): boolean {
  return [destinationPort, sourcePort].some((port) => port === 3478 || port === 19302);
}

function destinationOf({ destination, destinationPort }: Flow): string {
  return transportText(destination, destinationPort);
}

function list(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'nobody') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** `0.02 s`, `3.4 s`, `125 s`. */
function seconds(ms: number): string {
  const value = ms / 1000;
  return `${value < 1 ? value.toFixed(3) : value < 60 ? value.toFixed(1) : value.toFixed(0)} s`;
}
