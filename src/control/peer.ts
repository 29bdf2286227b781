import type { Socket } from 'node:net';
import type { Libc } from '../../native-bindings/engine.ts';
import { peerCredentials as freebsdPeer } from '../../native-bindings/freebsd/kernel.ts';
import { peerCredentials as linuxPeer } from '../../native-bindings/linux/privileges.ts';

/** Who is at the other end of a local socket. */
export interface SocketPeer {
  readonly uid: number;
  /** Its group at the moment it connected. */
  readonly gid: number;
}

/** A group with the users that are its members, as the system's database had it. */
interface Group {
  readonly gid: number;
  readonly members: ReadonlySet<number>;
}

export interface AdmittedPeers {
  /** The daemon's own user. */
  readonly uid: number;
  /** Group that may use the socket, too; null for none. */
  readonly group: Group | null;
}

/**
 * A group with the members it has now. One that cannot be looked up any more, as in a chroot, or that has another
 * number than the socket was given, stays as it was.
 */
export function renewed(group: Group, found: Group | null): Group {
  return found?.gid === group.gid ? found : group;
}

/** Root, the daemon's own user, and the members of the group that the socket was given. */
export function mayConnect({ uid, gid }: SocketPeer, admission: AdmittedPeers): boolean {
  if (uid === 0 || uid === admission.uid) return true;
  const { group } = admission;
  return group !== null && (gid === group.gid || group.members.has(uid));
}

/**
 * The kernel's word for who connected (SO_PEERCRED, getpeereid(3)). Null where the runtime does not give the socket's
 * descriptor away (Bun): the mode of the socket has decided then, in connect(2).
 */
export function peerOf(libc: Libc, socket: Socket): SocketPeer | null {
  const { _handle: handle } = socket as Socket & { readonly _handle?: { readonly fd?: number } | null };
  const fd = handle?.fd;
  if (typeof fd !== 'number' || fd < 0) return null;
  return libc.platform.system === 'linux' ? linuxPeer(libc, fd) : freebsdPeer(libc, fd);
}
