import { type Address, familyOf } from '../address/address.ts';
import type { Connection, Stream } from '../sdp/session.ts';
import { type Call, type Description, type Dialog, isEnabled, otherSide, type Trickled } from './call.ts';
import {
  candidateEndpoints,
  type Endpoint,
  endpointsOf,
  isMuxed,
  sameConnection,
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
}

/** A stream for which no pinhole can even be asked. */
export interface Unusable {
  readonly reason: 'unknown-transport' | 'extra-stream' | 'tcp-media';
  readonly detail: string;
}

export interface WantedStreams {
  readonly wanted: readonly Wanted[];
  /** Slots of streams that an answer disabled (port 0). */
  readonly disabled: ReadonlySet<string>;
  readonly unusable: readonly Unusable[];
}

const NONE: ReadonlySet<string> = new Set();
const NOTHING: WantedStreams = { wanted: [], disabled: NONE, unusable: [] };

/**
 * Everything a call needs to be reachable right now, worked out afresh from its offers and answers. Asking
 * twice gives the same, so a retransmission changes nothing and a refused offer leaves what was there.
 */
export function wantedStreams(call: Call, settings: StreamSettings): WantedStreams {
  if (call.state === 'ended' || call.idle) return NOTHING;
  const collector = createCollector(call, settings);
  const offer = call.invite?.offer ?? null;
  if (offer !== null && call.invite?.final === 0 && awaitsAnswer(call)) collector.offered(offer, 0, null);
  for (const dialog of call.dialogs) {
    if (dialog.agreed !== null) collector.agreed(dialog);
    for (const side of [0, 1] as const) {
      const pending = dialog.offers[side];
      if (pending !== null) collector.offered(pending.description, side, dialog);
    }
  }
  return collector.result();
}

/** The first offer stands as long as no fork has answered it, or one that rings has not. */
function awaitsAnswer(call: Call): boolean {
  return call.dialogs.length === 0 || call.dialogs.some((dialog) => dialog.agreed === null);
}

