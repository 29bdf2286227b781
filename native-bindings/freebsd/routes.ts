/** The routing table as sysctl(3) gives it: CTL_NET, PF_ROUTE, NET_RT_DUMP; route(4). No privilege needed. */
import type { Libc } from '../engine.ts';
import { at, i32, struct, u8, u16 } from '../struct.ts';
import {
  AF_INET,
  AF_INET6,
  CTL_NET,
  NET_RT_DUMP,
  PF_ROUTE,
  RTA_DST,
  RTA_NETMASK,
  RTF_BLACKHOLE,
  RTF_GATEWAY,
  RTF_HOST,
  RTF_REJECT,
} from './constants.ts';

/** struct rt_msghdr (net/route.h). Socket addresses follow, those whose bit is in `rtm_addrs`, in order. */
const rtMsghdr = struct('rt_msghdr', 152, {
  rtm_msglen: at(0, u16),
  rtm_version: at(2, u8),
  rtm_type: at(3, u8),
  rtm_index: at(4, u16),
  rtm_flags: at(8, i32),
  rtm_addrs: at(12, i32),
});

interface FreebsdRoute {
  readonly family: 4 | 6;
  /** The destination's four or sixteen bytes, and how many bits of them count. */
  readonly bytes: Buffer;
  readonly prefix: number;
  /** Index of the interface that it leads through. */
  readonly interface: number;
  readonly hasGateway: boolean;
}

/** RTM_VERSION of FreeBSD 5 to 15. */
const VERSION = 5;
/** Where the address lies in a sockaddr_in and a sockaddr_in6. */
const PLACES = { 4: 4, 6: 8 } as const;
/** The table may grow between the question for its size and that for its contents. */
const SPARE = 16 * 1024;

/**
 * Calls `visit` with every route that packets are sent by, both families, of the first FIB; not with those that
 * refuse. Throws SystemError; ENOMEM when the table grew faster than it could be read.
 */
export function forEachRoute(libc: Libc, visit: (route: FreebsdRoute) => void): void {
  for (const [family, number] of [
    [4, AF_INET],
    [6, AF_INET6],
  ] as const) {
    const table = readTable(libc, number);
    let offset = 0;
    while (offset + rtMsghdr.size <= table.length) {
      const length = rtMsghdr.get('rtm_msglen', table, offset);
      if (length < rtMsghdr.size || offset + length > table.length) break;
      const route = readRoute(table.subarray(offset, offset + length), family);
      if (route !== null) visit(route);
      offset += length;
    }
  }
}

function readTable(libc: Libc, family: number): Buffer {
  const mib = Buffer.alloc(24);
  [CTL_NET, PF_ROUTE, 0, family, NET_RT_DUMP, 0].forEach((part, index) => {
    mib.writeInt32LE(part, index * 4);
  });
  const length = Buffer.alloc(8);
  libc.check('sysctl', libc.sysctl(mib, 6, null, length, null, 0), 'net.routetable');
  const size = Number(length.readBigUInt64LE()) + SPARE;
  const table = Buffer.alloc(size);
  length.writeBigUInt64LE(BigInt(size));
  libc.check('sysctl', libc.sysctl(mib, 6, table, length, null, 0), 'net.routetable');
  return table.subarray(0, Number(length.readBigUInt64LE()));
}

/** One message; null where it is of no use here. */
function readRoute(message: Buffer, family: 4 | 6): FreebsdRoute | null {
  const { rtm_version, rtm_index, rtm_flags, rtm_addrs } = rtMsghdr.decode(message);
  if (rtm_version !== VERSION || (rtm_flags & (RTF_REJECT | RTF_BLACKHOLE)) !== 0) return null;
  const width = family === 4 ? 4 : 16;
  const bytes = Buffer.alloc(width);
  let mask: Buffer | null = null;
  let offset = rtMsghdr.size;
  for (let bit = RTA_DST; bit <= RTA_NETMASK && offset < message.length; bit <<= 1) {
    if ((rtm_addrs & bit) === 0) continue;
    const length = message[offset]!;
    const address = message.subarray(offset + PLACES[family], Math.min(offset + length, message.length));
    if (bit === RTA_DST) address.copy(bytes, 0, 0, width);
    if (bit === RTA_NETMASK) mask = address;
    // SA_SIZE (net/route.h): rounded up to a long, and a long where it is empty.
    offset += length === 0 ? 8 : (length + 7) & ~7;
  }
  const isHost = (rtm_flags & RTF_HOST) !== 0;
  const prefix = isHost ? width * 8 : mask === null ? 0 : bitsOf(mask.subarray(0, width));
  if (family === 6) withoutScope(bytes);
  return { family, bytes, prefix, interface: rtm_index, hasGateway: (rtm_flags & RTF_GATEWAY) !== 0 };
}

/** Ones at the beginning of a netmask, which may be cut after its last byte that is not 0. */
function bitsOf(mask: Buffer): number {
  let bits = 0;
  for (const byte of mask) {
    bits += Math.clz32(~(byte << 24));
    if (byte !== 0xff) break;
  }
  return bits;
}

/** The kernel keeps the interface of a link-local address in its second group. */
function withoutScope(bytes: Buffer): void {
  if (bytes[0] === 0xfe && (bytes[1]! & 0xc0) === 0x80) bytes.fill(0, 2, 4);
}
