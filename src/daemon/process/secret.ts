import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { fileReason } from '../../reason.ts';
import { StartError } from '../platform/platform.ts';

const LONGEST = 1024;
const LF = 0x0a;
const CR = 0x0d;

/**
 * The first line of a file, its bytes as they are. `key` names the setting in errors. Throws StartError: it cannot be read,
 * others than its owner and group can read it, its first line is empty or longer than 1,024 bytes.
 */
export function readSecret(path: string, key: string): Uint8Array {
  const { bytes, mode } = readStart(path, key);
  if ((mode & 0o007) !== 0) {
    throw new StartError(
      `${key}: expected ${path} to be closed to others, found mode 0${(mode & 0o777).toString(8)}`,
    );
  }
  const lineFeed = bytes.indexOf(LF);
  let end = lineFeed < 0 ? bytes.length : lineFeed;
  if (end > 0 && bytes[end - 1] === CR) end--;
  if (end === 0 || end > LONGEST) {
    throw new StartError(`${key}: expected a first line of 1 to ${LONGEST} bytes in ${path}`);
  }
  return bytes.subarray(0, end);
}

function readStart(path: string, key: string): { readonly bytes: Uint8Array; readonly mode: number } {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, 'r');
    const buffer = new Uint8Array(LONGEST + 2);
    const length = readSync(descriptor, buffer, 0, buffer.length, 0);
    return { bytes: buffer.subarray(0, length), mode: fstatSync(descriptor).mode };
  } catch (error) {
    throw new StartError(`${key}: ${path} cannot be read: ${fileReason(error as NodeJS.ErrnoException)}`);
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}