function createCollector(call: Call, settings: StreamSettings) {
  const wanted: Wanted[] = [];
  let disabled: Set<string> | null = null;
  const unusable: Unusable[] = [];

  function add(entry: Wanted): void {
    const index = wanted.findIndex((one) => isSamePlace(one, entry));
    if (index < 0) wanted.push(entry);
    else wanted[index] = merge(wanted[index]!, entry);
  }

  function addStream(
    side: Side,
    index: number,
    stream: Stream,
    peer: Stream | null,
    description: Description,
    trickled: readonly Trickled[],
    sourcesFor: (endpoint: Endpoint) => readonly Address[] | 'any',
  ): void {
    if (transportClass(stream.proto) === null) {
      unusable.push({
        reason: 'unknown-transport',
        detail: `m=${stream.media} ${stream.port} ${stream.proto}`,
      });
      return;
    }
    const symmetric = settings.symmetric && peer !== null;
    const endpoints = endpointsOf(stream, peer, symmetric);
    if (endpoints[0]?.protocol === 'tcp' && ownerConnects(stream)) {
      unusable.push({
        reason: 'tcp-media',
        detail: `m=${stream.media}: its owner connects (a=setup:active)`,
      });
      return;
    }
    const candidates = settings.ice
      ? candidateEndpoints(stream, trickled, isMuxed(stream, peer), endpoints)
      : [];
    for (const endpoint of [...endpoints, ...candidates]) {
      add({
        slot: `${side}:${index}`,
        media: stream.media,
        kind: endpoint.kind,
        protocol: endpoint.protocol,
        owner: description.owner,
        connection: endpoint.connection,
        ports: endpoint.ports,
        sources: sourcesFor(endpoint),
        sourcePort: symmetric ? peerPort(peer, endpoint) : null,
        candidate: endpoint.candidate,
        agreed: peer !== null,
      });
    }
  }

  /** An offer is in, its answer is not: media may come from the signalling peer, and from where it came so far. */
  function offered(description: Description, side: Side, dialog: Dialog | null): void {
    const peerAddress = call.parties[otherSide(side)];
    const previous = dialog?.agreed?.sides[otherSide(side)].session.streams;
    for (const [index, stream] of description.session.streams.entries()) {
      const before = previous?.[index];
      addStream(side, index, stream, null, description, dialog?.trickled[side] ?? [], (endpoint) => {
        if (settings.earlyMediaSource === 'any' && before === undefined) return 'any';
        return sources(endpoint, before ?? null, [], peerAddress);
      });
    }
  }

  function agreed(dialog: Dialog): void {
    const agreement = dialog.agreed!;
    const { offerSide, sides } = agreement;
    const offer = sides[offerSide].session;
    const answer = sides[otherSide(offerSide)].session;
    for (const [index, answered] of answer.streams.entries()) {
      const proposed = offer.streams[index];
      if (proposed === undefined || proposed.media !== answered.media) {
        unusable.push({
          reason: 'extra-stream',
          detail: `m=${answered.media} at position ${index + 1} of the answer`,
        });
        continue;
      }
      if (!isEnabled(answered) || !isEnabled(proposed)) {
        disabled ??= new Set();
        disabled.add(`0:${index}`).add(`1:${index}`);
        continue;
      }
      if (transportIndex(offer, answer, index) !== index) continue;
      for (const side of [0, 1] as const) {
        const mine = sides[side];
        const peer = sides[otherSide(side)].session.streams[index]!;
        const peerAddress = call.parties[otherSide(side)];
        addStream(side, index, mine.session.streams[index]!, peer, mine, dialog.trickled[side], (endpoint) =>
          sources(endpoint, peer, dialog.trickled[otherSide(side)], peerAddress),
        );
      }
    }
  }

  function sources(
    endpoint: Endpoint,
    peer: Stream | null,
    trickled: readonly Trickled[],
    signalling: Address,
  ): readonly Address[] | 'any' {
    if (settings.mediaSource === 'any' && peer !== null) return 'any';
    const family = endpoint.connection.kind === 'address' ? familyOf(endpoint.connection.address) : null;
    const found: Address[] = [];
    const allow = (address: Address) => {
      if ((family === null || familyOf(address) === family) && !found.includes(address)) found.push(address);
    };
    if (!settings.symmetric || peer === null) allow(signalling);
    if (peer !== null && settings.mediaSource === 'exact') {
      const allowConnection = (connection: Connection) => {
        if (connection.kind === 'address') allow(connection.address);
      };
      allowConnection(peer.connection);
      if (peer.rtcp?.connection != null && endpoint.kind !== 'rtp') allowConnection(peer.rtcp.connection);
      if (settings.ice) {
        for (const one of peer.candidates) allowConnection(one.connection);
        for (const one of trickled) if (one.mid === peer.mid) allowConnection(one.candidate.connection);
      }
    }
    return found.sort();
  }

  return {
    offered,
    agreed,
    result: (): WantedStreams => ({ wanted, disabled: disabled ?? NONE, unusable }),
  };
}

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

/** Two forks that lead to the same transport share one entry that lets both in. */
function merge(a: Wanted, b: Wanted): Wanted {
  const sources =
    a.sources === 'any' || b.sources === 'any' ? 'any' : [...new Set([...a.sources, ...b.sources])].sort();
  return { ...a, sources, agreed: a.agreed || b.agreed, candidate: a.candidate && b.candidate };
}

/** RFC 4145: `active` connects and listens nowhere; port 9 is the sign of it. */
function ownerConnects(stream: Stream): boolean {
  return stream.setup === 'active' || stream.port === 9;
}

/** The port that a symmetric peer (RFC 4961) sends from to reach this endpoint. */
function peerPort(peer: Stream, endpoint: Endpoint): number {
  if (endpoint.kind !== 'rtcp') return peer.port;
  return isMuxed(peer, peer) ? peer.port : (peer.rtcp?.port ?? peer.port + 1);
}
