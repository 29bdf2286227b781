import type { CallEntry, DataPathReport, Order } from '../messages.ts';
import type { SeenMedia } from '../traffic.ts';
import { createCompany } from './company.ts';
import { createConfirmations } from './confirmations.ts';
import { createIdentity } from './identity.ts';
import { createLagWatch } from './lag.ts';
import { seenMedia } from './media-news.ts';
import { createOwners, type Owned } from './owners.ts';
import { reasonOf } from './primary.ts';
import type { Member, News, Store, Version } from './store.ts';
import { createTaking } from './taking.ts';
import { createUpkeep } from './upkeep.ts';
import { createVersions } from './versions.ts';
import { createWriting } from './writing.ts';

/** The daemon as a group of firewalls uses it. */
interface GroupDeps {
  readonly store: Store;
  readonly self: Member;
  /** What the journal has of calls that are over. */
  readonly ends: readonly Version[];
  /** Sends an order to the data path. */
  readonly send: (order: Order) => void;
  /** All calls as they are, some at a time. */
  readonly records: () => AsyncIterable<readonly CallEntry[]>;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  readonly say: (level: 'warn' | 'info', text: string) => void;
  /** Changes that may wait for a store that is away. */
  readonly most: () => number;
  /** Whether messages wait until the other firewalls have their pinholes. */
  readonly confirms: () => boolean;
  /** Sleeps. */
  readonly pause: (ms: number) => Promise<void>;
}

/** How the group stands, for people. Times are in ms of the clock; null where there is none yet. */
export interface GroupStatus {
  readonly state: 'joining' | 'joined' | 'away';
  /** Since when it stands so. */
  readonly since: number;
  /** Why the store is away; null while it is not. */
  readonly why: string | null;
  readonly members: readonly Member[];
  readonly self: Member;
  /** Calls under way that this firewall, and others, wrote last. */
  readonly own: number;
  readonly others: number;
  /** The same by the name of each firewall that has some or is there. */
  readonly owners: readonly Owned[];
  /** Changes that the store has not heard of. */
  readonly waiting: number;
  /** ms from the last write to its coming back as news. */
  readonly lag: number | null;
  /** Last answer of the store. */
  readonly contact: number | null;
  /** Records that could not be taken up, since the start. */
  readonly refused: number;
}

export interface Group {
  /** How calls are here. */
  entries(entries: readonly CallEntry[]): void;
  /** Media was seen here. */
  seen(seen: readonly SeenMedia[]): void;
  report(report: Extract<DataPathReport, { type: 'shared' | 'waiting' }>): void;
  status(): GroupStatus;
  /** The name of the firewall that had to do with this call last; null where none is known. */
  ownerOf(legId: string): string | null;
  /** The settings are others from now on. */
  reload(): void;
  /** Resolves once every other member has all that is known here: true; false if not within `ms`. */
  handOver(ms: number): Promise<boolean>;
  /** Runs until `close`. */
  run(): Promise<void>;
  close(): Promise<void>;
}

const GREET_EVERY = 2_000;
/** ms that a stop waits for the store at most. */
const LEAVE_WITHIN = 1_000;
const RETRY_FIRST = 200;
const RETRY_LAST = 5_000;
/** Refused records that the log tells of in one order. */
const MOST_TOLD = 3;

/**
 * Shares calls with the other firewalls of a group: writes what happens here off the packets' way, has the data path
 * take up what happens elsewhere, and goes on alone while the store is away. Nothing that is missing in the store closes
 * anything: a call ends when somebody has seen its end.
 */
