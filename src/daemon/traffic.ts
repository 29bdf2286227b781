import type { Traffic } from '../firewall/firewall.ts';

/** Which pinholes have carried media since they were looked at last. */
export interface TrafficWatch {
  /** Takes the filter's counters and returns the ids of the pinholes in which packets were counted since. */
  update(counters: ReadonlyMap<string, Traffic>): string[];
  /** The last count of a pinhole; also of one that was closed since the last update but one. */
  last(id: string): Traffic | undefined;
  /** All that was counted since the start. */
  readonly total: Traffic;
}

/** Counters that went back belong to a new rule: they count from 0. */
export function createTrafficWatch(): TrafficWatch {
  let current: ReadonlyMap<string, Traffic> = new Map();
  let previous: ReadonlyMap<string, Traffic> = new Map();
  let total: Traffic = { packets: 0, bytes: 0 };
  return {
    update(counters) {
      previous = current;
      current = counters;
      const active: string[] = [];
      let { packets: allPackets, bytes: allBytes } = total;
      for (const [id, { packets, bytes }] of counters) {
        const before = previous.get(id);
        const isNew = before === undefined || packets < before.packets;
        const more = isNew ? packets : packets - before.packets;
        if (more === 0) continue;
        active.push(id);
        allPackets += more;
        allBytes += isNew ? bytes : bytes - before.bytes;
      }
      total = { packets: allPackets, bytes: allBytes };
      return active;
    },
    last: (id) => current.get(id) ?? previous.get(id),
    get total() {
      return total;
    },
  };
}
