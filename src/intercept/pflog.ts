import { Buffer } from 'node:buffer';
import type { Libc } from '../../native-bindings/engine.ts';
import { SystemError } from '../../native-bindings/errno.ts';
import type { FilterInstruction } from '../../native-bindings/filter-program.ts';
import { type BpfDevice, openBpf } from '../../native-bindings/freebsd/bpf.ts';
import { AF_INET, AF_INET6, IPPROTO_UDP, PF_DROP } from '../../native-bindings/freebsd/constants.ts';
import type { PortRange } from '../address/ports.ts';
import { findPacket } from '../packet/link.ts';
import { type BlockedSource, InterceptError } from './interceptor.ts';
import { assemble, Code, inRanges, type Line, TAKE_ALL } from './program.ts';

/** DLT_PFLOG. */
const PFLOG = 117;
const BUFFER = 256 * 1024;
/** The kernel has two buffers: a read takes one. */
const BUFFERS = 2;
/** The most ranges of ports for which jumps stay short enough. */
const MOST_RANGES = 100;

/** struct pfloghdr (net/if_pflog.h): its length without padding to four bytes, the address family, what became of the packet. */
const LENGTH = 0;
const FAMILY = 1;
const ACTION = 2;

type Label = 'take' | 'drop' | 'six' | 'ports';

/**
 * Packets that pf drops and logs (`block log`), as pflog(4) tells them: UDP to one of the ports, fragments without. Has to
 * be opened as root. Throws InterceptError.
 */
export function openPflog(libc: Libc, name: string, ports: readonly PortRange[]): BlockedSource {
  const device = openDevice(libc, name, ports);
  return {
    take(most) {
      const packets: Buffer[] = [];
      for (let reads = 0; reads < BUFFERS && packets.length < most; reads++) {
        device.read((frame) => {
          const packet = packets.length < most ? findPacket(PFLOG, frame) : 'link-short';
          if (typeof packet !== 'string') packets.push(Buffer.from(packet));
        });
      }
      return packets;
    },
    close: device.close,
  };
}

function openDevice(libc: Libc, name: string, ports: readonly PortRange[]): BpfDevice {
  const ranges: readonly PortRange[] = ports.length > MOST_RANGES ? [[1, 65_535]] : ports;
  try {
    return openBpf(libc, {
      ...{ interface: name, direction: 'both', bufferSize: BUFFER, delivery: 'at once' },
      program(linkType) {
        if (linkType === PFLOG) return blockedFilter(ranges);
        throw new InterceptError(`blocked.interface: ${name} is not one of pflog(4)`, 'EINVAL');
      },
    });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const why = error.code === 'ENXIO' ? ': load pflog, and make it (kldload pflog; ifconfig pflog0 up)' : '';
    throw new InterceptError(`blocked.interface: ${error.message}${why}`, error.code);
  }
}

/** Frames of pflog(4) with UDP that was dropped on its way to one of the ports. */
export function blockedFilter(ranges: readonly PortRange[]): readonly FilterInstruction[] {
  const is = (operand: number, no: Line<Label>['no'] = 'drop') => ({ code: Code.equal, operand, no });
  return assemble<Label>([
    { code: Code.loadByte, operand: ACTION },
    is(PF_DROP),
    // The index register is where the packet begins: the header's length up to a multiple of four.
    { code: Code.loadByte, operand: LENGTH },
    { code: Code.add, operand: 3 },
    { code: Code.and, operand: 0xfc },
    { code: Code.toIndex, operand: 0 },
    { code: Code.loadByte, operand: FAMILY },
    is(AF_INET, 'six'),
    { code: Code.loadByteIndexed, operand: 9 },
    is(IPPROTO_UDP),
    { code: Code.loadHalfIndexed, operand: 6 },
    { code: Code.and, operand: 0x1fff },
    is(0),
    { code: Code.loadByteIndexed, operand: 0 },
    { code: Code.and, operand: 0x0f },
    { code: Code.shiftLeft, operand: 2 },
    { code: Code.addIndex, operand: 0 },
    { code: Code.toIndex, operand: 0 },
    { code: Code.loadHalfIndexed, operand: 2 },
    { code: Code.atLeast, operand: 0, yes: 'ports', no: 'ports' },
    { label: 'six', code: Code.equal, operand: AF_INET6, no: 'drop' },
    { code: Code.loadByteIndexed, operand: 6 },
    is(IPPROTO_UDP),
    { code: Code.loadHalfIndexed, operand: 42 },
    { label: 'ports', code: Code.atLeast, operand: 0 },
    ...inRanges(ranges, 'take'),
    { label: 'drop', code: Code.return, operand: 0 },
    { label: 'take', code: Code.return, operand: TAKE_ALL },
  ]);
}
