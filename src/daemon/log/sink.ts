import { closeSync, constants, fchownSync, fstatSync, openSync, writeSync } from 'node:fs';
import type { Libc } from '../../../native-bindings/engine.ts';
import { connectUnixDatagram, type UnixDatagram } from '../../../native-bindings/unix-datagram.ts';
import type { LogDestination } from '../../config/kinds.ts';
import { StartError } from '../platform/platform.ts';
import type { User } from '../process/privileges.ts';

/** Where finished lines go. Nothing here throws once it is open, and nothing waits for a slow reader of syslog. */
export interface LogSink {
  /** Whether lines carry their own time: syslog adds one. */
  readonly wantsTime: boolean;
  /** One line without its line feed. */
  write(line: string, severity: Severity): void;
  /** After a rotation (SIGHUP): the file anew, the socket anew. */
  reopen(): void;
  close(): void;
}

/** syslog(3)'s levels as far as they are used. */
export type Severity = 'error' | 'warn' | 'info' | 'debug';

const SEVERITY: Readonly<Record<Severity, number>> = { error: 3, warn: 4, info: 6, debug: 7 };
const FACILITY_DAEMON = 3;
/** Longest datagram sent: RFC 3164's 1024 bytes are too few for a stack, and syslogd takes 8 KiB. */
const LONGEST_DATAGRAM = 8000;
const SOCKETS = { freebsd: ['/var/run/log'], linux: ['/dev/log', '/run/systemd/journal/dev-log'] } as const;

/**
 * Opens the destination of the settings. A file that has to be made belongs to `owner`, so that it can be opened
 * again after root is gone. Throws StartError.
 */
export function openLogSink(destination: LogDestination, libc: Libc, owner: User | null): LogSink {
  if (destination === 'stderr') return openDescriptor(() => 2, false);
  if (destination === 'syslog') return openSyslog(libc);
  return openLogFile(destination, 'log.destination', owner);
}

/** A file of lines; `setting` names it in errors. Throws StartError. */
export function openLogFile(path: string, setting: string, owner: User | null): LogSink {
  return openDescriptor(() => openFile(path, setting, owner), true);
}

function openDescriptor(open: () => number, isFile: boolean): LogSink {
  let descriptor = open();
  let lost = 0;

  function put(text: string): boolean {
    try {
      writeSync(descriptor, text);
      return true;
    } catch {
      return false;
    }
  }

  return {
    wantsTime: true,
    write(line) {
      const news = lost === 0 ? '' : `${lost} lines could not be written here\n`;
      if (put(`${news}${line}\n`)) lost = 0;
      else lost++;
    },
    reopen() {
      if (!isFile) return;
      const old = descriptor;
      try {
        descriptor = open();
        closeSync(old);
      } catch (error) {
        put(`the log file cannot be opened again, going on with the old one: ${String(error)}\n`);
      }
    },
    close() {
      if (isFile) closeSync(descriptor);
    },
  };
}

function openFile(path: string, setting: string, owner: User | null): number {
  const { O_WRONLY, O_APPEND, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, S_IFMT, S_IFREG } = constants;
  const flags = O_WRONLY | O_APPEND | O_NOFOLLOW | O_NONBLOCK;
  let descriptor: number;
  try {
    try {
      descriptor = openSync(path, flags | O_CREAT | O_EXCL, 0o640);
      if (owner !== null && process.geteuid?.() === 0) fchownSync(descriptor, owner.uid, owner.gid);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      descriptor = openSync(path, flags);
    }
  } catch (error) {
    throw new StartError(`${setting}: ${path} cannot be opened: ${(error as Error).message}`);
  }
  const { mode, nlink } = fstatSync(descriptor);
  // A second name may be somebody's link to a file that only root may write.
  const fault =
    (mode & S_IFMT) !== S_IFREG
      ? 'expected a regular file'
      : nlink !== 1
        ? `expected one name for it, found ${nlink} links`
        : null;
  if (fault === null) return descriptor;
  closeSync(descriptor);
  throw new StartError(`${setting}: ${path}: ${fault}`);
}

/** syslogd's datagram socket. While nobody listens, lines are lost and counted; each line tries again. */
function openSyslog(libc: Libc): LogSink {
  let socket: UnixDatagram | null = connect();
  let lost = 0;

  function connect(): UnixDatagram | null {
    for (const path of SOCKETS[libc.platform.system]) {
      try {
        return connectUnixDatagram(libc, path);
      } catch {}
    }
    return null;
  }

  function send(bytes: Buffer): boolean {
    if (socket !== null) {
      const failure = socket.send(bytes);
      if (failure === null) return true;
      if (failure === 'EAGAIN' || failure === 'ENOBUFS') return false;
      socket.close();
    }
    socket = connect();
    return socket !== null && socket.send(bytes) === null;
  }

  return {
    wantsTime: false,
    write(line, severity) {
      const text = lost === 0 ? line : `(${lost} lines before this were lost) ${line}`;
      const bytes = Buffer.from(syslogLine(text, severity, new Date(), process.pid));
      if (send(bytes.subarray(0, LONGEST_DATAGRAM))) lost = 0;
      else lost++;
    },
    reopen() {
      socket?.close();
      socket = connect();
    },
    close: () => socket?.close(),
  };
}

const MONTHS = 'Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec'.split(' ');

/** A line in the format of RFC 3164 4.1, without a host name, as syslog(3) writes it. */
export function syslogLine(text: string, severity: Severity, at: Date, pid: number): string {
  const two = (value: number) => String(value).padStart(2, '0');
  const day = String(at.getDate()).padStart(2, ' ');
  const time = `${two(at.getHours())}:${two(at.getMinutes())}:${two(at.getSeconds())}`;
  const priority = FACILITY_DAEMON * 8 + SEVERITY[severity];
  return `<${priority}>${MONTHS[at.getMonth()]} ${day} ${time} pinholed[${pid}]: ${text}`;
}
