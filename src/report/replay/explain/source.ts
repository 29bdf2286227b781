import type { Address } from '../../../address/address.ts';
import { isPrivate } from '../../../address/private.ts';
import { portsText, transportText } from '../../../call/description.ts';
import { REFUSALS } from '../../../call/refusal.ts';
import type { PinholeTrace } from '../../../history/pinholes.ts';
import { printable } from '../../../printable.ts';
import type { Connection } from '../../../sdp/session.ts';
import type { Announcement } from '../announced.ts';
import type { BlockedSpell, UdpFlow } from '../flows.ts';
import {
  capital,
  destinationOf,
  type Explanation,
  type Knowledge,
  list,
  said,
  seconds,
} from './knowledge.ts';
import { whyNoRequest } from './response.ts';

/** Addresses that are named in one sentence. */
const MOST_NAMED = 6;

/** There was a pinhole for its destination, but not for where it came from. */
export function explainSource(
  flow: UdpFlow,
  { firstAt }: BlockedSpell,
  pinholes: readonly PinholeTrace[],
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
  if (named.length > MOST_NAMED)
    named.splice(MOST_NAMED - 1, named.length, `${named.length - MOST_NAMED + 1} more`);
  const reason = agreed ? 'wrong-source' : 'early-media';
  const announced = announcementOf(source, pinholes, firstAt, known);
  if (announced !== null && announced.at <= firstAt) {
    return explainAnnounced(
      { source, where, allowed: list(named), reason, firstAt },
      pinhole,
      announced,
      known,
    );
  }
  if (!agreed) {
    return {
      reason,
      text: `It came from ${source} before the call was answered, when only ${list(named)} may send to ${where}.`,
      advice:
        announced === null
          ? 'Early media from another host than the one that signals: set early-media-source: any, or let that host announce its address in a 183.'
          : `${capital(said(announced, known))} announces ${source} only ${seconds(announced.at - firstAt)} later: set early-media-source: any to let it in before.`,
    };
  }
  const candidate = known.signalling.attributeOf(source);
  if (candidate !== null && candidate.attribute === 'a=candidate') {
    return {
      reason: 'wrong-source',
      text: `It came from ${source}, which ${said(candidate, known)} announces as an ICE candidate beyond caps.candidates (too-many-streams), so only ${list(named)} may send to ${where}.`,
      advice: 'Raise caps.candidates, or let the peer gather fewer candidates.',
    };
  }
  const unaddressed = unaddressedOf(pinholes, known);
  if (unaddressed !== null)
    return explainUnaddressed(source, unaddressed, `only ${list(named)} may send to ${where}`);
  const hidden = allowed.find((address) => isPrivate(address) && !signalling.includes(address));
  if (hidden !== undefined && !isPrivate(source)) {
    return {
      reason: 'nat',
      text: `It came from ${source}, but the peer announced the private address ${hidden}: it sits behind NAT, and its media leaves from another address than its signalling. Only ${list(named)} may send to ${where}.`,
      advice: `If ${source} is the peer's, let it announce that address (STUN, external address setting), or set media-source: any.`,
    };
  }
  const unnamed = known.announcements.names(source) ? '' : 'which no SDP names, ';
  return {
    reason: 'wrong-source',
    text: `It came from ${source}, ${unnamed}but only ${list(named)} may send to ${where}.`,
    advice: `If ${source} belongs to the peer, let the peer announce it, or set media-source: any. If it does not, it was blocked rightly.`,
  };
}

/** Where the other party's signalling comes from. */
function signallingPeer({ legId, slot }: PinholeTrace, known: Knowledge): Address | null {
  const parties = known.call(legId)?.parties;
  return parties?.[slot.startsWith('0:') ? 1 : 0] ?? null;
}

/** What names the source in a call of these pinholes: the latest before `time`, else the first after. */
function announcementOf(
  source: Address,
  pinholes: readonly PinholeTrace[],
  time: number,
  known: Knowledge,
): Announcement | null {
  const callIds = new Set(pinholes.map(({ legId }) => known.call(legId)?.callId));
  const all = known.announcements.of(source).filter(({ callId }) => callIds.has(callId));
  return all.findLast(({ at }) => at <= time) ?? all[0] ?? null;
}

interface Blocked {
  readonly source: Address;
  /** Where it went to, in words. */
  readonly where: string;
  /** Who may send there, in words. */
  readonly allowed: string;
  readonly reason: 'wrong-source' | 'early-media';
  readonly firstAt: number;
}

