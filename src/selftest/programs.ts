import type { Ran, Run } from '../checks/netfilter/listing.ts';
import { SelftestError } from './error.ts';

/** What a program of the system prints. Throws SelftestError with what it complains of. */
export function must(run: Run, program: string, args: readonly string[]): string {
  const ran = run(program, args);
  if (ran?.status === 0) return ran.stdout;
  throw new SelftestError(`${program} ${args.join(' ')}: ${whyOf(ran, program)}`);
}

/** Why a program did not do it, in a line. */
export function whyOf(ran: Ran | null, program: string): string {
  if (ran === null) return `${program} is not installed`;
  return ran.stderr.trim().split('\n').slice(0, 3).join('; ') || `it ended with ${ran.status}`;
}
