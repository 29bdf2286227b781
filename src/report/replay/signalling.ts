import type { Address } from '../../address/address.ts';
import { REFUSALS, type Refusal } from '../../call/refusal.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { PacketView } from '../../packet/ip.ts';
import { printable } from '../../printable.ts';
import { isSdpError, isSession, type SdpError, type Session } from '../../sdp/session.ts';
import type { SipMessage } from '../../sip/message.ts';
import { isKeepalive, looksLikeSip } from '../../sip/recognise.ts';
import { mayNamePorts, type Rough, readRoughly } from './named.ts';
import { createNamingAttributes, type NamingAttribute } from './signalling/attributes.ts';
import { addTo, isSipPort, MOST_REMEMBERED } from './signalling/bounds.ts';
import { createMessageDirections, type OneSided } from './signalling/directions.ts';
import { createHiddenSignalling, type Hidden, streamKind } from './signalling/hidden.ts';
import { createSeenTransactions, type LooseResponse, type SeenRequest } from './signalling/transactions.ts';
import {
  createUnaddressedStreams,
  type Unaddressed,
  type UnaddressedOrigin,
} from './signalling/unaddressed.ts';
import {
  createUnreadDescriptions,
  hiddenBody,
  type UnreadDescription,
  type UnreadDescriptions,
} from './signalling/unread.ts';

export interface SignallingLog {
  /** A message that was read. `session` is its description, with what is wrong where something is. */
  message(
    message: SipMessage,
    session: Session | SdpError | Refusal | null,
    packet: PacketView,
    summary: string,
    place: FramePlace,
    at: number,
  ): void;
  malformed(packet: PacketView, detail: string, place: FramePlace, at: number): void;
  /** A packet that is no SIP. */
  other(packet: PacketView, place: FramePlace, at: number): void;
  /** A refusal of the message that was told last; `summary` names it. */
  refused(refusal: Refusal, place: FramePlace): void;
  /** Looks in a description for streams without an address. */
  streams(session: Session, origin: UnaddressedOrigin): void;
  /** The description that names this transport address and could not be read; the latest before `time`, else any. */
  unreadAt(address: Address, port: number, time: number): UnreadDescription | null;
  /** The latest of this host from before `time` that could not be read, else any of its. */
  unreadOf(owner: Address, time: number): UnreadDescription | null;
  /** The stream without an address that this host announced for this port. */
  unaddressedAt(owner: Address, port: number): Unaddressed | null;
  /** Those of a leg. */
  unaddressedIn(legId: string): readonly Unaddressed[];
  /** Where a description names this address in a line that is not followed: `a=altc`. */
  attributeOf(address: Address): NamingAttribute | null;
  responseAt(place: FramePlace): LooseResponse | null;
  requests(callId: string): readonly SeenRequest[];
  /** Responses of a Call-ID that were taken for none of a request. */
  responsesOf(callId: string): readonly LooseResponse[];
  /** One between two hosts that could not be read. */
  readonly unreadMessage: UnreadDescriptions['between'];
  hidden(a: Address, b: Address): Hidden | null;
  /** How many messages went from one host to another. */
  count(from: Address, to: Address): number;
  /** Pairs of hosts of which one answered the other's INVITEs and only the answers were seen, with how many. */
  oneSided(): readonly OneSided[];
}

const STREAM_REFUSALS: ReadonlySet<string> = new Set([
  'stream-unusable',
  'older-connection',
  'stream-evicted',
]);
/** The methods whose messages may carry an offer or an answer. */
const CARRIERS = new Set(['INVITE', 'ACK', 'PRACK', 'UPDATE']);

/**
 * What was seen of the signalling beside the calls that came of it: for the one who asks why none came of a message.
 * Bounded; what comes after the bound is not remembered.
 */
