import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** False, or the reason to skip: Linux with a C compiler and its headers. */
export const withoutCompiler: string | false =
  process.platform !== 'linux'
    ? 'compares with Linux’ headers'
    : spawnSync('cc', ['-E', '-include', 'linux/netfilter/nf_tables.h', '-xc', '/dev/null']).status === 0
      ? false
      : 'needs cc and the kernel’s headers (gcc, linux-libc-dev)';

/** Compiles a program that prints each of the C integer expressions, and returns their values. */
export function evaluate(headers: readonly string[], expressions: readonly string[]): number[] {
  const folder = mkdtempSync(join(tmpdir(), 'pinholed-abi-'));
  try {
    const source = join(folder, 'abi.c');
    const program = join(folder, 'abi');
    writeFileSync(
      source,
      [
        '#define _GNU_SOURCE',
        ...headers.map((header) => `#include <${header}>`),
        'int main(void) {',
        ...expressions.map((expression) => `  printf("%lld\\n", (long long)(${expression}));`),
        '}',
      ].join('\n'),
    );
    const compiled = spawnSync('cc', ['-o', program, source], { encoding: 'utf8' });
    if (compiled.status !== 0) throw new Error(compiled.stderr);
    return spawnSync(program, { encoding: 'utf8' }).stdout.trim().split('\n').map(Number);
  } finally {
    rmSync(folder, { recursive: true });
  }
}
