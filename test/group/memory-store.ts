import { compareStamps } from '../../src/daemon/peers/stamp.ts';
import type { Member, News, Store, Stored } from '../../src/daemon/peers/store.ts';

/** What is in a store, for those who are connected to it. */
export interface Shelf {
  /** A connection of one firewall. */
  connect(): Store;
  /** Nobody reaches it from now on, or these alone do not. */
  away: boolean;
  readonly cut: Set<Store>;
  /** Empties it, as FLUSHALL does. */
  flush(): void;
  /** Who was not heard of since the last greeting is gone. */
  forget(machine: string): void;
  readonly calls: ReadonlyMap<string, Stored>;
}

/** The store in memory; `test/group/store.test.ts` holds it and the real one to the same. */
export function createShelf(): Shelf {
  const calls = new Map<string, Stored>();
  const members = new Map<string, Member>();
  const cut = new Set<Store>();
  let news: News[] = [];
  let epoch = 1;
  let last = 0;

  function tell(one: Omit<News, 'id'>): void {
    last++;
    news.push({ ...one, id: `${last}-0` } as News);
  }

  function connect(): Store {
    const guard = () => {
      if (shelf.away || cut.has(store)) throw new Error('connection refused');
    };
    const store: Store = {
      async connect() {
        guard();
      },
      async epoch() {
        guard();
        return String(epoch);
      },
      async lastNews() {
        guard();
        return news.at(-1)?.id ?? '0-0';
      },
      async hasNewsAfter(id) {
        guard();
        return news.some((one) => one.id === id);
      },
      async *names() {
        guard();
        yield [...calls.keys()];
      },
      async read(names) {
        guard();
        return names.flatMap((name) => calls.get(name) ?? []);
      },
      async write(records) {
        guard();
        for (const { name, stamp, text, wait } of records) {
          const there = calls.get(name);
          if (there !== undefined && compareStamps(stamp, there.stamp) <= 0) continue;
          calls.set(name, { name, stamp, text });
          tell({ what: 'written', name, stamp, wait } as Omit<News, 'id'>);
        }
      },
      async tell(one) {
        guard();
        tell(one);
      },
      async follow(id) {
        guard();
        await new Promise((resolve) => setImmediate(resolve));
        const at = Number(id.split('-')[0]);
        return news.filter((one) => Number(one.id.split('-')[0]) > at);
      },
      async greet(self) {
        guard();
        members.set(self.machine, self);
        return [...members.values()];
      },
      async leave(self) {
        guard();
        members.delete(self.machine);
      },
      async touch() {
        guard();
      },
      close() {},
    };
    return store;
  }

  const shelf: Shelf = {
    connect,
    away: false,
    cut,
    flush() {
      calls.clear();
      members.clear();
      news = [];
      epoch++;
    },
    forget: (machine) => members.delete(machine),
    calls,
  };
  return shelf;
}
