import type { FilterInstruction } from '../../../native-bindings/filter-program.ts';
import type { PortRange } from '../../address/ports.ts';
import { InterceptError } from '../interceptor.ts';
import { assemble, Code, inRanges, type Line, TAKE_ALL } from '../program.ts';

const TCP = 6;
const UDP = 17;
const FRAGMENT_HEADER = 44;
/** Of IPv4: where the flags and the offset of a fragment are, and the offset's bits. */
const IPV4_FRAGMENT = 6;
const OFFSET_BITS = 0x1fff;
const IPV6_HEADER = 40;

type Label = 'take' | 'drop' | 'six' | 'four-whole' | 'six-ports';

/** The most ranges of ports for which jumps stay short enough (255 instructions). */
export const MOST_RANGES = 28;

/**
 * UDP and TCP over IPv4 or IPv6 with a port in one of the ranges; of IP packets in fragments all, since only the first has
 * ports. IPv6 with extension headers other than that of a fragment is not taken. `ip`: bytes before the IP header.
 * Throws InterceptError where there are more than `MOST_RANGES`.
 */
export function sipFilter(ranges: readonly PortRange[], ip = 0): readonly FilterInstruction[] {
  if (ranges.length > MOST_RANGES) {
    throw new InterceptError(
      `sip-ports: expected at most ${MOST_RANGES} ranges with intercept: bpf`,
      'EINVAL',
    );
  }
  const ports = (load: number, base: number): Line<Label>[] =>
    [base, base + 2].flatMap((offset) => [{ code: load, operand: offset }, ...inRanges(ranges, 'take')]);
  return assemble<Label>([
    { code: Code.loadByte, operand: ip },
    { code: Code.and, operand: 0xf0 },
    { code: Code.equal, operand: 0x60, yes: 'six' },
    { code: Code.equal, operand: 0x40, no: 'drop' },
    { code: Code.loadByte, operand: ip + 9 },
    { code: Code.equal, operand: UDP, yes: 'four-whole' },
    { code: Code.equal, operand: TCP, no: 'drop' },
    { label: 'four-whole', code: Code.loadHalf, operand: ip + IPV4_FRAGMENT },
    { code: Code.and, operand: OFFSET_BITS },
    { code: Code.equal, operand: 0, no: 'take' },
    { code: Code.loadHeaderLength, operand: ip },
    ...ports(Code.loadHalfIndexed, ip),
    { code: Code.return, operand: 0 },
    { label: 'six', code: Code.loadByte, operand: ip + 6 },
    { code: Code.equal, operand: FRAGMENT_HEADER, yes: 'take' },
    { code: Code.equal, operand: UDP, yes: 'six-ports' },
    { code: Code.equal, operand: TCP, no: 'drop' },
    { label: 'six-ports', code: Code.loadHalf, operand: ip + IPV6_HEADER },
    ...ports(Code.loadHalf, ip + IPV6_HEADER).slice(1),
    { label: 'drop', code: Code.return, operand: 0 },
    { label: 'take', code: Code.return, operand: TAKE_ALL },
  ]);
}
