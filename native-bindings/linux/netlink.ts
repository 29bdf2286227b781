/**
 * netlink(7): messages are written into one buffer that is used again and again, and read where they lie.
 * Every read is bounded by the message and by the bytes received.
 */
import type { Libc } from '../engine.ts';
import { SystemError } from '../errno.ts';
import { at, be16, i32, struct, u8, u16, u32 } from '../struct.ts';
import {
  AF_NETLINK,
  MSG_DONTWAIT,
  NETLINK_CAP_ACK,
  NETLINK_EXT_ACK,
  NETLINK_NETFILTER,
  NLA_F_NESTED,
  NLA_TYPE_MASK,
  NLM_F_ACK_TLVS,
  NLM_F_DUMP_INTR,
  NLMSG_DONE,
  NLMSG_ERROR,
  NLMSGERR_ATTR_MSG,
  SO_RCVBUF,
  SO_RCVBUFFORCE,
  SO_SNDBUF,
  SO_SNDBUFFORCE,
  SOCK_CLOEXEC,
  SOCK_RAW,
  SOL_NETLINK,
  SOL_SOCKET,
} from './constants.ts';

/** struct sockaddr_nl (linux/netlink.h). */
export const sockaddrNl = struct('sockaddr_nl', 12, {
  nl_family: at(0, u16),
  nl_pid: at(4, u32),
  nl_groups: at(8, u32),
});

/** struct nlmsghdr. */
export const nlmsghdr = struct('nlmsghdr', 16, {
  nlmsg_len: at(0, u32),
  nlmsg_type: at(4, u16),
  nlmsg_flags: at(6, u16),
  nlmsg_seq: at(8, u32),
  nlmsg_pid: at(12, u32),
});

/** struct nfgenmsg (linux/netfilter/nfnetlink.h): what follows nlmsghdr in every netfilter message. */
export const nfgenmsg = struct('nfgenmsg', 4, {
  nfgen_family: at(0, u8),
  version: at(1, u8),
  res_id: at(2, be16),
});

/** struct nlmsgerr; the header of the message it answers follows the errno, which is negative or zero. */
export const nlmsgerr = struct('nlmsgerr', 20, {
  error: at(0, i32),
  msg: at(4, nlmsghdr),
});

export const NLMSG_HDRLEN = nlmsghdr.size;
/** Bytes before the first attribute of a netfilter message. */
export const NETFILTER_HEADER = NLMSG_HDRLEN + nfgenmsg.size;
export const NLA_HDRLEN = 4;
/** An attribute's length is 16 bits, its header included. */
export const ATTRIBUTE_MAX = 0xffff - NLA_HDRLEN;

function aligned(length: number): number {
  return (length + 3) & ~3;
}

/** Writes netlink messages one after another. Integers are in network order, as all of netfilter's are. */
export interface MessageWriter {
  /** How many bytes are written so far. */
  readonly length: number;
  /** Forgets what was written. */
  reset(): void;
  /** Starts a netfilter message. Ends the one before. */
  message(type: number, flags: number, sequence: number, family: number, resource: number): void;
  /** Sets further flags of the message begun last. */
  addFlags(flags: number): void;
  u8(type: number, value: number): void;
  be16(type: number, value: number): void;
  be32(type: number, value: number): void;
  /** A NUL-terminated string; `before`, if given, are bytes of the same attribute. */
  text(type: number, value: string, before?: readonly number[]): void;
  bytes(type: number, value: Uint8Array): void;
  /** Writes an attribute of attributes; `contents` writes these. */
  nest(type: number, contents: () => void): void;
  /** The same in two steps: what `begin` returns is given to `end`, once all that belongs into it is written. */
  begin(type: number): number;
  end(begun: number): void;
  /** Everything written since `reset`: a view. */
  contents(): Buffer;
}

const NOTHING: readonly number[] = [];

