/**
 * What it costs to look at a daemon that has many calls: how long a packet may have to wait because the data path
 * answers, and how long the control thread is busy. The data path runs in the same thread here, its answers are
 * cloned as they are between threads.
 *
 *   node bench/run.mjs watching [calls]
 */
import { createAlarmBoard } from '../src/control/alarms.ts';
import { metricsText } from '../src/control/metrics.ts';
import type { RequestName } from '../src/control/protocol.ts';
import { createHandlers } from '../src/control/service.ts';
import type { Slice } from '../src/daemon/data-path/slices.ts';
import { type Answers, type CallSummary, MOST_PER_SLICE, type Question } from '../src/daemon/messages.ts';
import { createHistory } from '../src/history/history.ts';
import { explainCall } from '../src/report/live/explain.ts';
import { createLiveSource } from '../src/web/source.ts';
import { alice, bob, startInProcess } from '../test/control/in-process.ts';
import { sdp, sip } from '../test/scene.ts';
import { quantile } from './quantile.ts';

const CALLS = Number(process.argv[2] ?? 10_000);
const ROUNDS = 30;

const run = startInProcess();
const history = createHistory({
  endedCalls: () => CALLS,
  callsUnderWay: () => CALLS,
  trafficOf: run.daemon.trafficOf,
});
run.daemon.subscribe((occasions) => history.take(occasions));
for (let index = 0; index < CALLS; index++) {
  const callId = `watched-${index}@example.com`;
  const port = 10_000 + 2 * (index % 20_000);
  run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [port]) }));
  run.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [port]) }));
  run.send(alice, bob, sip('ACK', { callId, to: 'b' }));
}
for (let beat = 0; beat < 20; beat++) run.wait(300);

const { daemon } = run;
const board = createAlarmBoard();
const handlers = createHandlers(daemon, history.passedBefore, board);
const nobody = new AbortController().signal;

/** By name. */
type Samples = Map<string, number[]>;

function note(samples: Samples, name: string, value: number): void {
  const list = samples.get(name) ?? [];
  samples.set(name, list);
  list.push(value);
}

/** µs that a turn of the data path takes in which it answers. */
const held: Samples = new Map();

async function askTimed<Q extends Question>(question: Q): Promise<Answers[Q['type']]> {
  const answer = await daemon.ask(question);
  note(held, question.type, run.turns.at(-1)!.ms * 1000);
  return answer;
}

async function readAll(): Promise<void> {
  let cursor: number | null = null;
  do {
    const slice: Slice<CallSummary> | null = await askTimed({ type: 'calls', cursor, limit: MOST_PER_SLICE });
    cursor = slice!.cursor;
  } while (cursor !== null);
}

/** All parts of an answer as lines; what is read of it is forgotten first. */
async function answerTo(request: RequestName): Promise<number> {
  run.wait(1000);
  let length = 0;
  const answering = handlers[request as keyof typeof handlers]({ request } as never, null, nobody);
  if (Symbol.asyncIterator in answering) {
    for await (const part of answering) {
      length += JSON.stringify(part).length;
      if (request === 'top') break;
    }
  } else {
    length = JSON.stringify(await answering).length;
  }
  return length;
}

/** ms until all of an answer is there, on one thread for both, and bytes of it. */
const spent: Samples = new Map();
const sizes = new Map<string, number>();
async function timed(name: string, act: () => Promise<number>): Promise<void> {
  const start = process.hrtime.bigint();
  sizes.set(name, await act());
  note(spent, name, Number(process.hrtime.bigint() - start) / 1e6);
}

for (let round = 0; round < ROUNDS; round++) {
  await readAll();
  for (let i = 0; i < 20; i++) await askTimed({ type: 'status' });
  for (const request of ['status', 'calls', 'pinholes', 'top'] as const) {
    await timed(request, () => answerTo(request));
  }
  await timed('metrics', async () => {
    return (
      await metricsText({
        status: await daemon.ask({ type: 'status' }),
        daemon,
        board,
        exemplars: null,
        blocked: { total: () => 0 },
      })
    ).length;
  });
  await timed('explain', async () => {
    const [legId] = history.find(`watched-${CALLS - 1}@example.com`);
    return JSON.stringify(explainCall(history.get(legId!)!, 0)).length;
  });
  const source = createLiveSource(daemon, history, board);
  await timed('live page', async () => JSON.stringify(await source.snapshot()).length);
}
for (const { legId } of [...run.inspector.calls()].slice(-1000)) await askTimed({ type: 'end', legId });

function at(values: readonly number[], share: number): string {
  return quantile(values, share).toFixed(1);
}

console.log(`${CALLS} calls\n\n| answer of the data path | p50 µs | p99 µs |\n|---|--:|--:|`);
for (const [name, list] of held) console.log(`| ${name} | ${at(list, 0.5)} | ${at(list, 0.99)} |`);
console.log('\n| request | p50 ms | kB |\n|---|--:|--:|');
for (const [name, list] of spent) {
  console.log(`| ${name} | ${at(list, 0.5)} | ${(sizes.get(name)! / 1000).toFixed(1)} |`);
}
