import { execFileSync } from 'node:child_process';
import type { Libc } from '../../native-bindings/engine.ts';
import { CAP_NET_ADMIN } from '../../native-bindings/linux/constants.ts';
import { dropPrivileges as dropLinuxPrivileges } from '../../native-bindings/linux/privileges.ts';
import { StartError } from './platform.ts';

/** The user that reads packets. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/** The user and the group of the settings as numbers, from the system's databases. Throws StartError. */
export function findUser(name: string, group: string): User {
  const passwd = lookUp('passwd', name);
  if (passwd === null) throw new StartError(`daemon.user: there is no user ${name} ${adviceFor(name)}`);
  const uid = Number(passwd[2]);
  const entry = lookUp('group', group);
  if (entry === null) throw new StartError(`daemon.group: there is no group ${group} ${adviceFor(name)}`);
  return { name, uid, gid: Number(entry[2]) };
}

function adviceFor(name: string): string {
  const add =
    process.platform === 'freebsd'
      ? `pw useradd ${name} -d /nonexistent -s /usr/sbin/nologin`
      : `useradd --system --no-create-home --shell /usr/sbin/nologin ${name}`;
  return `(create it: ${add})`;
}

/** One entry of getent(1)'s database, split into its fields; null when there is none. */
function lookUp(database: 'passwd' | 'group', name: string): string[] | null {
  try {
    const line = execFileSync('getent', [database, name], {
      encoding: 'utf8',
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { PATH: '/usr/bin:/bin:/usr/sbin:/sbin' },
      timeout: 10_000,
    });
    const fields = line.split('\n', 1)[0]!.split(':');
    return /^\d+$/.test(fields[2] ?? '') ? fields : null;
  } catch {
    return null;
  }
}

/**
 * Gives up root for good: `root` becomes the root directory unless it is null, then groups, gid and uid change for
 * every thread of the process. On Linux the calling thread, and those it starts afterwards, keep CAP_NET_ADMIN
 * and nothing else. Throws SystemError, and Error should root be to be had again.
 */
export function dropPrivileges(libc: Libc, { uid, gid }: User, root: string | null): void {
  if (root !== null) {
    libc.check('chroot', libc.chroot(root), root);
    process.chdir('/');
  }
  if (libc.platform.system === 'linux') {
    dropLinuxPrivileges(libc, uid, gid, [CAP_NET_ADMIN]);
  } else {
    const groups = Buffer.alloc(4);
    groups.writeUInt32LE(gid);
    libc.check('setgroups', libc.setgroups(1, groups));
    libc.check('setresgid', libc.setresgid(gid, gid, gid), `gid ${gid}`);
    libc.check('setresuid', libc.setresuid(uid, uid, uid), `uid ${uid}`);
  }
  if (uid !== 0 && libc.setresuid(0, 0, 0) === 0)
    throw new Error('root could be had again after dropping it');
}

/** Does `act` with the rights of `user` as far as files go, then is root again. */
export function asUser<T>({ uid, gid }: User, act: () => T): T {
  if (process.geteuid?.() !== 0 || uid === 0) return act();
  process.setegid!(gid);
  try {
    process.seteuid!(uid);
    try {
      return act();
    } finally {
      process.seteuid!(0);
    }
  } finally {
    process.setegid!(0);
  }
}
