/** UDP and TCP sockets on one address, read without waiting by a thread that has no event loop. */
import { setNonBlocking } from './descriptor.ts';
import type { Libc } from './engine.ts';
import type { OperatingSystem } from './platform.ts';
import { at, be16, be32, bytes, struct, u8, u16, u32 } from './struct.ts';

/** sys/socket.h */
const NUMBERS = {
  linux: { AF_INET: 2, AF_INET6: 10, SOL_SOCKET: 1, SO_REUSEADDR: 2, SO_RCVBUF: 8, SOCK_CLOEXEC: 0x80000 },
  freebsd: {
    AF_INET: 2,
    AF_INET6: 28,
    SOL_SOCKET: 0xffff,
    SO_REUSEADDR: 4,
    SO_RCVBUF: 0x1002,
    SOCK_CLOEXEC: 0x10000000,
  },
} as const;
const SOCK_STREAM = 1;
const SOCK_DGRAM = 2;
const IPPROTO_IPV6 = 41;
const IPV6_V6ONLY = { linux: 26, freebsd: 27 } as const;

/** struct sockaddr_in and sockaddr_in6 (netinet/in.h); on FreeBSD the first byte is their length. */
const linuxIn = struct('sockaddr_in', 16, {
  sin_family: at(0, u16),
  sin_port: at(2, be16),
  sin_addr: at(4, bytes(4)),
});
const freebsdIn = struct('sockaddr_in', 16, {
  sin_len: at(0, u8),
  sin_family: at(1, u8),
  sin_port: at(2, be16),
  sin_addr: at(4, bytes(4)),
});
const linuxIn6 = struct('sockaddr_in6', 28, {
  sin6_family: at(0, u16),
  sin6_port: at(2, be16),
  sin6_flowinfo: at(4, be32),
  sin6_addr: at(8, bytes(16)),
  sin6_scope_id: at(24, u32),
});
const freebsdIn6 = struct('sockaddr_in6', 28, {
  sin6_len: at(0, u8),
  sin6_family: at(1, u8),
  sin6_port: at(2, be16),
  sin6_flowinfo: at(4, be32),
  sin6_addr: at(8, bytes(16)),
  sin6_scope_id: at(24, u32),
});
const LARGEST = 28;

/** As they are written and read here, by system. */
export const inetLayouts = {
  linux: { structs: [linuxIn, linuxIn6], numbers: { ...NUMBERS.linux, IPV6_V6ONLY: IPV6_V6ONLY.linux } },
  freebsd: {
    structs: [freebsdIn, freebsdIn6],
    numbers: { ...NUMBERS.freebsd, IPV6_V6ONLY: IPV6_V6ONLY.freebsd },
  },
} as const;

/** An IP address in network order, 4 or 16 bytes, and a port. */
export interface InetName {
  readonly address: Uint8Array;
  readonly port: number;
}

function encodeInetName(system: OperatingSystem, { address, port }: InetName): Buffer {
  const isIPv4 = address.length === 4;
  if (system === 'linux') {
    const { AF_INET, AF_INET6 } = NUMBERS.linux;
    return isIPv4
      ? linuxIn.encode({ sin_family: AF_INET, sin_port: port, sin_addr: address })
      : linuxIn6.encode({ sin6_family: AF_INET6, sin6_port: port, sin6_addr: address });
  }
  const { AF_INET, AF_INET6 } = NUMBERS.freebsd;
  return isIPv4
    ? freebsdIn.encode({ sin_len: 16, sin_family: AF_INET, sin_port: port, sin_addr: address })
    : freebsdIn6.encode({ sin6_len: 28, sin6_family: AF_INET6, sin6_port: port, sin6_addr: address });
}

/** What accept(2) and recvfrom(2) write; null for any other family. The address is a window on `name`. */
function decodeInetName(system: OperatingSystem, name: Buffer): InetName | null {
  const { AF_INET, AF_INET6 } = NUMBERS[system];
  const family = system === 'linux' ? name.readUInt16LE(0) : name[1];
  if (family === AF_INET) return { address: name.subarray(4, 8), port: name.readUInt16BE(2) };
  return family === AF_INET6 ? { address: name.subarray(8, 24), port: name.readUInt16BE(2) } : null;
}

/** Bytes, and who sent them. Both are windows that last until the next call. */
interface Received {
  readonly bytes: Buffer;
  readonly from: InetName;
}

export interface DatagramSocket {
  readonly fd: number;
  /** The next datagram; null when none waits. */
  receive(): Received | null;
  close(): void;
}

export interface StreamSocket {
  readonly fd: number;
  readonly from: InetName;
  /** What came next; null when nothing waits; `end` when nothing will. */
  receive(): Buffer | null | 'end';
  close(): void;
}

export interface StreamListener {
  readonly fd: number;
  /** The next connection; null when none waits. */
  accept(): StreamSocket | null;
  close(): void;
}