/** Its address was announced in this call, and the announcement lets it send elsewhere or nowhere. */
function explainAnnounced(
  { source, where, allowed, reason, firstAt }: Blocked,
  pinhole: PinholeTrace,
  announcement: Announcement,
  known: Knowledge,
): Explanation {
  const { owner, place, candidate, summary, at } = announcement;
  const what = `It came from ${source}, which ${owner} announced${candidate === null ? '' : ' as an ICE candidate'} in ${said(announcement, known)}`;
  const only = `only ${allowed} may send to ${where}`;
  const refusal = known.refusalOf(place);
  const response = known.signalling.responseAt(place);
  if (response !== null) {
    const { text, advice } = whyNoRequest(response, known);
    return {
      reason,
      text: `${what}, but that was refused (response-without-request), so ${only}. ${text}`,
      advice,
    };
  }
  if (refusal !== null) {
    return {
      reason,
      text: `${what}, but that was refused (${refusal.reason}: ${refusal.detail}), so ${only}.`,
      advice: REFUSALS[refusal.reason].advice,
    };
  }
  const waited = waitedFor(owner, pinhole, firstAt, summary, known);
  if (waited !== null) return { reason, text: `${what}, ${waited.text}: ${only}.`, advice: waited.advice };
  const own = known
    .pinholesOf(pinhole.legId)
    .findLast(
      ({ sources, media }) => media === pinhole.media && sources !== 'any' && sources.includes(source),
    );
  if (own !== undefined) {
    const target = transportText(own.address, portsText(own.ports));
    return {
      reason,
      text: `${what}, which lets it send to ${target} (announced in ${known.frame(own.opened)}): ${only}.`,
      advice: 'The device sends to a port that was not announced to it, or not any more.',
    };
  }
  const answeredAt = known.call(pinhole.legId)?.answeredAt ?? null;
  if (summary.startsWith('1') && answeredAt !== null && at < answeredAt) {
    return {
      reason,
      text: `${what}, but the call was answered with another description, by another of its branches: ${only}.`,
      advice: '',
    };
  }
  return {
    reason,
    text: `${what}, but that description is not in force: ${only}.`,
    advice:
      'Look at the ladder of the call: was that description answered, refused, or put out of force by a later one?',
  };
}

/** It was announced from an address that is not the party's, and nobody inside had accepted that by then. */
function waitedFor(
  owner: Address,
  pinhole: PinholeTrace,
  firstAt: number,
  summary: string,
  known: Knowledge,
): { readonly text: string; readonly advice: string } | null {
  const parties = known.call(pinhole.legId)?.parties;
  if (parties === undefined || parties.includes(owner)) return null;
  const isAccepted = known
    .pinholesOf(pinhole.legId)
    .some(({ sources, openedAt }) => sources !== 'any' && sources.includes(owner) && openedAt <= firstAt);
  if (isAccepted) return null;
  const host = pinhole.address;
  const peer = parties.find((address) => address !== host) ?? parties[1];
  const advice = `If ${owner} and ${peer} are nodes of one provider, name them as one of peers.`;
  const isResponse = /^[1-6]/.test(summary);
  return {
    text: isResponse
      ? `which had not been asked, and the host inside had not acknowledged its answer: the request went to ${peer}`
      : `which is not the address of a party, and the host inside had not accepted what it asked for: the party is ${peer}`,
    advice,
  };
}

/** What the peer of one of these pinholes announced without an address. */
function unaddressedOf(pinholes: readonly PinholeTrace[], known: Knowledge): Unaddressed | null {
  for (const { legId, address } of pinholes) {
    for (const one of known.signalling.unaddressedIn(legId)) {
      const { kind } = one.connection;
      if ((kind === 'hostname' || kind === 'none') && one.owner !== address) {
        return { connection: one.connection, where: said(one, known) };
      }
    }
  }
  return null;
}

interface Unaddressed {
  readonly connection: Connection;
  readonly where: string;
}

function explainUnaddressed(source: Address, { connection, where }: Unaddressed, only: string): Explanation {
  if (connection.kind !== 'hostname') {
    return {
      reason: 'wrong-source',
      text: `It came from ${source}. What the peer announced in ${where} has no c= line with an IP address (no-address), so ${only}.`,
      advice: `If ${source} is the peer's, let the peer write its c= line, or set media-source: any.`,
    };
  }
  const name = printable(connection.name, 80);
  return {
    reason: 'wrong-source',
    text: `It came from ${source}. The peer announced the host name ${name} as its media address in ${where}, and names are never resolved in the packet path, so ${only}.`,
    advice: `If ${source} is ${name}, let the peer announce its IP address, or set media-source: any.`,
  };
}
