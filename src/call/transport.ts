import { portRange } from '../address/ports.ts';
import type { Candidate, Connection, Session, Stream } from '../sdp/session.ts';
import type { MediaKind } from './wanted.ts';

/** One transport address range of a stream. */
export interface Endpoint {
  readonly protocol: 'udp' | 'tcp';
  readonly kind: MediaKind;
  readonly connection: Connection;
  readonly ports: readonly [first: number, last: number];
  readonly candidate: boolean;
}

/** A candidate that came after its description, in INFO (RFC 8840). */
export interface Trickled {
  readonly mid: string;
  readonly candidate: Candidate;
}

/** Pairs of `m=video 49170/n` (RFC 8866 5.14) that are opened at most. */
const MAX_PORT_PAIRS = 8;

/** Whether an m= line is in use: port 0 disables it (RFC 3264 8.2) unless it is bundle-only (RFC 8843 6). */
export function isEnabled(stream: Stream): boolean {
  return stream.port !== 0 || stream.bundleOnly;
}

/** Hold by 0.0.0.0 (RFC 3264 8.4). With candidates it is none: they are the address (RFC 8840 4.1). */
export function isHeldByAddress({ connection, candidates }: Stream): boolean {
  return connection.kind === 'unspecified' && candidates.length === 0;
}

/** The last port of an m= line: of as many pairs as it has, and of them as may be opened. */
export function lastPort({ port, portCount }: Pick<Stream, 'port' | 'portCount'>): number {
  return Math.min(65535, port + 2 * Math.min(portCount, MAX_PORT_PAIRS) - 1);
}

type TransportClass = 'rtp' | Exclude<MediaKind, 'rtp' | 'rtcp' | 'rtp+rtcp'>;

/** The transport of an m= line's proto field, compared as tokens; null when it is none that is known. */
export function transportClass(proto: string): TransportClass | null {
  if (proto === 'RTP/AVP' || proto === 'RTP/SAVP' || proto === 'UDP/TLS/RTP/SAVPF') return 'rtp';
  const tokens = proto.toUpperCase().split('/');
  const has = (token: string) => tokens.includes(token);
  if (tokens[0] === 'TCP') return has('MSRP') ? 'msrp' : has('BFCP') ? 'bfcp' : 'tcp';
  if (has('RTP')) return tokens[0] === 'RTP' || tokens[0] === 'UDP' ? 'rtp' : null;
  if (has('UDPTL')) return 'udptl';
  if (has('SCTP') && has('DTLS')) return 'datachannel';
  return tokens[0] === 'UDP' ? 'udp' : null;
}

/**
 * Where a stream's owner listens. Before the answer (`peer` null) everything that the offer may lead to; after
 * it, what was agreed: rtcp-mux only when both said so (RFC 5761 5.1.1). `apart` never joins RTP and RTCP in
 * one range. A disabled stream, and one whose transport is unknown, has none.
 */
export function endpointsOf(stream: Stream, peer: Stream | null, apart: boolean): Endpoint[] {
  if (stream.port === 0 || isPlaceholder(stream)) return [];
  const kind = transportClass(stream.proto);
  if (kind === null) return [];
  if (kind !== 'rtp') {
    const protocol = kind === 'msrp' || kind === 'bfcp' || kind === 'tcp' ? 'tcp' : 'udp';
    const port = stream.port;
    return [
      { protocol, kind, connection: stream.connection, ports: portRange(port, port), candidate: false },
    ];
  }
  const muxed = isMuxed(stream, peer);
  return rtpEndpoints(stream, muxed, apart);
}

/** RFC 863: what stands where no port is known. */
const DISCARD = 9;

/** Port 9 in the m= line: where media goes is said by the candidates alone (RFC 8840 4.1). */
function isPlaceholder({ port, candidates }: Stream): boolean {
  return port === DISCARD && candidates.length > 0;
}

/**
 * Where a stream wants its RTCP (RFC 3605), null where it does not say. `9 IN IP4 0.0.0.0`, which browsers write beside
 * a port that is one, says nothing; 0.0.0.0 at another port is no other host than that of the stream.
 */
