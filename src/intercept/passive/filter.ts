/**
 * Programs of the classic BSD packet filter (bpf(4), linux/filter.h) that take SIP by its ports. Offsets are from the IP
 * header on.
 */
export interface Instruction {
  readonly code: number;
  /** How many instructions to skip where the condition holds, and where it does not. */
  readonly whenTrue: number;
  readonly whenFalse: number;
  readonly operand: number;
}

/** BPF_LD, LDX, ALU, JMP and RET with the sizes, modes and conditions that are used here. */
const LOAD_BYTE = 0x30;
const LOAD_HALF = 0x28;
const LOAD_HALF_INDEXED = 0x48;
const LOAD_HEADER_LENGTH = 0xb1;
const AND = 0x54;
const EQUAL = 0x15;
const AT_LEAST = 0x35;
const ABOVE = 0x25;
const RETURN = 0x06;

const TAKE_ALL = 0xffff;
const TCP = 6;
const UDP = 17;
const FRAGMENT_HEADER = 44;
/** Of IPv4: where the flags and the offset of a fragment are, and the offset's bits. */
const IPV4_FRAGMENT = 6;
const OFFSET_BITS = 0x1fff;
const IPV6_HEADER = 40;

type Label = 'take' | 'drop' | 'six' | 'four-whole' | 'six-ports';
/** `skip`: over the next line. */
type Target = Label | 'skip';
interface Line {
  readonly label?: Label;
  readonly code: number;
  readonly operand: number;
  /** Where to go; the next line where it is left out. */
  readonly yes?: Target;
  readonly no?: Target;
}

/** The most ranges of ports for which jumps stay short enough (255 instructions). */
export const MOST_RANGES = 28;

/**
 * UDP and TCP over IPv4 or IPv6 with a port in one of the ranges; of IP packets in fragments all, since only the first has
 * ports. IPv6 with extension headers other than that of a fragment is not taken.
 */
export function sipFilter(
  ranges: readonly (readonly [first: number, last: number])[],
): readonly Instruction[] {
  const ports = (load: number, base: number): Line[] =>
    [base, base + 2].flatMap((offset) => [
      { code: load, operand: offset },
      ...ranges.flatMap(([first, last]): Line[] => [
        // Not below the first, and not above the last: two lines, of which the second is reached only from the first.
        { code: AT_LEAST, operand: first, no: 'skip' },
        { code: ABOVE, operand: last, no: 'take' },
      ]),
    ]);
  const lines: Line[] = [
    { code: LOAD_BYTE, operand: 0 },
    { code: AND, operand: 0xf0 },
    { code: EQUAL, operand: 0x60, yes: 'six' },
    { code: EQUAL, operand: 0x40, no: 'drop' },
    { code: LOAD_BYTE, operand: 9 },
    { code: EQUAL, operand: UDP, yes: 'four-whole' },
    { code: EQUAL, operand: TCP, no: 'drop' },
    { label: 'four-whole', code: LOAD_HALF, operand: IPV4_FRAGMENT },
    { code: AND, operand: OFFSET_BITS },
    { code: EQUAL, operand: 0, no: 'take' },
    { code: LOAD_HEADER_LENGTH, operand: 0 },
    ...ports(LOAD_HALF_INDEXED, 0),
    { code: RETURN, operand: 0 },
    { label: 'six', code: LOAD_BYTE, operand: 6 },
    { code: EQUAL, operand: FRAGMENT_HEADER, yes: 'take' },
    { code: EQUAL, operand: UDP, yes: 'six-ports' },
    { code: EQUAL, operand: TCP, no: 'drop' },
    { label: 'six-ports', code: LOAD_HALF, operand: IPV6_HEADER },
    ...ports(LOAD_HALF, IPV6_HEADER).slice(1),
    { label: 'drop', code: RETURN, operand: 0 },
    { label: 'take', code: RETURN, operand: TAKE_ALL },
  ];
  return lines.map((line, at) => ({
    code: line.code,
    operand: line.operand,
    whenTrue: distance(lines, at, line.yes),
    whenFalse: distance(lines, at, line.no),
  }));
}

function distance(lines: readonly Line[], at: number, to: Target | undefined): number {
  if (to === undefined) return 0;
  if (to === 'skip') return 1;
  return lines.findIndex(({ label }) => label === to) - at - 1;
}
