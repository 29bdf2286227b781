/**
 * Packets that pf's `divert-to` rules hand over, through a divert(4) socket. The sixteen bytes of address that come
 * with a packet say where it goes back to; they are kept beside it and returned as they came, but for the cases
 * of `divert/way-back.ts`, in which the kernel would lose the packet.
 */
import type { Buffer as NodeBuffer } from 'node:buffer';
import type { Libc } from '../../native-bindings/engine.ts';
import { IP_MAXPACKET, POLLIN, POLLNVAL } from '../../native-bindings/freebsd/constants.ts';
import { bindDivert, type DivertSocket, useDivert } from '../../native-bindings/freebsd/divert.ts';
import { type Interfaces, openInterfaces } from '../../native-bindings/freebsd/interfaces.ts';
import { divertAddress } from '../../native-bindings/freebsd/sockaddr.ts';
import { createLoopGuard } from './divert/loop-guard.ts';
import { createWayBack, interfaceIn } from './divert/way-back.ts';
import { type HeldPacket, InterceptError, type Interceptor } from './interceptor.ts';

/** Packets taken at a time. */
const BATCH = 64;
/** Waits that ended with a packet before it is asked without a wait whether others queue up behind. */
const ASK_AFTER = 16;
/** ms between two lines about the same kind of trouble. */
const SAY_AGAIN = 60_000;

interface DivertInterceptor extends Interceptor {
  readonly socket: DivertSocket;
}

interface DivertOptions {
  readonly port: number;
  /** A descriptor of `bindDivert`; one is made where there is none. */
  readonly bound?: number | null;
  /** ms of a clock that never runs backwards. */
  readonly clock?: () => number;
}

/** Opens everything that needs root. Throws SystemError (see `openDivert`). */
export function openDivertInterceptor(libc: Libc, { port, bound, clock }: DivertOptions): DivertInterceptor {
  const socket = useDivert(libc, bound ?? bindDivert(libc, port), port);
  return createDivertInterceptor(libc, socket, openInterfaces(libc), clock);
}

/**
 * The interceptor over a bound socket. Allocates 4 MB once and nothing for a packet but its view. Names of counters come
 * with their first event; of each kind of trouble there is at most one line a minute.
 */
