import { readFileSync } from 'node:fs';
import { monotonicTime } from '../../native-bindings/clock.ts';
import type { Libc } from '../../native-bindings/engine.ts';

/** The thread may be set aside between the two readings: the pair that lies closest together counts. */
const TRIES = 8;

/**
 * The system's monotonic clock in ms, comparable between threads and processes. Asked of the kernel once:
 * `performance.now` runs at the same rate everywhere, but starts anew in each thread.
 */
export function createClock(libc: Libc): () => number {
  let offset = 0;
  let closest = Number.POSITIVE_INFINITY;
  for (let tries = 0; tries < TRIES; tries++) {
    const before = performance.now();
    const kernel = monotonicTime(libc);
    const after = performance.now();
    if (after - before >= closest) continue;
    closest = after - before;
    offset = kernel - (before + after) / 2;
  }
  return () => offset + performance.now();
}

/** What changes with every boot (random(4) on Linux); null where there is no such thing. */
export function bootId(): string | null {
  try {
    return readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim();
  } catch {
    return null;
  }
}
