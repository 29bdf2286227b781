import type { Version } from './store.ts';

/** Measures how long what is written takes to come back as news. */
export interface LagWatch {
  wrote(records: readonly Version[], now: number): void;
  came(name: string, version: number, now: number): void;
  /** ms of the last that came back; null before the first. */
  readonly last: number | null;
}

/** Writes whose way back is timed. */
const MOST = 1024;

export function createLagWatch(): LagWatch {
  const wroteAt = new Map<string, number>();
  let last: number | null = null;
  return {
    wrote(records, now) {
      for (const { name, stamp } of records) wroteAt.set(`${name} ${stamp.version}`, now);
      for (const oldest of wroteAt.keys()) {
        if (wroteAt.size <= MOST) return;
        wroteAt.delete(oldest);
      }
    },
    came(name, version, now) {
      const key = `${name} ${version}`;
      const at = wroteAt.get(key);
      if (at === undefined) return;
      wroteAt.delete(key);
      last = now - at;
    },
    get last() {
      return last;
    },
  };
}
