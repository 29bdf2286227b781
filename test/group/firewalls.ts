import assert from 'node:assert/strict';
import { defaults, type Settings } from '../../src/config/schema.ts';
import { createDataPath } from '../../src/daemon/data-path/data-path.ts';
import { readRecords } from '../../src/daemon/data-path/records.ts';
import type { JournalEntry } from '../../src/daemon/journal/journal.ts';
import type { Answers, CallEntry, DataPathReport, Order } from '../../src/daemon/messages.ts';
import { createGroup, type Group } from '../../src/daemon/peers/group.ts';
import { endsOf } from '../../src/daemon/peers/service.ts';
import type { Store } from '../../src/daemon/peers/store.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { createInspector, type Inspector } from '../../src/inspector.ts';
import type { HeldPacket } from '../../src/intercept/interceptor.ts';
import { settingsWith } from '../daemon/doubles.ts';
import { type Segment, tcpPacket, udpPacket } from '../packets.ts';
import { type Host, networks } from '../scene.ts';
import type { Shelf } from './memory-store.ts';

/** One firewall of a group: a whole data path with a packet filter in memory, and what shares its calls. */
export interface Member {
  readonly group: Group;
  readonly store: Store;
  readonly machine: string;
  /** A SIP message comes to this firewall. */
  send(from: Host, to: Host, text: string): void;
  /** A TCP segment comes to this firewall. */
  segment(from: Host, to: Host, given: Segment): void;
  /** `address ports` of each pinhole that its packet filter has, sorted. */
  open(): string[];
  /** Packets released, in order, as their first lines. */
  readonly released: string[];
  /** States of its calls, sorted. */
  calls(): string[];
  readonly log: string[];
  /** Waits of which the data path was told that they are over. */
  readonly confirmed: readonly number[];
  /** Its settings are read again. */
  reload(changes: Partial<Settings>): void;
  /** Media passes here. */
  media(): void;
  /** All its counters were read. */
  counted(): void;
  /** One turn of its data path. Whether it had something to do. */
  turn(): boolean;
  /** Its control thread takes what the data path has told. */
  deliver(): void;
  readonly inspector: Inspector;
  /** What its control thread has written down. */
  readonly journal: Journal;
  /** Errors that there should be none of. */
  faults(): number;
  /** ms by which its wall clock is set forward. */
  setWall(ms: number): void;
  /** Once more, or after `kill`, it does nothing. */
  end(): Promise<void>;
  /** It is gone with all that it has not written down. */
  kill(): Promise<void>;
}

/** What is in a journal, by the names of calls. */
export type Journal = Map<string, JournalEntry>;

export interface MemberOptions {
  /** The journal that it is started with. */
  readonly journal?: Journal;
  /** Reports that its control thread has not taken, as its data path is told. */
  readonly backlog?: () => number;
  /** What it is called; `fw` and its number by itself. */
  readonly name?: string;
  /** What tells its boot from others; its own by itself. */
  readonly boot?: string | null;
  /** Its data path and its control thread do something only when they are told to, and in `settle`. */
  readonly manual?: boolean;
}

export interface Firewalls {
  member(number: number, changes?: Partial<Settings>, options?: MemberOptions): Member;
  /** Until nothing is on its way any more: every member has had so many turns in which nothing came. */
  settle(): Promise<void>;
  /** ms pass for all. */
  pass(ms: number): Promise<void>;
  /** ms pass in which nobody does anything. */
  skip(ms: number): void;
}

/** ms since 1970 at which the clock of all was 0. */
const EPOCH = 1.7e12;
/** Changes that may wait. */
export const MOST = 1000;
/** Turns of the event loop in which nothing happens before things count as settled. */
const QUIET_TURNS = 12;

