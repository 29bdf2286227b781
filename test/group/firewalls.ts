import assert from 'node:assert/strict';
import { defaults, type Settings } from '../../src/config/schema.ts';
import { createDataPath } from '../../src/daemon/data-path/data-path.ts';
import type { Answers, CallEntry, DataPathReport, Order } from '../../src/daemon/messages.ts';
import { createGroup, type Group } from '../../src/daemon/peers/group.ts';
import type { Store } from '../../src/daemon/peers/store.ts';
import { createModelFirewall } from '../../src/firewall/model.ts';
import { createInspector } from '../../src/inspector.ts';
import type { HeldPacket } from '../../src/intercept/interceptor.ts';
import { settingsWith } from '../daemon/doubles.ts';
import { udpPacket } from '../packets.ts';
import { type Host, networks } from '../scene.ts';
import type { Shelf } from './memory-store.ts';

/** One firewall of a group: a whole data path with a packet filter in memory, and what shares its calls. */
export interface Member {
  readonly group: Group;
  readonly store: Store;
  readonly machine: string;
  /** A SIP message comes to this firewall. */
  send(from: Host, to: Host, text: string): void;
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
  end(): Promise<void>;
}

export interface Firewalls {
  member(number: number, changes?: Partial<Settings>): Member;
  /** Until nothing is on its way any more: every member has had so many turns in which nothing came. */
  settle(): Promise<void>;
  /** ms pass for all. */
  pass(ms: number): Promise<void>;
}

/** Changes that may wait. */
export const MOST = 1000;
/** Turns of the event loop in which nothing happens before things count as settled. */
const QUIET_TURNS = 12;

export function createFirewalls(shelf: Shelf): Firewalls {
  const members: { turn(): boolean }[] = [];
  let now = 1_000_000;
  const clock = () => now;

  function member(number: number, changes: Partial<Settings> = {}): Member {
    const machine = String(number).padStart(8, '0');
    const orders: Order[] = [];
    const reports: DataPathReport[] = [];
    const released: string[] = [];
    const log: string[] = [];
    const confirmed: number[] = [];
    const asked = new Map<number, (answer: unknown) => void>();
    let arriving: HeldPacket[] = [];
    let questions = 0;
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
      identity: { machine, boot: `boot of ${number}` },
      pause: () => {},
      beat: () => {},
      nextOrder: () => orders.shift() ?? null,
      post: (report) => reports.push(report),
    });
    path.start({});
    const store = shelf.connect();
    const group = createGroup({
      store,
      self: { machine, name: `fw${number}`, records: 1 },
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
        const slice = (await answered) as NonNullable<Answers['records']>;
        yield slice.items;
        cursor = slice.cursor;
      } while (cursor !== null);
    }

    /** Whether anything happened. */
    function turn(): boolean {
      const isBusy = arriving.length + orders.length + reports.length > 0;
      path.turn();
      for (const report of reports.splice(0)) {
        if (report.type === 'batch') {
          firewall.retire({ closed: report.closed });
          group.entries(report.records);
        } else if (report.type === 'shared' || report.type === 'waiting') group.report(report);
        else if (report.type === 'answer') asked.get(report.id)?.(report.answer);
      }
      return isBusy;
    }
    const own = { turn };
    members.push(own);

    return {
      group,
      store,
      machine,
      released,
      log,
      confirmed,
      send(from, to, text) {
        arriving.push({ bytes: udpPacket(from, to, text), handle: 0, entered: null });
        turn();
      },
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
      async end() {
        members.splice(members.indexOf(own), 1);
        isOver = true;
        await group.close();
        await running;
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
  };
}

function immediate(): Promise<void> {
  return new Promise((resolve) => setImmediate(resolve));
}
