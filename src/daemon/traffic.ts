import type { LastCounts, Traffic, TwoWayTraffic } from '../firewall/firewall.ts';
import type { MediaWay } from '../inspector.ts';

/** Media in the pinhole with this id. */
export type SeenMedia = readonly [id: string, way: MediaWay];

/** Which pinholes have carried media since they were looked at last, and for which call. */
export interface TrafficWatch {
  /** Takes the filter's counters and returns in which pinholes packets were counted since, and which way. */
  update(counters: ReadonlyMap<string, TwoWayTraffic>): SeenMedia[];
  /** Takes what pinholes had passed when they were closed: more than the last update saw, or all of it. */
  closed(counts: LastCounts): void;
  /** From now on a call has the pinhole, maybe with others: what it passed before was not for this one. */
  shared(id: string, legId: string): void;
  /** A call has it no more. */
  left(id: string, legId: string): void;
  /**
   * The last count of a pinhole; also of one that was closed since the last update but one. With a call, what was
   * counted since the call has had it.
   */
  last(id: string, legId?: string): TwoWayTraffic | undefined;
  /** All that was counted since the start. */
  readonly total: Traffic;
}

const NO_WAYS: readonly MediaWay[] = [];

/** Changed in place: with thousands of pinholes each count would be as many objects that live until the next. */
interface Known {
  packets: number;
  bytes: number;
  /** All that was seen to be sent, also by flows that have ended. */
  sent: number | null;
  /** By the flows there were at the last count. */
  sentNow: number;
  /** Number of the update that saw it last. */
  update: number;
  /** It was closed: what is counted under its id from now on is another one's. */
  closed: boolean;
}

/** What calls share with others that had the pinhole before them. */
interface Share {
  readonly before: TwoWayTraffic;
  /** Number of the update after which the call had it no more. */
  left: number | null;
}

/** Counters that went back belong to a new rule: they count from 0. */
export function createTrafficWatch(): TrafficWatch {
  const known = new Map<string, Known>();
  const shares = new Map<string, Map<string, Share>>();
  /** Calls that have a pinhole now, by its id: nearly always one. */
  const holders = new Map<string, string | Set<string>>();
  let updates = 0;
  let packets = 0;
  let bytes = 0;

  /** What was counted since the last count. */
  function take(id: string, count: Traffic, sent: number | null, closed: boolean): readonly MediaWay[] {
    let now = known.get(id);
    if (now !== undefined && !closed && isAsBefore(now, count, sent)) {
      now.update = updates;
      return NO_WAYS;
    }
    const isNew = now === undefined || now.closed || count.packets < now.packets;
    if (isNew) shares.delete(id);
    if (now === undefined) {
      now = { packets: 0, bytes: 0, sent: null, sentNow: 0, update: 0, closed: false };
      known.set(id, now);
    } else if (isNew) {
      now.packets = 0;
      now.bytes = 0;
      now.sent = null;
      now.sentNow = 0;
    }
    packets += count.packets - now.packets;
    bytes += count.bytes - now.bytes;
    const ways: MediaWay[] = [];
    if (count.packets > now.packets) ways.push(sent === null ? 'untold' : 'came');
    if (sent !== null && sent > now.sentNow) ways.push('sent');
    now.sent = sentSince(now.sent, now.sentNow, sent);
    now.sentNow = sent ?? now.sentNow;
    now.packets = count.packets;
    now.bytes = count.bytes;
    now.update = updates;
    now.closed = closed;
    return ways;
  }

  function forget(): void {
    for (const [id, { update }] of known) {
      if (update >= updates - 1) continue;
      known.delete(id);
      shares.delete(id);
    }
    for (const [id, calls] of shares) {
      for (const [legId, { left }] of calls) if (left !== null && left < updates - 1) calls.delete(legId);
      if (calls.size === 0) shares.delete(id);
    }
  }

  return {
    update(counters) {
      updates++;
      const seen: SeenMedia[] = [];
      for (const [id, count] of counters) {
        for (const way of take(id, count, count.sent, false)) seen.push([id, way]);
      }
      forget();
      return seen;
    },
    closed(counts) {
      for (const [id, count] of counts) take(id, count, null, true);
    },
    shared(id, legId) {
      const own = holders.get(id);
      const isFirst = own === undefined;
      if (isFirst) holders.set(id, legId);
      else if (typeof own !== 'string') own.add(legId);
      else if (own !== legId) holders.set(id, new Set([own, legId]));
      const so = known.get(id);
      // What was counted before the first was heard of is its own: the filter had the rule before we had the news.
      if (isFirst || so === undefined || so.closed || so.packets === 0) return;
      const calls = shares.get(id) ?? new Map<string, Share>();
      shares.set(id, calls.set(legId, { before: countOf(so), left: null }));
    },
    left(id, legId) {
      const own = holders.get(id);
      if (typeof own === 'object') own.delete(legId);
      if (own === legId || (typeof own === 'object' && own.size === 0)) holders.delete(id);
      const share = shares.get(id)?.get(legId);
      if (share !== undefined) share.left = updates;
    },
    last(id, legId) {
      const count = known.get(id);
      if (count === undefined) return undefined;
      const share = legId === undefined ? undefined : shares.get(id)?.get(legId);
      if (share === undefined) return countOf(count);
      const { packets: past, bytes: pastBytes, sent: pastSent } = share.before;
      return {
        packets: count.packets - past,
        bytes: count.bytes - pastBytes,
        sent: count.sent === null ? null : count.sent - (pastSent ?? 0),
      };
    },
    get total() {
      return { packets, bytes };
    },
  };
}

function countOf({ packets, bytes, sent }: Known): TwoWayTraffic {
  return { packets, bytes, sent };
}

function isAsBefore(known: Known, { packets, bytes }: Traffic, sent: number | null): boolean {
  const sentAsMuch = sent === null || (sent === known.sentNow && known.sent !== null);
  return !known.closed && sentAsMuch && packets === known.packets && bytes === known.bytes;
}

/** All that was sent, given what was before and by the flows then, and what those of now have sent; null: not told. */
function sentSince(all: number | null, before: number, sent: number | null): number | null {
  return sent === null ? all : (all ?? 0) + Math.max(0, sent - before);
}
