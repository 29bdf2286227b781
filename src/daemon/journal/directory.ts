import { lchownSync } from 'node:fs';
import { dirname } from 'node:path';
import { StartError } from '../platform/platform.ts';
import { ancestors, makeDirectories, makeDirectory } from '../process/directories.ts';
import type { User } from '../process/privileges.ts';
import { directoryFault } from '../process/rights.ts';

/**
 * The directory of the journal at `path`, for `user` alone, and those above it, where they are not there yet. One that
 * is there stays as it is. Throws StartError.
 */
export function makeJournalDirectory(path: string, user: Pick<User, 'uid' | 'gid'> | null): void {
  const directory = dirname(path);
  try {
    makeDirectories(dirname(directory));
    if (makeDirectory(directory, 0o700) && user !== null) lchownSync(directory, user.uid, user.gid);
  } catch (error) {
    throw new StartError(`daemon.journal: ${directory} cannot be made: ${(error as Error).message}`);
  }
}

/**
 * Why `user` cannot keep a journal at `path`, as a sentence; null when nothing is in the way. What is not there yet is
 * made at the start and stands in nobody's way. Modes and owners decide (POSIX.1-2024, section 4.7), whoever asks.
 */
export function journalFault(path: string, user: User | null): string | null {
  const directory = dirname(path);
  for (const one of [...ancestors(directory), directory]) {
    const fault = directoryFault(one, one === directory, user);
    if (fault !== null) return fault === 'absent' ? null : fault;
  }
  return null;
}
