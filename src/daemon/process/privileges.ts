import { execFileSync } from 'node:child_process';
import { userInfo } from 'node:os';
import type { Libc } from '../../../native-bindings/engine.ts';
import { CAP_NET_ADMIN } from '../../../native-bindings/linux/constants.ts';
import {
  dropPrivileges,
  effectiveCapabilities,
  forbidNewPrivileges,
  limitBoundingSet,
  setCapabilities,
} from '../../../native-bindings/linux/privileges.ts';
import type { Settings } from '../../config/schema.ts';
import { StartError } from '../platform/platform.ts';

/** The user that reads packets. */
export interface User {
  readonly name: string;
  readonly uid: number;
  readonly gid: number;
}

/**
 * A user and a group by name, from the system's databases; `group` null is the user's own. Throws StartError.
 */
export function findUser(name: string, group: string | null): User {
  const passwd = lookUp('passwd', name);
  if (passwd === null) throw new StartError(`daemon.user: there is no user ${name} ${userAdvice(name)}`);
  const uid = Number(passwd[2]);
  if (group === null) return { name, uid, gid: Number(passwd[3]) };
  const entry = lookUp('group', group);
  if (entry === null) throw new StartError(`daemon.group: there is no group ${group} ${groupAdvice(group)}`);
  return { name, uid, gid: Number(entry[2]) };
}

/** Who reads packets: `named`, or else the user of the settings; null for root. Throws StartError. */
export function packetUser({ daemon }: Pick<Settings, 'daemon'>, named: string | null): User | null {
  if ((named ?? daemon.user) === 'root') return null;
  return named === null ? findUser(daemon.user, daemon.group) : findUser(named, null);
}

/**
 * Who reads packets when a process of this one's user is started: as `packetUser` for root, else the user that it is.
 * Throws StartError.
 */
export function readerOf(settings: Pick<Settings, 'daemon'>, named: string | null): User | null {
  if (process.geteuid?.() === 0) return packetUser(settings, named);
  const [uid, gid] = [process.geteuid!(), process.getegid!()];
  return { name: nameOf(uid), uid, gid };
}

/** The name of this process's user, or its number where the system's database has no entry for it. */
function nameOf(uid: number): string {
  try {
    return userInfo().username;
  } catch {
    return String(uid);
  }
}

/**
 * That this process may open what the daemon needs: it is root, or on Linux has CAP_NET_ADMIN, as a service manager
 * gives it to a user of its own. Throws StartError.
 */
export function requireRights(libc: Libc): void {
  if (libc.geteuid() === 0) return;
  if (libc.platform.system !== 'linux') {
    throw new StartError('run: expected to be started as root; packets are then read as daemon.user');
  }
  if (effectiveCapabilities(libc).includes(CAP_NET_ADMIN)) return;
  throw new StartError(
    'run: expected to be started as root (packets are then read as daemon.user) or as a user with CAP_NET_ADMIN',
  );
}

function userAdvice(name: string): string {
  const add =
    process.platform === 'freebsd'
      ? `pw useradd ${name} -d /nonexistent -s /usr/sbin/nologin`
      : `useradd --system --no-create-home --shell /usr/sbin/nologin ${name}`;
  return `(create it: ${add})`;
}

function groupAdvice(name: string): string {
  return `(create it: ${process.platform === 'freebsd' ? `pw groupadd ${name}` : `groupadd --system ${name}`}, or name another)`;
}

/** A group with the users that the system's databases name as its members. Null when there is none. */
export function findGroup(
  name: string,
): { readonly gid: number; readonly members: ReadonlySet<number> } | null {
  const entry = lookUp('group', name);
  if (entry === null) return null;
  const names = (entry[3] ?? '').split(',').filter((member) => member !== '');
  const users = names.flatMap((member) => lookUp('passwd', member)?.[2] ?? []);
  return { gid: Number(entry[2]), members: new Set(users.map(Number)) };
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

/** linux/capability.h */
const CAP_SYS_CHROOT = 18;
/**
 * What a start as root needs, of linux/capability.h: files that are another's (CHOWN, DAC_OVERRIDE, FOWNER), to become the
 * user (SETGID, SETUID) and give up what is in this list (SETPCAP), a low port for the live page (NET_BIND_SERVICE), the
 * packet filter, a new root, and the priority of who carries packets (SYS_NICE).
 */
const NEEDED_TO_START = [0, 1, 3, 6, 7, 8, 10, CAP_NET_ADMIN, CAP_SYS_CHROOT, 23];

/**
 * What the processes that this thread starts from now on can never have, in any of their threads. A runtime starts threads
 * of its own before a program can do anything, and on Linux privileges are a thread's: they have to be given up before.
 */
export function confineChildren(libc: Libc): void {
  if (libc.platform.system !== 'linux') return;
  limitBoundingSet(libc, NEEDED_TO_START);
  forbidNewPrivileges(libc);
}

/**
 * Gives up root for good: groups, gid and uid change for every thread of the process. On Linux the calling
 * thread, and those it starts afterwards, keep CAP_NET_ADMIN (and, until `changeRoot`, CAP_SYS_CHROOT) and nothing
 * else. Throws SystemError, and Error should root be to be had again.
 */
export function becomeUser(libc: Libc, { uid, gid }: User, mayChangeRoot: boolean): void {
  if (libc.platform.system === 'linux') {
    dropPrivileges(libc, uid, gid, mayChangeRoot ? [CAP_NET_ADMIN, CAP_SYS_CHROOT] : [CAP_NET_ADMIN]);
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

/** Makes `directory` the root of the whole process. Throws SystemError. */
export function changeRoot(libc: Libc, directory: string): void {
  libc.check('chroot', libc.chroot(directory), directory);
  process.chdir('/');
}

/** What a thread that will read packets may still do: on Linux CAP_NET_ADMIN, elsewhere nothing special. */
export function confineThread(libc: Libc): void {
  if (libc.platform.system === 'linux' && libc.geteuid() !== 0) {
    const keep = effectiveCapabilities(libc).filter((capability) => capability === CAP_NET_ADMIN);
    setCapabilities(libc, keep);
  }
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
