import type { Libc } from './engine.ts';

/** time.h and sys/time.h (FreeBSD: sys/_clock_id.h). */
const CLOCK_MONOTONIC = { linux: 1, freebsd: 4 } as const;

/** clock_gettime(2) of CLOCK_MONOTONIC in ms: the same in every thread and process until the next boot. */
export function monotonicTime(libc: Libc): number {
  const timespec = Buffer.alloc(16);
  libc.check('clock_gettime', libc.clock_gettime(CLOCK_MONOTONIC[libc.platform.system], timespec));
  return Number(timespec.readBigInt64LE(0)) * 1000 + Number(timespec.readBigInt64LE(8)) / 1e6;
}
