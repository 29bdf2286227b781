/** Keys with the times at which something is due for them; a binary heap with at most one live entry a key. */
export interface Deadlines<Key extends Armed> {
  /** Makes `key` due at `at` at the latest. An earlier time set before stays. */
  arm(key: Key, at: number): void;
  /** Forgets `key`. */
  disarm(key: Key): void;
  /** Takes out the key that is due first, if that is at `now` or before. */
  pop(now: number): { readonly key: Key; readonly at: number } | null;
  /** When the next key is due; Infinity when there is none. */
  next(): number;
}

/** What can be due. The queue keeps the time in the key itself, Infinity while it is not in the queue. */
export interface Armed {
  armedAt: number;
}

interface Item<Key> {
  readonly key: Key;
  readonly at: number;
}

export function createDeadlines<Key extends Armed>(): Deadlines<Key> {
  let heap: Item<Key>[] = [];
  /** Keys that are due at some time; what else is in the heap is stale. */
  let armed = 0;

  function arm(key: Key, at: number): void {
    if (at >= key.armedAt) return;
    if (key.armedAt === Number.POSITIVE_INFINITY) armed++;
    key.armedAt = at;
    insert({ key, at });
  }

  function disarm(key: Key): void {
    if (key.armedAt === Number.POSITIVE_INFINITY) return;
    key.armedAt = Number.POSITIVE_INFINITY;
    armed--;
    if (heap.length < 64 || heap.length < 2 * armed) return;
    const live = heap.filter((item) => item.key.armedAt === item.at);
    heap = [];
    for (const item of live) insert(item);
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

  /** Entries that a later `arm` made stale are dropped when they come to the top. */
  function settle(): void {
    while (heap.length > 0 && heap[0]!.key.armedAt !== heap[0]!.at) removeFirst();
  }

  function pop(now: number): Item<Key> | null {
    settle();
    if (heap.length === 0 || heap[0]!.at > now) return null;
    const first = removeFirst();
    first.key.armedAt = Number.POSITIVE_INFINITY;
    armed--;
    return first;
  }

  function next(): number {
    settle();
    return heap[0]?.at ?? Number.POSITIVE_INFINITY;
  }

  return { arm, disarm, pop, next };
}
