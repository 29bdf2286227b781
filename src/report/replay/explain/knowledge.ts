import type { Address } from '../../../address/address.ts';
import { transportText } from '../../../call/description.ts';
import type { Refusal } from '../../../call/refusal.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import type { PinholeTrace } from '../../../history/pinholes.ts';
import type { CallTrace } from '../../../history/traces.ts';
import type { AnnouncementIndex } from '../announced.ts';
import type { UdpFlow } from '../flows.ts';
import type { Block } from '../model.ts';
import type { SignallingLog } from '../signalling.ts';
import type { Seen } from './seen.ts';

/** Everything that is known at the end of what was looked through. */
export interface Knowledge {
  readonly seen: Seen;
  readonly announcements: AnnouncementIndex;
  readonly signalling: SignallingLog;
  readonly call: (legId: string) => CallTrace | null;
  readonly pinholesOf: (legId: string) => readonly PinholeTrace[];
  /** The refusal of a whole message. */
  readonly refusalOf: (place: FramePlace) => Refusal | null;
  /** The flow the other way round. */
  readonly reverse: (flow: UdpFlow) => UdpFlow | null;
  /** Whether a host of this address sent or received SIP. */
  readonly speaksSip: (address: Address) => boolean;
  /** Whether any packet that was looked at came from this address, or went to it. */
  readonly isSeen: (address: Address) => boolean;
  /** Whether it was said which hosts are inside. */
  readonly isInsideKnown: boolean;
  /** `frame 12`, and of which file where there are several. */
  readonly frame: (place: FramePlace) => string;
}

export type Explanation = Pick<Block, 'reason' | 'text' | 'advice'>;

export function destinationOf({ destination, destinationPort }: UdpFlow): string {
  return transportText(destination, destinationPort);
}

/** `a`, `a and b`, `a, b and c`; `nobody` without any. */
export function list(words: readonly string[]): string {
  return words.length < 2 ? (words[0] ?? 'nobody') : `${words.slice(0, -1).join(', ')} and ${words.at(-1)}`;
}

/** `0.020 s`, `3.4 s`, `125 s`. */
export function seconds(ms: number): string {
  const value = ms / 1000;
  return `${value < 1 ? value.toFixed(3) : value < 60 ? value.toFixed(1) : value.toFixed(0)} s`;
}

/** `frame 3 (200 OK)`. */
export function said(
  { place, summary }: { readonly place: FramePlace; readonly summary: string },
  { frame }: Knowledge,
): string {
  return summary === '' ? frame(place) : `${frame(place)} (${summary})`;
}

/** With a capital, to begin a sentence. */
export function capital(text: string): string {
  return text.charAt(0).toUpperCase() + text.slice(1);
}
