import type { CloseReason } from '../../../call/wanted.ts';
import type { PinholeTrace } from '../../../history/pinholes.ts';
import type { CallTrace } from '../../../history/traces.ts';
import { printable } from '../../../printable.ts';
import type { BlockedSpell, UdpFlow } from '../flows.ts';
import { destinationOf, type Explanation, type Knowledge, said, seconds } from './knowledge.ts';
import { type Reason, whyNoRequest, whyUnread } from './response.ts';

/** What had happened when a pinhole was closed, and what can be done about packets that come after it. */
const CLOSINGS: Readonly<Record<CloseReason, { readonly text: string; readonly advice: string }>> = {
  bye: { text: 'the call had ended with BYE', advice: '' },
  'bye-timeout': { text: 'a BYE had been left without an answer', advice: 'Find out why the BYE got none.' },
  cancelled: { text: 'the call had been cancelled', advice: '' },
  'call-failed': { text: 'the call had failed', advice: '' },
  'no-response': {
    text: 'the INVITE had got no response for timers.offer',
    advice: 'If the callee is slow, raise timers.offer.',
  },
  'ringing-timeout': {
    text: 'the call had rung for longer than timers.ringing',
    advice: 'Raise timers.ringing.',
  },
  'session-expired': {
    text: 'the session timer (RFC 4028) had run out without a refresh',
    advice: 'Find out why neither side sent its re-INVITE or UPDATE, or raise timers.session-grace.',
  },
  'over-limit': {
    text: 'the call had found no place within the bounds of `caps`',
    advice: 'Raise the bound that the refusal names, or look for a flood.',
  },
  'max-duration': { text: 'the call had lasted for timers.max-call', advice: 'Raise timers.max-call.' },
  'media-idle': {
    text: 'no media had been seen for timers.media-idle',
    advice: 'Raise timers.media-idle if long silence is normal here, or switch comfort noise on.',
  },
  'hold-idle': { text: 'the call had been on hold for timers.hold-idle', advice: 'Raise timers.hold-idle.' },
  'one-way': {
    text: 'the party inside had sent nothing for timers.one-way',
    advice:
      'Only the other party still sends. Raise timers.one-way if a party of yours only listens for hours.',
  },
  'early-over': {
    text: 'nobody had answered for timers.early-any, and since then only the signalling peer may send',
    advice: 'Raise timers.early-any if early media comes from elsewhere for longer.',
  },
  'offer-refused': {
    text: 'the offer that announced it had been refused',
    advice: 'The device sends to a port that was never agreed on.',
  },
  'stream-disabled': {
    text: 'the answer had switched this stream off (port 0), or its owner connects itself (a=setup)',
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
  'external-changed': {
    text: 'the external address that was announced had gone from its interface',
    advice: 'Let the PBX follow its public address, and renegotiate calls that are up.',
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
  'losing-fork': {
    text: 'the call had been answered with another To tag, by another branch of it',
    advice: '',
  },
  'unused-candidate': {
    text: 'nothing had come to this ICE candidate for timers.ice-unused',
    advice: 'Raise timers.ice-unused if ICE takes that long here.',
  },
  'new-attempt': { text: 'the caller had tried again with another offer', advice: '' },
  'connection-closed': {
    text: 'the connection that `static-media` was open for had been closed',
    advice: 'Its next connection opens it again.',
  },
  'static-idle': {
    text: 'the connection that `static-media` was open for had been silent for timers.static-idle',
    advice: 'Raise timers.static-idle, or have the PBX send keepalives (RFC 5626).',
  },
  'registration-expired': {
    text: 'the registration that `static-media` was open for had expired, or was taken back',
    advice: 'Find out why it was not renewed.',
  },
  unlisted: { text: '`static-media` did not list it any more', advice: '' },
  administrator: { text: 'it had been closed by hand', advice: '' },
};

/** There had been a pinhole, and it was closed. */
export function explainClosed(
  flow: UdpFlow,
  { firstAt }: BlockedSpell,
  pinhole: PinholeTrace,
  known: Knowledge,
): Explanation {
  const { text, advice } = closingOf(pinhole, known);
  const by = pinhole.closed === null ? '' : ` (${known.frame(pinhole.closed)})`;
  const late = seconds(firstAt - (pinhole.closedAt ?? firstAt));
  return {
    reason: 'closed',
    text: `It came ${late} after the ${printable(pinhole.media, 20)} pinhole to ${destinationOf(flow)} was closed: ${text}${by}.`,
    advice,
  };
}

function closingOf({ closeReason, closed, closedAt, legId }: PinholeTrace, known: Knowledge): Reason {
  const reason = closeReason ?? 'answered';
  if (reason === 'offer-refused' && closed === null) {
    return {
      text: 'the offer that announced it had got no answer for timers.offer',
      advice: `Is the answer in this ${known.seen.name}, and can it be read?`,
    };
  }
  if (reason === 'no-response' || reason === 'ringing-timeout') {
    const record = known.call(legId);
    const lost = record === null ? null : lostAnswer(record, closedAt ?? record.startedAt, known);
    if (lost !== null) return { text: `${CLOSINGS[reason].text}; ${lost.text}`, advice: lost.advice };
  }
  if (reason === 'no-response') {
    const { text, advice } = CLOSINGS[reason];
    return { text, advice: `${known.seen.responses} ${advice}` };
  }
  return CLOSINGS[reason];
}

/** The answer that was seen, and was not taken for one. */
function lostAnswer({ parties, callId }: CallTrace, until: number, known: Knowledge): Reason | null {
  const [caller, callee] = parties;
  const response = known.signalling.responsesOf(callId).find(({ destination }) => destination === caller);
  if (response !== undefined) {
    const { text, advice } = whyNoRequest(response, known);
    return {
      text: `the ${response.status} in ${known.frame(response.place)} is no answer to it: ${text.replace(/\.$/, '')}`,
      advice,
    };
  }
  const unread = known.signalling.unreadMessage('response', callee, caller, callId, until);
  if (unread === null) return null;
  const { text, advice } = whyUnread(unread);
  return { text: `${said(unread, known)} may have been its answer, but ${text}`, advice };
}
