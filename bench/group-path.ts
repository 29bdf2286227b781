/**
 * Whole data paths, each on a thread of its own with packets and a packet filter in memory, and the store that they share
 * their calls by: messages a second without a store, with one, and with `confirm: peers`, in turns; and what a firewall that
 * joins does to the packets that pass it meanwhile. Needs valkey-server or redis-server.
 *
 *   node bench/run.mjs group-path [kernel] [CALLS THAT A JOINING ONE FINDS ...]
 *
 * `kernel`: the joining alone, of one whose pinholes are in nftables, in a network namespace of its own; as root.
 */
import { loadavg } from 'node:os';
import { MessageChannel, Worker } from 'node:worker_threads';
import { defaults, type Settings } from '../src/config/schema.ts';
import type { Answers, CallEntry, DataPathReport, Order } from '../src/daemon/messages.ts';
import { createGroup, type Group } from '../src/daemon/peers/group.ts';
import { createRedisStore } from '../src/daemon/peers/redis.ts';
import { createInspector } from '../src/inspector.ts';
import { startServer, where } from '../test/group/redis-server.ts';
import { networks } from '../test/scene.ts';
import { callsUp, recordsOf, stampOf } from './calls.ts';
import type { Load, Measured, ThreadData } from './group-path-thread.ts';
import { median, quantile } from './quantile.ts';

const words = process.argv.slice(2);
const isKernel = words[0] === 'kernel';
const found = words.slice(Number(isKernel)).map(Number);
const ROUNDS = 9;
const CALLS = 400;
const WINDOW = 32;
const MOST = 2_000_000;
const PACE = 500;
const SLICE = 25;

const clock = () => performance.timeOrigin + performance.now();
const pause = (ms: number) => new Promise<void>((resolve) => setTimeout(resolve, ms));

interface Firewall {
  readonly group: Group | null;
  load(load: Load): void;
  measured(): Promise<Measured>;
  /** Orders to take calls up that the data path has not obeyed yet. */
  readonly behind: number;
  ask(type: 'status'): Promise<Answers['status']>;
  close(): Promise<void>;
}

const running = await startServer();
let machines = 0;

function settingsFor(confirm: 'none' | 'peers'): Settings {
  const { caps, peersStore, ...rest } = defaults();
  return {
    ...rest,
    inside: networks('192.0.2.0/24'),
    caps: { ...caps, calls: MOST, callsPerHost: MOST, history: 0, offersPerSecond: 100_000, backlog: MOST },
    peersStore: { ...peersStore, confirm, confirmTimeout: 1000 },
  };
}

/** `group`: the one that it is in; null where it shares nothing. */
function startFirewall(group: string | null, confirm: 'none' | 'peers' = 'none'): Firewall {
  machines++;
  const machine = machines.toString(16).padStart(8, '0');
  const settings = settingsFor(confirm);
  const { port1, port2 } = new MessageChannel();
  const workerData: ThreadData = {
    ...{ port: port2, settings, machine, isKernel },
    member: group === null ? null : machine,
  };
  const worker = new Worker(new URL('./group-path-thread.js', import.meta.url), {
    workerData,
    transferList: [port2],
  });
  const asked = new Map<number, (answer: unknown) => void>();
  const done: ((measured: Measured) => void)[] = [];
  let questions = 0;
  let behind = 0;

  function send(order: Order | Load): void {
    if (order.type === 'shared') behind++;
    port1.postMessage(order);
  }

  function ask<T extends keyof Answers>(
    question: Extract<Order, { type: 'ask' }>['question'],
  ): Promise<Answers[T]> {
    questions++;
    const id = questions;
    send({ type: 'ask', id, question });
    return new Promise((resolve) => asked.set(id, resolve as (answer: unknown) => void));
  }

  async function* records(): AsyncIterable<readonly CallEntry[]> {
    let cursor: number | null = null;
    do {
      const slice: Answers['records'] = await ask<'records'>({ type: 'records', cursor, limit: SLICE });
      if (slice === null) return;
      yield slice.items;
      cursor = slice.cursor;
    } while (cursor !== null);
  }

  const shared =
    group === null
      ? null
      : createGroup({
          store: createRedisStore({ ...where(running.port), prefix: `{pinholed:${group}}:` }),
          self: { machine, name: `fw${machines}`, records: 3, boot: null, start: machine },
          ends: [],
          ...{ send, records, clock, pause, say: () => {} },
          most: () => MOST,
          confirms: () => confirm === 'peers',
        });
  port1.on('message', (report: DataPathReport | Measured) => {
    if (report.type === 'measured') done.shift()?.(report);
    else if (report.type === 'batch') shared?.entries(report.records);
    else if (report.type === 'shared' || report.type === 'waiting') {
      if (report.type === 'shared') behind--;
      shared?.report(report);
    } else if (report.type === 'answer') {
      asked.get(report.id)?.(report.answer);
      asked.delete(report.id);
    }
  });
  shared?.run();
  return {
    group: shared,
    load: send,
    measured: () => new Promise((resolve) => done.push(resolve)),
    get behind() {
      return behind;
    },
    ask: (type) => ask<'status'>({ type }),
    async close() {
      await shared?.close();
      await worker.terminate();
      port1.close();
    },
  };
}

async function until(is: () => boolean): Promise<void> {
  while (!is()) await pause(5);
}

