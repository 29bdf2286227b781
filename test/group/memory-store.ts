import { compareStamps } from '../../src/daemon/peers/stamp.ts';
import type { Member, News, Store, Stored } from '../../src/daemon/peers/store.ts';

/** A version with the time at which it was written. */
interface Kept extends Omit<Stored, 'age'> {
  readonly writtenAt: number;
}

/** What is in a store, for those who are connected to it. */
export interface Shelf {
  /** A connection of one firewall. */
  connect(): Store;
  /** ms of the clock of the store. */
  clock: () => number;
  /** Nobody reaches it from now on, or these alone do not. */
  away: boolean;
  readonly cut: Set<Store>;
  /** Empties it, as FLUSHALL does. */
  flush(): void;
  /** What is in it now: whoever calls the function brings that back, and every connection is gone. */
  snapshot(): () => void;
  /** Who was not heard of since the last greeting is gone. */
  forget(machine: string): void;
  /** The store has thrown this call away. */
  evict(name: string): void;
  readonly calls: ReadonlyMap<string, Kept>;
}

/**
 * The store in memory; `test/group/store.test.ts` holds it and the real one to the same. `latency`: turns of the event loop
 * that a question takes there, and its answer back.
 */
export function createShelf(latency: () => number = () => 0): Shelf {
  let calls = new Map<string, Kept>();
  let members = new Map<string, Member>();
  const cut = new Set<Store>();
  let news: News[] = [];
  let epoch = 1;
  let last = 0;
  /** Times that all connections were lost. */
  let losses = 0;

  function tell(one: Omit<News, 'id'>): void {
    last++;
    news.push({ ...one, id: `${last}-0` } as News);
  }

  function read(name: string): Stored[] {
    const kept = calls.get(name);
    if (kept === undefined) return [];
    const { writtenAt, ...rest } = kept;
    return [{ ...rest, age: shelf.clock() - writtenAt }];
  }

  function connect(): Store {
    let connectedAt = losses;
    const guard = () => {
      if (shelf.away || cut.has(store) || connectedAt !== losses) throw new Error('connection refused');
    };
    /** What is asked may take effect though its answer is lost. */
    async function ask<T>(what: () => T): Promise<T> {
      guard();
      await turns(latency());
      guard();
      const answer = what();
      await turns(latency());
      guard();
      return answer;
    }
    const store: Store = {
      connect() {
        connectedAt = losses;
        return ask(() => []);
      },
      epoch: () => ask(() => String(epoch)),
      lastNews: () => ask(() => news.at(-1)?.id ?? '0-0'),
      hasNewsAfter: (id) => ask(() => news.some((one) => one.id === id)),
      async *versions() {
        yield await ask(() => [...calls.values()].map(({ name, stamp }) => ({ name, stamp })));
      },
      read: (names) => ask(() => names.flatMap(read)),
      write: (records) =>
        ask(() => {
          for (const { name, stamp, text, wait } of records) {
            const there = calls.get(name);
            if (there !== undefined && compareStamps(stamp, there.stamp) <= 0) continue;
            calls.set(name, { name, stamp, text, writtenAt: shelf.clock() });
            tell({ what: 'written', name, stamp, wait } as Omit<News, 'id'>);
          }
        }),
      tell: (one) => ask(() => tell(one)),
      async follow(id) {
        await turns(1);
        const at = Number(id.split('-')[0]);
        return await ask(() => news.filter((one) => Number(one.id.split('-')[0]) > at));
      },
      member: (machine) => ask(() => members.get(machine) ?? null),
      greet: (self) =>
        ask(() => {
          members.set(self.machine, self);
          return [...members.values()];
        }),
      leave: (self) => ask(() => void members.delete(self.machine)),
      touch: (names) => ask(() => names.filter((name) => !calls.has(name))),
      close() {},
    };
    return store;
  }

  const shelf: Shelf = {
    clock: () => 0,
    connect,
    away: false,
    cut,
    flush() {
      calls.clear();
      members.clear();
      news = [];
      epoch++;
    },
    snapshot() {
      const [oldCalls, oldMembers, oldNews, oldEpoch] = [new Map(calls), new Map(members), [...news], epoch];
      return () => {
        calls = new Map(oldCalls);
        members = new Map(oldMembers);
        news = [...oldNews];
        epoch = oldEpoch;
        losses++;
      };
    },
    forget: (machine) => members.delete(machine),
    evict: (name) => calls.delete(name),
    get calls() {
      return calls;
    },
  };
  return shelf;
}

async function turns(count: number): Promise<void> {
  for (let turn = 0; turn < count; turn++) await new Promise((resolve) => setImmediate(resolve));
}