/** A writer over a buffer that grows as needed from `size` bytes. */
export function messageWriter(size = 4096): MessageWriter {
  let buffer = Buffer.alloc(size);
  let length = 0;
  let start = -1;

  const room = (bytes: number): void => {
    if (length + bytes <= buffer.length) return;
    const larger = Buffer.alloc(Math.max(buffer.length * 2, length + bytes));
    buffer.copy(larger, 0, 0, length);
    buffer = larger;
  };
  const put16 = (value: number, at: number): void => {
    buffer[at] = value;
    buffer[at + 1] = value >>> 8;
  };
  const put32 = (value: number, at: number): void => {
    put16(value, at);
    put16(value >>> 16, at + 2);
  };
  // May replace `buffer`: what it returns is a place in the buffer there is afterwards.
  const header = (type: number, bytes: number): number => {
    if (bytes > ATTRIBUTE_MAX)
      throw new RangeError(`netlink attribute ${type} of ${bytes} bytes: expected at most ${ATTRIBUTE_MAX}`);
    const space = NLA_HDRLEN + aligned(bytes);
    room(space);
    put16(NLA_HDRLEN + bytes, length);
    put16(type, length + 2);
    const value = length + NLA_HDRLEN;
    length += space;
    for (let at = value + bytes; at < length; at++) buffer[at] = 0;
    return value;
  };
  const finish = (): void => {
    if (start >= 0) put32(length - start, start);
  };
  const begin = (type: number): number => {
    const begun = length;
    header(type | NLA_F_NESTED, 0);
    return begun;
  };
  const end = (begun: number): void => {
    const bytes = length - begun;
    if (bytes > 0xffff) {
      const type = buffer.readUInt16LE(begun + 2) & NLA_TYPE_MASK;
      throw new RangeError(`netlink attribute ${type} of ${bytes} bytes: expected at most 65535`);
    }
    put16(bytes, begun);
  };
  return {
    get length() {
      return length;
    },
    reset() {
      length = 0;
      start = -1;
    },
    message(type, flags, sequence, family, resource) {
      finish();
      start = length;
      room(NETFILTER_HEADER);
      put16(type, start + 4);
      put16(flags, start + 6);
      put32(sequence, start + 8);
      put32(0, start + 12);
      buffer[start + 16] = family;
      buffer[start + 17] = 0;
      buffer[start + 18] = resource >>> 8;
      buffer[start + 19] = resource;
      length = start + NETFILTER_HEADER;
    },
    addFlags(flags) {
      put16(buffer.readUInt16LE(start + 6) | flags, start + 6);
    },
    u8(type, value) {
      const place = header(type, 1);
      buffer[place] = value;
    },
    be16(type, value) {
      const place = header(type, 2);
      buffer.writeUInt16BE(value, place);
    },
    be32(type, value) {
      const place = header(type, 4);
      buffer.writeUInt32BE(value, place);
    },
    text(type, value, before = NOTHING) {
      const bytes = isAscii(value) ? value.length : Buffer.byteLength(value);
      let place = header(type, before.length + bytes + 1);
      for (const byte of before) buffer[place++] = byte;
      if (bytes === value.length) {
        for (let at = 0; at < bytes; at++) buffer[place + at] = value.charCodeAt(at);
      } else {
        buffer.write(value, place);
      }
      buffer[place + bytes] = 0;
    },
    bytes(type, value) {
      const place = header(type, value.length);
      if (value.length > FEW) buffer.set(value, place);
      else for (let at = 0; at < value.length; at++) buffer[place + at] = value[at]!;
    },
    nest(type, contents) {
      const begun = begin(type);
      contents();
      end(begun);
    },
    begin,
    end,
    contents() {
      finish();
      return buffer.subarray(0, length);
    },
  };
}

/** Bytes up to which a loop copies them faster than a call. */
const FEW = 64;

function isAscii(text: string): boolean {
  for (let at = 0; at < text.length; at++) if (text.charCodeAt(at) > 0x7f) return false;
  return true;
}

/** One message where it lies: its payload, after nlmsghdr, is `bytes` from `start` to `end`. */
export interface Message {
  readonly type: number;
  readonly flags: number;
  readonly sequence: number;
  readonly bytes: Buffer;
  readonly start: number;
  readonly end: number;
}

