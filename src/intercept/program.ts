/** Programs of the classic BSD packet filter (bpf(4), linux/filter.h), written with labels. */
import type { FilterInstruction } from '../../native-bindings/filter-program.ts';
import type { PortRange } from '../address/ports.ts';

/** BPF_LD, LDX, ALU, JMP, RET and MISC with the sizes, modes and conditions that are used here. */
export const Code = {
  loadByte: 0x30,
  loadHalf: 0x28,
  /** From the index register on. */
  loadByteIndexed: 0x50,
  loadHalfIndexed: 0x48,
  /** Four times the low half of a byte, into the index register. */
  loadHeaderLength: 0xb1,
  add: 0x04,
  addIndex: 0x0c,
  and: 0x54,
  shiftLeft: 0x64,
  toIndex: 0x07,
  equal: 0x15,
  atLeast: 0x35,
  above: 0x25,
  return: 0x06,
} as const;

/** What a program returns for a frame that is taken whole. */
export const TAKE_ALL = 0xffff;

export interface Line<Label extends string> {
  readonly label?: Label;
  readonly code: number;
  readonly operand: number;
  /** Where to go; `skip`: over the next line; the next line where it is left out. Only forward, 255 lines at most. */
  readonly yes?: Label | 'skip';
  readonly no?: Label | 'skip';
}

export function assemble<Label extends string>(lines: readonly Line<Label>[]): readonly FilterInstruction[] {
  const distance = (at: number, to: Label | 'skip' | undefined): number => {
    if (to === undefined) return 0;
    return to === 'skip' ? 1 : lines.findIndex(({ label }) => label === to) - at - 1;
  };
  return lines.map(({ code, operand, yes, no }, at) => ({
    code,
    operand,
    whenTrue: distance(at, yes),
    whenFalse: distance(at, no),
  }));
}

/** Goes to `to` where the accumulator is in one of the ranges. */
export function inRanges<Label extends string>(ranges: readonly PortRange[], to: Label): Line<Label>[] {
  return ranges.flatMap(([first, last]): Line<Label>[] => [
    // Not below the first, and not above the last: two lines, of which the second is reached only from the first.
    { code: Code.atLeast, operand: first, no: 'skip' },
    { code: Code.above, operand: last, no: to },
  ]);
}
