import { otherSide } from '../call/call.ts';
import type { Side } from '../call/wanted.ts';

/** Media that pinholes have passed. */
export interface Passed {
  /** What came to where they lead. */
  readonly packets: number;
  readonly bytes: number;
  /** Packets that the hosts there sent back to where they let in; null where nobody tells who sends. */
  readonly sent: number | null;
}

/** What the pinholes have passed that lead to the caller, and those that lead to the callee; null: there was none. */
export type PassedBySide = readonly [Passed | null, Passed | null];

export const NOTHING_PASSED: Passed = { packets: 0, bytes: 0, sent: null };
export const NEVER_OPEN: PassedBySide = [null, null];

/** The sum; what is sent by one of them and not told of the other counts. */
function together(one: Passed, other: Passed): Passed {
  const sent = one.sent === null ? other.sent : one.sent + (other.sent ?? 0);
  return { packets: one.packets + other.packets, bytes: one.bytes + other.bytes, sent };
}

/** With what one more pinhole has passed, which leads to this party. */
export function withPassed([first, second]: PassedBySide, side: Side, passed: Passed): PassedBySide {
  return side === 0
    ? [together(first ?? NOTHING_PASSED, passed), second]
    : [first, together(second ?? NOTHING_PASSED, passed)];
}

/** What all of them have passed. */
export const allPassed = ([first, second]: PassedBySide): Passed =>
  together(first ?? NOTHING_PASSED, second ?? NOTHING_PASSED);

/**
 * Packets on their way to this party: what its own pinholes let in, or what the other party's host was seen to send. Where
 * both parties have pinholes both count the same flows, of which one may have been seen for longer. Null where nobody tells
 * who sends: a counter may then be of both directions.
 */
export function packetsTo(side: Side, bySide: PassedBySide): number | null {
  const own = bySide[side];
  const came = own === null || own.sent === null ? null : own.packets;
  const sent = bySide[otherSide(side)]?.sent ?? null;
  return came === null || sent === null ? (came ?? sent) : Math.max(came, sent);
}