/** Visits the messages in `bytes`. Stops at one that claims more than there is. */
export function forEachMessage(bytes: Buffer, visit: (message: Message) => void): void {
  let start = 0;
  while (start + NLMSG_HDRLEN <= bytes.length) {
    const length = bytes.readUInt32LE(start);
    if (length < NLMSG_HDRLEN || length > bytes.length - start) return;
    visit({
      type: bytes.readUInt16LE(start + 4),
      flags: bytes.readUInt16LE(start + 6),
      sequence: bytes.readUInt32LE(start + 8),
      bytes,
      start: start + NLMSG_HDRLEN,
      end: start + length,
    });
    start += aligned(length);
  }
}

/** Visits the attributes of `bytes` from `start` to `end`: type, and where the value begins and ends. */
export function forEachAttribute(
  bytes: Buffer,
  start: number,
  end: number,
  visit: (type: number, from: number, to: number) => void,
): void {
  let at = start;
  while (at + NLA_HDRLEN <= end) {
    const length = bytes.readUInt16LE(at);
    if (length < NLA_HDRLEN || length > end - at) return;
    visit(bytes.readUInt16LE(at + 2) & NLA_TYPE_MASK, at + NLA_HDRLEN, at + length);
    at += aligned(length);
  }
}

/** Where the value of the first attribute of `type` begins, or -1: for where nothing may be allocated. */
export function findAttribute(bytes: Buffer, start: number, end: number, type: number): number {
  let at = start;
  while (at + NLA_HDRLEN <= end) {
    const length = bytes[at]! | (bytes[at + 1]! << 8);
    if (length < NLA_HDRLEN || length > end - at) return -1;
    if (((bytes[at + 2]! | (bytes[at + 3]! << 8)) & NLA_TYPE_MASK) === type) return at + NLA_HDRLEN;
    at += aligned(length);
  }
  return -1;
}

/** Where the value of an attribute that `findAttribute` found ends. */
export function valueEnd(bytes: Buffer, from: number): number {
  return from - NLA_HDRLEN + (bytes[from - 4]! | (bytes[from - 3]! << 8));
}

/** The attributes by type, as views. Of two of one type the later counts. */
export function attributes(bytes: Buffer, start = 0, end = bytes.length): Map<number, Buffer> {
  const found = new Map<number, Buffer>();
  forEachAttribute(bytes, start, end, (type, from, to) => found.set(type, bytes.subarray(from, to)));
  return found;
}

/** The value of a text attribute, without its NUL. */
export function attributeText(value: Buffer): string {
  const nul = value.indexOf(0);
  return value.toString('utf8', 0, nul < 0 ? value.length : nul);
}

/** A netlink socket. All calls are synchronous: the kernel answers before `send` returns. */
export interface NetlinkSocket {
  readonly fd: number;
  /** Sequence number for the next message. */
  sequence(): number;
  /** Sends messages. Throws SystemError with `call`. */
  send(call: string, messages: Buffer): void;
  /** One datagram without waiting: its length, or -1 with `libc.failure()`: EAGAIN, ENOBUFS (some were lost). */
  receive(buffer: Buffer): number;
  /**
   * Sends messages of which the last asks for an acknowledgement, and takes the answers. Throws SystemError with
   * the first error the kernel reports: `call` as given, the kernel's own words as its subject. `visit` sees what
   * the kernel says of messages with NLM_F_ECHO.
   */
  transact(call: string, messages: Buffer, visit?: (message: Message) => void): void;
  /**
   * Sends a dump request and visits every message of the answer. Throws SystemError; EINTR when the table changed
   * under the dump, which is then incomplete.
   */
  dump(call: string, request: Buffer, visit: (message: Message) => void): void;
  close(): void;
}

/** A dump's datagrams are at most this long. */
const DATAGRAM = 64 * 1024;
/** Room for a batch of some thousand elements and for its answers. */
const SOCKET_BUFFER = 4 * 1024 * 1024;

