import type { Buffer } from 'node:buffer';
import { type Address, parseAddress } from '../../address/address.ts';
import { isEnabled } from '../../call/call.ts';
import type { Refusal } from '../../call/refusal.ts';
import type { PacketView } from '../../packet/ip.ts';
import { printable } from '../../printable.ts';
import type { Connection, SdpError, Session, Stream } from '../../sdp/session.ts';
import type { SipMessage } from '../../sip/message.ts';
import { isKeepalive } from '../../sip/recognise.ts';
import { ownCopy } from './calls.ts';
import type { Place } from './model.ts';
import { type Named, readRoughly } from './named.ts';

/** A message with a session description, or what may be one, of which nothing was opened: why. */
export interface UnreadDescription {
  readonly source: Address;
  readonly destination: Address;
  readonly place: Place;
  readonly at: number;
  /** `INVITE`, `200 OK`; '' where even that cannot be read. */
  readonly summary: string;
  readonly callId: string;
  readonly named: Named;
  /** What was wrong, in words that go on from "it". */
  readonly why: string;
  readonly advice: string;
  /** The refusal that says so, where there is one. */
  refusal: Refusal | null;
}

/** A stream that a description announced without an address that anything could be sent to. */
export interface Unaddressed {
  readonly owner: Address;
  readonly ports: readonly [first: number, last: number];
  /** Media type of its m= line, escaped. */
  readonly media: string;
  readonly connection: Connection;
  readonly call: string | null;
  readonly summary: string;
  readonly place: Place;
  readonly at: number;
}

/** A request that was read, as far as its response has to match it. */
export interface SeenRequest {
  readonly method: string;
  readonly cseq: number;
  readonly branch: string;
  readonly fromTag: string;
  readonly source: Address;
  readonly destination: Address;
  readonly place: Place;
}

/** A response that was taken for none of a request that was seen. */
export type LooseResponse = Pick<
  SipMessage,
  'callId' | 'cseq' | 'cseqMethod' | 'branch' | 'fromTag' | 'status'
> & {
  readonly source: Address;
  readonly destination: Address;
  readonly at: number;
  readonly place: Place;
};

/** What hides the signalling between two hosts. */
export interface Hidden {
  readonly how: 'tls' | 'sigcomp' | 'websocket';
  readonly place: Place;
}

export interface SignallingLog {
  /** A message that was read. `session` is its description, with what is wrong where something is. */
  message(
    message: SipMessage,
    session: Session | SdpError | Refusal | null,
    packet: PacketView,
    summary: string,
    place: Place,
    at: number,
  ): void;
  malformed(packet: PacketView, detail: string, place: Place, at: number): void;
  /** A packet that is no SIP. */
  other(packet: PacketView, place: Place, at: number): void;
  /** A refusal of the message that was told last; `summary` names it. */
  refused(refusal: Refusal, place: Place): void;
  /** Looks in a description for streams without an address. */
  streams(session: Session, origin: Pick<Unaddressed, 'owner' | 'call' | 'summary' | 'place' | 'at'>): void;
  /** The description that names this transport address and could not be read; the latest before `time`, else any. */
  unreadAt(address: Address, port: number, time: number): UnreadDescription | null;
  /** The latest of this host from before `time` that could not be read, else any of its. */
  unreadOf(owner: Address, time: number): UnreadDescription | null;
  /** The stream without an address that this host announced for this port. */
  unaddressedAt(owner: Address, port: number): Unaddressed | null;
  /** Those of a leg. */
  unaddressedIn(call: string): readonly Unaddressed[];
  /** Where a description names this address in a line that is not followed: `a=altc`. */
  attributeOf(
    address: Address,
  ): { readonly attribute: string; readonly summary: string; readonly place: Place } | null;
  responseAt(place: Place): LooseResponse | null;
  requests(callId: string): readonly SeenRequest[];
  /** Responses of a Call-ID that were taken for none of a request. */
  responsesOf(callId: string): readonly LooseResponse[];
  /** A request, or a response, between two hosts that could not be read: that of this Call-ID, else one without any. */
  unreadMessage(
    kind: 'request' | 'response',
    from: Address,
    to: Address,
    callId: string,
    until: number,
  ): UnreadDescription | null;
  hidden(a: Address, b: Address): Hidden | null;
  /** How many messages went from one host to another. */
  count(from: Address, to: Address): number;
  /** Pairs of hosts of which one answered the other's INVITEs and only the answers were seen, with how many. */
  oneSided(): readonly { readonly from: Address; readonly to: Address; readonly messages: number }[];
}

