import type { LagWatch } from './lag.ts';
import type { Store } from './store.ts';
import type { Versions } from './versions.ts';

const AT_A_TIME = 64;

/** Writes what the store has not heard of, one batch after the other. What does not get there waits on. */
export function createWriting(
  store: Pick<Store, 'write'>,
  versions: Pick<Versions, 'unsent' | 'putBack' | 'waiting'>,
  lag: LagWatch,
  clock: () => number,
): () => Promise<void> {
  let running: Promise<void> | null = null;

  async function writeAll(): Promise<void> {
    while (versions.waiting > 0) {
      const unsent = versions.unsent(AT_A_TIME);
      lag.wrote(unsent, clock());
      try {
        await store.write(unsent);
      } catch (error) {
        versions.putBack(unsent);
        throw error;
      }
    }
  }

  /** Resolves once all is written; who calls meanwhile waits for the same. */
  return () => {
    running ??= writeAll().finally(() => {
      running = null;
    });
    return running;
  };
}
