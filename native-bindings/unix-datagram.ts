import { setNonBlocking } from './descriptor.ts';
import type { Libc } from './engine.ts';
import type { OperatingSystem } from './platform.ts';

const AF_UNIX = 1;
const SOCK_DGRAM = 2;
/** sizeof sun_path: sys/un.h */
const PATH_SIZE = { linux: 108, freebsd: 104 } as const;

/** A connected unix(7) datagram socket, which Node has no API for: syslogd's, a service manager's. */
export interface UnixDatagram {
  /** Sends without waiting. Null when it was taken, else errno's symbol: EAGAIN, ECONNREFUSED. */
  send(bytes: Uint8Array): string | null;
  close(): void;
}

/**
 * struct sockaddr_un. FreeBSD has the length in its first byte; on Linux a path that starts with `@` is in the
 * abstract namespace. Throws RangeError when the path is too long.
 */
export function unixAddress(system: OperatingSystem, path: string): Buffer {
  const name = Buffer.from(path);
  if (name.length >= PATH_SIZE[system]) {
    throw new RangeError(`socket path ${path}: expected fewer than ${PATH_SIZE[system]} bytes`);
  }
  const abstract = system === 'linux' && path.startsWith('@');
  const address = Buffer.alloc(2 + name.length + (abstract ? 0 : 1));
  if (system === 'linux') address.writeUInt16LE(AF_UNIX);
  else address.set([address.length, AF_UNIX]);
  address.set(name, 2);
  if (abstract) address[2] = 0;
  return address;
}

/** Connects to the socket at `path`. Throws SystemError: ENOENT, ECONNREFUSED, EACCES. */
export function connectUnixDatagram(libc: Libc, path: string): UnixDatagram {
  const address = unixAddress(libc.platform.system, path);
  const fd = libc.check('socket', libc.socket(AF_UNIX, SOCK_DGRAM, 0), 'AF_UNIX');
  try {
    setNonBlocking(libc, fd);
    libc.check('connect', libc.connect(fd, address, address.length), path);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return {
    send: (bytes) => (libc.send(fd, bytes, bytes.length, 0) < 0 ? libc.failure() : null),
    close: () => void libc.close(fd),
  };
}
