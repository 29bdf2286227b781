import { MessageChannel, type MessagePort, receiveMessageOnPort, Worker } from 'node:worker_threads';
import type { Settings } from '../config/schema.ts';
import type { ThreadData } from './data-path/data-thread.ts';
import type { Answers, DataPathReport, Order, Question } from './messages.ts';

import type { HandedDown } from './process/handed-down.ts';

/** The data-path thread as the control thread sees it. */
export interface DataThread {
  send(order: Order): void;
  /** Rejects when no answer comes in time. */
  ask<Q extends Question>(question: Q): Promise<Answers[Q['type']]>;
}

interface ThreadOptions {
  readonly settings: Settings;
  readonly platformModule: string;
  readonly heartbeat: number | null;
  readonly handedDown: HandedDown;
  readonly hepKey: Uint8Array | null;
  readonly recording: SharedArrayBuffer | null;
  readonly mayBeRoot: boolean;
  /** Every report but answers. */
  readonly onReport: (report: Exclude<DataPathReport, { type: 'answer' }>) => void;
  /** The thread has ended without a word; `error` is null when nothing was thrown. */
  readonly onEnd: (error: Error | null) => void;
}

/**
 * MiB: three halves of 8 MiB, of which one is in use at a time. What a packet makes is then still in the processor's
 * cache when the next one makes its own in its place, and a collection, for which packets wait, is done in 2 ms.
 */
const YOUNG_GENERATION = 24;
/** ms for an answer: the data path looks for orders ten times a second at least. */
const ANSWER_WITHIN = 5000;

/** Starts the data-path thread. Its module stands beside this one, as source or compiled. */
export function startDataThread(options: ThreadOptions): DataThread {
  const { port1, port2 } = new MessageChannel();
  const taken = new Int32Array(new SharedArrayBuffer(4));
  const { settings, platformModule, heartbeat, handedDown, hepKey, recording, mayBeRoot } = options;
  const workerData: ThreadData = {
    port: port2,
    ...{ settings, platformModule, heartbeat, handedDown, taken, hepKey, recording, mayBeRoot },
  };
  const resourceLimits = { maxYoungGenerationSizeMb: YOUNG_GENERATION };
  const worker = new Worker(threadModule(), { workerData, transferList: [port2], resourceLimits });
  const waiting = new Map<number, (answer: Answers[keyof Answers]) => void>();
  let questions = 0;
  let hasStopped = false;

  function take(report: DataPathReport): void {
    Atomics.add(taken, 0, 1);
    hasStopped ||= report.type === 'stopped';
    if (report.type !== 'answer') {
      options.onReport(report);
      return;
    }
    waiting.get(report.id)?.(report.answer);
    waiting.delete(report.id);
  }

  hearOut(worker, port1, take, (error) => {
    if (!hasStopped) options.onEnd(error);
  });

  return {
    send: (order) => port1.postMessage(order),
    ask: (question) =>
      new Promise((resolve, reject) => {
        const id = ++questions;
        const timer = setTimeout(() => {
          waiting.delete(id);
          reject(new Error('the data path gave no answer'));
        }, ANSWER_WITHIN);
        waiting.set(id, (answer) => {
          clearTimeout(timer);
          resolve(answer as never);
        });
        port1.postMessage({ type: 'ask', id, question } satisfies Order);
      }),
  };
}

/**
 * Calls `take` with all that a worker posts, and `onEnd` once, after the last of it: Node tells of an end before what is
 * still on its way. The error is what was thrown and not caught; null when nothing was.
 */
export function hearOut<Report>(
  worker: Worker,
  port: MessagePort,
  take: (report: Report) => void,
  onEnd: (error: Error | null) => void,
): void {
  let isOver = false;
  function end(error: Error | null): void {
    if (isOver) return;
    isOver = true;
    for (let rest = receiveMessageOnPort(port); rest !== undefined; rest = receiveMessageOnPort(port))
      take(rest.message as Report);
    onEnd(error);
  }
  port.on('message', take);
  worker.on('error', end);
  worker.on('exit', () => end(null));
}

/** The thread's module, beside this one: compiled, or as source when this one is. */
function threadModule(): URL {
  if (!import.meta.url.endsWith('.ts')) return new URL('./data-path/data-thread.js', import.meta.url);
  const source = new URL('./data-path/data-thread.ts', import.meta.url);
  return process.execArgv.includes('tsx') ? withLoader(source) : source;
}

/** Run from source by `node --import tsx`: Node's loader hooks do not reach a worker, which has to register them. */
function withLoader(source: URL): URL {
  const loader = JSON.stringify(import.meta.resolve('tsx/esm/api'));
  const script = `import { register } from ${loader}; register(); await import(${JSON.stringify(source.href)});`;
  return new URL(`data:text/javascript,${encodeURIComponent(script)}`);
}
