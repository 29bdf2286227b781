import { type Address, type Family, familyOf } from '../address/address.ts';
import { appended } from '../lists.ts';
import { printable } from '../printable.ts';
import { remembered } from '../remembered.ts';
import type { Connection, Stream } from '../sdp/session.ts';
import { isNamedOutside } from './announced.ts';
import { type Agreement, type Call, type Description, type Dialog, otherSide } from './call.ts';
import {
  candidateEndpoints,
  type Endpoint,
  endpointsOf,
  isEnabled,
  isMuxed,
  rtcpPlace,
  sameConnection,
  type Trickled,
  transportClass,
  transportIndex,
} from './transport.ts';
import type { Side, Wanted } from './wanted.ts';

/** The settings that decide where media may come from and what of a stream is opened. */
export interface StreamSettings {
  readonly earlyMediaSource: 'signalling-peer' | 'any';
  readonly mediaSource: 'exact' | 'signalling-peer' | 'any';
  readonly symmetric: boolean;
  readonly ice: boolean;
  readonly caps: {
    /** Addresses from which one transport may be reached. */
    readonly sources: number;
  };
}

/** A stream for which no pinhole can even be asked. */
interface Unusable {
  readonly reason:
    | 'unknown-transport'
    | 'extra-stream'
    | 'tcp-media'
    | 'too-many-streams'
    | 'too-many-sources';
  readonly detail: string;
}

export interface WantedStreams {
  readonly wanted: readonly Wanted[];
  /** Slots that an answer left without a transport of their own, and how. */
  readonly idleSlots: ReadonlyMap<string, 'stream-disabled' | 'bundled'>;
  readonly unusable: readonly Unusable[];
}

/**
 * Transports of one side that are looked at, those of all forks together. What a call costs is bounded by this:
 * its parties may answer one INVITE with 32 forks of 32 streams with 8 candidates each.
 */
export const MAX_TRANSPORTS = 512;

/** What `wantedStreams` gathers on its way through a call. */
interface Gathering {
  readonly call: Call;
  /** What holds for the streams of each side, by its peer. */
  readonly settings: readonly [StreamSettings, StreamSettings];
  wanted: Wanted[] | null;
  /** Where in `wanted` a place is; null while there are so few that they are looked through. */
  places: Map<string, number> | null;
  /** Transports looked at, by side. */
  readonly looked: [number, number];
  idleSlots: Map<string, 'stream-disabled' | 'bundled'> | null;
  unusable: Unusable[] | null;
}

/** One stream of one party, seen from that party. */
interface StreamPlace {
  readonly side: Side;
  readonly index: number;
  readonly stream: Stream;
  /** The stream of the other party that answers it; null before the answer. */
  readonly peer: Stream | null;
  /** It is of the offer, not of the answer. */
  readonly offered: boolean;
  /** What the other party had announced before this offer. */
  readonly before: Stream | null;
  readonly owner: Address;
  readonly dialog: Dialog | null;
}

const SIDES: readonly Side[] = [0, 1];
/** Names of the first streams of each side, which nearly every call has. */
const SLOTS = [
  ['0:0', '0:1', '0:2', '0:3'],
  ['1:0', '1:1', '1:2', '1:3'],
] as const;
const NO_SLOTS: WantedStreams['idleSlots'] = new Map();
const NO_CANDIDATES: readonly Trickled[] = [];
const NO_ADDRESSES: readonly Address[] = [];
const NOTHING: WantedStreams = { wanted: [], idleSlots: NO_SLOTS, unusable: [] };

/**
 * Everything a call needs to be reachable right now, worked out afresh from its offers and answers. Asking
 * twice gives the same, so a retransmission changes nothing and a refused offer leaves what was there.
 */
export function wantedStreams(call: Call, settingsFor: (peer: Address) => StreamSettings): WantedStreams {
  if (call.state === 'ended' || call.idle) return NOTHING;
  const { invite } = call;
  const gathering: Gathering = {
    call,
    settings: [settingsFor(call.parties[1]), settingsFor(call.parties[0])],
    wanted: null,
    places: null,
    looked: [0, 0],
    idleSlots: null,
    unusable: null,
  };
  if (invite !== null && invite.offer !== null && invite.final === 0 && awaitsAnswer(call)) {
    addOffer(gathering, invite.offer, 0, null);
  }
  for (const dialog of confirmedFirst(call.dialogs)) {
    if (dialog.agreed !== null) addAgreement(gathering, dialog, dialog.agreed);
    for (const side of SIDES) {
      const pending = dialog.offers[side];
      if (pending !== null) addOffer(gathering, pending.description, side, dialog);
    }
  }
  if (gathering.looked.some((count) => count > MAX_TRANSPORTS)) {
    const detail = `more than ${MAX_TRANSPORTS} transports of one party`;
    leaveOut(gathering, { reason: 'too-many-streams', detail });
  }
  const { wanted, idleSlots, unusable } = gathering;
  return {
    wanted: wanted ?? NOTHING.wanted,
    idleSlots: idleSlots ?? NO_SLOTS,
    unusable: unusable ?? NOTHING.unusable,
  };
}

