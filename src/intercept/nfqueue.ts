import { closeSync, openSync, readSync } from 'node:fs';
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import {
  NETLINK_NO_ENOBUFS,
  NF_ACCEPT,
  NF_DROP,
  POLLIN,
  SO_RCVBUF,
  SOL_NETLINK,
  SOL_SOCKET,
} from '../../native-bindings/linux/constants.ts';
import { setOption } from '../../native-bindings/linux/netlink.ts';
import { bindQueue, useQueue } from '../../native-bindings/linux/nfqueue.ts';
import { pollfd } from '../../native-bindings/poll.ts';
import { type HeldPacket, InterceptError, type Interceptor } from './interceptor.ts';

interface NfqueueOptions {
  /** The number in the rule that hands packets over. */
  readonly queue: number;
  /** Packets that the kernel holds at most. */
  readonly length: number;
  /** Whether packets that find the queue full pass unseen; they are dropped otherwise. */
  readonly failOpen: boolean;
}

/** Has the queue of the options: what `openNfqueue` goes on with, in this process or another. Throws as it does. */
export function bindNfqueue(libc: Libc, { queue: number, length, failOpen }: NfqueueOptions): number {
  const bufferSize = Math.min(MOST_BUFFER, Math.max(LEAST_BUFFER, length * CHARGED));
  try {
    const fd = bindQueue(libc, number, { length, failOpen, bufferSize });
    // With ENOBUFS, a socket that was full once would take no packet until it is empty.
    setOption(libc, fd, SOL_NETLINK, NETLINK_NO_ENOBUFS, 1);
    return fd;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const why =
      error.code === 'EPERM' ? ' (CAP_NET_ADMIN is missing, or another process has this queue)' : '';
    throw new InterceptError(`NFQUEUE ${number}: ${error.message}${why}`, error.code);
  }
}

interface NfqueueInterceptor extends Interceptor {
  /**
   * `queueFull`: packets that found the queue full, dropped, or let pass unseen where `failOpen`; absent without the right
   * to read the kernel's count. `socketFull`: those that found our socket's buffer full, and share the fate of the others.
   * `verdictErrors`: verdicts that the kernel did not take. `cut`: packets of which only a part was handed over
   * (aggregates of more than 65,531 bytes).
   */
  counters(): Readonly<Record<string, number>>;
  /** Bytes of the socket's receive buffer as the kernel granted it. */
  readonly bufferSize: number;
}

/** What the kernel counts for each queue of a network namespace; readable for root. */
const QUEUES = '/proc/net/netfilter/nfnetlink_queue';
/** The column of packets dropped because the queue was full. */
const QUEUE_DROPPED = 5;
/** Memory that the kernel charges the socket for a queued SIP message, rounded up. */
const CHARGED = 4096;
const LEAST_BUFFER = 8 * 1024 * 1024;
const MOST_BUFFER = 256 * 1024 * 1024;
const BATCH = 32;

interface Slot {
  bytes: Buffer;
  handle: number;
  entered: number | null;
}

/**
 * Takes packets from an NFQUEUE, IPv4 and IPv6, and gives verdicts on them. Needs CAP_NET_ADMIN, then and for every
 * verdict. A verdict carries no payload: what goes on is the kernel's own packet. `bound` is a descriptor of
 * `bindNfqueue`. Throws InterceptError: EPERM without the capability, or when another process has the queue.
 */
export function openNfqueue(
  libc: Libc,
  options: NfqueueOptions,
  bound: number | null = null,
): NfqueueInterceptor {
  const queue = useQueue(libc, bound ?? bindNfqueue(libc, options), options.queue, BATCH);
  const losses = openLosses(options.queue);
  const lossesBefore = losses?.read() ?? 0;
  const slots: Slot[] = Array.from({ length: BATCH }, () => ({
    bytes: Buffer.alloc(0),
    handle: 0,
    entered: null,
  }));
  const held: Slot[] = [];
  const way = Buffer.alloc(8);
  const descriptor = pollfd.encode({ fd: queue.fd, events: POLLIN });
  /** Null: packets were taken from this socket before. */
  let lastId: number | null = bound === null ? 0 : null;
  let socketFull = 0;
  let verdictErrors = 0;
  let cut = 0;

  function receive(timeout: number): readonly HeldPacket[] {
    let count = queue.receive();
    if (count <= 0 && timeout > 0 && libc.poll(descriptor, 1, timeout) > 0) count = queue.receive();
    if (count < 0) check(libc, options.queue);
    held.length = 0;
    for (let index = 0; index < count; index++) {
      const slot = slots[index]!;
      slot.bytes = queue.payload(index);
      slot.handle = queue.id(index);
      slot.entered = queue.bridgePort(index) || queue.inDevice(index) || null;
      if (queue.length(index) > slot.bytes.length) cut++;
      // The kernel numbers packets before it finds out that the socket has no room for one.
      if (lastId !== null) socketFull += (slot.handle - lastId - 1) >>> 0;
      lastId = slot.handle;
      held.push(slot);
    }
    return held;
  }

  function verdict({ handle }: HeldPacket, code: number): void {
    queue.verdict(handle, code);
    if (queue.flush() < 0) verdictErrors++;
  }

  return {
    receive,
    descriptors: [queue.fd],
    release: (packet) => verdict(packet, NF_ACCEPT),
    drop: (packet) => verdict(packet, NF_DROP),
    succession: {
      wayOf(packet) {
        way.writeUInt32LE(packet.handle);
        way.writeUInt32LE(typeof packet.entered === 'number' ? packet.entered : 0, 4);
        return way;
      },
      takeOver(bytes, from) {
        const stored = Buffer.from(from);
        return { bytes, handle: stored.readUInt32LE(), entered: stored.readUInt32LE(4) || null };
      },
    },
    close() {
      losses?.close();
      queue.close();
    },
    counters: () => ({
      ...(losses !== null && { queueFull: losses.read() - lossesBefore }),
      socketFull,
      verdictErrors: verdictErrors + queue.refused().count,
      cut,
    }),
    news: () => [],
    bufferSize: receiveBuffer(libc, queue.fd),
  };
}

/** After a receive that failed: throws where there is no more to be had from the socket. */
function check(libc: Libc, queue: number): void {
  const code = libc.failure();
  if (code === 'EAGAIN' || code === 'EINTR' || code === 'ENOBUFS') return;
  throw new InterceptError(`NFQUEUE ${queue}: ${libc.error('recvmmsg').message}`, code);
}

function receiveBuffer(libc: Libc, fd: number): number {
  const value = Buffer.alloc(4);
  const length = Buffer.from([4, 0, 0, 0]);
  return libc.getsockopt(fd, SOL_SOCKET, SO_RCVBUF, value, length) < 0 ? 0 : value.readInt32LE();
}

/** The kernel's count of what a queue lost. */
interface Losses {
  /** Packets that found the queue full, since somebody bound it. */
  read(): number;
  close(): void;
}

/** Opens the count, which is for root to open; who has it open may read on. Null without that right. */
export function openLosses(queue: number): Losses | null {
  let fd: number;
  try {
    fd = openSync(QUEUES, 'r');
  } catch {
    return null;
  }
  const buffer = Buffer.alloc(16 * 1024);
  return {
    read() {
      const length = readSync(fd, buffer, 0, buffer.length, 0);
      for (const line of buffer.toString('latin1', 0, length).split('\n')) {
        const columns = line.trim().split(/ +/).map(Number);
        if (columns[0] === queue) return columns[QUEUE_DROPPED] ?? 0;
      }
      return 0;
    },
    close: () => closeSync(fd),
  };
}
