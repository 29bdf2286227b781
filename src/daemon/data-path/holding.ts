import type { Address } from '../../address/address.ts';
import type { HeldPacket, Interceptor } from '../../intercept/interceptor.ts';
import { directionKey } from '../../packet/direction.ts';
import { readPacket } from '../../packet/ip.ts';
import { createTlsRecords } from '../../packet/tls-records.ts';
import { keptPacket } from './kept-packet.ts';

interface HoldingDeps {
  readonly interceptor: Pick<Interceptor, 'succession'>;
  /** ms that a packet waits at most; null: none waits. */
  readonly longest: () => number | null;
  /** Whether what this host sends is mirrored. */
  readonly isMirrored: (address: Address) => boolean;
}

interface Waiting {
  readonly packet: HeldPacket;
  /** Its direction of its connection: what comes behind it there stays behind it. */
  readonly flow: string;
  /** Who sends to whom, as a copy says it; null for a host that does not mirror. */
  readonly pair: string | null;
  readonly until: number;
  /** Copies that it waits for. */
  missing: number;
}

/**
 * Bytes of a record that can carry a message: the shortest has over 64 (RFC 3261 8.1.1, in the shortest forms there are), and no
 * cipher of today adds less than 16. Shorter are keepalives (RFC 5626 3.5.1), alerts and most of a handshake, which nobody mirrors.
 */
const SHORTEST = 80;
/** Packets that wait at a time; those beyond pass at once, and with each all that waits before it on its connection. */
const MOST_WAITING = 1024;
/** Times of one pair that are remembered. */
const MOST_TIMES = 256;
const MOST_PAIRS = 4096;

/**
 * Lets encrypted packets of hosts that mirror wait until the copy of what they carry is in, so that the other party does
 * not hear of a port before it is open. Which message a packet carries nobody can see: for each record of data that ends in it
 * it waits for one copy from its sender to its receiver, and what follows on its connection stays behind it. No other waits.
 */
export function createHolding({ interceptor, longest, isMirrored }: HoldingDeps) {
  const counts = { heldEncrypted: 0, heldInVain: 0 };
  /** When copies came whose packets were not there yet. */
  const early = createTimes();
  /** When packets went on whose copies were not there yet. */
  const owed = createTimes();
  /** When copies came that were owed. */
  const paid = createTimes();
  const records = createTlsRecords(SHORTEST);
  let waiting: Waiting[] = [];

  /**
   * A copy of what `source` sends to `destination` was taken, and its pinholes are open. It is of the first packet whose copy is
   * missing, also where that one waited in vain a moment ago: else each packet after it would go on with the copy of another.
   */
  function copied(source: Address, destination: Address, now: number): void {
    const most = longest();
    if (most === null) return;
    const pair = `${source} ${destination}`;
    if (owed.take(pair, now - most)) {
      paid.add(pair, now);
      return;
    }
    const first = waiting.find((one) => one.pair === pair && one.missing > 0);
    if (first === undefined) early.add(pair, now);
    else first.missing--;
  }

  /** What may pass at `now`: of the waiting ones first. */
  function sift(packets: readonly HeldPacket[], now: number): readonly HeldPacket[] {
    const most = longest();
    if (waiting.length === 0 && (most === null || packets.length === 0)) return packets;
    const free = settle(now, () => most === null);
    for (const packet of packets) if (!mayWait(packet, now, most, free)) free.push(packet);
    return free;
  }

  /** False where it goes on; what waits before it has gone on then, too: it is in `free`. */
  function mayWait(packet: HeldPacket, now: number, most: number | null, free: HeldPacket[]): boolean {
    if (most === null || interceptor.succession === undefined) return false;
    const view = readPacket(packet.bytes);
    if (typeof view === 'string' || view.protocol !== 'tcp') return false;
    const own = directionKey(view);
    if (waiting.length >= MOST_WAITING) {
      free.push(...settle(now, ({ flow }) => flow === own));
      return false;
    }
    const behind = waiting.some(({ flow }) => flow === own);
    const pair = isMirrored(view.source) ? `${view.source} ${view.destination}` : null;
    let missing = pair === null ? 0 : Math.min(records.endingIn(view), MOST_TIMES);
    while (missing > 0 && early.take(pair!, now - most)) missing--;
    if (missing === 0 && !behind) return false;
    waiting.push({ packet: keptPacket(interceptor, packet), flow: own, pair, until: now + most, missing });
    counts.heldEncrypted++;
    return true;
  }

  /**
   * What went on without its copy is owed it. Not where the last copy that was owed has come since it began to wait, or just
   * before: that one was its own, and what waited first had none, as keepalives.
   */
  function owe(pair: string, now: number): void {
    const most = longest();
    if (most !== null && !paid.take(pair, now - 2 * most)) owed.add(pair, now);
  }

  /** Takes out what waits no longer, and what need not: never one before those that came before it on its connection. */
  function settle(now: number, needNot: (one: Waiting) => boolean): HeldPacket[] {
    const free: HeldPacket[] = [];
    const blocked = new Set<string>();
    const left: Waiting[] = [];
    for (const one of waiting) {
      const isOver = one.missing === 0 || now >= one.until || needNot(one);
      if (blocked.has(one.flow) || !isOver) {
        blocked.add(one.flow);
        left.push(one);
        continue;
      }
      if (one.missing > 0) counts.heldInVain++;
      for (; one.missing > 0; one.missing--) owe(one.pair!, now);
      free.push(one.packet);
    }
    waiting = left;
    return free;
  }

  return {
    copied,
    sift,
    /** When the first of them has waited long enough; Infinity while none waits. */
    due: (): number => waiting.reduce((least, { until }) => Math.min(least, until), Number.POSITIVE_INFINITY),
    /** Everything that waits. */
    empty: (): readonly HeldPacket[] => settle(Number.POSITIVE_INFINITY, () => true),
    /** `heldEncrypted`: packets that waited; `heldInVain`: those whose copy did not come in time. */
    counters: (): Readonly<typeof counts> => ({ ...counts }),
  };
}

/** Times by pair, of which the oldest is taken first; bounded. */
function createTimes() {
  const byPair = new Map<string, number[]>();
  return {
    add(pair: string, now: number): void {
      const times = byPair.get(pair) ?? [];
      if (times.length < MOST_TIMES) times.push(now);
      byPair.delete(pair);
      byPair.set(pair, times);
      if (byPair.size > MOST_PAIRS) byPair.delete(byPair.keys().next().value!);
    },
    /** Takes one that is not before `since`, if there is one. */
    take(pair: string, since: number): boolean {
      const times = byPair.get(pair);
      if (times === undefined) return false;
      while (times.length > 0 && times[0]! < since) times.shift();
      const found = times.shift() !== undefined;
      if (times.length === 0) byPair.delete(pair);
      return found;
    },
  };
}
