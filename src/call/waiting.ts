import type { Party } from './context.ts';
import { createFifo, type Fifo } from './fifo.ts';

/**
 * Calls from outside that the host which was called has not answered in any way, but for a 100. They hold no pinhole
 * and no place of a call: they have rooms of their own, one for each pool.
 */
interface Waiting<Call> {
  /** `bytes` of its session description are kept for it. */
  add(call: Call, party: Party, bytes: number): void;
  /** False when the call does not wait. */
  delete(call: Call): boolean;
  has(call: Call): boolean;
  /** What is kept for the call; 0 when it does not wait. */
  bytes(call: Call): number;
  /**
   * The call to be given up when another of this party comes, with so many bytes: the oldest of the party that has
   * most there. Undefined while there is room.
   */
  surplus(party: Party, bytes: number): Call | undefined;
  /** Calls in a pool. */
  size(pool: string): number;
}

interface Pool<Call> {
  size: number;
  bytes: number;
  readonly parties: Map<string, Fifo<Call>>;
  /** Those parties that have so many calls, by number, so that the largest is found at once. */
  readonly byCount: Map<number, Fifo<string>>;
  largest: number;
}

interface PoolPlace {
  readonly pool: string;
  readonly key: string;
  readonly bytes: number;
}

export function createWaiting<Call>(): Waiting<Call> {
  const pools = new Map<string, Pool<Call>>();
  const places = new Map<Call, PoolPlace>();

  function poolOf(name: string): Pool<Call> {
    const known = pools.get(name);
    if (known !== undefined) return known;
    const made = { size: 0, bytes: 0, parties: new Map(), byCount: new Map(), largest: 0 };
    pools.set(name, made);
    return made;
  }

  function recount({ byCount }: Pool<Call>, key: string, before: number, after: number): void {
    const left = byCount.get(before);
    if (left?.delete(key) && left.size === 0) byCount.delete(before);
    if (after === 0) return;
    const joined = byCount.get(after) ?? createFifo<string>();
    joined.add(key);
    byCount.set(after, joined);
  }

  function add(call: Call, { pool: name, key }: Party, bytes: number): void {
    if (places.has(call)) return;
    places.set(call, { pool: name, key, bytes });
    const pool = poolOf(name);
    const calls = pool.parties.get(key) ?? createFifo<Call>();
    calls.add(call);
    pool.parties.set(key, calls);
    pool.size++;
    pool.bytes += bytes;
    recount(pool, key, calls.size - 1, calls.size);
    pool.largest = Math.max(pool.largest, calls.size);
  }

  function remove(call: Call): boolean {
    const place = places.get(call);
    if (place === undefined) return false;
    places.delete(call);
    const pool = pools.get(place.pool)!;
    const calls = pool.parties.get(place.key)!;
    calls.delete(call);
    if (calls.size === 0) pool.parties.delete(place.key);
    pool.size--;
    pool.bytes -= place.bytes;
    recount(pool, place.key, calls.size + 1, calls.size);
    if (!pool.byCount.has(pool.largest)) pool.largest--;
    if (pool.size === 0) pools.delete(place.pool);
    return true;
  }

  function surplus({ pool: name, most, mostBytes }: Party, bytes: number): Call | undefined {
    const pool = pools.get(name);
    if (pool === undefined || (pool.size < most && pool.bytes + bytes <= mostBytes)) return undefined;
    return pool.parties.get(pool.byCount.get(pool.largest)!.first()!)!.first();
  }

  return {
    add,
    delete: remove,
    has: (call) => places.has(call),
    bytes: (call) => places.get(call)?.bytes ?? 0,
    surplus,
    size: (pool) => pools.get(pool)?.size ?? 0,
  };
}