export function createSignallingLog(): SignallingLog {
  const unread = createUnreadDescriptions();
  const unaddressed = createUnaddressedStreams();
  const attributes = createNamingAttributes();
  const transactions = createSeenTransactions();
  const directions = createMessageDirections();
  const hidden = createHiddenSignalling();
  /** Streams of SIP that were given up, by their direction, and messages that came on them and were not read. */
  const lostStreams = new Map<string, Refusal>();
  const unfollowed = new Map<string, UnreadDescription[]>();
  let last: UnreadDescription | null = null;
  let lastMessage: { message: SipMessage; packet: PacketView; at: number } | null = null;

  function message(
    read: SipMessage,
    session: Session | SdpError | Refusal | null,
    packet: PacketView,
    summary: string,
    place: FramePlace,
    at: number,
  ): void {
    last = null;
    lastMessage = { message: read, packet, at };
    directions.add(packet);
    if (read.status !== 0 && read.cseqMethod === 'INVITE') directions.answering(packet);
    transactions.request(read, packet, place);
    if (!CARRIERS.has(read.status === 0 ? read.method : read.cseqMethod)) return;
    if (isSession(session)) {
      attributes.add(session, packet.payload, summary, place);
      return;
    }
    if (session === null && !mayNamePorts(packet.payload)) return;
    const rough = readRoughly(packet.payload);
    const problem = session === null ? hiddenBody(rough) : whyUnusable(session);
    if (problem === null) return;
    last = {
      ...{ source: packet.source, destination: packet.destination, place, at, summary },
      ...{ callId: read.callId, named: rough.named, ...problem, refusal: null },
    };
    unread.add(last);
  }

  function malformed(packet: PacketView, detail: string, place: FramePlace, at: number): void {
    const { summary, callId, named } = readRoughly(packet.payload);
    directions.add(packet);
    lastMessage = null;
    last = {
      ...{ source: packet.source, destination: packet.destination, place, at, summary, callId, named },
      ...{ why: detail, advice: '', refusal: null },
    };
    unread.add(last);
  }

  function other(packet: PacketView, place: FramePlace, at: number): void {
    const { payload, source, destination, protocol, sourcePort, destinationPort } = packet;
    if (payload.length < 8 || (protocol === 'udp' && isKeepalive(payload))) return;
    if (protocol === 'tcp') {
      const how = streamKind(payload);
      if (how !== null) hidden.add(source, destination, how, place);
      else if (looksLikeSip(payload)) noteUnfollowed(packet, place, at);
      return;
    }
    if (!isSipPort(sourcePort) && !isSipPort(destinationPort)) return;
    const rough = payload.includes('SIP/2.0') ? readRoughly(payload) : null;
    const isCompressed = (payload[0]! & 0xf8) === 0xf8 && (rough === null || rough.before === 0);
    if (isCompressed) hidden.add(source, destination, 'sigcomp', place);
    else if (rough !== null) noteUnrecognised(rough, packet, place, at);
  }

  /** A message, or its beginning, that came on a stream and was not read there. Those that are read later are announced. */
  function noteUnfollowed(packet: PacketView, place: FramePlace, at: number): void {
    const { source, sourcePort, destination, destinationPort } = packet;
    const { summary, callId, named } = readRoughly(packet.payload);
    const key = `${source} ${sourcePort} > ${destination} ${destinationPort}`;
    const one: UnreadDescription = {
      ...{ source, destination, place, at, summary, callId, named },
      refusal: lostStreams.get(key) ?? null,
      why: 'its TCP stream could not be followed to there: what came before it was no SIP, or was not seen',
      advice: '',
    };
    unread.add(one);
    if (one.refusal === null && unfollowed.size < MOST_REMEMBERED) addTo(unfollowed, key, one);
  }

  /** `TCP a 1 > b 2: why`. */
  function noteLostStream(refusal: Refusal): void {
    const { detail } = refusal;
    const end = detail.indexOf(': ');
    const key = detail.slice('TCP '.length, end < 0 ? detail.length : end);
    if (lostStreams.size < MOST_REMEMBERED) lostStreams.set(key, refusal);
    for (const one of unfollowed.get(key) ?? []) one.refusal = refusal;
    unfollowed.delete(key);
  }

  /** SIP's version stands in it, yet it does not begin like SIP. */
  function noteUnrecognised(
    { before, summary, callId, named }: Rough,
    packet: PacketView,
    place: FramePlace,
    at: number,
  ): void {
    const { payload } = packet;
    const first = payload.toString('latin1', 0, Math.min(80, payload.length)).split('\n', 1)[0]!;
    const problem =
      before > 0
        ? {
            why: `${before === 1 ? '1 byte stands' : `${before} bytes stand`} before the start line`,
            advice: 'RFC 3261 7.5 allows line ends only. Report it to the maker of the sending device.',
          }
        : {
            why: `its first line is no start line of SIP: "${printable(first.trimEnd())}"`,
            advice: 'RFC 3261 7.1: METHOD URI SIP/2.0. Report it to the maker of the sending device.',
          };
    unread.add({
      ...{ source: packet.source, destination: packet.destination, place, at },
      ...{ summary, callId, named, refusal: null, ...problem },
    });
  }

  function refused(refusal: Refusal, place: FramePlace): void {
    if (STREAM_REFUSALS.has(refusal.reason)) noteLostStream(refusal);
    else if (last !== null && last.place === place) last.refusal ??= refusal;
    if (refusal.reason !== 'response-without-request' || lastMessage === null) return;
    const { message: read, packet, at } = lastMessage;
    transactions.loose(read, packet, place, at);
  }

  return {
    message,
    malformed,
    other,
    refused,
    streams: unaddressed.add,
    unreadAt: unread.at,
    unreadOf: unread.of,
    unaddressedAt: unaddressed.at,
    unaddressedIn: unaddressed.of,
    attributeOf: attributes.of,
    responseAt: transactions.responseAt,
    requests: transactions.requests,
    responsesOf: transactions.responsesOf,
    unreadMessage: unread.between,
    hidden: hidden.between,
    count: directions.count,
    oneSided: directions.oneSided,
  };
}

/** What is wrong with a description that is there, in words that go on from "it" or "but". */
function whyUnusable(problem: SdpError | Refusal): { readonly why: string; readonly advice: string } {
  if (isSdpError(problem)) return { why: `its SDP cannot be used (${problem.detail})`, advice: '' };
  const { means, advice } = REFUSALS[problem.reason];
  const what = problem.detail === problem.reason ? means.replace(/\.$/, '') : problem.detail;
  return { why: `its body cannot be used (${problem.reason}): ${what}`, advice };
}