function leaveOut(gathering: Gathering, what: Unusable): void {
  gathering.unusable = appended(gathering.unusable, what);
}

/** Those that carry the call come before forks that ring, should there be too much to look at. */
function confirmedFirst(dialogs: readonly Dialog[]): readonly Dialog[] {
  if (dialogs.length < 2) return dialogs;
  return [...dialogs].sort((a, b) => Number(b.confirmed) - Number(a.confirmed));
}

/** The first offer stands as long as no fork has answered it, or one that rings has not. */
function awaitsAnswer(call: Call): boolean {
  return call.dialogs.length === 0 || call.dialogs.some((dialog) => dialog.agreed === null);
}

/** An offer is in, its answer is not: media may come from the signalling peer, and from where it came so far. */
function addOffer(gathering: Gathering, offer: Description, side: Side, dialog: Dialog | null): void {
  const { session, owner } = offer;
  const previous = dialog?.agreed?.sides[otherSide(side)].session.streams;
  for (let index = 0; index < session.streams.length; index++) {
    const known = previous?.[index];
    const before = known !== undefined && isEnabled(known) ? known : null;
    addStream(gathering, {
      side,
      index,
      stream: session.streams[index]!,
      peer: null,
      offered: true,
      before,
      owner,
      dialog,
    });
  }
}

function addAgreement(gathering: Gathering, dialog: Dialog, { offerSide, sides }: Agreement): void {
  const offer = sides[offerSide].session;
  const answer = sides[otherSide(offerSide)].session;
  for (let index = 0; index < answer.streams.length; index++) {
    const answered = answer.streams[index]!;
    const proposed = offer.streams[index];
    if (proposed === undefined && !isEnabled(answered)) continue;
    if (proposed === undefined || proposed.media !== answered.media) {
      const detail = `m=${printable(answered.media, 20)} at position ${index + 1} of the answer`;
      leaveOut(gathering, { reason: 'extra-stream', detail });
    } else if (!isEnabled(answered) || !isEnabled(proposed)) {
      leaveIdle(gathering, index, 'stream-disabled');
    } else if (transportIndex(offer, answer, index) !== index) {
      leaveIdle(gathering, index, 'bundled');
    } else {
      for (const side of SIDES) {
        const { session, owner, unread } = sides[side];
        if (unread === true) continue;
        const peer = sides[otherSide(side)].session.streams[index]!;
        addStream(gathering, {
          side,
          index,
          stream: session.streams[index]!,
          peer,
          offered: side === offerSide,
          before: null,
          owner,
          dialog,
        });
      }
    }
  }
}

function leaveIdle(gathering: Gathering, index: number, how: 'stream-disabled' | 'bundled'): void {
  gathering.idleSlots ??= new Map();
  gathering.idleSlots.set(`0:${index}`, how).set(`1:${index}`, how);
}

function addStream(gathering: Gathering, place: StreamPlace): void {
  const { side, stream, peer, dialog } = place;
  const settings = gathering.settings[side];
  if (gathering.looked[side] > MAX_TRANSPORTS) return;
  if (transportClass(stream.proto) === null) {
    const detail = `m=${printable(stream.media, 20)} ${stream.port} ${printable(stream.proto, 40)}`;
    leaveOut(gathering, { reason: 'unknown-transport', detail });
    return;
  }
  const endpoints = endpointsOf(stream, peer, settings.symmetric && peer !== null);
  if (endpoints[0]?.protocol === 'tcp' && !awaitsConnection(place)) {
    const detail = `m=${printable(stream.media, 20)}: nobody connects to its owner (a=setup)`;
    leaveOut(gathering, { reason: 'tcp-media', detail });
    if (peer !== null) {
      gathering.idleSlots ??= new Map();
      gathering.idleSlots.set(`${side}:${place.index}`, 'stream-disabled');
    }
    return;
  }
  const trickled = dialog?.trickled[side] ?? NO_CANDIDATES;
  if (!settings.ice || (stream.candidates.length === 0 && trickled.length === 0)) {
    // RTP and RTCP at most, which have sources of their own.
    for (const endpoint of endpoints) addEndpoint(gathering, place, endpoint, sourcesAt);
    return;
  }
  const sources = knownSources();
  for (const endpoint of endpoints) addEndpoint(gathering, place, endpoint, sources);
  for (const endpoint of candidateEndpoints(stream, trickled, isMuxed(stream, peer), endpoints)) {
    addEndpoint(gathering, place, endpoint, sources);
  }
}

