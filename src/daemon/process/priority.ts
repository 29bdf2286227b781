import { getPriority, setPriority } from 'node:os';
import type { Libc } from '../../../native-bindings/engine.ts';
import { setSlice, sliceOf } from '../../../native-bindings/linux/slice.ts';
import { setRealtime, setTimesharing } from '../../../native-bindings/realtime.ts';
import type { Settings } from '../../config/schema.ts';

/** setpriority(2): well before what a machine does beside, and behind what the system itself does. */
const NICE = -10;
/** ns; the least that Linux gives. A packet then does not wait for what else runs to have had its own, some ms. */
const SLICE = 100_000;
/** What has to be given where the system refuses. */
const ADVICE = 'CAP_SYS_NICE is missing, or LimitNICE=-10 in the unit';

/** How the thread that carries packets was favoured, for the log and `status`. */
interface Favour {
  readonly text: string;
  /** The calling thread is as it was; the threads that it started meanwhile stay favoured. */
  restore(): void;
}

/**
 * Favours the calling thread, and so those that it starts until `restore`: on Linux priority is a thread's and is inherited.
 * To be called before root is given up. On FreeBSD nice is the process's, and a real-time priority is set by the thread
 * itself (`favourThread`). Where the system refuses nothing changes, and the text says why.
 */
export function favour(libc: Libc, priority: Settings['daemon']['priority']): Favour {
  const { system } = libc.platform;
  if (priority === 'normal')
    return { text: 'packet thread: normal priority, as daemon.priority says', restore() {} };
  if (priority === 'realtime') {
    if (system === 'freebsd') return { text: 'packet thread: real-time priority (rtprio)', restore() {} };
    try {
      setRealtime(libc);
      return { text: 'packet thread: SCHED_FIFO, priority 1', restore: () => setTimesharing(libc) };
    } catch (error) {
      return refused(error, 'CAP_SYS_NICE is missing, or LimitRTPRIO=1 and RestrictRealtime=no in the unit');
    }
  }
  try {
    const before = getPriority(0);
    const nice = Math.min(before, NICE);
    if (before > NICE) setPriority(0, nice);
    if (system === 'freebsd') return { text: `nice ${nice}, the whole process`, restore() {} };
    const slice = shortSlice(libc);
    return {
      text: `packet thread: nice ${nice}${slice.text}`,
      restore() {
        slice.restore();
        if (before > NICE) setPriority(0, before);
      },
    };
  } catch (error) {
    return refused(error, ADVICE);
  }
}

/** Changes nothing where the system has no slices of a thread's own, or the thread is scheduled otherwise. */
function shortSlice(libc: Libc): Favour {
  try {
    const before = sliceOf(libc);
    if (!setSlice(libc, SLICE)) return { text: '', restore() {} };
    return { text: ', in slices of 0.1 ms', restore: () => void setSlice(libc, before) };
  } catch (error) {
    return { text: `, no slices of its own: ${(error as Error).message}`, restore() {} };
  }
}

function refused(error: unknown, advice: string): Favour {
  const { message } = error as Error;
  return { text: `packet thread: normal priority: ${message} (${advice})`, restore() {} };
}

/** In the packet thread of FreeBSD, while it is root: rtprio_thread(2). Throws SystemError. */
export function favourThread(libc: Libc, priority: Settings['daemon']['priority']): void {
  if (priority === 'realtime' && libc.platform.system === 'freebsd') setRealtime(libc);
}
