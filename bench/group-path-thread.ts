/**
 * A whole data path on a thread of its own, with packets in memory and a packet filter there or in the kernel: what
 * bench/group-path.ts measures.
 */
import type { Buffer } from 'node:buffer';
import { readFileSync } from 'node:fs';
import { type MessagePort, receiveMessageOnPort, workerData } from 'node:worker_threads';
import { loadLibc } from '../native-bindings/engine.ts';
import { CLONE_NEWNET } from '../native-bindings/linux/constants.ts';
import type { Settings } from '../src/config/schema.ts';
import { createDataPath } from '../src/daemon/data-path/data-path.ts';
import type { DataPathReport, Order } from '../src/daemon/messages.ts';
import { createModelFirewall } from '../src/firewall/model.ts';
import { openNftables } from '../src/firewall/nftables.ts';
import { createInspector } from '../src/inspector.ts';
import type { HeldPacket } from '../src/intercept/interceptor.ts';
import { callPackets } from './calls.ts';

export interface ThreadData {
  readonly port: MessagePort;
  readonly settings: Settings;
  /** Eight hexadecimal digits; null where nothing is shared. */
  readonly member: string | null;
  readonly machine: string;
  /** nftables of a network namespace of its own; else a packet filter in memory. Needs root. */
  readonly isKernel: boolean;
}

/** What it is asked to do beside orders. */
export type Load =
  /** So many calls from beginning to end, so many of them at a time, as fast as it goes. */
  | { readonly type: 'run'; readonly calls: number; readonly window: number }
  /** So many messages a second until the next. 0: none. */
  | { readonly type: 'pace'; readonly perSecond: number };

/** What was measured. ms; `latencies`: from when a message was at hand until it went on, sorted. */
export interface Measured {
  readonly type: 'measured';
  readonly took: number;
  /** That this thread was on a processor, of `took`; NaN where the system does not tell (proc(5), schedstat). */
  readonly busy: number;
  readonly messages: number;
  readonly latencies: readonly number[];
}

const { port, settings, member, machine, isKernel } = workerData as ThreadData;
const AT_A_TIME = 64;
const STEPS = 7;
const clock = () => performance.timeOrigin + performance.now();
const sleeper = new Int32Array(new SharedArrayBuffer(4));
const sleep = (ms: number) => Atomics.wait(sleeper, 0, 0, ms);

let made = 0;
let queue: HeldPacket[] = [];
const arrivedAt = new Map<number, number>();
let packets: Buffer[] = [];
let begun = 0;
let next = 0;
let left = 0;
let window = 0;
let latencies: number[] = [];
let pace = 0;
let nextDue = 0;
let paced = 0;
let busyBefore = 0;

/** ms so far. */
function onProcessor(): number {
  try {
    return Number(readFileSync('/proc/thread-self/schedstat', 'latin1').split(' ', 1)[0]) / 1e6;
  } catch {
    return Number.NaN;
  }
}

/** No two threads have a call of one number. */
function nextCall(): Buffer[] {
  return callPackets(Number.parseInt(machine, 16) * 0x100_0000 + made++);
}

function offer(handle: number, at: number): void {
  arrivedAt.set(handle, at);
  queue.push({ bytes: packets[handle]!, handle });
}

function released({ handle }: HeldPacket): void {
  const now = clock();
  latencies.push(now - arrivedAt.get(handle)!);
  arrivedAt.delete(handle);
  if (window === 0) return;
  left--;
  if (left === 0) {
    finish(now);
    return;
  }
  if ((handle + 1) % STEPS !== 0) offer(handle + 1, now);
  else if (next < packets.length) {
    offer(next, now);
    next += STEPS;
  }
}

function finish(now: number): void {
  const measured: Measured = {
    type: 'measured',
    took: now - begun,
    busy: onProcessor() - busyBefore,
    messages: latencies.length,
    latencies: latencies.sort((a, b) => a - b),
  };
  latencies = [];
  window = 0;
  port.postMessage(measured);
}

function load(one: Load): void {
  const now = clock();
  if (one.type === 'run') {
    packets = Array.from({ length: one.calls }, nextCall).flat();
    left = packets.length;
    window = one.window;
    busyBefore = onProcessor();
    begun = clock();
    for (next = 0; next < window * STEPS && next < packets.length; next += STEPS) offer(next, begun);
    return;
  }
  if (pace > 0) finish(now);
  pace = one.perSecond;
  begun = now;
  busyBefore = onProcessor();
  nextDue = now;
  paced = 0;
  packets = [];
}

function offerPaced(): void {
  for (const now = clock(); pace > 0 && nextDue <= now; nextDue += 1000 / pace) {
    if (paced % STEPS === 0) packets.push(...nextCall());
    offer(paced++, nextDue);
  }
}

function receive(timeout: number): readonly HeldPacket[] {
  offerPaced();
  if (queue.length === 0 && timeout > 0) {
    sleep(pace > 0 ? Math.min(timeout, 1) : timeout);
    offerPaced();
  }
  const taken = queue.slice(0, AT_A_TIME);
  queue = queue.slice(AT_A_TIME);
  return taken;
}

function nextOrder(): Order | null {
  for (;;) {
    const message = receiveMessageOnPort(port)?.message as Order | Load | undefined;
    if (message === undefined) return null;
    if (message.type !== 'run' && message.type !== 'pace') return message;
    load(message);
  }
}

async function kernelFirewall() {
  const libc = await loadLibc();
  libc.check('unshare', libc.unshare(CLONE_NEWNET), 'CLONE_NEWNET');
  const { table, mark } = settings.linux;
  return openNftables(libc, { table, mark });
}

let current = settings;
const model = createModelFirewall();
const firewall = isKernel ? await kernelFirewall() : model;
const path = createDataPath({
  ends: {
    interceptor: {
      receive,
      release: released,
      drop: released,
      counters: () => ({}),
      news: () => [],
      close() {},
    },
    firewall,
  },
  inspector: createInspector(() => current, null, null, Number.parseInt(machine, 16)),
  settings: () => current,
  changeSettings: (changed) => {
    current = changed;
  },
  clock,
  identity: { machine, boot: null },
  member,
  pause: sleep,
  beat: () => {},
  nextOrder,
  post(report: DataPathReport) {
    port.postMessage(report);
    if (report.type === 'batch' && !isKernel) model.retire({ closed: report.closed });
  },
});
path.start({});
while (path.turn());
port.close();
