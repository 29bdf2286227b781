import type { PortRange } from '../address/ports.ts';

/** Ports between two that were used, past which they are of two ranges. */
const GAP = 1000;

/** A range of which the first and the last port were used. */
interface UsedRange {
  readonly range: PortRange;
  /** How many ports of it were used. */
  readonly used: number;
}

/** The ranges in which media was: whoever has media has it between two ports of a range of its own. */
export function rangesOf(ports: Iterable<number>): UsedRange[] {
  const sorted = [...new Set(ports)].sort((a, b) => a - b);
  const found: { first: number; last: number; used: number }[] = [];
  for (const port of sorted) {
    const range = found.at(-1);
    if (range === undefined || port - range.last > GAP) found.push({ first: port, last: port, used: 1 });
    else {
      range.last = port;
      range.used++;
    }
  }
  return found.map(({ first, last, used }) => ({ range: [first, last], used }));
}

/** The range without these ports. */
export function without([first, last]: PortRange, taken: readonly number[]): PortRange[] {
  const left: PortRange[] = [];
  let from = first;
  for (const port of taken.filter((one) => first <= one && one <= last).sort((a, b) => a - b)) {
    if (from < port) left.push([from, port - 1]);
    from = port + 1;
  }
  if (from <= last) left.push([from, last]);
  return left;
}

/** A few ports, one of which each of these messages is from or to: the usual one first, then those that most have. */
export function signallingPorts(ends: Iterable<readonly [number, number]>, usual: number): number[] {
  let left = [...ends];
  const chosen: number[] = [];
  const take = (port: number): void => {
    const without = left.filter((pair) => !pair.includes(port));
    if (without.length < left.length) chosen.push(port);
    left = without;
  };
  take(usual);
  while (left.length > 0) {
    const counts = new Map<number, number>();
    for (const pair of left) for (const port of new Set(pair)) counts.set(port, (counts.get(port) ?? 0) + 1);
    take([...counts].sort(([a, one], [b, other]) => other - one || a - b)[0]![0]);
  }
  return chosen;
}