export function rtcpPlace({ rtcp }: Stream): Stream['rtcp'] {
  if (rtcp === null || rtcp.port === DISCARD) return null;
  return rtcp.connection?.kind === 'unspecified' ? { ...rtcp, connection: null } : rtcp;
}

/** Whether RTP and RTCP share one port for certain. */
export function isMuxed(stream: Stream, peer: Stream | null): boolean {
  return peer === null ? stream.rtcpMuxOnly : stream.rtcpMux && peer.rtcpMux;
}

function rtpEndpoints(stream: Stream, muxed: boolean, apart: boolean): Endpoint[] {
  const { port, connection } = stream;
  const rtcp = rtcpPlace(stream);
  if (stream.portCount > 1) return [udp('rtp+rtcp', connection, port, lastPort(stream))];
  if (muxed) return [udp('rtp+rtcp', connection, port, port)];
  const rtcpConnection = rtcp?.connection ?? connection;
  const rtcpPort = rtcp?.port ?? port + 1;
  if (rtcpPort > 65535 || rtcpPort === 0) return [udp('rtp', connection, port, port)];
  const sameHost = sameConnection(rtcpConnection, connection);
  if (sameHost && rtcpPort === port) return [udp('rtp+rtcp', connection, port, port)];
  if (sameHost && rtcpPort === port + 1 && !apart) return [udp('rtp+rtcp', connection, port, rtcpPort)];
  return [udp('rtp', connection, port, port), udp('rtcp', rtcpConnection, rtcpPort, rtcpPort)];
}

function udp(kind: MediaKind, connection: Connection, first: number, last: number): Endpoint {
  return { protocol: 'udp', kind, connection, ports: portRange(first, last), candidate: false };
}

/**
 * The host and server-reflexive UDP candidates of a stream (RFC 8839), as far as they add to `known`. Relayed
 * candidates are ports of the relay, raddr/rport are for people.
 */
export function candidateEndpoints(
  stream: Stream,
  trickled: readonly Trickled[],
  muxed: boolean,
  known: readonly Endpoint[],
): Endpoint[] {
  const rtp = transportClass(stream.proto) === 'rtp';
  const all = [...stream.candidates];
  for (const { mid, candidate } of trickled) if (mid === stream.mid) all.push(candidate);
  const endpoints: Endpoint[] = [];
  for (const { component, transport, type, connection, port } of all) {
    if (transport !== 'udp' || (type !== 'host' && type !== 'srflx') || port === 0) continue;
    if (component !== 1 && (component !== 2 || muxed || !rtp)) continue;
    const covered = [...known, ...endpoints].some(
      (one) => sameConnection(one.connection, connection) && one.ports[0] <= port && port <= one.ports[1],
    );
    if (covered) continue;
    const kind = !rtp ? 'datachannel' : component === 2 ? 'rtcp' : muxed ? 'rtp+rtcp' : 'rtp';
    endpoints.push({ protocol: 'udp', kind, connection, ports: portRange(port, port), candidate: true });
  }
  return endpoints;
}

/**
 * The index of the m= line whose transport carries stream `index` once the answer is in: itself, or the first
 * of its BUNDLE group in the answer (the tagged m= section, RFC 8843 7.3.1) when the offer had the group too.
 */
export function transportIndex(offer: Session, answer: Session, index: number): number {
  const mid = answer.streams[index]?.mid ?? '';
  if (mid === '') return index;
  const group = answer.bundles.find((mids) => mids.includes(mid));
  const tag = group?.[0];
  if (tag === undefined || !offer.bundles.some((mids) => mids.includes(mid) && mids.includes(tag)))
    return index;
  const tagged = answer.streams.findIndex((stream) => stream.mid === tag);
  const usable = answer.streams[tagged] !== undefined && isEnabled(answer.streams[tagged]);
  return usable ? tagged : index;
}

export function sameConnection(a: Connection, b: Connection): boolean {
  if (a.kind === 'address') return b.kind === 'address' && a.address === b.address;
  if (a.kind === 'hostname') return b.kind === 'hostname' && a.name === b.name;
  return a.kind === b.kind;
}
