import { type Stats, statSync } from 'node:fs';
import { ancestors } from './directories.ts';
import type { User } from './privileges.ts';

/**
 * Why `user` cannot read the file at `path`, as a sentence; null when nothing is in the way, and for root (`null`). Modes
 * and owners decide (POSIX.1-2024, section 4.7), whoever asks. A file that is not there is nobody's fault.
 */
export function readFault(path: string, user: User | null): string | null {
  for (const directory of ancestors(path)) {
    const fault = directoryFault(directory, false, user);
    if (fault !== null) return fault === 'absent' ? null : fault;
  }
  const found = statSync(path, { throwIfNoEntry: false });
  if (found === undefined || hasRights(found, user, 0o4)) return null;
  return `user ${user?.name} may not read ${path} (${ownership(found)})`;
}

/** Why `user` cannot enter a directory, and write to it, as a sentence; `absent` where there is none. */
export function directoryFault(directory: string, isWritten: boolean, user: User | null): string | null {
  let found: Stats;
  try {
    found = statSync(directory);
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    return code === 'ENOENT' ? 'absent' : `${directory} cannot be looked at: ${message}`;
  }
  if (!found.isDirectory()) return `expected ${directory} to be a directory`;
  if (hasRights(found, user, isWritten ? 0o3 : 0o1)) return null;
  return `user ${user?.name} may not ${isWritten ? 'write to' : 'enter'} ${directory} (${ownership(found)})`;
}

/** Whether `user`, who has no groups beside its own, has all permission bits of `needed`. */
function hasRights(found: Stats, user: User | null, needed: number): boolean {
  if (user === null || user.uid === 0) return true;
  const shift = found.uid === user.uid ? 6 : found.gid === user.gid ? 3 : 0;
  return ((found.mode >> shift) & needed) === needed;
}

function ownership({ mode, uid }: Stats): string {
  return `mode 0${(mode & 0o7777).toString(8)}, owner ${uid}`;
}
