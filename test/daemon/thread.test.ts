import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { MessageChannel, Worker } from 'node:worker_threads';
import { hearOut } from '../../src/daemon/thread.ts';

const POSTS = `
  const { port, many, steps, fault } = require('node:worker_threads').workerData;
  port.postMessage(1);
  Atomics.wait(steps, 0, 0);
  for (let number = 2; number <= many; number++) port.postMessage(number);
  Atomics.store(steps, 1, 1);
  Atomics.notify(steps, 1);
  if (fault !== null) throw new Error(fault);
`;

/** ms; with less than it takes, the test shows less. */
const TIME_TO_END = 300;

describe('data-path thread', () => {
  async function heardOf(fault: string | null) {
    const many = 20_000;
    const { port1, port2 } = new MessageChannel();
    const steps = new Int32Array(new SharedArrayBuffer(8));
    const workerData = { port: port2, many, steps, fault };
    const worker = new Worker(POSTS, { eval: true, workerData, transferList: [port2] });
    const heard: number[] = [];
    function take(number: number): void {
      heard.push(number);
      if (number > 1) return;
      // While the first is taken, all others are posted, and the worker comes to its end.
      Atomics.store(steps, 0, 1);
      Atomics.notify(steps, 0);
      Atomics.wait(steps, 1, 0);
      Atomics.wait(steps, 1, 1, TIME_TO_END);
    }
    const error = await new Promise<Error | null>((resolve) => {
      hearOut(worker, port1, take, resolve);
    });
    assert.deepEqual(
      heard,
      Array.from({ length: many }, (_, index) => index + 1),
    );
    return error;
  }

  it('is heard out before its end is told, however much it says at last', async () => {
    assert.equal(await heardOf(null), null);
  });

  it('is heard out before what it died of is told', async () => {
    assert.equal((await heardOf('broken'))?.message, 'broken');
  });
});
