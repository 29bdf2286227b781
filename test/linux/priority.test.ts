import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { startDaemon } from '../../lab/daemon.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { loadLibc } from '../../native-bindings/engine.ts';
import { setSlice, sliceOf } from '../../native-bindings/linux/slice.ts';
import { setRealtime, setTimesharing } from '../../native-bindings/realtime.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

/** sched(7) */
const SCHED_OTHER = 0;
const SCHED_FIFO = 1;

/** proc_pid_stat(5) of every thread of a process: fields 19, 40 and 41. */
function threads(pid: number) {
  return readdirSync(`/proc/${pid}/task`).map((tid) => {
    const stat = readFileSync(`/proc/${pid}/task/${tid}/stat`, 'utf8');
    const fields = stat
      .slice(stat.lastIndexOf(')') + 2)
      .split(' ')
      .map(Number);
    return { tid: Number(tid), nice: fields[16], realtime: fields[37], policy: fields[38] };
  });
}

/** In ns, as the kernel says. */
async function slicesOf(of: readonly { readonly tid: number }[]): Promise<number[]> {
  const libc = await loadLibc();
  return of.map(({ tid }) => sliceOf(libc, tid));
}

/** Run from source, the packet thread starts one of its own, which loads modules and inherits its priority. */
function assertPacketThread(favoured: readonly { readonly tid: number }[], pid: number): void {
  assert.ok(favoured.length === 1 || favoured.length === 2, `${favoured.length} threads are favoured`);
  assert.ok(
    favoured.every(({ tid }) => tid !== pid),
    'the control thread is none of them',
  );
}

describe('daemon.priority', { skip: withoutRoot }, () => {
  async function running(
    priority: string,
    check: (pid: number, lines: string, topology: Topology) => void | Promise<void>,
  ) {
    const topology = await createTopology();
    try {
      const daemon = await startDaemon(topology, {
        changes: `daemon: { user: nobody, group: nogroup, pid-file: off, journal: off, priority: ${priority} }`,
      });
      await check(daemon.pid(), daemon.lines.join('\n'), topology);
      await daemon.close();
    } finally {
      await topology.close();
    }
  }

  it('high: the thread that carries packets is nice -10, and no other', async () => {
    await running('high', async (pid, lines) => {
      const all = threads(pid);
      const favoured = all.filter(({ nice }) => nice === -10);
      assertPacketThread(favoured, pid);
      assert.ok(all.every((one) => favoured.includes(one) || one.nice === 0));
      assert.ok(all.every(({ policy }) => policy === SCHED_OTHER));
      const slices = await slicesOf(all);
      const brief = all.filter((_, index) => slices[index] === 100_000);
      if (/in slices of 0\.1 ms/.test(lines)) assert.deepEqual(brief, favoured, 'as it says, and no other');
      else assert.deepEqual(brief, []);
      assert.match(lines, /packet thread: nice -10/);
    });
  });

  it('no slice is asked for where the scheduling is another', async () => {
    const libc = await loadLibc();
    setRealtime(libc);
    try {
      assert.equal(setSlice(libc, 100_000), false);
      const self = threads(process.pid).find(({ tid }) => tid === process.pid);
      assert.equal(self?.policy, SCHED_FIFO);
    } finally {
      setTimesharing(libc);
    }
  });

  it('realtime: it is SCHED_FIFO, and no other', async () => {
    await running('realtime', (pid, lines) => {
      const all = threads(pid);
      const favoured = all.filter(({ policy }) => policy === SCHED_FIFO);
      assertPacketThread(favoured, pid);
      assert.ok(favoured.every(({ realtime }) => realtime === 1));
      assert.ok(all.every((one) => favoured.includes(one) || one.policy === SCHED_OTHER));
      assert.match(lines, /packet thread: SCHED_FIFO, priority 1/);
    });
  });

  it('normal: every thread is as the system has it', async () => {
    await running('normal', (pid, lines) => {
      assert.ok(threads(pid).every(({ nice, policy }) => nice === 0 && policy === SCHED_OTHER));
      assert.match(lines, /packet thread: normal priority, as daemon\.priority says/);
    });
  });
});
