import { chmodSync, mkdirSync, statSync } from 'node:fs';
import { dirname } from 'node:path';

/**
 * Makes `directory` and those above it where they are not there yet, for everybody to enter whatever the umask says.
 * Throws the error of the system.
 */
export function makeDirectories(directory: string): void {
  for (const one of [...ancestors(directory), directory]) makeDirectory(one, 0o755);
}

/** Makes a directory right below /run, which is empty after every boot; any other has to be there. */
export function makeRuntimeDirectory(directory: string): void {
  if (['/run', '/var/run'].includes(dirname(directory))) makeDirectory(directory, 0o755);
}

/** Makes one directory with exactly that mode; false when it is there. Throws the error of the system. */
export function makeDirectory(directory: string, mode: number): boolean {
  try {
    mkdirSync(directory, mode);
  } catch (error) {
    // A read-only file system says EROFS, and one that may not be written EACCES, of a directory that is there as well.
    if (statSync(directory, { throwIfNoEntry: false })?.isDirectory() === true) return false;
    throw error;
  }
  chmodSync(directory, mode);
  return true;
}

/** The directories above `directory`, the root first. */
export function ancestors(directory: string): string[] {
  const above = dirname(directory);
  return above === directory ? [] : [...ancestors(above), above];
}
