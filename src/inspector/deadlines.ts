/** Keys with the times at which something is due for them; a binary heap in which one item a key counts. */
export interface Deadlines<Key> {
  /** Makes `key` due at `at` at the latest. An earlier time set before stays; Infinity sets none. */
  arm(key: Key, at: number): void;
  /** Forgets `key`. */
  disarm(key: Key): void;
  /** Takes out the key that is due first, if that is at `now` or before. */
  pop(now: number): { readonly key: Key; readonly at: number } | null;
  /** When the next key is due; Infinity when there is none. */
  next(): number;
}

interface Item<Key> {
  readonly key: Key;
  readonly at: number;
  /** Another counts for its key, or none. */
  isStale: boolean;
}

export function createDeadlines<Key>(): Deadlines<Key> {
  let heap: Item<Key>[] = [];
  /** The item that counts for a key. The others in the heap are stale. */
  const items = new Map<Key, Item<Key>>();

  function arm(key: Key, at: number): void {
    const before = items.get(key);
    if (at >= (before?.at ?? Number.POSITIVE_INFINITY)) return;
    if (before !== undefined) before.isStale = true;
    const item = { key, at, isStale: false };
    items.set(key, item);
    insert(item);
  }

  function disarm(key: Key): void {
    const before = items.get(key);
    if (before === undefined) return;
    before.isStale = true;
    items.delete(key);
    if (heap.length < 64 || heap.length < 2 * items.size) return;
    heap = [];
    for (const item of items.values()) insert(item);
  }

  function insert(item: Item<Key>): void {
    const { at } = item;
    let hole = heap.length;
    heap.push(item);
    while (hole > 0) {
      const parent = (hole - 1) >> 1;
      if (heap[parent]!.at <= at) break;
      heap[hole] = heap[parent]!;
      hole = parent;
    }
    heap[hole] = item;
  }

  function removeFirst(): Item<Key> {
    const first = heap[0]!;
    const last = heap.pop()!;
    if (heap.length === 0) return first;
    let hole = 0;
    for (;;) {
      let child = 2 * hole + 1;
      if (child >= heap.length) break;
      if (child + 1 < heap.length && heap[child + 1]!.at < heap[child]!.at) child++;
      if (heap[child]!.at >= last.at) break;
      heap[hole] = heap[child]!;
      hole = child;
    }
    heap[hole] = last;
    return first;
  }

  /** Items that a later `arm` made stale are dropped when they come to the top. */
  function settle(): void {
    while (heap.length > 0 && heap[0]!.isStale) removeFirst();
  }

  function pop(now: number): Item<Key> | null {
    settle();
    if (heap.length === 0 || heap[0]!.at > now) return null;
    const first = removeFirst();
    items.delete(first.key);
    return first;
  }

  function next(): number {
    settle();
    return heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  return { arm, disarm, pop, next };
}
