import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import type { Arrival, Report, Step } from '../linux/steps.ts';

/** A host in one of the namespaces. */
export interface Actor {
  /** Does the steps and returns what arrived. Rejects when one of them could not be done. */
  run(steps: readonly Step[]): Promise<readonly Arrival[]>;
  close(): void;
}

const MODULE = fileURLToPath(new URL('../linux/actor.ts', import.meta.url));

export async function startActor(namespace: string): Promise<Actor> {
  const args = ['netns', 'exec', namespace, process.execPath, '--import', 'tsx', MODULE];
  const child: ChildProcess = spawn('ip', args, { stdio: ['pipe', 'pipe', 'inherit'] });
  const waiting = new Map<number, (report: Report) => void>();
  let requests = 0;
  let ready = () => {};
  const started = new Promise<void>((resolve, reject) => {
    ready = resolve;
    child.once('exit', (status) => reject(new Error(`an actor ended with status ${status}`)));
  });
  createInterface({ input: child.stdout! }).on('line', (line) => {
    const message = JSON.parse(line) as Report | { readonly ready: true };
    if ('ready' in message) {
      ready();
      return;
    }
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  await started;
  return {
    run: (steps) =>
      new Promise((resolve, reject) => {
        const id = ++requests;
        waiting.set(id, ({ arrivals, failure }) => {
          if (failure === null) resolve(arrivals);
          else reject(new Error(`${namespace}: ${failure}`));
        });
        child.stdin!.write(`${JSON.stringify({ id, steps })}\n`);
      }),
    close: () => void child.kill('SIGKILL'),
  };
}
