import { type ChildProcess, spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { within } from './namespaces.ts';
import type { Arrival, Report, Step } from './steps.ts';

/** A host that does as it is told, in a namespace. */
export interface Actor {
  /** Does the steps and returns what arrived. Rejects when one of them could not be done. */
  run(steps: readonly Step[]): Promise<readonly Arrival[]>;
  close(): void;
}

/** The command that runs a module, named by its path from this directory: compiled code as it is, which tsx would change. */
export function typescript(module: string): [string, ...string[]] {
  const path = fileURLToPath(new URL(module, import.meta.url));
  return [process.execPath, ...(path.endsWith('.js') ? [] : ['--import', 'tsx']), path];
}

/** Starts an actor in the namespace. `began` is called with its process at once. Rejects when it ends before it is ready. */
export async function startActor(
  namespace: string,
  began: (child: ChildProcess) => void = () => {},
): Promise<Actor> {
  const [program = '', ...args] = within(namespace, ...typescript('actor.ts'));
  const child = spawn(program, args, { stdio: ['pipe', 'pipe', 'inherit'] });
  began(child);
  const waiting = new Map<number, (report: Report) => void>();
  let requests = 0;
  let ready = () => {};
  const isReady = new Promise<void>((resolve, reject) => {
    ready = resolve;
    child.once('exit', (status) => reject(new Error(`an actor ended with status ${status}`)));
  });
  createInterface({ input: child.stdout }).on('line', (line) => {
    const message = JSON.parse(line) as Report | { readonly ready: true };
    if ('ready' in message) {
      ready();
      return;
    }
    waiting.get(message.id)?.(message);
    waiting.delete(message.id);
  });
  await isReady;
  return {
    run: (steps) =>
      new Promise((resolve, reject) => {
        const id = ++requests;
        waiting.set(id, ({ arrivals, failure }) => {
          if (failure === null) resolve(arrivals);
          else reject(new Error(`${namespace}: ${failure}`));
        });
        child.stdin.write(`${JSON.stringify({ id, steps })}\n`);
      }),
    close: () => void child.kill('SIGKILL'),
  };
}
