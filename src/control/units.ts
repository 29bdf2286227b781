/** ms to seconds, to the microsecond. */
export function seconds(ms: number): number {
  return Math.round(ms * 1000) / 1e6;
}

/** ms by which the system's time may have been set before it is followed. */
const JUMP = 100;

/**
 * What has to be added to times of `clock` (ms) to have ms since the epoch. The same at every call, so that a moment
 * has one date, until the system's time is set.
 */
export function createEpoch(clock: () => number, date: () => number = Date.now): () => number {
  let epoch = date() - clock();
  return () => {
    const now = date() - clock();
    if (Math.abs(now - epoch) > JUMP) epoch = now;
    return epoch;
  };
}

/** Microseconds to seconds. */
export function microseconds(count: number): number {
  return count / 1e6;
}
