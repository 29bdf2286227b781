/**
 * How far one store reaches: firewalls that share their calls, simulated with what one of each costs, which is measured first.
 * The store is one processor that serves whoever asks, in order, as Redis and Valkey do; every firewall has one that takes up
 * what the others wrote. Needs valkey-server or redis-server.
 *
 *   node bench/run.mjs group-simulated [FIREWALLS] [CALLS]
 */
import { readFileSync } from 'node:fs';
import { createRedisStore, NEWS_AT_A_TIME } from '../src/daemon/peers/redis.ts';
import { createVersions } from '../src/daemon/peers/versions.ts';
import { readRecord } from '../src/inspector/record.ts';
import { type CallRecord, createInspector } from '../src/inspector.ts';
import { type Server, startServer, where } from '../test/group/redis-server.ts';
import { networks, settingsWith } from '../test/scene.ts';
import { wholeNumber } from './arguments.ts';
import { callsUp, recordsOf, SCRIBE, stampOf } from './calls.ts';
import { quantile } from './quantile.ts';

const FIREWALLS = wholeNumber('FIREWALLS', process.argv[2], { least: 2, fallback: 32 });
const CALLS = wholeNumber('CALLS', process.argv[3], { least: 1, fallback: 1_000_000 });
/** Calls that begin, and end, in a second. */
const RATES = [50, 100, 200, 400, 800, 1600, 3200];
/** Versions of a call that are written: it begins, is answered, ends, and once more between. */
const WRITES_A_CALL = 4;
const SECONDS = 10;
const SAMPLE = 20_000;
const LARGE_SAMPLE = 100_000;
/** The samples are as large for few calls: what one costs is to be told from what else goes on. */
const ROOM = Math.max(CALLS, LARGE_SAMPLE);
const AT_A_TIME = 64;
const MB = 1024 * 1024;

/** Processor time in ms of one of each. */
interface Costs {
  /** The store writes a version. */
  readonly write: number;
  /** It tells one who waits that there is news, and each news of it. */
  readonly wake: number;
  readonly tell: number;
  /** It reads a record out. */
  readonly read: number;
  /** A data path takes up a record. */
  readonly take: number;
}

const clock = () => performance.now();
const settings = settingsWith({
  inside: networks('192.0.2.0/24'),
  caps: { calls: ROOM, callsPerHost: ROOM, offersPerSecond: 100_000, pinholesPerCall: 64 },
});

/** ms that a process has been on a processor (proc(5)). */
function busyOf(server: Server): number {
  const fields = readFileSync(`/proc/${server.pid}/stat`, 'latin1').split(') ')[1]!.split(' ');
  return 10 * (Number(fields[11]) + Number(fields[12]));
}

function heap(): number {
  (globalThis as { gc?: () => void }).gc?.();
  return process.memoryUsage().heapUsed;
}

/** Of calls that are up at a firewall which is gone before anything is measured. */
function sampleOfRecords() {
  const inspector = createInspector(() => settings, null, null, 1);
  callsUp(inspector, 0, SAMPLE);
  return recordsOf(inspector);
}

/** Bytes that a call takes in a data path, the records of the sample, and what taking one up costs. */
function dataPathCosts() {
  const records = sampleOfRecords();
  const inspector = createInspector(() => settings, null, null, 0x1000_0000);
  const before = heap();
  const begun = process.cpuUsage();
  for (let at = 0; at < records.length; at += 4) {
    const calls = records.slice(at, at + 4).flatMap(({ text }): CallRecord[] => {
      const read = readRecord(text, SCRIBE, 0);
      return read.what === 'call' ? [read.record] : [];
    });
    inspector.share(calls, 1);
  }
  const { user, system } = process.cpuUsage(begun);
  const bytes = (heap() - before) / SAMPLE;
  if (inspector.sizes().calls !== SAMPLE)
    throw new Error(`${inspector.sizes().calls} of ${SAMPLE} were taken up`);
  return { records, take: (user + system) / 1000 / SAMPLE, bytes };
}