/** Opens a NETLINK_NETFILTER socket, or another's. Netfilter's messages need CAP_NET_ADMIN, also later. */
export function openNetlink(
  libc: Libc,
  bufferSize = SOCKET_BUFFER,
  protocol = NETLINK_NETFILTER,
): NetlinkSocket {
  const fd = libc.check('socket', libc.socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, protocol), 'netlink');
  const own = sockaddrNl.encode({ nl_family: AF_NETLINK });
  libc.check('bind', libc.bind(fd, own, own.length), 'netlink');
  raiseBuffer(libc, fd, SO_SNDBUFFORCE, SO_SNDBUF, bufferSize);
  raiseBuffer(libc, fd, SO_RCVBUFFORCE, SO_RCVBUF, bufferSize);
  setOption(libc, fd, SOL_NETLINK, NETLINK_CAP_ACK, 1);
  setOption(libc, fd, SOL_NETLINK, NETLINK_EXT_ACK, 1);

  const kernel = sockaddrNl.encode({ nl_family: AF_NETLINK });
  const answer = Buffer.alloc(DATAGRAM);
  let sequence = 0;

  const send = (call: string, messages: Buffer): void => {
    libc.check(call, libc.sendto(fd, messages, messages.length, 0, kernel, kernel.length));
  };
  const receive = (buffer: Buffer): number => libc.recv(fd, buffer, buffer.length, MSG_DONTWAIT);

  return {
    fd,
    sequence: () => ++sequence,
    send,
    receive,
    transact(call, messages, visit = () => {}) {
      send(call, messages);
      let failure: SystemError | undefined;
      let acknowledged = false;
      for (;;) {
        const length = receive(answer);
        if (length < 0) {
          const code = libc.failure();
          if (code === 'EINTR') continue;
          if (code === 'EAGAIN') break;
          failure ??= libc.error(call);
          continue;
        }
        forEachMessage(answer.subarray(0, length), (message) => {
          if (message.type !== NLMSG_ERROR) return visit(message);
          const error = errorOf(libc, call, message);
          failure ??= error;
          acknowledged ||= error === undefined;
        });
        // The last message asked for the acknowledgement, so it is the last answer.
        if (acknowledged && failure === undefined) return;
      }
      if (failure !== undefined) throw failure;
      if (!acknowledged) throw new Error(`${call}: the kernel did not acknowledge it`);
    },
    dump(call, request, visit) {
      send(call, request);
      let done = false;
      let failure: SystemError | undefined;
      while (!done) {
        const length = receive(answer);
        if (length < 0) {
          if (libc.failure() === 'EINTR') continue;
          throw libc.error(call);
        }
        forEachMessage(answer.subarray(0, length), (message) => {
          if (message.type === NLMSG_ERROR) {
            failure ??= errorOf(libc, call, message);
            done = true;
          } else if (message.type === NLMSG_DONE) {
            done = true;
          } else {
            visit(message);
          }
          if ((message.flags & NLM_F_DUMP_INTR) !== 0)
            failure ??= new SystemError('linux', call, 4, 'changed meanwhile');
        });
      }
      if (failure !== undefined) throw failure;
    },
    close() {
      libc.close(fd);
    },
  };
}

/** The error that an NLMSG_ERROR carries, or undefined for an acknowledgement. */
function errorOf(libc: Libc, call: string, { bytes, start, end, flags }: Message): SystemError | undefined {
  if (end - start < nlmsgerr.size) return undefined;
  const number = -bytes.readInt32LE(start);
  if (number === 0) return undefined;
  let words = '';
  // With NETLINK_CAP_ACK only the header of the refused message is echoed, and the attributes follow it.
  if ((flags & NLM_F_ACK_TLVS) !== 0) {
    const text = attributes(bytes, start + nlmsgerr.size, end).get(NLMSGERR_ATTR_MSG);
    if (text !== undefined) words = attributeText(text);
  }
  return new SystemError(libc.platform.system, call, number, words);
}

function raiseBuffer(libc: Libc, fd: number, force: number, plain: number, size: number): void {
  if (!setOption(libc, fd, SOL_SOCKET, force, size)) setOption(libc, fd, SOL_SOCKET, plain, size);
}

/** Sets an integer option; false when the kernel refuses. */
export function setOption(libc: Libc, fd: number, level: number, option: number, value: number): boolean {
  const argument = Buffer.alloc(4);
  argument.writeInt32LE(value);
  return libc.setsockopt(fd, level, option, argument, argument.length) === 0;
}