export function createFirewalls(shelf: Shelf): Firewalls {
  const members: { turn(): boolean }[] = [];
  let now = 1_000_000;
  let starts = 0;
  const clock = () => now;
  shelf.clock = clock;

  function member(number: number, changes: Partial<Settings> = {}, options: MemberOptions = {}): Member {
    const { journal: old = new Map(), manual = false, backlog = () => 0 } = options;
    const { name = `fw${number}`, boot = `boot of ${number}` } = options;
    const machine = String(number).padStart(8, '0');
    starts++;
    const orders: Order[] = [];
    const reports: DataPathReport[] = [];
    const released: string[] = [];
    const log: string[] = [];
    const confirmed: number[] = [];
    const asked = new Map<number, (answer: unknown) => void>();
    let arriving: HeldPacket[] = [];
    let questions = 0;
    let wallAhead = 0;
    const journal: Journal = new Map(old);
    const wall = () => EPOCH + now + wallAhead;
    const identity = { machine, boot };
    let settings = settingsWith({
      inside: networks('0.0.0.0/0'),
      timers: { ...defaults().timers, drain: 0 },
      ...changes,
    });
    const inspector = createInspector(() => settings, null, null, number * 0x1000_0000);
    const firewall = createModelFirewall();
    const path = createDataPath({
      ends: {
        interceptor: {
          receive() {
            const packets = arriving;
            arriving = [];
            return packets;
          },
          release: ({ bytes }) => released.push(bytes.toString('latin1', 28).split('\r\n', 1)[0]!),
          drop: () => assert.fail('a packet was dropped'),
          counters: () => ({}),
          news: () => [],
          close() {},
        },
        firewall,
      },
      inspector,
      settings: () => settings,
      changeSettings: (next) => {
        settings = next;
      },
      clock,
      wall,
      identity,
      member: machine,
      backlog,
      pause: () => {},
      beat: () => {},
      nextOrder: () => orders.shift() ?? null,
      post: (report) => reports.push(report),
    });
    const records = [...journal.values()].map(({ text, ...entry }) => ({
      ...entry,
      bytes: Buffer.from(text),
      doubtful: false,
    }));
    path.start(readRecords(records, () => firewall.list(), { ...identity, now: clock, wall }));
    const store = shelf.connect();
    const group = createGroup({
      store,
      self: { machine, name, records: 1, boot, start: `start ${starts}` },
      ends: endsOf(journal.values()),
      send(order) {
        orders.push(order);
        if (order.type === 'confirmed') confirmed.push(...order.waits);
      },
      records: () => all(),
      clock,
      say: (_, text) => log.push(text),
      most: () => MOST,
      confirms: () => settings.peersStore.confirm === 'peers',
      async pause(ms) {
        for (const until = now + ms; now < until && !isOver; ) await immediate();
      },
    });
    let isOver = false;
    const running = group.run();

    async function* all(): AsyncIterable<readonly CallEntry[]> {
      let cursor: number | null = null;
      do {
        questions++;
        const id = questions;
        orders.push({ type: 'ask', id, question: { type: 'records', cursor, limit: 25 } });
        const answered = new Promise<unknown>((resolve) => asked.set(id, resolve));
        const slice = (await answered) as Answers['records'];
        if (slice === null) throw new Error('it is over');
        yield slice.items;
        cursor = slice.cursor;
      } while (cursor !== null);
    }

    function turn(): boolean {
      const isBusy = arriving.length + orders.length > 0;
      path.turn();
      return isBusy;
    }

    function deliver(): void {
      for (const report of reports.splice(0)) {
        if (report.type === 'batch') {
          firewall.retire({ closed: report.closed });
          for (const record of report.records) journal.set(record.key, record);
          group.entries(report.records);
        } else if (report.type === 'shared' || report.type === 'waiting') group.report(report);
        else if (report.type === 'answer') {
          asked.get(report.id)?.(report.answer);
          asked.delete(report.id);
        }
      }
    }

    const own = {
      turn() {
        const isBusy = reports.length > 0;
        const isBusyToo = turn();
        deliver();
        return isBusy || isBusyToo;
      },
    };
    members.push(own);
    if (!manual) own.turn();

    function arrive(bytes: Buffer): void {
      arriving.push({ bytes, handle: 0, entered: null });
      if (manual) turn();
      else own.turn();
    }

    async function leave(): Promise<void> {
      if (isOver) return;
      members.splice(members.indexOf(own), 1);
      isOver = true;
      for (const answer of asked.values()) answer(null);
      await group.close();
      await running;
    }

    return {
      group,
      store,
      machine,
      released,
      log,
      confirmed,
      send: (from, to, text) => arrive(udpPacket(from, to, text)),
      segment: (from, to, given) => arrive(tcpPacket(from, to, given)),
      open: () =>
        firewall
          .list()
          .map(({ address, ports }) => `${address} ${ports.join('-')}`)
          .sort(),
      calls: () => [...inspector.calls()].map(({ state }) => state).sort(),
      reload(changes) {
        orders.push({ type: 'settings', settings: { ...settings, ...changes } });
        settings = { ...settings, ...changes };
        group.reload();
      },
      media() {
        for (const { id } of firewall.list()) inspector.traffic(id, now);
        group.seen(firewall.list().map(({ id }) => [id, 'came'] as const));
      },
      counted: () => orders.push({ type: 'traffic', seen: [], complete: true }),
      turn,
      deliver,
      inspector,
      journal,
      faults: () => path.counters.exceptions,
      setWall(ms) {
        wallAhead = ms;
      },
      end: leave,
      async kill() {
        shelf.cut.add(store);
        await leave();
      },
    };
  }

  async function settle(): Promise<void> {
    for (let quiet = 0; quiet < QUIET_TURNS; quiet++) {
      await immediate();
      now += 1;
      for (const { turn } of members) if (turn()) quiet = 0;
    }
  }

  return {
    member,
    settle,
    async pass(ms) {
      const step = Math.max(1, Math.ceil(ms / 100));
      for (let passed = 0; passed < ms; passed += step) {
        now += step;
        await settle();
      }
    },
    skip(ms) {
      now += ms;
    },
  };
}

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
