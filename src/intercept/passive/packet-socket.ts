import { Buffer } from 'node:buffer';
import type { Libc } from '../../../native-bindings/engine.ts';
import { POLLIN } from '../../../native-bindings/linux/constants.ts';
import {
  openPacketSocket,
  PACKET_OUTGOING,
  receivePacket,
  sockaddrLl,
} from '../../../native-bindings/linux/packet-socket.ts';
import { pollfd } from '../../../native-bindings/poll.ts';
import type { PortRange } from '../../address/ports.ts';
import { type HeldPacket, InterceptError, type Interceptor } from '../interceptor.ts';
import { sipFilter } from './filter.ts';

interface PassiveOptions {
  readonly ports: readonly PortRange[];
  /** Interfaces of inside hosts: then what passes there, either way, and nothing else. None: what comes in by any. */
  readonly interfaces: readonly string[];
}

const BATCH = 32;
const LONGEST = 65_536;

/** What `openPassive` goes on with. Needs CAP_NET_RAW. Throws SystemError, and InterceptError where there are too many ports. */
export function bindPassive(libc: Libc, { ports }: PassiveOptions): number {
  return openPacketSocket(libc, sipFilter(ports));
}

/**
 * Copies of packets, which have passed by the time that they are read: whatever they announce is raced for. `release` and
 * `drop` do nothing. `bound` is a descriptor of `bindPassive`. Throws InterceptError where an interface is not there.
 */
export function openPassive(libc: Libc, options: PassiveOptions, bound: number | null): Interceptor {
  const fd = bound ?? bindPassive(libc, options);
  const inside = options.interfaces.map((name) => {
    const index = libc.if_nametoindex(name);
    if (index === 0) throw new InterceptError(`there is no interface ${name}`, 'ENODEV');
    return index;
  });
  const descriptor = pollfd.encode({ fd, events: POLLIN });
  const name = Buffer.alloc(sockaddrLl.size);
  const slots = Array.from({ length: BATCH }, () => Buffer.alloc(LONGEST));
  let failed = 0;

  function take(): HeldPacket[] {
    const packets: HeldPacket[] = [];
    for (let tries = 0; tries < 2 * BATCH && packets.length < BATCH; tries++) {
      const slot = slots[packets.length]!;
      const length = receivePacket(libc, fd, slot, name);
      if (length < 0) {
        const why = libc.failure();
        if (why !== 'EAGAIN' && why !== 'EINTR') failed++;
        break;
      }
      const isOutgoing = sockaddrLl.get('sll_pkttype', name) === PACKET_OUTGOING;
      const index = sockaddrLl.get('sll_ifindex', name);
      if (inside.length === 0 ? isOutgoing : !inside.includes(index)) continue;
      packets.push({ bytes: slot.subarray(0, length), handle: 0, entered: isOutgoing ? null : index });
    }
    return packets;
  }

  return {
    descriptors: [fd],
    receive(timeout) {
      const packets = take();
      if (packets.length > 0 || timeout === 0) return packets;
      return libc.poll(descriptor, 1, timeout) > 0 ? take() : packets;
    },
    release() {},
    drop() {},
    counters: () => ({ receiveErrors: failed }),
    news: () => [],
    close: () => void libc.close(fd),
  };
}
