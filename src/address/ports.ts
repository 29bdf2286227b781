/** Ports from `first` to `last`, both included. */
export type PortRange = readonly [first: number, last: number];

/** How many ports there are in ranges that do not overlap. */
export function portsIn(ranges: readonly PortRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}

/** Whether every port of the range is in one of the others, which do not overlap. */
export function isWithin([first, last]: PortRange, ranges: readonly PortRange[]): boolean {
  let covered = 0;
  for (const [from, to] of ranges) covered += Math.max(0, Math.min(last, to) - Math.max(first, from) + 1);
  return covered === last - first + 1;
}
