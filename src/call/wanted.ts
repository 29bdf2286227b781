import type { Address } from '../address/address.ts';
import type { Connection } from '../sdp/session.ts';

/** What a pinhole carries. `rtp+rtcp` is a range with both, or one port with both (rtcp-mux). */
export type MediaKind =
  | 'rtp'
  | 'rtcp'
  | 'rtp+rtcp'
  | 'udptl'
  | 'datachannel'
  | 'udp'
  | 'msrp'
  | 'bfcp'
  | 'tcp';

/** Which party of a call: 0 sent its first request, 1 is the other. */
export type Side = 0 | 1;

/** What the parties are called, by side. */
export const PARTIES = ['caller', 'callee'] as const;

/** One transport that a call needs to be reachable now. Policy makes a pinhole or a refusal of it. */
export interface Wanted {
  /** `side:m-line`: what takes the place of what when a stream moves. */
  readonly slot: string;
  readonly media: string;
  readonly kind: MediaKind;
  readonly protocol: 'udp' | 'tcp';
  /** Packet source of the message that announced it: the host that says "send to me here". */
  readonly owner: Address;
  /** Signalling address of the other party. What that party announces as its media address says nothing of it. */
  readonly peer: Address;
  readonly connection: Connection;
  readonly ports: readonly [first: number, last: number];
  /** A party outside named one of these ports before the owner did: the owner passes on what it did not write. */
  readonly relayed: boolean;
  /** Addresses the media may come from; 'any' only before the answer and by configuration. May be empty. */
  readonly sources: readonly Address[] | 'any';
  readonly sourcePort: number | null;
  /** An ICE candidate beside the default one: closed again when nothing ever uses it. */
  readonly candidate: boolean;
  /** Whether the other party has answered; before that the sources are a guess. */
  readonly agreed: boolean;
}

/** Which party the stream of a slot leads to. */
export function ownerOf(slot: Wanted['slot']): Side {
  return slot.startsWith('0') ? 0 : 1;
}

/** How pinholes that are no longer wanted leave. */
export interface Departure {
  readonly reason: CloseReason;
  /** ms that a pinhole stays whose stream lives on elsewhere, unless media is seen there first. */
  readonly movedLinger: number;
  /** ms that a pinhole stays whose stream is gone. */
  readonly goneLinger: number;
  /** ms that a separate RTCP port stays which was offered and is not needed: both sides agreed on rtcp-mux. */
  readonly muxLinger: number;
}

/**
 * Why a pinhole was closed. Closed list, shown to people as it is. `answered`: the answer made another of it, with
 * the sources that are known now; `replaced`: another that lets the same through took its place; `external-changed`:
 * the external address that was announced is gone; `unlisted`: `static-media` lists it no more.
 */
export type CloseReason =
  | 'bye'
  | 'bye-timeout'
  | 'cancelled'
  | 'call-failed'
  | 'no-response'
  | 'ringing-timeout'
  | 'session-expired'
  | 'max-duration'
  | 'over-limit'
  | 'media-idle'
  | 'hold-idle'
  | 'one-way'
  | 'early-over'
  | 'offer-refused'
  | 'stream-disabled'
  | 'moved'
  | 'answered'
  | 'replaced'
  | 'rtcp-mux'
  | 'bundled'
  | 'losing-fork'
  | 'unused-candidate'
  | 'new-attempt'
  | 'external-changed'
  | 'connection-closed'
  | 'static-idle'
  | 'registration-expired'
  | 'unlisted'
  | 'administrator';