type Texts = [string, string, string];

const MOST = 20_000;
const MOST_REQUESTS_OF_CALL = 24;

/** The methods whose messages may carry an offer or an answer. */
const CARRIERS = new Set(['INVITE', 'ACK', 'PRACK', 'UPDATE']);

/**
 * What was seen of the signalling beside the calls that came of it: for the one who asks why none came of a message.
 * Bounded; what comes after the bound is not remembered.
 */
export function createSignallingLog(): SignallingLog {
  const unreadByPort = new Map<number, UnreadDescription[]>();
  const unreadByHost = new Map<Address, UnreadDescription[]>();
  const unaddressedByHost = new Map<Address, Unaddressed[]>();
  const unaddressedByCall = new Map<string, Unaddressed[]>();
  const attributes = new Map<Address, { attribute: string; summary: string; place: Place }>();
  const byCallId = new Map<string, SeenRequest[]>();
  const responses = new Map<string, LooseResponse>();
  const responsesByCallId = new Map<string, LooseResponse[]>();
  const counts = new Map<Address, Map<Address, number>>();
  const hiddenBetween = new Map<string, Hidden>();
  /** `from to` of responses to an INVITE. */
  const answering = new Set<string>();
  let kept = 0;
  let last: UnreadDescription | null = null;
  let lastMessage: { message: SipMessage; packet: PacketView; at: number } | null = null;

  function message(
    read: SipMessage,
    session: Session | SdpError | Refusal | null,
    packet: PacketView,
    summary: string,
    place: Place,
    at: number,
  ): void {
    last = null;
    lastMessage = { message: read, packet, at };
    countMessage(packet);
    if (read.status !== 0 && read.cseqMethod === 'INVITE' && answering.size < MOST)
      answering.add(`${packet.source} ${packet.destination}`);
    noteRequest(read, packet, place);
    if (!CARRIERS.has(read.status === 0 ? read.method : read.cseqMethod)) return;
    if (session !== null && 'streams' in session) {
      if (hasUnknownAttributes(packet.payload)) noteAttributes(packet.payload, summary, place);
      const origin = parseAddress(session.origin.slice(session.origin.lastIndexOf(' ') + 1));
      if (origin !== null) noteAttribute(origin, 'o=', summary, place);
      return;
    }
    const rough = readRoughly(packet.payload);
    const problem = session === null ? hiddenBody(rough) : { why: session.detail, advice: '' };
    if (problem === null) return;
    last = {
      ...{ source: packet.source, destination: packet.destination, place, at, summary },
      ...{ callId: read.callId, named: rough.named, ...problem, refusal: null },
    };
    keep(last);
  }

  function keep(one: UnreadDescription): void {
    if (++kept > MOST) return;
    add(unreadByHost, one.source, one);
    for (const port of one.named.ports) add(unreadByPort, port, one);
  }

  function malformed(packet: PacketView, detail: string, place: Place, at: number): void {
    const { summary, callId, named } = readRoughly(packet.payload);
    countMessage(packet);
    lastMessage = null;
    last = {
      ...{ source: packet.source, destination: packet.destination, place, at, summary, callId, named },
      ...{ why: detail, advice: '', refusal: null },
    };
    keep(last);
  }

  function other(packet: PacketView, place: Place, at: number): void {
    const { payload, source, destination, protocol, sourcePort, destinationPort } = packet;
    if (payload.length < 8 || (protocol === 'udp' && isKeepalive(payload))) return;
    if (protocol === 'tcp') {
      const how = streamKind(payload);
      if (how !== null) hide(source, destination, how, place);
      return;
    }
    if (!isSipPort(sourcePort) && !isSipPort(destinationPort)) return;
    if ((payload[0]! & 0xf8) === 0xf8) hide(source, destination, 'sigcomp', place);
    else if (payload.includes('SIP/2.0')) noteUnrecognised(packet, place, at);
  }

  /** SIP's version stands in it, yet it does not begin like SIP. */
  function noteUnrecognised(packet: PacketView, place: Place, at: number): void {
    const { before, summary, callId, named } = readRoughly(packet.payload);
    keep({
      ...{ source: packet.source, destination: packet.destination, place, at },
      ...{ summary, callId, named, refusal: null },
      why: `${before} bytes stand before the start line`,
      advice: 'RFC 3261 7.5 allows line ends only. Report it to the maker of the sending device.',
    });
  }

  function hide(a: Address, b: Address, how: Hidden['how'], place: Place): void {
    const key = pairKey(a, b);
    if (!hiddenBetween.has(key) && hiddenBetween.size < MOST) hiddenBetween.set(key, { how, place });
  }

  function countMessage({ source, destination }: PacketView): void {
    let to = counts.get(source);
    if (to === undefined) {
      if (counts.size >= MOST) return;
      to = new Map();
      counts.set(source, to);
    }
    if (to.size < MOST || to.has(destination)) to.set(destination, (to.get(destination) ?? 0) + 1);
  }

  function noteRequest(read: SipMessage, packet: PacketView, place: Place): void {
    if (read.status !== 0 || read.method === 'ACK' || read.method === 'REGISTER') return;
    const known = byCallId.get(read.callId);
    if (known === undefined && byCallId.size >= 10 * MOST) return;
    const { source, destination } = packet;
    const { cseq } = read;
    const [method, branch, fromTag] = [read.method, read.branch, read.fromTag].map(ownCopy) as Texts;
    const request = { method, cseq, branch, fromTag, source, destination, place };
    if (known === undefined) byCallId.set(ownCopy(read.callId), [request]);
    else if (known.length < MOST_REQUESTS_OF_CALL) known.push(request);
  }

  function noteAttributes(payload: Buffer, summary: string, place: Place): void {
    for (const [address, attribute] of readRoughly(payload).named.attributes)
      noteAttribute(address, attribute, summary, place);
  }

  function noteAttribute(address: Address, attribute: string, summary: string, place: Place): void {
    if (attributes.size >= MOST || attributes.has(address)) return;
    attributes.set(address, { attribute, summary, place });
  }

  function streams(
    { streams: all }: Session,
    origin: Pick<Unaddressed, 'owner' | 'call' | 'summary' | 'place' | 'at'>,
  ): void {
    for (const stream of all) {
      if (!isEnabled(stream)) continue;
      const { connection, port, portCount, media, candidates } = stream;
      const ports = [port, port + Math.max(1, portCount) * 2 - 1] as const;
      noteUnaddressed(connection, ports, media, origin);
      for (const one of candidates) noteUnaddressed(one.connection, [one.port, one.port], media, origin);
    }
  }

  function noteUnaddressed(
    connection: Connection,
    ports: Unaddressed['ports'],
    media: Stream['media'],
    origin: Pick<Unaddressed, 'owner' | 'call' | 'summary' | 'place' | 'at'>,
  ): void {
    if (connection.kind === 'address' || ++kept > MOST) return;
    const one: Unaddressed = { ...origin, connection, ports, media: printable(media, 20) };
    add(unaddressedByHost, one.owner, one);
    if (one.call !== null) add(unaddressedByCall, one.call, one);
  }

  function refused(refusal: Refusal, place: Place): void {
    if (last !== null && last.place === place) last.refusal ??= refusal;
    if (refusal.reason !== 'response-without-request' || lastMessage === null) return;
    const { message: read, packet, at } = lastMessage;
    if (responses.size >= MOST) return;
    const { cseq, cseqMethod, status } = read;
    const [callId, branch, fromTag] = [read.callId, read.branch, read.fromTag].map(ownCopy) as Texts;
    const { source, destination } = packet;
    const response = { callId, cseq, cseqMethod, branch, fromTag, status, source, destination, at, place };
    responses.set(placeKey(place), response);
    add(responsesByCallId, callId, response);
  }

  return {
    message,
    malformed,
    other,
    refused,
    streams,
    unreadAt: (address, port, time) => {
      // RTCP is expected at the next port.
      const naming = [port, port - 1].flatMap((one) => unreadByPort.get(one) ?? NO_DESCRIPTIONS);
      const exact = naming.filter(({ named }) => named.addresses.includes(address));
      return (
        latest(exact, time) ??
        latest(
          naming.filter(({ source }) => source === address),
          time,
        )
      );
    },
    unreadOf: (owner, time) =>
      latest(
        (unreadByHost.get(owner) ?? NO_DESCRIPTIONS).filter(({ named }) => named.ports.length === 0),
        time,
      ),
    unaddressedAt: (owner, port) =>
      unaddressedByHost.get(owner)?.findLast(({ ports: [first, end] }) => first <= port && port <= end) ??
      null,
    unaddressedIn: (call) => unaddressedByCall.get(call) ?? [],
    attributeOf: (address) => attributes.get(address) ?? null,
    responseAt: (place) => responses.get(placeKey(place)) ?? null,
    requests: (callId) => byCallId.get(callId) ?? [],
    responsesOf: (callId) => responsesByCallId.get(callId) ?? [],
    unreadMessage: (kind, from, to, callId, until) => {
      const between = (unreadByHost.get(from) ?? NO_DESCRIPTIONS).filter(
        (one) =>
          one.destination === to && one.at <= until && /^[1-6]/.test(one.summary) === (kind === 'response'),
      );
      return (
        between.findLast((one) => one.callId === callId) ??
        between.findLast((one) => one.callId === '') ??
        null
      );
    },
    hidden: (a, b) => hiddenBetween.get(pairKey(a, b)) ?? null,
    count: (from, to) => counts.get(from)?.get(to) ?? 0,
    oneSided: () =>
      [...answering].flatMap((pair) => {
        const [from, to] = pair.split(' ') as [Address, Address];
        const messages = counts.get(from)?.get(to) ?? 0;
        return from === to || (counts.get(to)?.get(from) ?? 0) > 0 ? [] : [{ from, to, messages }];
      }),
  };
}

