import type { OperatingSystem } from './platform.ts';

/** Linux, x64 and arm64 alike (asm-generic/errno-base.h and errno.h). */
// biome-ignore format: a table
export const linuxErrno: Readonly<Record<string, number>> = {
  EPERM: 1, ENOENT: 2, ESRCH: 3, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, ENOEXEC: 8, EBADF: 9, ECHILD: 10,
  EAGAIN: 11, ENOMEM: 12, EACCES: 13, EFAULT: 14, ENOTBLK: 15, EBUSY: 16, EEXIST: 17, EXDEV: 18,
  ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ENOTTY: 25, ETXTBSY: 26,
  EFBIG: 27, ENOSPC: 28, ESPIPE: 29, EROFS: 30, EMLINK: 31, EPIPE: 32, EDOM: 33, ERANGE: 34, EDEADLK: 35,
  ENAMETOOLONG: 36, ENOLCK: 37, ENOSYS: 38, ENOTEMPTY: 39, ELOOP: 40, EPROTO: 71, EBADMSG: 74,
  EOVERFLOW: 75, EILSEQ: 84, EUSERS: 87, ENOTSOCK: 88, EDESTADDRREQ: 89, EMSGSIZE: 90, EPROTOTYPE: 91,
  ENOPROTOOPT: 92, EPROTONOSUPPORT: 93, ESOCKTNOSUPPORT: 94, EOPNOTSUPP: 95, EPFNOSUPPORT: 96,
  EAFNOSUPPORT: 97, EADDRINUSE: 98, EADDRNOTAVAIL: 99, ENETDOWN: 100, ENETUNREACH: 101, ENETRESET: 102,
  ECONNABORTED: 103, ECONNRESET: 104, ENOBUFS: 105, EISCONN: 106, ENOTCONN: 107, ESHUTDOWN: 108,
  ETOOMANYREFS: 109, ETIMEDOUT: 110, ECONNREFUSED: 111, EHOSTDOWN: 112, EHOSTUNREACH: 113, EALREADY: 114,
  EINPROGRESS: 115, ESTALE: 116, EDQUOT: 122, ECANCELED: 125,
};

/** FreeBSD (sys/errno.h). */
// biome-ignore format: a table
export const freebsdErrno: Readonly<Record<string, number>> = {
  EPERM: 1, ENOENT: 2, ESRCH: 3, EINTR: 4, EIO: 5, ENXIO: 6, E2BIG: 7, ENOEXEC: 8, EBADF: 9, ECHILD: 10,
  EDEADLK: 11, ENOMEM: 12, EACCES: 13, EFAULT: 14, ENOTBLK: 15, EBUSY: 16, EEXIST: 17, EXDEV: 18,
  ENODEV: 19, ENOTDIR: 20, EISDIR: 21, EINVAL: 22, ENFILE: 23, EMFILE: 24, ENOTTY: 25, ETXTBSY: 26,
  EFBIG: 27, ENOSPC: 28, ESPIPE: 29, EROFS: 30, EMLINK: 31, EPIPE: 32, EDOM: 33, ERANGE: 34, EAGAIN: 35,
  EINPROGRESS: 36, EALREADY: 37, ENOTSOCK: 38, EDESTADDRREQ: 39, EMSGSIZE: 40, EPROTOTYPE: 41,
  ENOPROTOOPT: 42, EPROTONOSUPPORT: 43, ESOCKTNOSUPPORT: 44, EOPNOTSUPP: 45, EPFNOSUPPORT: 46,
  EAFNOSUPPORT: 47, EADDRINUSE: 48, EADDRNOTAVAIL: 49, ENETDOWN: 50, ENETUNREACH: 51, ENETRESET: 52,
  ECONNABORTED: 53, ECONNRESET: 54, ENOBUFS: 55, EISCONN: 56, ENOTCONN: 57, ESHUTDOWN: 58,
  ETOOMANYREFS: 59, ETIMEDOUT: 60, ECONNREFUSED: 61, ELOOP: 62, ENAMETOOLONG: 63, EHOSTDOWN: 64,
  EHOSTUNREACH: 65, ENOTEMPTY: 66, EPROCLIM: 67, EUSERS: 68, EDQUOT: 69, ESTALE: 70, ENOLCK: 77,
  ENOSYS: 78, EOVERFLOW: 84, ECANCELED: 85, EILSEQ: 86, EBADMSG: 89, EPROTO: 92, ENOTCAPABLE: 93,
  ECAPMODE: 94,
};

const texts: Readonly<Record<string, string>> = {
  EPERM: 'operation not permitted',
  ENOENT: 'no such file, anchor or object',
  ESRCH: 'no such process',
  EINTR: 'interrupted by a signal',
  EIO: 'input/output error',
  EBADF: 'bad file descriptor',
  EAGAIN: 'nothing to read, or would block',
  ENOMEM: 'out of memory',
  EACCES: 'permission denied',
  EFAULT: 'bad address',
  EBUSY: 'busy',
  EEXIST: 'exists already',
  ENODEV: 'no such device, or struct size not the kernel’s',
  EINVAL: 'invalid argument',
  EMFILE: 'too many open files',
  ENOTTY: 'ioctl not known to this kernel',
  ENOSPC: 'no space left',
  ERANGE: 'out of range',
  EPIPE: 'broken pipe',
  ENOSYS: 'not in this kernel',
  EMSGSIZE: 'message too long',
  EPROTONOSUPPORT: 'protocol not supported',
  EOPNOTSUPP: 'operation not supported',
  EPFNOSUPPORT: 'protocol family not supported',
  EAFNOSUPPORT: 'address family not supported',
  EADDRINUSE: 'address in use',
  EADDRNOTAVAIL: 'address not available',
  ENETDOWN: 'network is down',
  ENETUNREACH: 'network is unreachable',
  ENOBUFS: 'no buffer space, or packets were lost',
  ETIMEDOUT: 'timed out',
  ECONNREFUSED: 'connection refused',
  EHOSTDOWN: 'host is down',
  EHOSTUNREACH: 'no route to host',
  EBADMSG: 'malformed message',
  ENOTCAPABLE: 'capabilities insufficient',
  ECAPMODE: 'not permitted in capability mode',
};

const symbolsOf = {
  linux: invert(linuxErrno),
  freebsd: invert(freebsdErrno),
} as const;

function invert(table: Readonly<Record<string, number>>): ReadonlyMap<number, string> {
  return new Map(Object.entries(table).map(([symbol, number]) => [number, symbol]));
}

/** The symbol of an errno on `system` (35 is EAGAIN on FreeBSD, EDEADLK on Linux); `E?n` for one not in the table. */
export function errnoSymbol(system: OperatingSystem, number: number): string {
  return symbolsOf[system].get(number) ?? `E?${number}`;
}

/** A system call failed. */
export class SystemError extends Error {
  override readonly name = 'SystemError';
  /** The call, ioctl or netlink message by its C name: `bind`, `DIOCADDRULE`, `NFT_MSG_NEWSETELEM`. */
  readonly call: string;
  /** The errno's symbol: EBUSY. */
  readonly code: string;
  /** The errno's number on the system it came from; for logs only. */
  readonly number: number;

  /** `subject` names what the call was about: a port, an anchor. */
  constructor(system: OperatingSystem, call: string, number: number, subject = '') {
    const code = errnoSymbol(system, number);
    const text = texts[code];
    super(`${call}${subject === '' ? '' : ` (${subject})`}: ${code}${text === undefined ? '' : `: ${text}`}`);
    this.call = call;
    this.code = code;
    this.number = number;
  }
}
