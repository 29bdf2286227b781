import { familyOf } from '../../../address/address.ts';
import { isPrivate } from '../../../address/private.ts';
import { REFUSALS } from '../../../call/refusal.ts';
import type { Announcement } from '../announced.ts';
import type { Cause } from '../cause.ts';
import type { BlockedSpell, UdpFlow } from '../flows.ts';
import { destinationOf, type Explanation, type Knowledge, said, seconds } from './knowledge.ts';
import { whyNoRequest } from './response.ts';

/** Its destination was announced, but the announcement got no pinhole. */
export function explainRefused(
  flow: UdpFlow,
  spell: BlockedSpell,
  { announcement, refusal }: Extract<Cause, { kind: 'refused' }>,
  known: Knowledge,
): Explanation {
  const { owner } = announcement;
  const over = overNote(announcement, spell, known);
  const what = `${owner} announced ${destinationOf(flow)} in ${said(announcement, known)}`;
  if (refusal.reason === 'foreign-address') return explainForeign(flow, announcement, what, over, known);
  if (refusal.reason === 'response-without-request') {
    const response = known.signalling.responseAt(announcement.place);
    if (response !== null) {
      const { text, advice } = whyNoRequest(response, known);
      return {
        reason: 'refused',
        text: `${what}, but that was refused (${refusal.reason}). ${text}${over}`,
        advice,
      };
    }
  }
  const { means, advice } = REFUSALS[refusal.reason];
  const detail = refusal.detail === '' || refusal.detail === refusal.reason ? '' : ` (${refusal.detail})`;
  return {
    reason: 'refused',
    text: `${what}, but that was refused (${refusal.reason}). ${means.replace(/\.$/, '')}${detail}.${over}`,
    advice,
  };
}

function overNote({ legId }: Announcement, { firstAt }: BlockedSpell, known: Knowledge): string {
  const endedAt = legId === null ? null : (known.call(legId)?.endedAt ?? null);
  return endedAt !== null && endedAt < firstAt
    ? ` The call had ended ${seconds(firstAt - endedAt)} before, too.`
    : '';
}

function explainForeign(
  { destination }: UdpFlow,
  { owner }: Announcement,
  what: string,
  over: string,
  known: Knowledge,
): Explanation {
  const notInside = known.isInsideKnown
    ? ''
    : ` If ${owner} is not one of your hosts, ${known.seen.sayInside}: nothing has to be opened for the others.`;
  if (isPrivate(destination) && !isPrivate(owner)) {
    return {
      reason: 'nat',
      text: `${what}, a private address, though it signals from ${owner}: from outside its own network nobody reaches it (foreign-address).${over}`,
      advice: `Let ${owner} announce the address it is reached at (external address, NAT or STUN setting). If ${destination} is a gateway or relay that is reached from here, set media-hosts: [${destination}].${notInside}`,
    };
  }
  if (familyOf(destination) !== familyOf(owner)) {
    return {
      reason: 'refused',
      text: `${what}, while it signals over IPv${familyOf(owner)}: whether both addresses are one host cannot be seen (foreign-address).${over}`,
      advice: `If ${destination} is ${owner}, or a relay of its own, set media-hosts: [${destination}].${notInside}`,
    };
  }
  return {
    reason: 'refused',
    text: `${what}, which is not its own address: a host may open pinholes towards itself only (foreign-address).${over}`,
    advice: `If ${destination} is a gateway or relay that takes the media for ${owner}, set media-hosts: [${destination}].${notInside}`,
  };
}

/** Its destination was announced, nothing was opened for it, and nothing was refused. */
export function explainNotOpened(
  flow: UdpFlow,
  announcement: Announcement,
  { firstAt }: BlockedSpell,
  known: Knowledge,
): Explanation {
  const { owner, legId, candidate, at } = announcement;
  const what = `${owner} announced ${destinationOf(flow)} in ${said(announcement, known)}`;
  if (legId === null) {
    if (known.signalling.requests(announcement.callId).length > 0) {
      return {
        reason: 'not-opened',
        text: `${what}, but that message fits no request of its call that was seen: CSeq, method and tags have to be the same, too.`,
        advice: 'Report it to the maker of the sending device.',
      };
    }
    return {
      reason: 'not-opened',
      text: `${what}, but that message belongs to no call that was seen from its INVITE on.`,
      advice: known.seen.wholeCall,
    };
  }
  if (candidate === 'relay') {
    return {
      reason: 'not-opened',
      text: `${what} as a relayed ICE candidate: that is a port of the relay, and no host opens one there.`,
      advice: 'The rules in front of the relay have to let it in; here nothing is to do.',
    };
  }
  if (candidate !== null) {
    return {
      reason: 'not-opened',
      text: `${what} as an ICE candidate, and it was not opened or not any more.`,
      advice: 'Set ice: true if it is off; raise timers.ice-unused if ICE takes long.',
    };
  }
  const record = known.call(legId);
  if (record !== null && record.endedAt !== null && record.endedAt <= Math.min(at, firstAt)) {
    return {
      reason: 'not-opened',
      text: `${what}, ${seconds(at - record.endedAt)} after the call had ended (${record.endReason}).`,
      advice: '',
    };
  }
  return {
    reason: 'not-opened',
    text: `${what}, but that description never came into force: it was no offer or answer that the call waited for.`,
    advice: 'Look at the ladder of the call: was it answered already, or over?',
  };
}
