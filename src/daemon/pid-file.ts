import { closeSync, constants, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { StartError } from './platform.ts';

/**
 * Writes this process's id into the file at `path`, mode 0644, in place of one that a dead process left. Throws
 * StartError when another pinholed runs. The result removes the file, if it is still ours.
 */
export function writePidFile(path: string): () => void {
  const other = readPid(path);
  if (other !== null && other !== process.pid && isPinholed(other)) {
    throw new StartError(`pinholed runs already, with process id ${other} (${path})`);
  }
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const draft = `${path}.${process.pid}`;
  try {
    const descriptor = openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
    writeSync(descriptor, `${process.pid}\n`);
    closeSync(descriptor);
    renameSync(draft, path);
  } catch (error) {
    throw new StartError(`daemon.pid-file: ${path} cannot be written: ${(error as Error).message}`);
  }
  return () => {
    if (readPid(path) === process.pid) unlinkSync(path);
  };
}

function readPid(path: string): number | null {
  try {
    const text = readFileSync(path, 'utf8').trim();
    return /^[1-9]\d{0,9}$/.test(text) ? Number(text) : null;
  } catch {
    return null;
  }
}

/** Whether the process lives and, as far as the system tells, is one of ours and not a later one with its number. */
function isPinholed(pid: number): boolean {
  try {
    process.kill(pid, 0);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ESRCH') return false;
  }
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0').includes('run');
  } catch {
    return process.platform !== 'linux';
  }
}