type Sources = readonly Address[] | 'any';
type SourcesAt = (gathering: Gathering, place: StreamPlace, endpoint: Endpoint) => Sources;

function sourcesAt(gathering: Gathering, place: StreamPlace, endpoint: Endpoint): Sources {
  return bounded(gathering, place, sourcesOf(gathering, place, endpoint));
}

/** `sourcesAt` for the endpoints of one stream: a stream of many candidates has few kinds of them. */
function knownSources(): SourcesAt {
  const known: (Sources | undefined)[] = [];
  return (gathering, place, endpoint) => {
    const { kind, connection } = endpoint;
    const family = connection.kind === 'address' ? familyOf(connection.address) : 0;
    const which = kind === 'rtp' ? family + 1 : family;
    const sources = known[which] ?? sourcesAt(gathering, place, endpoint);
    known[which] = sources;
    return sources;
  };
}

function addEndpoint(gathering: Gathering, place: StreamPlace, endpoint: Endpoint, sources: SourcesAt): void {
  const { call, looked } = gathering;
  const { side, index, stream, peer, owner } = place;
  const settings = gathering.settings[side];
  if (++looked[side] > MAX_TRANSPORTS) return;
  const entry: Wanted = {
    slot: SLOTS[side][index] ?? `${side}:${index}`,
    media: stream.media,
    kind: endpoint.kind,
    protocol: endpoint.protocol,
    owner,
    peer: call.parties[otherSide(side)],
    connection: endpoint.connection,
    ports: endpoint.ports,
    relayed: isNamedOutside(call.announced, endpoint.connection, endpoint.ports),
    sources: sources(gathering, place, endpoint),
    sourcePort: settings.symmetric && peer !== null ? peerPort(peer, endpoint) : null,
    candidate: endpoint.candidate,
    agreed: peer !== null,
  };
  const wanted = gathering.wanted ?? NOTHING.wanted;
  const same = indexOfSame(gathering, wanted, entry);
  if (same < 0) {
    gathering.places?.set(placeOf(entry), wanted.length);
    gathering.wanted = appended(gathering.wanted, entry);
    return;
  }
  const both = merge(wanted[same]!, entry);
  const isNew = both.sources !== wanted[same]!.sources;
  gathering.wanted![same] = isNew ? { ...both, sources: bounded(gathering, place, both.sources) } : both;
}

/** Of the addresses from which a stream may be reached as many as the cap lets in, sorted. */
function bounded(gathering: Gathering, { side, stream }: StreamPlace, sources: Sources): Sources {
  if (sources === 'any') return sources;
  const most = gathering.settings[side].caps.sources;
  if (sources.length === 1) return only(sources[0]!);
  // A copy: a list that has grown keeps room for sixteen more, and this one is kept with the pinhole.
  if (sources.length <= most) return [...sources].sort();
  const detail = `m=${printable(stream.media, 20)}: ${sources.length} addresses, the first ${most} count`;
  leaveOut(gathering, { reason: 'too-many-sources', detail });
  return sources.slice(0, most).sort();
}

/** The list of one address, the same for all calls of it lately. */
const only = remembered(4096, (address: Address): readonly Address[] => [address]);

