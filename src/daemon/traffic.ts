import type { LastCounts, Traffic } from '../firewall/firewall.ts';

/** Which pinholes have carried media since they were looked at last. */
export interface TrafficWatch {
  /** Takes the filter's counters and returns the ids of the pinholes in which packets were counted since. */
  update(counters: ReadonlyMap<string, Traffic>): string[];
  /** Takes what pinholes had passed when they were closed: more than the last update saw, or all of it. */
  closed(counts: LastCounts): void;
  /** The last count of a pinhole; also of one that was closed since the last update but one. */
  last(id: string): Traffic | undefined;
  /** All that was counted since the start. */
  readonly total: Traffic;
}

const NOTHING: Traffic = { packets: 0, bytes: 0 };

interface Known {
  readonly count: Traffic;
  /** Number of the update that saw it last. */
  readonly update: number;
}

/** Counters that went back belong to a new rule: they count from 0. */
export function createTrafficWatch(): TrafficWatch {
  const known = new Map<string, Known>();
  let updates = 0;
  let packets = 0;
  let bytes = 0;

  /** Whether anything came since the last count. */
  function take(id: string, count: Traffic): boolean {
    const before = known.get(id)?.count ?? NOTHING;
    const since = count.packets < before.packets ? NOTHING : before;
    packets += count.packets - since.packets;
    bytes += count.bytes - since.bytes;
    known.set(id, { count, update: updates });
    return count.packets > since.packets;
  }

  return {
    update(counters) {
      updates++;
      const active = [...counters].filter(([id, count]) => take(id, count)).map(([id]) => id);
      for (const [id, { update }] of known) if (update < updates - 1) known.delete(id);
      return active;
    },
    closed(counts) {
      for (const [id, count] of counts) take(id, count);
    },
    last: (id) => known.get(id)?.count,
    get total() {
      return { packets, bytes };
    },
  };
}
