import type { Order } from '../messages.ts';
import { compareStamps, isOver } from './stamp.ts';
import type { Store, Stored, Version } from './store.ts';
import { NAMES_AT_A_TIME, slices } from './upkeep.ts';
import type { Versions } from './versions.ts';

/** Has the data path take up what is later in the store than here, and tell what is earlier there. */
interface Taking {
  /** Compares all that is in the store with what is known here. How many calls and connections it has. */
  all(): Promise<number>;
  /** The same for what news say was written; one's own comes back as well. */
  written(news: readonly Version[]): Promise<void>;
  /** Has the data path say how calls are that the store does not know so. */
  askBehind(): void;
}

/** Records in one order to the data path: packets wait for it no longer than for a large message. */
const AT_A_TIME = 4;

export function createTaking(
  store: Pick<Store, 'versions' | 'read'>,
  versions: Versions,
  machine: string,
  send: (order: Order) => void,
): Taking {
  function takeUp(stored: readonly Stored[]): void {
    for (const some of slices(stored, AT_A_TIME)) {
      const shared = versions.remote(some);
      if (shared.length > 0) send({ type: 'shared', ticket: versions.ticket(), records: shared });
    }
  }

  function askBehind(): void {
    for (const keys of slices(versions.behind(), NAMES_AT_A_TIME)) send({ type: 'tell', keys });
  }

  return {
    async all() {
      const there = new Set<string>();
      for await (const some of store.versions()) {
        for (const { name } of some) there.add(name);
        const later = versions.later(some);
        if (later.length > 0) takeUp(await store.read(later));
      }
      versions.isAll(there);
      return there.size;
    },
    async written(news) {
      const wanted = new Map<string, Version>();
      for (const { name, stamp } of news) {
        const isOld = stamp.machine === machine && !versions.isLater({ name, stamp });
        if (isOld || !versions.isOther({ name, stamp })) versions.has({ name, stamp });
        else wanted.set(name, { name, stamp });
      }
      if (wanted.size === 0) return;
      const found = await store.read([...wanted.keys()]);
      takeUp([...found, ...endsAmong(wanted.values(), found)]);
      // What is over by the news, and is not in the store: it hears of it.
      versions.later(found);
      askBehind();
    },
    askBehind,
  };
}

/** Those that are over though the store does not have them so any more: they have run out there, or were lost. */
function endsAmong(versions: Iterable<Version>, stored: readonly Stored[]): readonly Stored[] {
  const found = new Map(stored.map((one) => [one.name, one.stamp]));
  return [...versions].flatMap(({ name, stamp }) => {
    const there = found.get(name);
    const isKnown = there !== undefined && compareStamps(there, stamp) >= 0;
    return isOver(stamp) && !isKnown ? [{ name, stamp, text: '', age: 0 }] : [];
  });
}
