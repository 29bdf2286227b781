/**
 * A queue whose items can leave it or go to its back from anywhere, in constant time. (A Map or Set in order of
 * insertion is none: each look at its first entry steps over those deleted before it.)
 */
interface Queue<T> {
  readonly first: T | null;
  /** Adds the item at the back, or moves it there. */
  toBack(item: T): void;
  remove(item: T): void;
}

/** What an item keeps for a queue it can be in. */
export interface Link<T> {
  before: T | null;
  after: T | null;
  queued: boolean;
}

export function newLink<T>(): Link<T> {
  return { before: null, after: null, queued: false };
}

/** `linkOf` returns the same Link of an item each time, one that no other queue uses. */
export function createQueue<T>(linkOf: (item: T) => Link<T>): Queue<T> {
  let first: T | null = null;
  let last: T | null = null;

  function remove(item: T): void {
    const link = linkOf(item);
    if (!link.queued) return;
    if (link.before === null) first = link.after;
    else linkOf(link.before).after = link.after;
    if (link.after === null) last = link.before;
    else linkOf(link.after).before = link.before;
    link.before = null;
    link.after = null;
    link.queued = false;
  }

  function toBack(item: T): void {
    if (last === item) return;
    remove(item);
    const link = linkOf(item);
    link.before = last;
    link.queued = true;
    if (last === null) first = item;
    else linkOf(last).after = item;
    last = item;
  }

  return {
    get first() {
      return first;
    },
    toBack,
    remove,
  };
}
