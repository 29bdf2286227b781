/**
 * What a store of shared calls takes: bytes of a record, writing, the whole set for one that joins, from a write until a
 * reader has the news of it, and the versions of calls that are over for one that comes back, or whose store was emptied.
 * Needs valkey-server or redis-server.
 *
 *   node bench/run.mjs group [CALLS ...]
 */
import { createLagWatch } from '../src/daemon/peers/lag.ts';
import { createRedisStore } from '../src/daemon/peers/redis.ts';
import { createTaking } from '../src/daemon/peers/taking.ts';
import { createVersions } from '../src/daemon/peers/versions.ts';
import { createWriting } from '../src/daemon/peers/writing.ts';
import { writeCall } from '../src/inspector/record.ts';
import { createInspector } from '../src/inspector.ts';
import { startServer, where } from '../test/group/redis-server.ts';
import { udpPacket } from '../test/packets.ts';
import { host, sdp, settingsWith, sip } from '../test/scene.ts';
import { quantile } from './quantile.ts';

const counts = process.argv.slice(2).map(Number);
const MACHINE = '00000001';
/** Of a call that is up: `Phase`. */
const ANSWERED = 1 as const;
const AT_A_TIME = 64;
const NEWS = 2000;
const ENDED = 10_000;

const client = host('192.0.2.10');
const server = host('198.51.100.20');
const inspector = createInspector(() => settingsWith());
const callId = 'bench@example.com';
for (const [from, to, text] of [
  [client, server, sip('INVITE', { callId, body: sdp(client.address, [10_000]) })],
  [server, client, sip('200 INVITE', { callId, to: 'b', body: sdp(server.address, [20_000]) })],
  [client, server, sip('ACK', { callId, to: 'b' })],
] as const) {
  inspector.inspect(udpPacket(from, to, text), 1, null);
}
const [call] = [...inspector.calls()];
const scribe = { machine: MACHINE, boot: null, now: () => 1, wall: Date.now };
const text = writeCall(inspector.dump(call!.legId)!, scribe);
console.log(`record of a call that is up, one audio stream each way: ${text.length} bytes`);

const version = (index: number, number: number) => ({
  name: index.toString(16).padStart(16, '0'),
  stamp: { generation: 0, phase: ANSWERED, version: number, machine: MACHINE },
  text,
  wait: '',
});

const running = await startServer();
const options = { ...where(running.port), prefix: '{pinholed:bench}:' };
const [writer, reader] = [createRedisStore(options), createRedisStore(options)];
await writer.connect();
await reader.connect();
let there = 0;
for (const count of counts.length > 0 ? counts : [10_000, 100_000]) {
  const begun = performance.now();
  const more = count - there;
  for (; there < count; there += AT_A_TIME) {
    await writer.write(Array.from({ length: AT_A_TIME }, (_, index) => version(there + index, 1)));
  }
  const written = performance.now() - begun;
  const start = performance.now();
  let read = 0;
  for await (const some of reader.versions())
    read += (await reader.read(some.map(({ name }) => name))).length;
  const joined = performance.now() - start;
  console.log(
    `${count} calls: ${Math.round((1000 * more) / written)} records/s written, ${read} read in ${(joined / 1000).toFixed(2)} s`,
  );
}
const lags: number[] = [];
let last = await reader.lastNews();
for (let number = 3; lags.length < NEWS; number += 2) {
  const begun = performance.now();
  await Promise.all([
    writer.write([version(0, number)]),
    reader.follow(last).then((news) => {
      last = news.at(-1)!.id;
      lags.push(performance.now() - begun);
    }),
  ]);
}
const at = (share: number) => quantile(lags, share).toFixed(2);
console.log(`from a write until a reader has the news: p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`);
writer.close();
reader.close();

/** What has gone over the store's connections, in bytes. */
async function bytesMoved(): Promise<number> {
  const stats = await running.command('INFO', 'stats');
  return [...stats.matchAll(/total_net_(?:in|out)put_bytes:(\d+)/g)].reduce(
    (sum, [, bytes]) => sum + Number(bytes),
    0,
  );
}

async function took(what: string, work: () => Promise<unknown>): Promise<void> {
  const before = await bytesMoved();
  const begun = performance.now();
  await work();
  const ms = performance.now() - begun;
  const bytes = (await bytesMoved()) - before;
  console.log(
    `${what}: ${ms.toFixed(0)} ms, ${(bytes / 1e6).toFixed(2)} MB, ${(bytes / ENDED).toFixed(0)} bytes a call`,
  );
}

const store = createRedisStore({ ...options, prefix: '{pinholed:over}:' });
await store.connect();
const versions = createVersions(() => ENDED, performance.now.bind(performance));
versions.remember(
  Array.from({ length: ENDED }, (_, index) => ({
    name: index.toString(16).padStart(16, '0'),
    stamp: { generation: 0, phase: 2, version: 3, machine: MACHINE },
  })),
);
const write = createWriting(store, versions, createLagWatch(), performance.now.bind(performance));
const taking = createTaking(store, versions, MACHINE, () => {});
await took(`the store knows nothing of ${ENDED} calls that are over: it is told of all`, async () => {
  await taking.all();
  await write();
});
await took('it knows them: their versions are compared', () => taking.all());
store.close();
await running.close();
