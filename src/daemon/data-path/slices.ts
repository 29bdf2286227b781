/** A part of a long list, and where the next part begins; null when this was the last. */
export interface Slice<T> {
  readonly items: readonly T[];
  readonly cursor: number | null;
}

interface Slices<T> {
  /** The first `limit` items for null, else those after the slice that gave this cursor; null if it is not known. */
  take(cursor: number | null, limit: number): Slice<T> | null;
}

/** Lists that are walked at a time; the one begun first is given up for another. */
const MOST_OPEN = 8;

/**
 * Hands out a list that changes meanwhile, a slice at a time: each slice costs what it holds, however long the list.
 * What is there all the time is handed out once; what comes or goes meanwhile may be missing.
 */
export function createSlices<T>(list: () => Iterable<T>): Slices<T> {
  const open = new Map<number, Iterator<T>>();
  let last = 0;

  function begin(): Iterator<T> {
    for (const oldest of open.keys()) {
      if (open.size < MOST_OPEN) break;
      open.delete(oldest);
    }
    return list()[Symbol.iterator]();
  }

  function take(cursor: number | null, limit: number): Slice<T> | null {
    const iterator = cursor === null ? begin() : open.get(cursor);
    if (iterator === undefined) return null;
    if (cursor !== null) open.delete(cursor);
    const items: T[] = [];
    while (items.length < limit) {
      const next = iterator.next();
      if (next.done) return { items, cursor: null };
      items.push(next.value);
    }
    last++;
    open.set(last, iterator);
    return { items, cursor: last };
  }

  return { take };
}
