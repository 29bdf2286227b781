import { isPrivate } from '../../../address/private.ts';
import { portsText, transportText } from '../../../call/description.ts';
import { REFUSALS } from '../../../call/refusal.ts';
import { printable } from '../../../printable.ts';
import type { Announcement } from '../announced.ts';
import type { BlockedSpell, UdpFlow } from '../flows.ts';
import type { Hidden } from '../signalling/hidden.ts';
import type { Unaddressed } from '../signalling/unaddressed.ts';
import type { UnreadDescription } from '../signalling/unread.ts';
import { capital, destinationOf, type Explanation, type Knowledge, said, seconds } from './knowledge.ts';
import { whyUnread } from './response.ts';

/** No description that was read names its destination. */
export function explainUnannounced(flow: UdpFlow, { firstAt }: BlockedSpell, known: Knowledge): Explanation {
  const { announcements, signalling, seen } = known;
  const { destination, destinationPort, source } = flow;
  const to = destinationOf(flow);
  const isReply = flow.firstPassed?.by === 'state';
  const later = announcements.at(destination, destinationPort).find(({ at }) => at >= firstAt);
  if (later !== undefined) {
    return {
      reason: 'announced-later',
      text: `It came ${seconds(later.at - firstAt)} before ${later.owner} announced ${to}, which happened only in ${said(later, known)}.`,
      advice: 'Media that is faster than the SDP is lost until the SDP passes; a few packets do no harm.',
    };
  }
  const unread = signalling.unreadAt(destination, destinationPort, firstAt);
  if (unread !== null) return explainUnread(flow, unread, true, known);
  const unaddressed = signalling.unaddressedAt(destination, destinationPort);
  if (unaddressed !== null) return explainUnaddressed(unaddressed, destinationPort, known);
  if (flow.kinds.stun !== undefined && flow.kinds.rtp === undefined && isStunServer(flow)) {
    return never(`${to} is a STUN or TURN server, not a party of a call.`, '');
  }
  const elsewhere = announcements.ownedElsewhere(destination, destinationPort);
  if (elsewhere !== null) return explainElsewhere(flow, elsewhere, known);
  const near = announcements.near(destination, firstAt);
  const own = signalling.unreadOf(destination, firstAt);
  if (own !== null && (near === null || near.at < own.at)) return explainUnread(flow, own, false, known);
  const attribute = signalling.attributeOf(destination);
  if (attribute !== null && attribute.attribute !== 'o=') {
    return {
      reason: 'not-opened',
      text: `${capital(said(attribute, known))} names ${destination} in ${attribute.attribute} alone, which is not followed: no m= and c= line announced ${to}.`,
      advice: `Let the device announce ${destination} in its c= line.`,
    };
  }
  if (near !== null) {
    const what = `${near.media} ${transportText(near.address, portsText(near.ports))}`;
    return {
      reason: 'other-port',
      text: `Nobody announced ${to}; of this host ${said(near, known)} announced ${what}.`,
      advice: isReply
        ? ''
        : `The sender uses a port that was not agreed on, or the SDP for it is not in the ${seen.name}.`,
    };
  }
  const same = announcements.ofPort(destinationPort);
  if (same !== null && isPrivate(same.address) && !isPrivate(destination)) {
    return behindNat(
      `Nobody announced ${to}, but ${same.owner} announced the same port at the private address ${same.address} in ${said(same, known)}: probably that host, seen from beyond its NAT.`,
      same,
      known,
    );
  }
  if (same !== null && announcements.near(source, firstAt)?.callId === same.callId) {
    return {
      reason: 'other-address',
      text: `Nobody announced ${to}; the same port was announced at ${same.address} in ${said(same, known)}.`,
      advice: `Find out why the media goes to ${destination} instead: an address rewritten on the way, or a phone with two addresses.`,
    };
  }
  if (isReply) return never(`Nobody announced ${to}.`, '');
  const hidden = signalling.hidden(source, destination);
  if (hidden !== null) return explainHidden(flow, hidden, known);
  const theirs = signalling.unreadOf(source, firstAt);
  if (theirs !== null && theirs.destination === destination) return explainUnread(flow, theirs, false, known);
  if (attribute !== null) {
    return never(
      `${capital(said(attribute, known))} names ${destination} in its o= line alone, which says who made the description, not where media goes: nobody announced ${to}.`,
      'The sender uses an address that was not agreed on.',
    );
  }
  const also = announcements.names(source) ? '' : ` or ${source}`;
  const back = signalling.count(source, destination);
  const forth = signalling.count(destination, source);
  if (back > 0 && forth === 0) {
    return never(
      `Only messages from ${source} to ${destination} are in this ${seen.name} (${back}): one direction of the signalling is missing, and with it what ${destination} announced.`,
      seen.bothWays,
    );
  }
  const unanswered = explainUnanswered(flow, firstAt, known);
  if (unanswered !== null) return unanswered;
  return never(
    `No session description in the ${seen.name} names ${destination}${also}: the signalling of this stream is not here.`,
    known.speaksSip(destination)
      ? `Its SIP is in the ${seen.name}, its SDP is not: ${seen.midCall}`
      : `It may take another path, be encrypted (TLS), have happened before the ${seen.name}, or not be SIP.`,
  );
}

const BEFORE_ANSWER = 'Media before the answer goes where nobody listens yet.';

