import type { Buffer } from 'node:buffer';
import type { Call } from '../call/call.ts';
import { appended } from '../lists.ts';
import type { PacketView } from '../packet/ip.ts';
import type { Change } from '../pinhole/change.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { type CallHappening, type Happening, legOf } from './happening.ts';

export type Verdict = 'release' | 'drop';

export interface Inspection {
  /** What the firewall must have confirmed before the packet goes on; null when there is nothing to do. */
  readonly change: Change | null;
  /** `drop` only in strict mode. */
  readonly verdict: Verdict;
  /** What happened, in order. */
  readonly events: readonly Happening[];
  /** The bytes of the messages that it tells of, in order: views that last until the next packet. */
  readonly messages: readonly Buffer[];
  /** The packet as it was read, reassembled when it completed a datagram; null when it could not be read. */
  readonly packet: PacketView | null;
}

/** Gathers what one packet, or one tick, leads to. */
export interface Work {
  readonly now: number;
  events: Happening[] | null;
  /** Calls that `events` tell of. */
  told: Call[] | null;
  changes: Change[] | null;
  /** Calls to be decided once more. */
  again: Call[] | null;
}

export function newWork(now: number): Work {
  return { now, events: null, told: null, changes: null, again: null };
}

/** What happened next. */
export function tell(work: Work, happening: Happening): void {
  work.events = appended(work.events, happening);
}

/** Tells how a call is now. */
export function tellCall(work: Work, what: CallHappening['what'], call: Call, at = work.now): void {
  tell(work, { type: 'call', what, leg: legOf(call), at });
  if (!isTold(work, call)) work.told = appended(work.told, call);
}

/** Before the first that is told of what concerns it. */
export function introduce(work: Work, call: Call): void {
  if (!isTold(work, call)) tellCall(work, 'changed', call);
}

function isTold({ told }: Work, call: Call): boolean {
  return told?.includes(call) === true;
}

const NO_EVENTS: readonly Happening[] = [];
const NO_MESSAGES: readonly Buffer[] = [];
const NO_CHANGES: readonly Change[] = [];

/** The inspection of a packet that led to nothing. */
export function uneventful(packet: PacketView | null, verdict: Verdict): Inspection {
  return { change: null, verdict, events: NO_EVENTS, messages: NO_MESSAGES, packet };
}

export function inspectionOf(
  { events, changes }: Work,
  packet: PacketView | null,
  verdict: Verdict,
  messages: readonly Buffer[] | null = null,
): Inspection {
  return {
    change: joined(changes ?? NO_CHANGES),
    verdict,
    events: events ?? NO_EVENTS,
    messages: messages ?? NO_MESSAGES,
    packet,
  };
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
