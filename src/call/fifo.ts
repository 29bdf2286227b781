/** Items in the order in which they came, each once. All in constant time, whatever was deleted before. */
export interface Fifo<T> {
  /** Puts the item at the end, if it is not in there. */
  add(item: T): void;
  /** False when it is not in there. */
  delete(item: T): boolean;
  /** The one that came first; undefined when there is none. */
  first(): T | undefined;
  /** The one that came last. */
  last(): T | undefined;
  /** Those that came last, `most` of them, in the order in which they came. */
  latest(most: number): T[];
  readonly size: number;
}

interface Link<T> {
  readonly item: T;
  before: Link<T> | null;
  after: Link<T> | null;
}

/**
 * A Set would do but for its speed: finding its first item passes over those deleted before it, which are all that
 * were there since the last rehash.
 */
export function createFifo<T>(): Fifo<T> {
  const links = new Map<T, Link<T>>();
  let head: Link<T> | null = null;
  let tail: Link<T> | null = null;

  function add(item: T): void {
    if (links.has(item)) return;
    const link: Link<T> = { item, before: tail, after: null };
    if (tail === null) head = link;
    else tail.after = link;
    tail = link;
    links.set(item, link);
  }

  function remove(item: T): boolean {
    const link = links.get(item);
    if (link === undefined) return false;
    links.delete(item);
    if (link.before === null) head = link.after;
    else link.before.after = link.after;
    if (link.after === null) tail = link.before;
    else link.after.before = link.before;
    return true;
  }

  return {
    add,
    delete: remove,
    first: () => head?.item,
    last: () => tail?.item,
    latest(most) {
      const items: T[] = [];
      for (let link = tail; link !== null && items.length < most; link = link.before) items.push(link.item);
      return items.reverse();
    },
    get size() {
      return links.size;
    },
  };
}