export function createDivertInterceptor(
  libc: Libc,
  socket: DivertSocket,
  interfaces: Interfaces,
  clock: () => number = () => performance.now(),
): DivertInterceptor {
  const slots = Array.from({ length: BATCH }, () => Buffer.alloc(IP_MAXPACKET + 1));
  const addresses = Array.from({ length: BATCH }, () => Buffer.alloc(divertAddress.size));
  /** Of those beyond the batch. */
  const spare: number[] = [];
  const pollfd = Buffer.alloc(8);
  pollfd.writeInt32LE(socket.fd, 0);
  pollfd.writeInt16LE(POLLIN, 4);
  const guard = createLoopGuard();
  const wayBack = createWayBack(interfaces);
  const trouble = createTrouble(clock);
  /** Packets that waits ended with since it was asked without; ASK_AFTER while packets are known to queue up. */
  let awaited = ASK_AFTER;

  function wait(timeout: number): boolean {
    const ready = libc.poll(pollfd, 1, timeout);
    if (ready < 0) {
      const reason = libc.failure();
      if (reason === 'EINTR') return false;
      throw gone('poll', reason);
    }
    if (ready > 0 && (pollfd.readInt16LE(6) & POLLNVAL) !== 0) throw gone('poll', 'EBADF');
    return ready > 0;
  }

  function take(most: number): HeldPacket[] {
    const packets: HeldPacket[] = [];
    for (let tries = 0; tries < most; tries++) {
      const handle = packets.length;
      const slot = slots[handle]!;
      const length = socket.receive(slot, addresses[handle]!);
      if (length >= 0) {
        const entered = interfaceIn(addresses[handle]!);
        packets.push({ bytes: slot.subarray(0, length) as NodeBuffer, handle, entered });
        continue;
      }
      const reason = libc.failure();
      if (reason === 'EAGAIN') break;
      if (reason === 'ENOBUFS') {
        awaited = ASK_AFTER;
        trouble.note('lost-queue-full', 'packets were lost: the divert queue was full');
      } else if (reason !== 'EINTR') throw gone('recvfrom', reason);
    }
    return packets;
  }

  /** Takes what is there, without a wait. Null: it is for a wait to say whether anything is. */
  function ask(timeout: number): HeldPacket[] | null {
    if (timeout > 0 && awaited < ASK_AFTER) return null;
    awaited = 0;
    const packets = take(BATCH);
    if (packets.length > 1) awaited = ASK_AFTER;
    return packets.length > 0 || timeout === 0 ? packets : null;
  }

  /** What ends a wait goes on at once: to ask whether there is more would keep it. */
  function waitForOne(timeout: number): HeldPacket[] {
    if (!wait(timeout)) return [];
    awaited++;
    return take(1);
  }

  function gone(call: string, reason: string): InterceptError {
    return new InterceptError(`${call} on divert port ${socket.port}: ${reason}`, reason);
  }

  /** The address of a packet that was taken over is free for the next such. */
  function giveBack(handle: number): void {
    if (handle >= BATCH) spare.push(handle);
  }

  function release(packet: HeldPacket): void {
    putBack(packet);
    giveBack(packet.handle);
  }

  function putBack({ bytes, handle }: HeldPacket): void {
    const address = addresses[handle]!;
    const now = clock();
    const direction = divertAddress.get('sin_port', address);
    if (guard.loops(bytes, direction, now)) {
      trouble.note('dropped-looping', LOOPING);
      return;
    }
    const correction = wayBack.correct(address, bytes, now);
    if (correction !== 'none') trouble.count(`corrected-${correction}`);
    if (socket.send(bytes, address) >= 0) return;
    const reason = libc.failure();
    const { sin_addr, sin_zero } = divertAddress.decode(address);
    const way = sin_addr.readUInt32LE() === 0 ? 'out' : `in through ${sin_zero}`;
    trouble.note(
      `refused-${reason}`,
      `the kernel refused a packet of ${bytes.length} bytes going ${way}: ${reason}`,
    );
  }

  return {
    socket,
    descriptors: [socket.fd],
    receive: (timeout) => ask(timeout) ?? waitForOne(timeout),
    release,
    drop: ({ handle }) => giveBack(handle),
    succession: {
      wayOf: ({ handle }) => addresses[handle]!,
      takeOver(bytes, way) {
        const handle = spare.pop() ?? addresses.push(Buffer.alloc(divertAddress.size)) - 1;
        addresses[handle]!.set(way.subarray(0, divertAddress.size));
        return { bytes, handle, entered: interfaceIn(addresses[handle]!) };
      },
    },
    close() {
      socket.close();
      interfaces.close();
    },
    counters: trouble.counters,
    news: trouble.news,
  };
}

const LOOPING =
  'pf diverts packets again that were put back (FreeBSD bug 272770, fixed in 14.1): such a packet is dropped';

/** Counts what went wrong and says so, seldom. */
function createTrouble(clock: () => number) {
  const counts: Record<string, number> = {};
  const saidAt = new Map<string, number>();
  let lines: string[] = [];

  function count(name: string): number {
    const times = (counts[name] ?? 0) + 1;
    counts[name] = times;
    return times;
  }

  return {
    count,
    note(name: string, text: string): void {
      const times = count(name);
      const now = clock();
      if (now - (saidAt.get(name) ?? Number.NEGATIVE_INFINITY) < SAY_AGAIN) return;
      saidAt.set(name, now);
      lines.push(times === 1 ? text : `${text} (${times} times so far)`);
    },
    counters: () => ({ ...counts }),
    news(): string[] {
      const said = lines;
      lines = [];
      return said;
    },
  };
}
