/** Media that pinholes have passed. */
export interface Passed {
  /** What came to where they lead. */
  readonly packets: number;
  readonly bytes: number;
  /** Packets that the hosts there sent back to where they let in; null where nobody tells who sends. */
  readonly sent: number | null;
}

export const NOTHING_PASSED: Passed = { packets: 0, bytes: 0, sent: null };

/** The sum; what is sent by one of them and not told of the other counts. */
export function together(one: Passed, other: Passed): Passed {
  const sent = one.sent === null ? other.sent : one.sent + (other.sent ?? 0);
  return { packets: one.packets + other.packets, bytes: one.bytes + other.bytes, sent };
}
