import type { Traffic } from '../firewall/firewall.ts';

/** Which pinholes have carried media since they were looked at last. */
export interface TrafficWatch {
  /** Takes the filter's counters and returns the ids of the pinholes in which packets were counted since. */
  update(counters: ReadonlyMap<string, Traffic>): string[];
  /** The last count of a pinhole; also of one that was closed since the last update but one. */
  last(id: string): Traffic | undefined;
}

/** Counters that went back belong to a new rule: they count from 0. */
export function createTrafficWatch(): TrafficWatch {
  let current: ReadonlyMap<string, Traffic> = new Map();
  let previous: ReadonlyMap<string, Traffic> = new Map();
  return {
    update(counters) {
      previous = current;
      current = counters;
      const active: string[] = [];
      for (const [id, { packets }] of counters) {
        const before = previous.get(id)?.packets ?? 0;
        if (packets > before || (packets < before && packets > 0)) active.push(id);
      }
      return active;
    },
    last: (id) => current.get(id) ?? previous.get(id),
  };
}
