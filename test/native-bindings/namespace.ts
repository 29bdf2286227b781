import { spawnSync } from 'node:child_process';
import { loadLibc } from '../../native-bindings/engine.ts';
import { CLONE_NEWNET } from '../../native-bindings/linux/constants.ts';

/** False, or the reason to skip what changes a kernel's packet filter. */
export const withoutRoot: string | false =
  process.platform !== 'linux'
    ? 'needs Linux'
    : process.geteuid?.() !== 0
      ? 'needs root: it makes a network namespace of its own and filters packets in it'
      : (['ip', 'nft', 'iptables-legacy', 'ip6tables-legacy']
          .map(missing)
          .find((reason) => reason !== null) ?? false);

function missing(program: string): string | null {
  return spawnSync(program, ['-V']).error === undefined ? null : `needs ${program}`;
}

/**
 * Moves the main thread into a network namespace of its own, in which only loopback is up. Sockets opened from
 * here on and programs started from here on are in it; nothing outside it changes, and it ends with the process.
 */
export async function enterNamespace(): Promise<void> {
  const libc = await loadLibc();
  libc.check('unshare', libc.unshare(CLONE_NEWNET), 'CLONE_NEWNET');
  run('ip', 'link', 'set', 'lo', 'up');
}

/** Runs a program to its end and returns what it printed. Throws what it complained of. */
export function run(program: string, ...args: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr}`);
  return stdout;
}
