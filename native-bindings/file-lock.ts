import type { Libc } from './engine.ts';
import type { OperatingSystem } from './platform.ts';

// sys/fcntl.h of FreeBSD and sys/file.h of Linux: the same on both.
const LOCK_SH = 1;
const LOCK_NB = 4;
const LOCK_UN = 8;
const O_RDONLY = 0;
const O_CLOEXEC: Readonly<Record<OperatingSystem, number>> = { freebsd: 0x100000, linux: 0x80000 };

/** A file that other programs lock with flock(2). */
export interface FileLock {
  /** Takes the lock together with others who share it, if nobody has it for himself. Does not wait. */
  tryShared(): boolean;
  release(): void;
  close(): void;
}

/** Opens the file to read, as flock(2) needs no more. Throws SystemError: ENOENT where there is none. */
export function openFileLock(libc: Libc, path: string): FileLock {
  const flags = O_RDONLY | O_CLOEXEC[libc.platform.system];
  const fd = libc.check('open', libc.open(path, flags, 0), path);
  return {
    tryShared() {
      if (libc.flock(fd, LOCK_SH | LOCK_NB) === 0) return true;
      const code = libc.failure();
      if (code === 'EAGAIN' || code === 'EWOULDBLOCK' || code === 'EINTR') return false;
      throw libc.error('flock', path);
    },
    release() {
      libc.check('flock', libc.flock(fd, LOCK_UN), path);
    },
    close() {
      libc.close(fd);
    },
  };
}
