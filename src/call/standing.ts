import type { Address } from '../address/address.ts';

/** Which of the connections of a peer. */
interface ConnectionEnds {
  readonly peerPort: number;
  readonly host: Address;
  readonly hostPort: number;
}

/** A TLS connection of the peer with a host inside. */
export interface HeldConnection extends ConnectionEnds {
  /** When the host sent its last segment on it, in ms. */
  seenAt: number;
  /** Sequence number that the host awaits from the peer; null before it has told one. */
  awaits: number | null;
}

/** Whether it is the same connection, whatever was seen of it. */
export function isSameConnection(one: ConnectionEnds, other: ConnectionEnds): boolean {
  return one.peerPort === other.peerPort && one.hostPort === other.hostPort && one.host === other.host;
}

/** A registration of the peer with a host inside, or of such a host with the peer. */
export interface HeldRegistration {
  /** Call-ID of its REGISTERs. */
  readonly callId: string;
  /** When it expires, in ms. */
  until: number;
}

/**
 * What a call stands on that nobody can read: an address of a peer of `static-media` has a connection or a registration.
 * Such a call has no dialogs and wants what the entry says; there is one for each entry and address.
 */
export interface Standing {
  /** Name of the entry. */
  readonly entry: string;
  connections: HeldConnection[];
  registrations: HeldRegistration[];
}

const CALLED = 'static-media ';

/** What stands in place of From for the peers of this entry, and, with the address of the peer, in place of a Call-ID. */
export function standingName(entry: string): string {
  return `${CALLED}${entry}`;
}

/** The entry for which a call with this Call-ID stands; null for one of SIP, in whose Call-ID there is no blank (RFC 3261 25.1). */
export function standingEntry(callId: string): string | null {
  return callId.startsWith(CALLED) ? callId.slice(CALLED.length, callId.lastIndexOf(' ')) : null;
}

/** Connections of one standing call that are followed, and registrations: of more the oldest is forgotten. */
export const MOST_HELD_UP = 64;

/** ms that a registration lives at most, whatever is said of it. */
export const LONGEST_REGISTRATION = 86_400_000;

/** When it ends for silence if nothing more comes: of its connections, and of its registrations. -Infinity: it has none. */
export function standsUntil(
  { connections, registrations }: Standing,
  idle: number,
): { readonly connected: number; readonly registered: number } {
  const seenAt = connections.reduce((last, one) => Math.max(last, one.seenAt), Number.NEGATIVE_INFINITY);
  const registered = registrations.reduce(
    (last, { until }) => Math.max(last, until),
    Number.NEGATIVE_INFINITY,
  );
  return { connected: seenAt + idle, registered };
}
