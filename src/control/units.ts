/** ms to seconds, to the microsecond. */
export function seconds(ms: number): number {
  return Math.round(ms * 1000) / 1e6;
}

/** Microseconds to seconds. */
export function microseconds(count: number): number {
  return count / 1e6;
}
