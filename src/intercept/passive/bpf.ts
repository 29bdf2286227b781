import { Buffer } from 'node:buffer';
import type { Libc } from '../../../native-bindings/engine.ts';
import type { FilterInstruction } from '../../../native-bindings/filter-program.ts';
import { type BpfDevice, openBpf } from '../../../native-bindings/freebsd/bpf.ts';
import { POLLIN } from '../../../native-bindings/freebsd/constants.ts';
import { pollfd } from '../../../native-bindings/poll.ts';
import type { PortRange } from '../../address/ports.ts';
import { findPacket, linkTypeText } from '../../packet/link.ts';
import { enteredThrough } from '../ingress/freebsd.ts';
import { type HeldPacket, InterceptError, type Interceptor } from '../interceptor.ts';
import { sipFilter } from './filter.ts';

interface PassiveOptions {
  readonly ports: readonly PortRange[];
  /** Interfaces of inside hosts: what passes there, either way, and nothing else. */
  readonly interfaces: readonly string[];
}

/** Of each of the kernel's two buffers of a device. */
const BUFFER = 256 * 1024;
/** Bytes before the IP header, by link type (DLT_): Ethernet without tags, a tunnel's address family, nothing. */
const HEADERS: ReadonlyMap<number, number> = new Map([
  [0, 4],
  [1, 14],
  [12, 0],
  [108, 4],
]);

/** A copy, with the time in µs at which it passed. */
interface Passed extends HeldPacket {
  readonly time: number;
}

/**
 * Copies of packets, which have passed by the time that they are read: whatever they announce is raced for. `release` and
 * `drop` do nothing. What comes in is seen before pf has looked at it, what goes out after. Of each interface there are two
 * devices, one for each way: a frame does not tell. Needs root. Throws SystemError, and InterceptError where an interface
 * is of a kind that is not read, or there are too many ports.
 */
export function openBpfPassive(libc: Libc, { ports, interfaces }: PassiveOptions): Interceptor {
  const devices = openDevices(libc, ports, interfaces);
  const polled = Buffer.concat(devices.map(({ device }) => pollfd.encode({ fd: device.fd, events: POLLIN })));
  const count = devices.length;
  /** Those that are younger than what the devices read first have been asked for. */
  let kept: Passed[] = [];

  function readFrom({ device, name, entered }: Device, packets: Passed[]): void {
    try {
      device.read((frame, time) => {
        const bytes = findPacket(device.linkType, frame);
        if (typeof bytes === 'string') return;
        const handle = 0;
        packets.push({ bytes: Buffer.from(bytes), handle, time, ...(entered !== null && { entered }) });
      });
    } catch (error) {
      const { message, code } = error as Error & { code: string };
      throw new InterceptError(`bpf on ${name}: ${message}`, code);
    }
  }

  /**
   * In the order in which they passed. What came to a device after it was read can be older than what was then read from the
   * next: they are read once more, up to the newest of the first time.
   */
  function take(): HeldPacket[] {
    const packets = [...kept];
    for (const device of devices) readFrom(device, packets);
    if (packets.length === 0) return packets;
    const newest = packets.reduce((latest, { time }) => Math.max(latest, time), 0);
    for (const device of devices.slice(0, -1)) readFrom(device, packets);
    packets.sort((a, b) => a.time - b.time);
    const later = packets.findIndex(({ time }) => time > newest);
    kept = later < 0 ? [] : packets.splice(later);
    return packets;
  }

  return {
    descriptors: devices.map(({ device }) => device.fd),
    receive(timeout) {
      const packets = take();
      if (packets.length > 0 || timeout === 0) return packets;
      return libc.poll(polled, count, timeout) > 0 ? take() : packets;
    },
    release() {},
    drop() {},
    counters() {
      const lost = devices.reduce((sum, { device }) => sum + device.lost(), 0);
      return lost === 0 ? {} : { 'lost-queue-full': lost };
    },
    news: () => [],
    close() {
      for (const { device } of devices) device.close();
    },
  };
}

interface Device {
  readonly device: BpfDevice;
  readonly name: string;
  /** What a packet that it reads says of where it came in; null: nothing. */
  readonly entered: string | null;
}

function openDevices(
  libc: Libc,
  ports: readonly PortRange[],
  interfaces: readonly string[],
): readonly Device[] {
  const devices: Device[] = [];
  try {
    for (const name of interfaces) {
      const program = (linkType: number) => programFor(name, linkType, ports);
      for (const direction of ['in', 'out'] as const) {
        const device = openBpf(libc, {
          ...{ interface: name, direction, program },
          ...{ bufferSize: BUFFER, delivery: 'at once' },
        });
        devices.push({ device, name, entered: direction === 'in' ? enteredThrough(name) : null });
      }
    }
    return devices;
  } catch (error) {
    for (const { device } of devices) device.close();
    throw error;
  }
}

function programFor(
  name: string,
  linkType: number,
  ports: readonly PortRange[],
): readonly FilterInstruction[] {
  const header = HEADERS.get(linkType);
  if (header !== undefined) return sipFilter(ports, header);
  throw new InterceptError(`intercept: bpf does not read ${name}: ${linkTypeText(linkType)}`, 'EINVAL');
}