/** Where media for this endpoint may come from: addresses of its own family only, the surest first. */
function sourcesOf(
  { call, settings: ofSides }: Gathering,
  { side, peer, before, dialog }: StreamPlace,
  { kind, connection }: Endpoint,
): Sources {
  const settings = ofSides[side];
  if (peer === null && before === null && settings.earlyMediaSource === 'any' && !call.earlyOver) {
    return 'any';
  }
  if (peer !== null && settings.mediaSource === 'any') return 'any';
  const family = connection.kind === 'address' ? familyOf(connection.address) : null;
  let found: Address[] | null = null;
  if (peer === null || !settings.symmetric) {
    found = withAddress(found, family, call.parties[otherSide(side)]);
    const owner = dialog?.agreed?.sides[otherSide(side)].owner;
    if (owner !== undefined) found = withAddress(found, family, owner);
  }
  const announced = peer ?? before;
  if (announced !== null && settings.mediaSource === 'exact') {
    found = withConnection(found, family, announced.connection);
    if (kind !== 'rtp') found = withConnection(found, family, rtcpPlace(announced)?.connection ?? null);
    if (settings.ice) {
      for (const one of announced.candidates) {
        if (one.transport === 'udp') found = withConnection(found, family, one.connection);
      }
      for (const one of dialog?.trickled[otherSide(side)] ?? NO_CANDIDATES) {
        if (one.mid === announced.mid) found = withConnection(found, family, one.candidate.connection);
      }
    }
  }
  return found ?? NO_ADDRESSES;
}

function withConnection(
  found: Address[] | null,
  family: Family | null,
  connection: Connection | null,
): Address[] | null {
  return connection?.kind === 'address' ? withAddress(found, family, connection.address) : found;
}

function withAddress(found: Address[] | null, family: Family | null, address: Address): Address[] | null {
  const isOther = family !== null && familyOf(address) !== family;
  return isOther || found?.includes(address) === true ? found : appended(found, address);
}

/** So many entries are looked through faster than a name is made for each. */
const FEW = 8;

/** Where in `wanted` the transport of this entry is already; -1 where it is new. */
function indexOfSame(gathering: Gathering, wanted: readonly Wanted[], entry: Wanted): number {
  if (wanted.length <= FEW) return wanted.findIndex((one) => isSamePlace(one, entry));
  gathering.places ??= new Map(wanted.map((one, index) => [placeOf(one), index]));
  return gathering.places.get(placeOf(entry)) ?? -1;
}

/** What `placeOf` of both being equal says. */
function isSamePlace(a: Wanted, b: Wanted): boolean {
  return (
    a.ports[0] === b.ports[0] &&
    a.ports[1] === b.ports[1] &&
    a.kind === b.kind &&
    a.protocol === b.protocol &&
    a.sourcePort === b.sourcePort &&
    a.owner === b.owner &&
    sameConnection(a.connection, b.connection)
  );
}

/** Equal for what leads to the same transport of the same owner. */
function placeOf({ connection, ports, kind, protocol, sourcePort, owner }: Wanted): string {
  const at = connection.kind === 'address' ? connection.address : connection.kind;
  const name = connection.kind === 'hostname' ? connection.name : '';
  return `${ports[0]} ${ports[1]} ${kind} ${protocol} ${sourcePort} ${owner} ${at} ${name}`;
}

/** Two forks that lead to the same transport share one entry that lets both in. */
function merge(a: Wanted, b: Wanted): Wanted {
  const sources = a.sources === 'any' || b.sources === 'any' ? 'any' : joined(a.sources, b.sources);
  return { ...a, sources, agreed: a.agreed || b.agreed, candidate: a.candidate && b.candidate };
}

/** The addresses of both, those of `a` first. */
function joined(a: readonly Address[], b: readonly Address[]): readonly Address[] {
  if (a === b) return a;
  const more = b.filter((address) => !a.includes(address));
  return more.length === 0 ? a : [...a, ...more];
}

/**
 * Whether the owner of a stream over TCP is connected to (RFC 4145 section 4): what stands in neither description
 * is `active` in the offer and `passive` in the answer; port 9 is the sign of one that connects itself.
 */
function awaitsConnection({ stream, peer, offered }: StreamPlace): boolean {
  const own = stream.setup || (offered ? 'active' : 'passive');
  if (stream.port === 9) return false;
  if (peer === null) return own === 'passive' || own === 'actpass';
  const theirs = peer.setup || (offered ? 'passive' : 'active');
  return offered
    ? theirs === 'active' && (own === 'passive' || own === 'actpass')
    : own === 'passive' && (theirs === 'active' || theirs === 'actpass');
}

/** The port that a symmetric peer (RFC 4961) sends from to reach this endpoint. */
function peerPort(peer: Stream, endpoint: Endpoint): number {
  if (endpoint.kind !== 'rtcp') return peer.port;
  return isMuxed(peer, peer) ? peer.port : (rtcpPlace(peer)?.port ?? peer.port + 1);
}
