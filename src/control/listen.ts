import { chmodSync, lchownSync, lstatSync, realpathSync, unlinkSync } from 'node:fs';
import { createConnection, createServer, type Server } from 'node:net';
import { dirname } from 'node:path';
import { StartError } from '../daemon/platform/platform.ts';
import { makeRuntimeDirectory } from '../daemon/process/directories.ts';

export interface ListenOptions {
  readonly path: string;
  /** Permission bits. */
  readonly mode: number;
  /** Group that owns the socket; null leaves it to the process. */
  readonly gid: number | null;
}

const OTHERS_WRITE = 0o002;
const GROUP_WRITES = 0o020;
const STICKY = 0o1000;
const ANSWER_WITHIN = 1000;
const WAITING = 16;

/**
 * Binds a Unix socket that nobody can reach before it has its owner and mode. A socket that a daemon left behind is
 * replaced; one that is answered, anything that is no socket and a symbolic link are not. Throws StartError.
 */
export async function listenUnix({ path, mode, gid }: ListenOptions): Promise<Server> {
  checkDirectories(path);
  await removeStale(path);
  const server = createServer({ allowHalfOpen: true });
  const umask = process.umask(0o177);
  try {
    const listening = new Promise<void>((resolve, reject) => {
      server.once('listening', resolve);
      server.once('error', reject);
    });
    server.listen({ path, backlog: WAITING });
    process.umask(umask);
    await listening;
    if (gid !== null) lchownSync(path, process.geteuid?.() ?? -1, gid);
    chmodSync(path, mode);
  } catch (error) {
    process.umask(umask);
    server.close();
    throw new StartError(`control.socket: ${path} cannot be made: ${(error as Error).message}`);
  }
  return server;
}

/** Where others may rename or remove files, a name says nothing about what it will be a moment later. */
function checkDirectories(path: string): void {
  for (let directory = realDirectory(path); ; directory = dirname(directory)) {
    const { mode, uid } = lstatSync(directory);
    const isOurs = uid === 0 || uid === process.geteuid?.();
    const isShared = (mode & (OTHERS_WRITE | GROUP_WRITES)) !== 0 && (mode & STICKY) === 0;
    if (!isOurs || isShared) {
      throw new StartError(
        `control.socket: ${directory} can be changed by others: expected a directory that only root may write`,
      );
    }
    if (dirname(directory) === directory) return;
  }
}

function realDirectory(path: string): string {
  try {
    makeRuntimeDirectory(dirname(path));
    return realpathSync(dirname(path));
  } catch (error) {
    throw new StartError(`control.socket: ${dirname(path)}: ${(error as Error).message}`);
  }
}

/** Removes a socket that nobody answers. Throws StartError where there is something else. */
export async function removeStale(path: string): Promise<void> {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (found === undefined) return;
  if (!found.isSocket()) {
    throw new StartError(`control.socket: ${path} is there and is no socket: it was left as it is`);
  }
  if (await isAnswered(path)) {
    throw new StartError(`control.socket: ${path} is in use: another pinholed runs`, 'EADDRINUSE');
  }
  unlinkSync(path);
}

/** Whether somebody listens. Who does not answer in time may only be busy. */
function isAnswered(path: string): Promise<boolean> {
  return new Promise((resolve) => {
    const probe = createConnection(path);
    const end = (answered: boolean) => {
      clearTimeout(timer);
      probe.destroy();
      resolve(answered);
    };
    const timer = setTimeout(() => end(true), ANSWER_WITHIN);
    probe.on('connect', () => end(true));
    probe.on('error', ({ code }: NodeJS.ErrnoException) => end(code !== 'ECONNREFUSED' && code !== 'ENOENT'));
  });
}