/** A UDP datagram is no longer. */
const DATAGRAM = 65_536;
/** Bytes of a stream at a time: whoever reads it has to do with as many messages as these may hold. */
const OF_STREAM = 8192;
const BACKLOG = 16;

function open(libc: Libc, type: number, name: InetName, text: string): number {
  const { system } = libc.platform;
  const { AF_INET, AF_INET6, SOL_SOCKET, SO_REUSEADDR, SOCK_CLOEXEC } = NUMBERS[system];
  const isIPv4 = name.address.length === 4;
  const fd = libc.check('socket', libc.socket(isIPv4 ? AF_INET : AF_INET6, type | SOCK_CLOEXEC, 0), text);
  try {
    setNonBlocking(libc, fd);
    // Of UDP it would let two have the same port.
    if (type === SOCK_STREAM) libc.check('setsockopt', option(libc, fd, SOL_SOCKET, SO_REUSEADDR, 1), text);
    if (!isIPv4) libc.check('setsockopt', option(libc, fd, IPPROTO_IPV6, IPV6_V6ONLY[system], 1), text);
    const address = encodeInetName(system, name);
    libc.check('bind', libc.bind(fd, address, address.length), text);
    return fd;
  } catch (error) {
    libc.close(fd);
    throw error;
  }
}

function option(libc: Libc, fd: number, level: number, name: number, value: number): number {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(value);
  return libc.setsockopt(fd, level, name, argument, argument.length);
}

/** Binds a UDP socket; `text` is what errors call it. Throws SystemError: EADDRINUSE, EADDRNOTAVAIL, EACCES. */
export function openDatagramSocket(
  libc: Libc,
  name: InetName,
  receiveBuffer: number,
  text: string,
): DatagramSocket {
  const fd = open(libc, SOCK_DGRAM, name, text);
  const { system } = libc.platform;
  // What the system allows is enough.
  option(libc, fd, NUMBERS[system].SOL_SOCKET, NUMBERS[system].SO_RCVBUF, receiveBuffer);
  const buffer = Buffer.alloc(DATAGRAM);
  const address = Buffer.alloc(LARGEST);
  const length = Buffer.alloc(4);
  return {
    fd,
    receive() {
      length.writeUInt32LE(LARGEST);
      const count = libc.recvfrom(fd, buffer, buffer.length, 0, address, length);
      if (count < 0) return null;
      const from = decodeInetName(system, address);
      return from === null ? null : { bytes: buffer.subarray(0, count), from };
    },
    close: () => void libc.close(fd),
  };
}

/** A UDP socket that sends to one place, without waiting. Throws SystemError: ENETUNREACH, EACCES. */
export function connectDatagramSocket(
  libc: Libc,
  name: InetName,
  text: string,
): { send(bytes: Uint8Array): boolean; close(): void } {
  const { system } = libc.platform;
  const { AF_INET, AF_INET6, SOCK_CLOEXEC } = NUMBERS[system];
  const family = name.address.length === 4 ? AF_INET : AF_INET6;
  const fd = libc.check('socket', libc.socket(family, SOCK_DGRAM | SOCK_CLOEXEC, 0), text);
  try {
    setNonBlocking(libc, fd);
    const address = encodeInetName(system, name);
    libc.check('connect', libc.connect(fd, address, address.length), text);
  } catch (error) {
    libc.close(fd);
    throw error;
  }
  return {
    // An error of the datagram before (nobody listens there) comes with the next.
    send: (bytes) => libc.send(fd, bytes, bytes.length, 0) >= 0 || libc.send(fd, bytes, bytes.length, 0) >= 0,
    close: () => void libc.close(fd),
  };
}

/** Binds a TCP socket and listens. Throws as `openDatagramSocket`. */
export function openStreamListener(libc: Libc, name: InetName, text: string): StreamListener {
  const fd = open(libc, SOCK_STREAM, name, text);
  if (libc.listen(fd, BACKLOG) < 0) {
    const error = libc.error('listen', text);
    libc.close(fd);
    throw error;
  }
  const address = Buffer.alloc(LARGEST);
  const length = Buffer.alloc(4);
  const buffer = Buffer.alloc(OF_STREAM);
  return {
    fd,
    accept() {
      length.writeUInt32LE(LARGEST);
      const accepted = libc.accept(fd, address, length);
      if (accepted < 0) return null;
      const from = decodeInetName(libc.platform.system, Buffer.from(address));
      if (from === null) {
        libc.close(accepted);
        return null;
      }
      setNonBlocking(libc, accepted);
      return {
        fd: accepted,
        from,
        receive() {
          const count = libc.recv(accepted, buffer, buffer.length, 0);
          if (count > 0) return buffer.subarray(0, count);
          if (count === 0) return 'end';
          const why = libc.failure();
          return why === 'EAGAIN' || why === 'EINTR' ? null : 'end';
        },
        close: () => void libc.close(accepted),
      };
    },
    close: () => void libc.close(fd),
  };
}
