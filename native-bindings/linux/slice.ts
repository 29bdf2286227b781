/** How long a thread runs before others have their turn: sched_setattr(2), for which libc has no function. */
import type { Libc } from '../engine.ts';
import { at, i32, struct, u32, u64 } from '../struct.ts';

/** struct sched_attr (linux/sched/types.h), as it was first. */
export const schedAttr = struct('sched_attr', 48, {
  size: at(0, u32),
  sched_policy: at(4, u32),
  sched_flags: at(8, u64),
  sched_nice: at(16, i32),
  sched_priority: at(20, u32),
  sched_runtime: at(24, u64),
  sched_deadline: at(32, u64),
  sched_period: at(40, u64),
});

/** asm/unistd.h */
export const SYSTEM_CALLS = {
  x64: { SYS_sched_setattr: 314, SYS_sched_getattr: 315 },
  arm64: { SYS_sched_setattr: 274, SYS_sched_getattr: 275 },
} as const;

/** sched(7) */
const SCHED_OTHER = 0;

/**
 * Gives a thread of the usual scheduling (SCHED_OTHER) a slice of so many ns, and leaves the rest of it as it is. The shorter
 * it is the sooner the thread runs once it is awake, in place of one with a longer slice; its share of the time stays as it
 * was. Returns whether the system keeps to it: Linux does from 6.12 on, for 0.1 to 100 ms, and for no other scheduling.
 * Throws SystemError. `thread`: its id; 0 the calling one.
 */
export function setSlice(libc: Libc, nanoseconds: number, thread = 0): boolean {
  const attributes = attributesOf(libc, thread);
  if (schedAttr.get('sched_policy', attributes) !== SCHED_OTHER) return false;
  schedAttr.set('sched_runtime', BigInt(nanoseconds), attributes);
  const { SYS_sched_setattr } = SYSTEM_CALLS[libc.platform.architecture];
  libc.check('sched_setattr', libc.syscall(SYS_sched_setattr, thread, attributes, 0, 0));
  return sliceOf(libc, thread) === nanoseconds;
}

/** In ns; 0 where the system has none for it. Throws SystemError. */
export function sliceOf(libc: Libc, thread = 0): number {
  return Number(schedAttr.get('sched_runtime', attributesOf(libc, thread)));
}

function attributesOf(libc: Libc, thread: number): Buffer {
  const { SYS_sched_getattr } = SYSTEM_CALLS[libc.platform.architecture];
  const attributes = Buffer.alloc(schedAttr.size);
  libc.check('sched_getattr', libc.syscall(SYS_sched_getattr, thread, attributes, schedAttr.size, 0));
  return attributes;
}
