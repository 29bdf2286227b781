import { execFileSync } from 'node:child_process';
import { closeSync, constants, openSync, readFileSync, renameSync, unlinkSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { StartError } from '../platform/platform.ts';
import { makeRuntimeDirectory } from './directories.ts';

/**
 * Writes a process id, this one's or a child's, into the file at `path`, mode 0644, in place of one that a dead
 * process left. Throws StartError when another pinholed runs. The result removes the file, if that is still in it.
 */
export function writePidFile(path: string, pid = process.pid): () => void {
  const other = readPid(path);
  if (other !== null && other !== pid && isPinholed(other)) {
    throw new StartError(`pinholed runs already, with process id ${other} (${path})`);
  }
  const { O_WRONLY, O_CREAT, O_EXCL, O_NOFOLLOW } = constants;
  const draft = `${path}.${process.pid}`;
  try {
    makeRuntimeDirectory(dirname(path));
    const descriptor = openSync(draft, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0o644);
    writeSync(descriptor, `${pid}\n`);
    closeSync(descriptor);
    renameSync(draft, path);
  } catch (error) {
    throw new StartError(`daemon.pid-file: ${path} cannot be written: ${(error as Error).message}`);
  }
  return () => {
    if (readPid(path) === pid) unlinkSync(path);
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

/**
 * Ends the data path that a killed supervisor has left behind, whose id is in the file at `path`: it holds what a
 * new one needs. Its calls are in the journal. Returns its id, or null when there was none.
 */
export async function endOrphan(path: string): Promise<number | null> {
  const orphan = readPid(path);
  if (orphan === null || orphan === process.pid || !isPinholed(orphan, '--supervised')) return null;
  process.kill(orphan, 'SIGKILL');
  for (let tries = 0; tries < 200 && isPinholed(orphan, '--supervised'); tries++) {
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  return orphan;
}

/** Whether the process lives and is one of ours, not a later one with its number. */
function isPinholed(pid: number, argument = 'run'): boolean {
  try {
    return commandOf(pid).includes(argument);
  } catch {
    return false;
  }
}

function commandOf(pid: number): string[] {
  if (process.platform === 'linux') return readFileSync(`/proc/${pid}/cmdline`, 'latin1').split('\0');
  return execFileSync('/bin/ps', ['-ww', '-o', 'command=', '-p', String(pid)], { encoding: 'utf8', env: {} })
    .trim()
    .split(' ');
}
