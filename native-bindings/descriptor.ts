import type { Libc } from './engine.ts';

const F_GETFL = 3;
const F_SETFL = 4;
/** fcntl.h */
const O_NONBLOCK = { linux: 0o4000, freebsd: 4 } as const;

/** Makes reads and writes of this descriptor fail with EAGAIN instead of waiting: fcntl(2). */
export function setNonBlocking(libc: Libc, fd: number): void {
  const flags = libc.check('fcntl', libc.fcntl(fd, F_GETFL, 0), 'F_GETFL');
  libc.check('fcntl', libc.fcntl(fd, F_SETFL, flags | O_NONBLOCK[libc.platform.system]), 'F_SETFL');
}
