/** Who may do what, on Linux: capabilities(7), prctl(2), the credentials of a local peer. */
import type { Libc } from '../engine.ts';
import { array, at, i32, struct, u32 } from '../struct.ts';
import {
  _LINUX_CAPABILITY_VERSION_3,
  PR_CAPBSET_DROP,
  PR_SET_KEEPCAPS,
  PR_SET_NO_NEW_PRIVS,
  SO_PEERCRED,
  SOL_SOCKET,
} from './constants.ts';

/** struct __user_cap_header_struct (linux/capability.h). */
export const capHeader = struct('__user_cap_header_struct', 8, {
  version: at(0, u32),
  pid: at(4, i32),
});

/** struct __user_cap_data_struct; capset(2) takes two, for capabilities 0 to 31 and 32 to 63. */
export const capData = struct('__user_cap_data_struct', 12, {
  effective: at(0, u32),
  permitted: at(4, u32),
  inheritable: at(8, u32),
});

const capSets = struct('__user_cap_data_struct[2]', 24, { sets: at(0, array(capData, 2)) });

/** struct ucred (SO_PEERCRED, unix(7)). */
export const ucred = struct('ucred', 12, {
  pid: at(0, i32),
  uid: at(4, u32),
  gid: at(8, u32),
});

function maskOf(capabilities: readonly number[], half: number): number {
  return (
    capabilities.reduce(
      (mask, capability) => (capability >> 5 === half ? mask | (1 << (capability & 31)) : mask),
      0,
    ) >>> 0
  );
}

/** Leaves the calling thread exactly these capabilities (CAP_), effective and permitted. */
export function setCapabilities(libc: Libc, capabilities: readonly number[]): void {
  const sets = [0, 1].map((half) => {
    const mask = maskOf(capabilities, half);
    return { effective: mask, permitted: mask, inheritable: 0 };
  });
  const header = capHeader.encode({ version: _LINUX_CAPABILITY_VERSION_3 });
  libc.check('capset', libc.capset(header, capSets.encode({ sets })));
}

/** The calling thread's effective capabilities, as CAP_ numbers. */
export function effectiveCapabilities(libc: Libc): number[] {
  const header = capHeader.encode({ version: _LINUX_CAPABILITY_VERSION_3 });
  const memory = Buffer.alloc(capSets.size);
  libc.check('capget', libc.capget(header, memory));
  const { sets } = capSets.decode(memory);
  return Array.from({ length: 64 }, (_, capability) => capability).filter(
    (capability) => (sets[capability >> 5]!.effective & (1 << (capability & 31))) !== 0,
  );
}

/**
 * No execve(2) of the calling thread, of threads that it starts afterwards, or of a process that it starts gives more
 * than there was before it, whatever the file's mode and capabilities say. There is no way back.
 */
export function forbidNewPrivileges(libc: Libc): void {
  libc.check('prctl', libc.prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0), 'PR_SET_NO_NEW_PRIVS');
}

/**
 * Takes all capabilities but these from the bounding set of the calling thread, which those that it starts afterwards
 * inherit: no execve(2) gives one that is not in there. False where the thread may not (CAP_SETPCAP).
 */
export function limitBoundingSet(libc: Libc, keep: readonly number[]): boolean {
  for (let capability = 0; capability < 64; capability++) {
    if (keep.includes(capability) || libc.prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) === 0) continue;
    if (libc.failure() === 'EPERM') return false;
    // EINVAL: this kernel has no more.
    return true;
  }
  return true;
}

/**
 * Gives up root for `uid` and `gid` and keeps only `capabilities`. Capabilities are the thread's own: threads
 * started afterwards inherit them, threads that run already lose all of theirs, but for their bounding set. So it is
 * called in the main thread, before the workers that need them are started.
 */
export function dropPrivileges(libc: Libc, uid: number, gid: number, capabilities: readonly number[]): void {
  limitBoundingSet(libc, []);
  libc.check('prctl', libc.prctl(PR_SET_KEEPCAPS, 1, 0, 0, 0), 'PR_SET_KEEPCAPS');
  libc.check('setgroups', libc.setgroups(0, null));
  libc.check('setresgid', libc.setresgid(gid, gid, gid), `gid ${gid}`);
  libc.check('setresuid', libc.setresuid(uid, uid, uid), `uid ${uid}`);
  setCapabilities(libc, capabilities);
  forbidNewPrivileges(libc);
}

/** The process at the other end of a local socket. */
export function peerCredentials(
  libc: Libc,
  fd: number,
): { readonly pid: number; readonly uid: number; readonly gid: number } {
  const memory = Buffer.alloc(ucred.size);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(ucred.size);
  libc.check('getsockopt', libc.getsockopt(fd, SOL_SOCKET, SO_PEERCRED, memory, length), 'SO_PEERCRED');
  return ucred.decode(memory);
}
