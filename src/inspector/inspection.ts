import type { Call } from '../call/call.ts';
import type { Refusal } from '../call/refusal.ts';
import type { Wanted } from '../call/wanted.ts';
import type { PacketView } from '../packet/ip.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import type { HolderEvent } from '../pinhole/table.ts';
import type { SdpError, Session } from '../sdp/session.ts';
import type { SipError, SipMessage, Transport } from '../sip/message.ts';

/** What happened, in order. */
export type InspectorEvent =
  | MessageEvent
  | { readonly type: 'malformed'; readonly packet: PacketView; readonly error: SipError }
  | { readonly type: 'call'; readonly what: 'started' | 'ended'; readonly call: Call; readonly at: number }
  | RefusedEvent
  | { readonly type: 'pinhole'; readonly call: Call; readonly event: HolderEvent };

export interface RefusedEvent {
  readonly type: 'refused';
  readonly call: Call | null;
  readonly refusal: Refusal;
  /** The transport that got no pinhole; null when a whole message or description was refused. */
  readonly wanted: Wanted | null;
  readonly at: number;
}

export interface MessageEvent {
  readonly type: 'message';
  readonly message: SipMessage;
  readonly transport: Transport;
  readonly packet: PacketView;
  /** The legs it belongs to. */
  readonly calls: readonly Call[];
  /** Its session description, read at most once; null when it has none. */
  readonly session: () => Session | SdpError | Refusal | null;
}

export type Verdict = 'release' | 'drop';

export interface Inspection {
  /** What the firewall must have confirmed before the packet goes on; null when there is nothing to do. */
  readonly change: Change | null;
  /** `drop` only in strict mode. */
  readonly verdict: Verdict;
  readonly events: readonly InspectorEvent[];
  /** The packet as it was read, reassembled when it completed a datagram; null when it could not be read. */
  readonly packet: PacketView | null;
}

/** Gathers what one packet, or one tick, leads to. */
export interface Work {
  readonly now: number;
  readonly events: InspectorEvent[];
  readonly changes: Change[];
  /** Calls to be decided once more. */
  readonly again: Call[];
}

export function newWork(now: number): Work {
  return { now, events: [], changes: [], again: [] };
}

const NO_EVENTS: readonly InspectorEvent[] = [];

/** The inspection of a packet that led to nothing. */
export function uneventful(packet: PacketView | null, verdict: Verdict): Inspection {
  return { change: null, verdict, events: NO_EVENTS, packet };
}

export function inspectionOf(
  { events, changes }: Work,
  packet: PacketView | null,
  verdict: Verdict,
): Inspection {
  return { change: joined(changes), verdict, events, packet };
}

/** Several changes of one packet as one: what is opened by one and closed by a later one cancels out. */
function joined(changes: readonly Change[]): Change | null {
  if (changes.length < 2) return changes[0] ?? null;
  const open = new Map<string, Pinhole>();
  const close = new Map<string, Pinhole>();
  for (const change of changes) {
    for (const pinhole of change.open) if (!close.delete(pinhole.id)) open.set(pinhole.id, pinhole);
    for (const pinhole of change.close) if (!open.delete(pinhole.id)) close.set(pinhole.id, pinhole);
  }
  return open.size + close.size === 0 ? null : { open: [...open.values()], close: [...close.values()] };
}
