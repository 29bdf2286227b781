/** Ports from `first` to `last`, both included. */
export type PortRange = readonly [first: number, last: number];

/** Whether every port of the range is in one of the others, which do not overlap. */
export function isWithin([first, last]: PortRange, ranges: readonly PortRange[]): boolean {
  let covered = 0;
  for (const [from, to] of ranges) covered += Math.max(0, Math.min(last, to) - Math.max(first, from) + 1);
  return covered === last - first + 1;
}
