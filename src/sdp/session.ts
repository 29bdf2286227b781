import type { Address } from '../address/address.ts';

/** One session description (RFC 8866), reduced to what decides about transport. */
export interface Session {
  /** `o=` as written without the leading "o=", the identity of this description. */
  readonly origin: string;
  /** sess-version of `o=` (RFC 3264 section 8: unchanged means nothing changed), as text. */
  readonly version: string;
  /** One for each m= line, in order. Streams past the cap are not listed, see `streamsDropped`. */
  readonly streams: readonly Stream[];
  readonly streamsDropped: number;
  /** Groups of `a=group:BUNDLE`: lists of mids. */
  readonly bundles: readonly (readonly string[])[];
}

export type Direction = 'sendrecv' | 'sendonly' | 'recvonly' | 'inactive';

export interface Stream {
  /** audio, video, image, application, message, text... in lower case. */
  readonly media: string;
  /** Transport as written: RTP/AVP, UDP/TLS/RTP/SAVPF, udptl, TCP/MSRP... */
  readonly proto: string;
  /** As `listCodecs` has them, shared with other descriptions; empty where its formats are no RTP payload types. */
  readonly codecs: readonly string[];
  /** Port of the m= line; 0 = rejected or disabled (unless bundleOnly). */
  readonly port: number;
  /** `/n` of the m= line, 1 without it. */
  readonly portCount: number;
  /** Address of the media-level c=, else of the session-level c=. */
  readonly connection: Connection;
  readonly direction: Direction;
  /** a=rtcp (RFC 3605): its port, and its address when it names one. */
  readonly rtcp: { readonly port: number; readonly connection: Connection | null } | null;
  readonly rtcpMux: boolean;
  /** a=rtcp-mux-only (RFC 8858). */
  readonly rtcpMuxOnly: boolean;
  readonly bundleOnly: boolean;
  readonly mid: string;
  /** a=setup (RFC 4145), '' when absent. */
  readonly setup: string;
  readonly candidates: readonly Candidate[];
  /** Candidates past the cap, or longer than a line may be. */
  readonly candidatesDropped: number;
}

/** What a c= (or a=rtcp, or candidate) names. Never resolved by DNS. */
export type Connection =
  | { readonly kind: 'address'; readonly address: Address }
  /** 0.0.0.0 or ::, the old way of hold (RFC 3264 8.4). */
  | { readonly kind: 'unspecified' }
  | { readonly kind: 'hostname'; readonly name: string }
  /** Absent, or not an IN IP4/IP6 address. */
  | { readonly kind: 'none' };

export interface Candidate {
  readonly component: number;
  /** Lower case: udp, tcp. */
  readonly transport: string;
  readonly connection: Connection;
  readonly port: number;
  /** host, srflx, prflx, relay. */
  readonly type: string;
}

/** One section of a trickle-ICE fragment (RFC 8840): candidates to add to the stream with this mid. */
export interface TrickledCandidates {
  readonly mid: string;
  readonly candidates: readonly Candidate[];
  readonly candidatesDropped: number;
  /** a=end-of-candidates: no more will follow. */
  readonly isLast: boolean;
}

export type SdpErrorReason = 'malformed-sdp' | 'several-sdp' | 'sdp-too-large';

export interface SdpError {
  readonly error: SdpErrorReason;
  readonly detail: string;
}

/** Nothing else that is read has an `error`. */
export function isSdpError(read: object): read is SdpError {
  return 'error' in read;
}

/** Nor has anything but a description `streams`. */
export function isSession(read: object | null): read is Session {
  return read !== null && 'streams' in read;
}
