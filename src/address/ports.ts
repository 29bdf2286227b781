/** Ports from `first` to `last`, both included. */
export type PortRange = readonly [first: number, last: number];

const SHARED = 8192;
const shared = new Array<PortRange>(SHARED).fill([0, 0]);

/** The range as one object for all who name it, as far as they do so one soon after the other: a call has it in several places. */
export function portRange(first: number, last: number): PortRange {
  const slot = (first + last) % SHARED;
  const known = shared[slot]!;
  if (known[0] === first && known[1] === last) return known;
  const range: PortRange = [first, last];
  shared[slot] = range;
  return range;
}

/** Whether one of the ranges has this port. */
export function includesPort(ranges: readonly PortRange[], port: number): boolean {
  return ranges.some(([first, last]) => first <= port && port <= last);
}

/** Whether they have a port in common. */
export function portsOverlap(one: PortRange, other: PortRange): boolean {
  return one[0] <= other[1] && other[0] <= one[1];
}

/** Whether they have a port in common with one of the others. */
export function overlapsAny(range: PortRange, others: readonly PortRange[]): boolean {
  for (const other of others) if (portsOverlap(range, other)) return true;
  return false;
}

/** Whether every port of the range is in one of the others. */
export function isWithin([first, last]: PortRange, ranges: readonly PortRange[]): boolean {
  let next = first;
  while (next <= last) {
    const end = endOfRange(next, ranges);
    if (end < 0) return false;
    next = end + 1;
  }
  return true;
}

/** The last port of the first range that has this one; -1 where none has. */
function endOfRange(port: number, ranges: readonly PortRange[]): number {
  for (const range of ranges) if (range[0] <= port && port <= range[1]) return range[1];
  return -1;
}

/** How many ports there are in ranges that do not overlap. */
export function portsIn(ranges: readonly PortRange[]): number {
  return ranges.reduce((sum, [first, last]) => sum + last - first + 1, 0);
}
