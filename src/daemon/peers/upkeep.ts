import type { Order } from '../messages.ts';
import type { SeenMedia } from '../traffic.ts';
import { createMediaNews } from './media-news.ts';
import type { Member, Store } from './store.ts';
import type { Versions } from './versions.ts';

/** What a member of a group does by the clock. Times are in ms. */
interface Upkeep {
  /** Media was seen here. */
  seen(seen: readonly SeenMedia[]): void;
  /** Does what is due at `now` while the store is there. */
  turn(now: number, others: readonly Member[]): Promise<void>;
  /** Media may have flowed elsewhere without a word of it: no call is taken for silent. */
  keep(): void;
  /** Nobody can say that media flows elsewhere: `keep`, now and then. */
  alone(now: number): void;
}

const PINHOLES_AT_A_TIME = 256;
const TOUCH_EVERY = 120_000;
/** ms that a round of touching is spread over. */
const TOUCH_WITHIN = 60_000;
export const NAMES_AT_A_TIME = 200;
const KEEP_EVERY = 20_000;

/** ms between two looks for what has been over for long. */
const TIDY_EVERY = 5000;

export function createUpkeep(
  store: Pick<Store, 'tell' | 'touch'>,
  versions: Pick<Versions, 'underWay' | 'tidy' | 'lost'>,
  machine: string,
  send: (order: Order) => void,
): Upkeep {
  const media = createMediaNews();
  /** What is touched in this round, when it began, and how many of them were. */
  let round: { readonly names: readonly string[]; readonly at: number } | null = null;
  let touched = 0;
  let tidyAt = Number.NEGATIVE_INFINITY;
  let keepAt = Number.NEGATIVE_INFINITY;

  async function tellMedia(now: number): Promise<void> {
    for (const pinholes of slices(media.due(now), PINHOLES_AT_A_TIME)) {
      await store.tell({ what: 'media', machine, pinholes });
    }
  }

  /** Calls of this firewall, and of those that are gone, do not run out in the store. */
  function ownNames(others: readonly Member[]): readonly string[] {
    const present = new Set(others.map((one) => one.machine));
    return [...versions.underWay()].flatMap(([name, by]) => (present.has(by) ? [] : [name]));
  }

  /** As many of a round as are due by now: news, and messages that wait for them, come in between. */
  async function touch(now: number, others: readonly Member[]): Promise<void> {
    round ??= { names: [], at: now };
    if (now - round.at >= TOUCH_EVERY) {
      round = { names: ownNames(others), at: now };
      touched = 0;
    }
    const { names, at } = round;
    const due = names.length * Math.min(1, (now - at) / TOUCH_WITHIN);
    for (; touched < due; touched += NAMES_AT_A_TIME) {
      versions.lost(await store.touch(names.slice(touched, touched + NAMES_AT_A_TIME)));
    }
  }

  function keep(): void {
    const names = [...versions.underWay()].map(([name]) => name);
    for (const calls of slices(names, NAMES_AT_A_TIME)) send({ type: 'keep', calls });
  }

  return {
    keep,
    seen: media.seen,
    async turn(now, others) {
      if (now >= tidyAt) {
        tidyAt = now + TIDY_EVERY;
        versions.tidy(now);
      }
      await tellMedia(now);
      await touch(now, others);
    },
    alone(now) {
      media.clear();
      if (now < keepAt) return;
      keepAt = now + KEEP_EVERY;
      keep();
    },
  };
}

export function* slices<T>(list: readonly T[], most: number): Iterable<readonly T[]> {
  for (let at = 0; at < list.length; at += most) yield list.slice(at, at + most);
}
