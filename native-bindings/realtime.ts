/** Real-time scheduling of the calling thread: sched(7) on Linux, rtprio(2) on FreeBSD. */
import type { Libc } from './engine.ts';
import { at, i32, struct, u16 } from './struct.ts';

/** linux/sched.h */
const SCHED_OTHER = 0;
const SCHED_FIFO = 1;
/** struct sched_param. */
const schedParam = struct('sched_param', 4, { sched_priority: at(0, i32) });

/** sys/rtprio.h */
const RTP_SET = 1;
const RTP_PRIO_REALTIME = 2;
const RTP_PRIO_MAX = 31;
/** struct rtprio. */
const rtprio = struct('rtprio', 4, { type: at(0, u16), prio: at(2, u16) });

/** The lowest of the real-time priorities. Throws SystemError: EPERM without the right to it. */
export function setRealtime(libc: Libc): void {
  if (libc.platform.system === 'freebsd') {
    const priority = rtprio.encode({ type: RTP_PRIO_REALTIME, prio: RTP_PRIO_MAX });
    libc.check('rtprio_thread', libc.rtprio_thread(RTP_SET, 0, priority));
    return;
  }
  schedule(libc, SCHED_FIFO, 1);
}

/** Linux: the usual scheduling again, which everybody may ask for. */
export function setTimesharing(libc: Libc): void {
  schedule(libc, SCHED_OTHER, 0);
}

function schedule(libc: Libc, policy: number, priority: number): void {
  const parameter = schedParam.encode({ sched_priority: priority });
  libc.check('sched_setscheduler', libc.sched_setscheduler(0, policy, parameter));
}
