/**
 * Every libc function this program calls, in one table. The types are the C ABI's, in words both FFI engines
 * can translate. All of them are passed as JavaScript numbers except the two kinds of pointer.
 */

/** How an argument is passed. `bytes` is a pointer to the first byte of a buffer, or NULL. */
export type ArgumentType = 'int' | 'uint' | 'ulong' | 'size' | 'bytes' | 'cstring';

/** How a result comes back; `ssize` is exact up to 2^53. */
export type ResultType = 'int' | 'uint' | 'ssize';

export interface Signature {
  readonly result: ResultType;
  readonly args: readonly ArgumentType[];
  /** How many of `args` come before C's `...`; absent for functions of fixed arity. */
  readonly fixed?: number;
  /** The one system whose libc has it; absent where both have it. */
  readonly only?: 'freebsd' | 'linux';
}

export const signatures = {
  socket: { result: 'int', args: ['int', 'int', 'int'] },
  bind: { result: 'int', args: ['int', 'bytes', 'uint'] },
  listen: { result: 'int', args: ['int', 'int'] },
  accept: { result: 'int', args: ['int', 'bytes', 'bytes'] },
  connect: { result: 'int', args: ['int', 'bytes', 'uint'] },
  getsockname: { result: 'int', args: ['int', 'bytes', 'bytes'] },
  setsockopt: { result: 'int', args: ['int', 'int', 'int', 'bytes', 'uint'] },
  getsockopt: { result: 'int', args: ['int', 'int', 'int', 'bytes', 'bytes'] },
  poll: { result: 'int', args: ['bytes', 'ulong', 'int'] },
  read: { result: 'ssize', args: ['int', 'bytes', 'size'] },
  recv: { result: 'ssize', args: ['int', 'bytes', 'size', 'int'] },
  recvfrom: { result: 'ssize', args: ['int', 'bytes', 'size', 'int', 'bytes', 'bytes'] },
  recvmsg: { result: 'ssize', args: ['int', 'bytes', 'int'] },
  send: { result: 'ssize', args: ['int', 'bytes', 'size', 'int'] },
  sendto: { result: 'ssize', args: ['int', 'bytes', 'size', 'int', 'bytes', 'uint'] },
  sendmsg: { result: 'ssize', args: ['int', 'bytes', 'int'] },
  recvmmsg: { result: 'int', args: ['int', 'bytes', 'size', 'int', 'bytes'] },
  sendmmsg: { result: 'int', args: ['int', 'bytes', 'size', 'int'] },
  open: { result: 'int', args: ['cstring', 'int', 'int'], fixed: 2 },
  close: { result: 'int', args: ['int'] },
  ioctl: { result: 'int', args: ['int', 'ulong', 'bytes'], fixed: 2 },
  fcntl: { result: 'int', args: ['int', 'int', 'int'], fixed: 2 },
  flock: { result: 'int', args: ['int', 'int'] },
  clock_gettime: { result: 'int', args: ['int', 'bytes'] },
  getpid: { result: 'int', args: [] },
  kill: { result: 'int', args: ['int', 'int'] },
  chroot: { result: 'int', args: ['cstring'] },
  setuid: { result: 'int', args: ['uint'] },
  setgid: { result: 'int', args: ['uint'] },
  setresuid: { result: 'int', args: ['uint', 'uint', 'uint'] },
  setresgid: { result: 'int', args: ['uint', 'uint', 'uint'] },
  setgroups: { result: 'int', args: ['size', 'bytes'] },
  geteuid: { result: 'uint', args: [] },
  if_nametoindex: { result: 'uint', args: ['cstring'] },
  memfd_create: { result: 'int', args: ['cstring', 'uint'] },
  mmap: { result: 'ssize', args: ['ulong', 'size', 'int', 'int', 'int', 'ulong'] },
  memcpy: { result: 'ssize', args: ['ulong', 'bytes', 'size'] },

  sysctlbyname: { result: 'int', args: ['cstring', 'bytes', 'bytes', 'bytes', 'size'], only: 'freebsd' },
  sysctl: { result: 'int', args: ['bytes', 'uint', 'bytes', 'bytes', 'bytes', 'size'], only: 'freebsd' },
  kldload: { result: 'int', args: ['cstring'], only: 'freebsd' },
  kldfind: { result: 'int', args: ['cstring'], only: 'freebsd' },
  modfind: { result: 'int', args: ['cstring'], only: 'freebsd' },
  rtprio_thread: { result: 'int', args: ['int', 'int', 'bytes'], only: 'freebsd' },
  getpeereid: { result: 'int', args: ['int', 'bytes', 'bytes'], only: 'freebsd' },

  prctl: { result: 'int', args: ['int', 'ulong', 'ulong', 'ulong', 'ulong'], fixed: 1, only: 'linux' },
  unshare: { result: 'int', args: ['int'], only: 'linux' },
  sched_setscheduler: { result: 'int', args: ['int', 'int', 'bytes'], only: 'linux' },
  syscall: { result: 'ssize', args: ['ulong', 'int', 'bytes', 'uint', 'uint'], fixed: 1, only: 'linux' },
  capget: { result: 'int', args: ['bytes', 'bytes'], only: 'linux' },
  capset: { result: 'int', args: ['bytes', 'bytes'], only: 'linux' },
} as const satisfies Record<string, Signature>;

type Signatures = typeof signatures;
export type FunctionName = keyof Signatures;

interface ArgumentValues {
  readonly int: number;
  readonly uint: number;
  readonly ulong: number;
  readonly size: number;
  readonly bytes: Uint8Array | null;
  readonly cstring: string;
}

type Values<T extends readonly ArgumentType[]> = { -readonly [K in keyof T]: ArgumentValues[T[K]] };

/** The table as TypeScript functions. */
export type Functions = {
  readonly [N in FunctionName]: (...args: Values<Signatures[N]['args']>) => number;
};

/** A bound function before its name has given it a type. */
export type Bound = (...args: readonly (number | string | Uint8Array | null)[]) => number;
