import type { Buffer } from 'node:buffer';
import { closeSync, constants, openSync, unlinkSync, writeSync } from 'node:fs';

/**
 * Writes a file that nobody but its owner may read, and that was not there before: nothing is written over, and no link is
 * followed. Throws the system's error; a file that could not be written to its end is gone.
 */
export function writeNewFile(path: string, bytes: Buffer): void {
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const descriptor = openSync(path, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o600);
  try {
    for (let at = 0; at < bytes.length; ) at += writeSync(descriptor, bytes, at);
  } catch (error) {
    unlinkSync(path);
    throw error;
  } finally {
    closeSync(descriptor);
  }
}