async function storeCosts(records: readonly { readonly name: string; readonly text: string }[]) {
  const server = await startServer();
  const options = { ...where(server.port), prefix: '{pinholed:bench}:' };
  const [writer, reader] = [createRedisStore(options), createRedisStore(options)];
  await writer.connect();
  await reader.connect();
  const memory = async () => Number(/used_memory:([0-9]+)/.exec(await server.command('INFO', 'memory'))![1]);
  const empty = await memory();
  const timed = async (what: () => Promise<void>): Promise<number> => {
    const before = busyOf(server);
    await what();
    return (busyOf(server) - before) / records.length;
  };
  const writeAll = async (version: number) => {
    for (let at = 0; at < records.length; at += AT_A_TIME) {
      const some = records.slice(at, at + AT_A_TIME);
      await writer.write(some.map((one) => ({ ...one, stamp: stampOf(version), wait: '' })));
    }
  };
  const from = await reader.lastNews();
  const write = await timed(() => writeAll(1));
  const bytes = ((await memory()) - empty) / records.length;
  const tell = await timed(async () => {
    for (let last = from; ; ) {
      const news = await reader.follow(last);
      if (news.length === 0) return;
      last = news.at(-1)!.id;
    }
  });
  const read = await timed(async () => {
    for (let at = 0; at < records.length; at += 200) {
      await reader.read(records.slice(at, at + 200).map(({ name }) => name));
    }
  });
  let last = await reader.lastNews();
  const alone = await timed(async () => {
    for (const [index, { name, text }] of records.entries()) {
      const [news] = await Promise.all([
        reader.follow(last),
        writer.write([{ name, text, stamp: stampOf(3 + 2 * index), wait: '' }]),
      ]);
      last = news.at(-1)!.id;
    }
  });
  for (const store of [writer, reader]) store.close();
  await server.close();
  return { write, tell, read, wake: Math.max(0, alone - write - tell), bytes };
}

/** What the control thread knows of each call, and how long it takes over looking through it. */
function versionCosts() {
  const before = heap();
  const versions = createVersions(() => ROOM, clock);
  for (let index = 0; index < LARGE_SAMPLE; index++) {
    const name = index.toString(16).padStart(16, '0');
    versions.remote([{ name, stamp: stampOf(1), text: '', age: 0 }]);
  }
  const bytes = (heap() - before) / LARGE_SAMPLE;
  const begun = process.cpuUsage();
  let count = 0;
  for (const _ of versions.underWay()) count++;
  return { bytes, walk: process.cpuUsage(begun).user / 1000 / count };
}

interface Outcome {
  /** Shares of one processor. */
  readonly store: number;
  readonly dataPath: number;
  /** ms from a write until every other data path has it; of what was written at all. */
  readonly lags: readonly number[];
  readonly isEnough: boolean;
}

/** Who is served next, by time; a binary heap. */
function createAgenda() {
  const heapOf: { readonly at: number; readonly run: (now: number) => void }[] = [];
  return {
    add(at: number, run: (now: number) => void) {
      let hole = heapOf.length;
      const item = { at, run };
      heapOf.push(item);
      for (let parent = (hole - 1) >> 1; hole > 0 && heapOf[parent]!.at > at; parent = (hole - 1) >> 1) {
        heapOf[hole] = heapOf[parent]!;
        hole = parent;
      }
      heapOf[hole] = item;
    },
    take() {
      const first = heapOf[0];
      const last = heapOf.pop();
      if (first === undefined || last === undefined || heapOf.length === 0) return first;
      let hole = 0;
      for (;;) {
        let child = 2 * hole + 1;
        if (child >= heapOf.length) break;
        if (child + 1 < heapOf.length && heapOf[child + 1]!.at < heapOf[child]!.at) child++;
        if (heapOf[child]!.at >= last.at) break;
        heapOf[hole] = heapOf[child]!;
        hole = child;
      }
      heapOf[hole] = last;
      return first;
    },
  };
}