const NO_DESCRIPTIONS: readonly UnreadDescription[] = [];

function add<K, V>(map: Map<K, V[]>, key: K, value: V): void {
  const list = map.get(key);
  if (list === undefined) map.set(key, [value]);
  else list.push(value);
}

function latest(found: readonly UnreadDescription[], time: number): UnreadDescription | null {
  return found.findLast(({ at }) => at <= time) ?? found[0] ?? null;
}

/** Why a message has no description though its bytes look as if it had; null when they do not. */
function hiddenBody({
  named,
  contentType,
  contentLength,
}: ReturnType<typeof readRoughly>): { readonly why: string; readonly advice: string } | null {
  if (named.ports.length === 0) return null;
  if (contentType === '') {
    return {
      why: 'it has no Content-Type',
      advice:
        'RFC 3261 20.15 wants Content-Type: application/sdp. Report it to the maker of the sending device.',
    };
  }
  if (!/^application\s*\/\s*sdp/i.test(contentType) && !/^multipart/i.test(contentType)) {
    return {
      why: `its Content-Type is ${contentType.split(';')[0]!.slice(0, 60)}, not application/sdp`,
      advice: 'Report it to the maker of the sending device.',
    };
  }
  return {
    why: `it stands behind the end of the body (Content-Length: ${contentLength.slice(0, 12) || 'none'})`,
    advice:
      'What follows Content-Length is no part of a message (RFC 3261 18.3). Report it to the maker of the device.',
  };
}

/** Whether a description may name an address in a line that is not followed. Most have no such line. */
function hasUnknownAttributes(payload: Buffer): boolean {
  return payload.includes('a=altc') || payload.includes('a=ccap') || payload.includes('a=remote-candidates');
}

/** TLS: a handshake record of version 3.x (RFC 8446 5.1); SIP over WebSocket: RFC 7118 4. */
function streamKind(payload: Buffer): Hidden['how'] | null {
  if (payload[0] === 0x16 && payload[1] === 0x03 && payload[2]! <= 4) return 'tls';
  const isHttp = payload[0] === 0x47 || payload[0] === 0x48;
  return isHttp && /^Sec-WebSocket-Protocol:[^\r\n]*\bsip\b/im.test(payload.toString('latin1', 0, 2048))
    ? 'websocket'
    : null;
}

function isSipPort(port: number): boolean {
  return port === 5060 || port === 5061;
}

function pairKey(a: Address, b: Address): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}

function placeKey({ file, frame }: Place): string {
  return `${file} ${frame}`;
}