async function messagesPerSecond(): Promise<void> {
  const variants = [
    { name: 'no store', firewall: startFirewall(null), others: [] },
    { name: 'confirm: none', firewall: startFirewall('none'), others: [startFirewall('none')] },
    {
      name: 'confirm: peers',
      firewall: startFirewall('peers', 'peers'),
      others: [startFirewall('peers', 'peers')],
    },
  ];
  const shares = variants.slice(1);
  await until(() => shares.every(({ firewall }) => firewall.group!.status().members.length === 2));
  await pause(500);
  const rates = variants.map((): number[] => []);
  const costs = variants.map((): number[] => []);
  const latencies = variants.map((): number[] => []);
  for (let round = 0; round <= ROUNDS; round++) {
    for (const [index, { firewall }] of variants.entries()) {
      firewall.load({ type: 'run', calls: CALLS, window: WINDOW });
      const { took, busy, messages, latencies: times } = await firewall.measured();
      await until(() =>
        variants.every(
          ({ firewall: one, others }) =>
            one.behind + others.reduce((sum, each) => sum + each.behind, 0) === 0,
        ),
      );
      // The first round warms up.
      if (round === 0) continue;
      rates[index]!.push((1000 * messages) / took);
      costs[index]!.push((1000 * busy) / messages);
      latencies[index]!.push(...times);
    }
  }
  console.log(`\n${ROUNDS} rounds in turns of ${CALLS} calls of 7 messages, ${WINDOW} at a time`);
  console.log(
    '| | messages/s, median of rounds | of no store, median of ratios | processor time of the data path a message | of no store | from at hand to released, p50 | p99 |',
  );
  console.log('|---|--:|--:|--:|--:|--:|--:|');
  for (const [index, { name, firewall }] of variants.entries()) {
    const ratioOf = (of: readonly (readonly number[])[]) =>
      median(of[index]!.map((one, round) => one / of[0]![round]!)).toFixed(2);
    const times = latencies[index]!;
    const { counters } = await firewall.ask('status');
    const waited = counters.waited === 0 ? '' : ` (${counters.waited} waited, ${counters.overdue} in vain)`;
    const cells = [
      `${name}${waited}`,
      Math.round(median(rates[index]!)),
      ratioOf(rates),
      `${median(costs[index]!).toFixed(0)} µs`,
      ratioOf(costs),
      `${quantile(times, 0.5).toFixed(2)} ms`,
      `${quantile(times, 0.99).toFixed(2)} ms`,
    ];
    console.log(`| ${cells.join(' | ')} |`);
  }
  for (const { firewall, others } of variants) for (const one of [firewall, ...others]) await one.close();
}

/** So many calls that are up, in the store. */
async function fill(group: string, count: number): Promise<void> {
  const store = createRedisStore({ ...where(running.port), prefix: `{pinholed:${group}}:` });
  await store.connect();
  const settings = settingsFor('none');
  const CHUNK = 1000;
  for (let first = 0; first < count; first += CHUNK) {
    const inspector = createInspector(() => settings, null, null, first + 1);
    callsUp(inspector, first, Math.min(CHUNK, count - first));
    const records = recordsOf(inspector).map((one) => ({ ...one, stamp: stampOf(3), wait: '' }));
    for (let from = 0; from < records.length; from += 64) await store.write(records.slice(from, from + 64));
  }
  store.close();
}

async function joinWith(count: number): Promise<void> {
  const group = `join${count}`;
  await fill(group, count);
  console.log(
    `\nload average ${loadavg()
      .map((one) => one.toFixed(1))
      .join(' ')}`,
  );
  const alone = startFirewall(null);
  alone.load({ type: 'pace', perSecond: PACE });
  await pause(5000);
  const before = alone.measured();
  alone.load({ type: 'pace', perSecond: 0 });
  const quiet = await before;
  await alone.close();

  const late = startFirewall(group);
  const start = clock();
  late.load({ type: 'pace', perSecond: PACE });
  await until(() => late.group!.status().state === 'joined');
  const joined = clock() - start;
  await until(() => late.behind === 0);
  const taken = clock() - start;
  const measured = late.measured();
  late.load({ type: 'pace', perSecond: 0 });
  const { latencies, busy } = await measured;
  const { calls, pinholes } = await late.ask('status');
  const times = (sorted: readonly number[]) =>
    `p50 ${quantile(sorted, 0.5).toFixed(2)}, p99 ${quantile(sorted, 0.99).toFixed(2)}, longest ${quantile(sorted, 1).toFixed(1)} ms`;
  console.log(
    `joining ${count} calls, pinholes in ${isKernel ? 'nftables' : 'memory'}, ${PACE} messages a second passing meanwhile`,
  );
  console.log(
    `the set was read in ${(joined / 1000).toFixed(1)} s, and in the data path (${calls} calls, ${pinholes} pinholes) after ${(taken / 1000).toFixed(1)} s, ${((1000 * busy) / count).toFixed(0)} µs of its processor time a call`,
  );
  console.log(
    `from at hand to released: alone ${times(quiet.latencies)}; joining ${times(latencies)} (${latencies.length} messages)`,
  );
  const memory = Math.round(process.memoryUsage.rss() / 2 ** 20);
  console.log(
    `load average ${loadavg()
      .map((one) => one.toFixed(1))
      .join(' ')}, ${memory} MiB of memory`,
  );
  await late.close();
}

if (!isKernel) await messagesPerSecond();
for (const count of found.length > 0 ? found : [10_000]) await joinWith(count);
await running.close();