/** `rate` calls begin and end a second, evenly over the firewalls. Seeded, so that each run is the same. */
function simulate(rate: number, costs: Costs): Outcome {
  const agenda = createAgenda();
  const end = SECONDS * 1000;
  const writtenAt: number[] = [];
  const writer: number[] = [];
  const taken: number[] = [];
  const lags: number[] = [];
  let storeFreeAt = 0;
  let storeBusy = 0;
  let pathBusy = 0;
  let seed = 21;
  const random = () => {
    seed = (Math.imul(seed, 1_664_525) + 1_013_904_223) >>> 0;
    return (seed + 1) / 2 ** 32;
  };

  /** The store serves one request after the other. */
  function ask(now: number, takes: number, then: (now: number) => void): void {
    storeFreeAt = Math.max(storeFreeAt, now) + takes;
    storeBusy += takes;
    agenda.add(storeFreeAt, then);
  }

  const firewalls = Array.from({ length: FIREWALLS }, (_, number) => ({
    number,
    at: 0,
    waits: false,
    pathFreeAt: 0,
  }));
  type Firewall = (typeof firewalls)[number];

  function follow(now: number, one: Firewall): void {
    if (one.at === taken.length) {
      one.waits = true;
      return;
    }
    one.waits = false;
    const last = Math.min(taken.length, one.at + NEWS_AT_A_TIME);
    const news = taken.slice(one.at, last);
    one.at = last;
    ask(now, costs.wake + news.length * costs.tell, (told) => {
      const others = news.filter((write) => writer[write] !== one.number);
      if (others.length === 0) {
        follow(told, one);
        return;
      }
      ask(told, others.length * costs.read, (read) => {
        for (const write of others) {
          one.pathFreeAt = Math.max(one.pathFreeAt, read) + costs.take;
          pathBusy += costs.take;
          lags.push(one.pathFreeAt - writtenAt[write]!);
        }
        follow(read, one);
      });
    });
  }

  const perFirewall = (rate * WRITES_A_CALL) / FIREWALLS / 1000;
  function writes(now: number, one: Firewall): void {
    const write = writtenAt.length;
    writtenAt.push(now);
    writer.push(one.number);
    ask(now, costs.write, (done) => {
      taken.push(write);
      for (const each of firewalls) if (each.waits) follow(done, each);
    });
    const next = now - Math.log(random()) / perFirewall;
    if (next < end) agenda.add(next, (then) => writes(then, one));
  }

  for (const one of firewalls) {
    agenda.add(-Math.log(random()) / perFirewall, (now) => writes(now, one));
    one.waits = true;
  }
  for (let item = agenda.take(); item !== undefined; item = agenda.take()) item.run(item.at);
  const slowest = Math.max(storeFreeAt, ...firewalls.map(({ pathFreeAt }) => pathFreeAt));
  return {
    store: storeBusy / end,
    dataPath: pathBusy / FIREWALLS / end,
    lags,
    isEnough: slowest < end * 1.05,
  };
}

const { records, take, bytes: pathBytes } = dataPathCosts();
const { write, tell, read, wake, bytes: storeBytes } = await storeCosts(records);
const { bytes: versionBytes, walk } = versionCosts();
const costs: Costs = { write, tell, read, wake, take };
const us = (ms: number) => `${(1000 * ms).toFixed(1)} µs`;
console.log(
  `measured, processor time: the store writes a version in ${us(write)}, tells a news in ${us(tell)} and ${us(wake)} for who waited, reads a record in ${us(read)}; a data path takes one up in ${us(take)}`,
);
console.log(
  `memory of a call: ${Math.round(storeBytes)} bytes in the store, ${Math.round(pathBytes)} in a data path, ${Math.round(versionBytes)} in its control thread`,
);
const total = (bytes: number) => {
  const all = (bytes * CALLS) / MB;
  return all < 1024 ? `${all.toFixed(1)} MB` : `${(all / 1024).toFixed(1)} GB`;
};
const lasting = (s: number) => (s < 60 ? `${s.toFixed(1)} s` : `${(s / 60).toFixed(0)} min`);
console.log(
  `${CALLS} calls: ${total(storeBytes)} in the store, ${total(pathBytes)} in each data path, ${total(versionBytes)} beside; to look through all ${(walk * CALLS).toFixed(0)} ms; touched ${Math.round(CALLS / 120)} a second; joining ${((CALLS * (read + take)) / 1000).toFixed(0)} s`,
);
console.log(`\n${FIREWALLS} firewalls, simulated for ${SECONDS} s`);
console.log(
  '| calls begin, and end, a second | a call lasts, at that many | writes/s | records read/s | store busy | data path busy | lag p50 | p99 |',
);
console.log('|--:|--:|--:|--:|--:|--:|--:|--:|');
for (const rate of RATES) {
  const { store, dataPath, lags, isEnough } = simulate(rate, costs);
  const at = (share: number) => `${quantile(lags, share).toFixed(1)} ms`;
  const writesASecond = rate * WRITES_A_CALL;
  const cells = [
    ...[rate, lasting(CALLS / rate), writesASecond, writesASecond * (FIREWALLS - 1)],
    ...[`${(100 * store).toFixed(0)} %`, `${(100 * dataPath).toFixed(0)} %`],
    ...(isEnough ? [at(0.5), at(0.99)] : ['grows', 'grows']),
  ];
  console.log(`| ${cells.join(' | ')} |`);
  if (!isEnough) break;
}