export function createGroup(deps: GroupDeps): Group {
  const { store, self, ends, send, records, clock, say, most, confirms, pause } = deps;
  const versions = createVersions(most, clock);
  versions.remember(ends);
  const taking = createTaking(store, versions, self.machine, send);
  const upkeep = createUpkeep(store, versions, self.machine, send);
  const confirmations = createConfirmations();
  const owners = createOwners(store, versions, self);
  const company = createCompany(self, owners, say);
  const identity = createIdentity(store, self);
  const lag = createLagWatch();
  const write = createWriting(store, versions, lag, clock);
  let state: GroupStatus['state'] = 'joining';
  let since = clock();
  let why: string | null = null;
  let greetAt = Number.NEGATIVE_INFINITY;
  let contact: number | null = null;
  let refused = 0;
  let handOvers = 0;
  let closed = false;
  let beating: Promise<void> | null = null;
  /** What was here at the start is known. */
  let isComplete = false;
  /** Id of the last news that was taken up, and the store that it is of. */
  let last: string | null = null;
  let epoch: string | null = null;

  function turn(next: GroupStatus['state'], reason: string | null = null): void {
    if (state === next) return;
    state = next;
    since = clock();
    why = reason;
    expectConfirmers();
  }

  function expectConfirmers(): void {
    send({ type: 'confirmers', count: state === 'joined' && confirms() ? company.others().length : 0 });
  }

  function entries(list: readonly CallEntry[]): void {
    versions.local(list);
    if (versions.waiting > 0) setImmediate(flush);
  }

  function flush(): void {
    if (state === 'joined') write().catch(fell);
  }

  function fell(error: unknown): void {
    if (closed || state === 'away') return;
    const text = reasonOf(error);
    say('warn', `peers-store: away, going on alone: ${text}`);
    company.clear();
    turn('away', text);
  }

  async function join(): Promise<void> {
    for (const caution of await store.connect()) say('warn', `peers-store: ${caution}`);
    contact = clock();
    await identity.claim();
    const found = await store.epoch();
    const isResumed = found === epoch && last !== null && (await store.hasNewsAfter(last));
    const before = isResumed ? last! : await store.lastNews();
    const there = await taking.all();
    last = before;
    epoch = found;
    const was = state;
    company.meet(await owners.greet(), false);
    turn('joined');
    expectConfirmers();
    if (!isComplete) for await (const own of records()) entries(own);
    isComplete = true;
    taking.askBehind();
    upkeep.keep();
    await write();
    const names = company.others().map(({ name }) => name);
    const withWhom = names.length === 0 ? 'nobody else is there' : `with ${names.join(', ')}`;
    say(was === 'away' ? 'warn' : 'info', `peers-store: joined, ${withWhom}, ${there} calls found`);
  }

  async function follow(): Promise<void> {
    const news = await store.follow(last!);
    if (state !== 'joined') return;
    contact = clock();
    if (news.length === 0) return;
    await hear(news);
    last = news.at(-1)!.id;
  }

  async function hear(news: readonly News[]): Promise<void> {
    await taking.written(news.flatMap((one) => (one.what === 'written' ? [one] : [])));
    const seen: SeenMedia[] = [];
    for (const one of news) {
      if (one.what === 'written') {
        const isOwn = one.stamp.machine === self.machine;
        if (isOwn) lag.came(one.name, one.stamp.version, clock());
        else if (one.wait !== '') confirmations.owe(one.wait, versions.ticket());
      } else if (one.machine !== self.machine) {
        if (one.what === 'asked') confirmations.owe(one.wait, versions.ticket());
        else if (one.what === 'confirmed') confirmations.settle(one.wait.split(','), one.machine);
        else seen.push(...seenMedia(one.pinholes));
      }
    }
    if (seen.length > 0) send({ type: 'traffic', seen, complete: false });
    confirm().catch(fell);
  }

  /** Tells those who wait what the data path has meanwhile. */
  async function confirm(): Promise<void> {
    const due = confirmations.due();
    if (due.length > 0) await store.tell({ what: 'confirmed', machine: self.machine, wait: due.join(',') });
  }

  function report(one: Parameters<Group['report']>[0]): void {
    if (one.type === 'shared') {
      confirmations.done(one.ticket);
      refused += one.refused.length;
      for (const text of one.refused.slice(0, MOST_TOLD)) {
        say('warn', `peers-store: a record is not taken up: ${text}`);
      }
      if (state === 'joined') confirm().catch(fell);
      return;
    }
    const { wait: number, calls } = one;
    const settle = () => send({ type: 'confirmed', waits: [number] });
    const needed = company.others().length;
    const wait = `${self.machine}:${number}`;
    if (state !== 'joined' || needed === 0) {
      settle();
      return;
    }
    confirmations.await(wait, needed, settle);
    if (versions.mark(calls, wait)) setImmediate(flush);
    else askFor(wait).catch(fell);
  }

  /** For what is on its way to the store already: whether everybody has what was written before. */
  async function askFor(wait: string): Promise<void> {
    await write();
    await store.tell({ what: 'asked', machine: self.machine, wait });
  }

  /** What is due by the clock. News do not wait for it, as messages may wait for them. */
  async function beat(): Promise<void> {
    const now = clock();
    if (now >= greetAt) {
      greetAt = now + GREET_EVERY;
      await identity.keep();
      if (company.meet(await owners.greet(), true)) expectConfirmers();
      if ((await store.epoch()) !== epoch) throw new Error('it was emptied, or is another store');
    }
    await upkeep.turn(now, company.others());
    taking.askBehind();
    await confirm();
    await write();
    contact = clock();
  }

  function keepUp(): void {
    if (state !== 'joined') return;
    beating ??= beat()
      .catch(fell)
      .finally(() => {
        beating = null;
      });
  }

  async function run(): Promise<void> {
    let delay = RETRY_FIRST;
    while (!closed) {
      try {
        if (state === 'joined') {
          await follow();
          keepUp();
          continue;
        }
        await beating;
        await join();
        delay = RETRY_FIRST;
      } catch (error) {
        fell(error);
        upkeep.alone(clock());
        await pause(delay);
        delay = Math.min(delay * 2, RETRY_LAST);
      }
    }
  }

  async function handOver(ms: number): Promise<boolean> {
    if (state !== 'joined') return false;
    const needed = company.others().length;
    if (needed === 0) return false;
    handOvers++;
    const wait = `${self.machine}:h${handOvers}`;
    const all = new Promise<boolean>((resolve) => {
      confirmations.await(wait, needed, () => resolve(true));
    });
    await askFor(wait);
    return await Promise.race([all, pause(ms).then(() => false)]);
  }

  function status(): GroupStatus {
    const { members } = company;
    const standing = { state, since, why, members, self, contact };
    return {
      ...standing,
      ...owners.standing(members),
      waiting: versions.waiting,
      lag: lag.last,
      refused: refused + versions.overflowed,
    };
  }

  return {
    entries,
    seen: upkeep.seen,
    report,
    status,
    ownerOf: owners.ownerOf,
    reload: expectConfirmers,
    handOver,
    run,
    async close() {
      closed = true;
      if (state === 'joined') {
        const left = write().then(() => store.leave(self));
        await Promise.race([left.catch(() => {}), pause(LEAVE_WITHIN)]);
      }
      store.close();
    },
  };
}
