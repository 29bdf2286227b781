import type { Libc } from '../engine.ts';
import { divstat } from './pfioc.ts';

/** The value of a sysctl as its bytes, at most `size` of them. Throws SystemError: ENOENT where there is none. */
export function sysctl(libc: Libc, name: string, size = 256): Buffer {
  const value = Buffer.alloc(size);
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(size));
  libc.check('sysctlbyname', libc.sysctlbyname(name, value, length, null, 0), name);
  return value.subarray(0, Number(length.readBigUInt64LE()));
}

/** A sysctl of type int or u_int, read as unsigned. */
export function sysctlNumber(libc: Libc, name: string): number {
  return sysctl(libc, name, 4).readUInt32LE();
}

/** A sysctl of type string. */
export function sysctlString(libc: Libc, name: string): string {
  const value = sysctl(libc, name);
  const nul = value.indexOf(0);
  return value.toString('utf8', 0, nul < 0 ? value.length : nul);
}

/** `__FreeBSD_version` of the running kernel: 1501000 is 15.1. */
export function kernelVersion(libc: Libc): number {
  return sysctlNumber(libc, 'kern.osreldate');
}

/** Whether the kernel has the module (`pf`, `ipdivert`), loaded or compiled in: modfind(2). */
export function hasModule(libc: Libc, name: string): boolean {
  return libc.modfind(name) >= 0;
}

/** Loads a kernel module: kldload(2). Needs root outside a jail; EEXIST where it is loaded already. */
export function loadModule(libc: Libc, name: string): void {
  libc.check('kldload', libc.kldload(name), name);
}

/** divert(4)'s counters since boot. */
export interface DivertStatistics {
  /** Packets handed to a socket. */
  readonly diverted: bigint;
  /** Packets dropped because no socket was bound to the port. */
  readonly noSocket: bigint;
  readonly reinjectedOut: bigint;
  readonly reinjectedIn: bigint;
}

/** The sysctl net.inet.divert.stats, FreeBSD 14 and later. */
export function divertStatistics(libc: Libc): DivertStatistics {
  const stats = divstat.decode(sysctl(libc, 'net.inet.divert.stats', divstat.size));
  return {
    diverted: stats.div_diverted,
    noSocket: stats.div_noport,
    reinjectedOut: stats.div_outbound,
    reinjectedIn: stats.div_inbound,
  };
}

/** User and group of the process at the other end of a local socket: getpeereid(3). */
export function peerCredentials(libc: Libc, fd: number): { readonly uid: number; readonly gid: number } {
  const uid = Buffer.alloc(4);
  const gid = Buffer.alloc(4);
  libc.check('getpeereid', libc.getpeereid(fd, uid, gid));
  return { uid: uid.readUInt32LE(), gid: gid.readUInt32LE() };
}