/** Who sends to it had called its host, or had been called by it, and the other half of that is not here. */
function explainUnanswered(
  { source, destination }: UdpFlow,
  firstAt: number,
  { announcements, signalling, call, frame, seen }: Knowledge,
): Explanation | null {
  const theirs = announcements.near(source, firstAt);
  const record = theirs === null || theirs.legId === null ? null : call(theirs.legId);
  if (theirs === null || record === null || record.answeredAt !== null) return null;
  if (!record.parties.includes(destination)) return null;
  if (record.endReason === 'cancelled' || record.endReason === 'failed') {
    return never(
      `${destination} announced nothing in the call of ${frame(theirs.place)} (${theirs.summary}), which ended without an answer.`,
      BEFORE_ANSWER,
    );
  }
  const later = signalling.requests(record.callId).find(({ isInDialog }) => isInDialog);
  const goesOn =
    later === undefined ? '' : `, though the call goes on in ${frame(later.place)} (${later.method})`;
  return never(
    `The call of ${frame(theirs.place)} (${theirs.summary}) has no answer of ${destination} in the ${seen.name}${goesOn}: what it announced is not known.`,
    later === undefined ? BEFORE_ANSWER : seen.lostAnswer,
  );
}

function explainUnread(
  flow: UdpFlow,
  unread: UnreadDescription,
  isNamed: boolean,
  known: Knowledge,
): Explanation {
  const { text, advice } = whyUnread(unread);
  const to = destinationOf(flow);
  const where = said(unread, known);
  return {
    reason: 'refused',
    text: isNamed
      ? `${unread.source} named ${to} in ${where}, but ${text}.`
      : `Nobody announced ${to} in words that can be read: ${unread.source} sent ${where}, but ${text}.`,
    advice,
  };
}

/** The stream is there, and where it goes is not. */
function explainUnaddressed(one: Unaddressed, port: number, known: Knowledge): Explanation {
  const { owner, media, connection } = one;
  const what = `${owner} announced ${media} at port ${port} in ${said(one, known)}`;
  if (one.isTcp) {
    return {
      reason: 'refused',
      text: `${what}, but over ${one.unknownTransport}: no pinhole for UDP follows from that (tcp-media).`,
      advice: 'Whoever sends over UDP does not do what was agreed on.',
    };
  }
  if (one.unknownTransport !== null) {
    return {
      reason: 'refused',
      text: `${what}, but over ${one.unknownTransport}, which is none of the transports that are known (unknown-transport).`,
      advice: REFUSALS['unknown-transport'].advice,
    };
  }
  switch (connection.kind) {
    case 'hostname':
      return {
        reason: 'refused',
        text: `${what}, but at the host name ${printable(connection.name, 80)}, and names are never resolved in the packet path (hostname-address).`,
        advice: REFUSALS['hostname-address'].advice,
      };
    case 'unspecified':
      return {
        reason: 'refused',
        text: `${what}, but at 0.0.0.0 or ::, which is the old way of hold: nothing can be sent to it (on-hold).`,
        advice: 'The sender sends to a stream that is on hold.',
      };
    default:
      return {
        reason: 'refused',
        text: `${what}, but no c= line with an IP address applies to the stream (no-address).`,
        advice: REFUSALS['no-address'].advice,
      };
  }
}

/** The host that it goes to had announced this port, at another address. */
function explainElsewhere(flow: UdpFlow, elsewhere: Announcement, known: Knowledge): Explanation {
  const { destination, destinationPort } = flow;
  const { address } = elsewhere;
  const to = destinationOf(flow);
  const there = transportText(address, destinationPort);
  const where = said(elsewhere, known);
  if (isPrivate(address) && !isPrivate(destination)) {
    return behindNat(
      `${destination} announced the private address ${there} in ${where} instead of ${to}: it sits behind NAT.`,
      elsewhere,
      known,
    );
  }
  if (!known.isSeen(address)) {
    return {
      reason: 'nat',
      text: `A NAT stands between: ${destination} announced ${there} in ${where}, and what is sent there arrives at ${to}. No packet of the ${known.seen.name} has the address ${address} itself.`,
      advice: `If ${address} is the external address of ${destination}, set nat: [{external: ${address}, hosts: [${destination}]}]${known.seen.tryMapping(address, destination)}.`,
    };
  }
  return {
    reason: 'other-address',
    text: `${destination} announced ${there} in ${where}, not itself: nobody announced ${to}.`,
    advice: `The media comes to where the signalling of ${destination} comes from, not to the address that it announced: the sender ignores that, or an address is rewritten on the way.`,
  };
}

const HIDDEN: Readonly<Record<Hidden['how'], { readonly what: string; readonly advice: string }>> = {
  tls: {
    what: 'is encrypted (TLS)',
    advice:
      'Nobody between the parties can read it. Let the PBX mirror its signalling (HEP), or use SIP without TLS inside.',
  },
  sigcomp: { what: 'is compressed (SigComp, RFC 3320)', advice: 'Switch SigComp off at one of the two.' },
  websocket: {
    what: 'runs over WebSocket (RFC 7118), which is not read',
    advice: 'Let the PBX mirror its signalling (HEP).',
  },
};

function explainHidden(flow: UdpFlow, { how, place }: Hidden, { frame }: Knowledge): Explanation {
  const { what, advice } = HIDDEN[how];
  return never(
    `The signalling between ${flow.source} and ${flow.destination} ${what}, as in ${frame(place)}: who announced ${destinationOf(flow)} cannot be seen.`,
    advice,
  );
}

function behindNat(text: string, { address, owner }: Announcement, { seen }: Knowledge): Explanation {
  return {
    reason: 'nat',
    text,
    advice: `Let the device announce the address it is reached at (STUN, an external-address setting or its SBC) instead of ${address}${owner === address ? '' : seen.beforeNat(address)}.`,
  };
}

function never(text: string, advice: string): Explanation {
  return { reason: 'never-announced', text, advice };
}

function isStunServer({ destinationPort, sourcePort }: UdpFlow): boolean {
  return [destinationPort, sourcePort].some((port) => port === 3478 || port === 19302);
}
