import { at, struct, u8, u16, u32 } from './struct.ts';

/** One instruction of the classic BSD packet filter (bpf(4), linux/filter.h). */
export interface FilterInstruction {
  readonly code: number;
  /** How many instructions to skip where the condition holds, and where it does not. */
  readonly whenTrue: number;
  readonly whenFalse: number;
  readonly operand: number;
}

/** struct sock_filter (linux/filter.h), and struct bpf_insn (FreeBSD net/bpf.h), which is laid out alike. */
export const filterInstruction = struct('sock_filter', 8, {
  code: at(0, u16),
  jt: at(2, u8),
  jf: at(3, u8),
  k: at(4, u32),
});

/** The instructions as either kernel reads them. */
export function encodeProgram(program: readonly FilterInstruction[]): Buffer {
  const bytes = Buffer.alloc(program.length * filterInstruction.size);
  for (const [index, { code, whenTrue, whenFalse, operand }] of program.entries()) {
    filterInstruction.encode(
      { code, jt: whenTrue, jf: whenFalse, k: operand },
      bytes,
      index * filterInstruction.size,
    );
  }
  return bytes;
}
