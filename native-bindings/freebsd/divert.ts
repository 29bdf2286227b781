/** A divert(4) socket: packets that pf diverted come out of it and go back into it, with sixteen address bytes. */
import type { Libc } from '../engine.ts';
import {
  AF_INET,
  IPPROTO_DIVERT,
  MSG_DONTWAIT,
  PF_DIVERT,
  SO_RCVBUF,
  SO_RERROR,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_SOCKET,
} from './constants.ts';
import { divertAddress, sockaddrIn } from './sockaddr.ts';

export interface DivertSocket {
  readonly fd: number;
  readonly port: number;
  /** Bytes the receive queue holds, as far as the kernel let it be raised. */
  readonly receiveBuffer: number;
  /** Whether a queue that overflowed is reported: the next `receive` fails once with ENOBUFS. */
  readonly reportsLoss: boolean;
  /**
   * Takes one packet without waiting: its bytes, from the IP header on, into `packet`, its address into the 16
   * bytes of `address`. Returns the packet's length, or -1 with `libc.failure()`: EAGAIN when none waits.
   */
  receive(packet: Buffer, address: Buffer): number;
  /**
   * Puts `packet` back where `address` says: sin_addr 0.0.0.0 is outbound, anything else inbound through the
   * interface of `sin_zero`. Returns -1 with `libc.failure()`: EACCES where pf blocked it, EHOSTUNREACH,
   * ENETUNREACH, EMSGSIZE, ENOBUFS.
   */
  send(packet: Buffer, address: Buffer): number;
  close(): void;
}

/** Largest receive queue that is asked for, in bytes; kern.ipc.maxsockbuf sets what is given. */
const WANTED = 8 * 1024 * 1024;
/** What a divert socket has from the start. */
const LEAST = 64 * 1024;
/** How near the kernel's limit the search goes. */
const GRAIN = 4096;

/**
 * Opens and binds a divert socket on `port`. Needs root. Throws SystemError: EADDRINUSE where another has the
 * port, EPROTONOSUPPORT or EAFNOSUPPORT where ipdivert is not loaded.
 */
export function openDivert(libc: Libc, port: number, wanted = WANTED): DivertSocket {
  return useDivert(libc, bindDivert(libc, port), port, wanted);
}

/** As `openDivert`, without reading: the descriptor of a socket in which packets wait while a process holds it. */
export function bindDivert(libc: Libc, port: number): number {
  const fd = openSocket(libc, port);
  const name = sockaddrIn.encode({ sin_len: sockaddrIn.size, sin_family: AF_INET, sin_port: port });
  if (libc.bind(fd, name, name.length) < 0) {
    const error = libc.error('bind', `divert port ${port}`);
    libc.close(fd);
    throw error;
  }
  return fd;
}

/** Takes packets from a descriptor of `bindDivert`, made by this process or another. */
export function useDivert(libc: Libc, fd: number, port: number, wanted = WANTED): DivertSocket {
  const addressLength = Buffer.alloc(4);
  return {
    fd,
    port,
    receiveBuffer: raiseReceiveBuffer((size) => setOption(libc, fd, SO_RCVBUF, size), wanted),
    reportsLoss: setOption(libc, fd, SO_RERROR, 1),
    receive(packet, address) {
      addressLength[0] = divertAddress.size;
      return libc.recvfrom(fd, packet, packet.length, MSG_DONTWAIT, address, addressLength);
    },
    send: (packet, address) => libc.sendto(fd, packet, packet.length, 0, address, divertAddress.size),
    close() {
      libc.close(fd);
    },
  };
}

/** FreeBSD 14 and later have a domain of divert's own; before, it was a raw IP socket. */
function openSocket(libc: Libc, port: number): number {
  const fd = libc.socket(PF_DIVERT, SOCK_RAW | SOCK_CLOEXEC, 0);
  if (fd >= 0) return fd;
  const reason = libc.failure();
  if (reason !== 'EAFNOSUPPORT' && reason !== 'EPFNOSUPPORT')
    throw libc.error('socket', `divert port ${port}`);
  return libc.check(
    'socket',
    libc.socket(AF_INET, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_DIVERT),
    `divert port ${port}`,
  );
}

function setOption(libc: Libc, fd: number, option: number, value: number): boolean {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(value);
  return libc.setsockopt(fd, SOL_SOCKET, option, argument, argument.length) === 0;
}

/**
 * Finds the largest buffer that `accepts` takes, up to `wanted` bytes, to within 4 KiB: the limit is a sysctl and
 * more is refused outright, not cut. Returns what is set at the end, 64 KiB when nothing more was taken.
 */
export function raiseReceiveBuffer(accepts: (size: number) => boolean, wanted: number): number {
  if (accepts(wanted)) return wanted;
  let taken = LEAST;
  let refused = wanted;
  while (refused - taken > GRAIN) {
    const size = taken + Math.floor((refused - taken) / 2);
    if (accepts(size)) taken = size;
    else refused = size;
  }
  return taken;
}
