/** rtnetlink(7): interfaces and routes of this network namespace. No privilege needed. */
import type { Libc } from '../engine.ts';
import { at, i32, struct, u8, u16, u32 } from '../struct.ts';
import {
  AF_INET,
  AF_INET6,
  AF_UNSPEC,
  ARPHRD_LOOPBACK,
  IFLA_IFNAME,
  IFLA_MASTER,
  NETLINK_ROUTE,
  NLM_F_DUMP,
  NLM_F_REQUEST,
  RTA_DST,
  RTA_GATEWAY,
  RTA_MULTIPATH,
  RTA_OIF,
  RTA_VIA,
  RTM_GETLINK,
  RTM_GETROUTE,
  RTM_NEWLINK,
  RTM_NEWROUTE,
  RTN_LOCAL,
  RTN_UNICAST,
} from './constants.ts';
import {
  attributes,
  attributeText,
  forEachAttribute,
  type Message,
  nlmsghdr,
  openNetlink,
} from './netlink.ts';

/** struct ifinfomsg (linux/rtnetlink.h). */
export const ifinfomsg = struct('ifinfomsg', 16, {
  ifi_family: at(0, u8),
  ifi_type: at(2, u16),
  ifi_index: at(4, i32),
  ifi_flags: at(8, u32),
});

/** struct rtmsg. */
export const rtmsg = struct('rtmsg', 12, {
  rtm_family: at(0, u8),
  rtm_dst_len: at(1, u8),
  rtm_type: at(7, u8),
});

/** struct rtnexthop, the head of each next hop of a multipath route. */
export const rtnexthop = struct('rtnexthop', 8, {
  rtnh_len: at(0, u16),
  rtnh_ifindex: at(4, i32),
});

export interface LinuxLink {
  readonly index: number;
  readonly name: string;
  /** Index of the bridge, VRF or bond that it is part of; 0 where there is none. */
  readonly master: number;
  readonly isLoopback: boolean;
}

export interface LinuxRoute {
  /** The destination's four or sixteen bytes, and how many bits of them count. */
  readonly bytes: Buffer;
  readonly prefix: number;
  /** Indices of the interfaces that it leads through. */
  readonly interfaces: readonly number[];
  /** To an address of this machine. */
  readonly isLocal: boolean;
  readonly hasGateway: boolean;
}

const SOCKET_BUFFER = 1024 * 1024;

/** Every interface. Throws SystemError; EINTR when they changed meanwhile. */
export function listLinks(libc: Libc): LinuxLink[] {
  const links: LinuxLink[] = [];
  dump(libc, RTM_GETLINK, AF_UNSPEC, ifinfomsg.size, ({ type, bytes, start, end }) => {
    if (type !== RTM_NEWLINK || end - start < ifinfomsg.size) return;
    const found = attributes(bytes, start + ifinfomsg.size, end);
    const name = found.get(IFLA_IFNAME);
    const master = found.get(IFLA_MASTER);
    if (name === undefined) return;
    links.push({
      index: ifinfomsg.get('ifi_index', bytes, start),
      name: attributeText(name),
      master: master === undefined || master.length < 4 ? 0 : master.readInt32LE(),
      isLoopback: ifinfomsg.get('ifi_type', bytes, start) === ARPHRD_LOOPBACK,
    });
  });
  return links;
}

/**
 * Calls `visit` with every route of all tables that packets are sent by, both families, and with those to own
 * addresses; not with those that refuse. Throws SystemError; EINTR when they changed meanwhile.
 */
export function forEachRoute(libc: Libc, visit: (route: LinuxRoute) => void): void {
  for (const family of [AF_INET, AF_INET6]) {
    dump(libc, RTM_GETROUTE, family, rtmsg.size, (message) => {
      const route = message.type === RTM_NEWROUTE ? readRoute(message, family) : null;
      if (route !== null) visit(route);
    });
  }
}

function readRoute({ bytes, start, end }: Message, family: number): LinuxRoute | null {
  if (end - start < rtmsg.size) return null;
  const type = rtmsg.get('rtm_type', bytes, start);
  if (type !== RTN_UNICAST && type !== RTN_LOCAL) return null;
  const length = family === AF_INET ? 4 : 16;
  const prefix = rtmsg.get('rtm_dst_len', bytes, start);
  const destination = Buffer.alloc(length);
  const interfaces: number[] = [];
  let hasGateway = false;
  forEachAttribute(bytes, start + rtmsg.size, end, (attribute, from, to) => {
    if (attribute === RTA_DST && to - from === length) bytes.copy(destination, 0, from, to);
    else if (attribute === RTA_OIF && to - from >= 4) interfaces.push(bytes.readInt32LE(from));
    else if (attribute === RTA_GATEWAY || attribute === RTA_VIA) hasGateway = true;
    else if (attribute === RTA_MULTIPATH) {
      hasGateway = true;
      interfaces.push(...nextHops(bytes, from, to));
    }
  });
  if (prefix > length * 8) return null;
  return { bytes: destination, prefix, interfaces, isLocal: type === RTN_LOCAL, hasGateway };
}

function nextHops(bytes: Buffer, from: number, to: number): number[] {
  const found: number[] = [];
  for (let at = from; at + rtnexthop.size <= to; ) {
    const length = rtnexthop.get('rtnh_len', bytes, at);
    if (length < rtnexthop.size) break;
    found.push(rtnexthop.get('rtnh_ifindex', bytes, at));
    at += (length + 3) & ~3;
  }
  return found;
}

function dump(
  libc: Libc,
  type: number,
  family: number,
  size: number,
  visit: (message: Message) => void,
): void {
  const socket = openNetlink(libc, SOCKET_BUFFER, NETLINK_ROUTE);
  try {
    const request = Buffer.alloc(nlmsghdr.size + size);
    nlmsghdr
      .encode({
        nlmsg_len: request.length,
        nlmsg_type: type,
        nlmsg_flags: NLM_F_REQUEST | NLM_F_DUMP,
        nlmsg_seq: socket.sequence(),
      })
      .copy(request);
    request[nlmsghdr.size] = family;
    socket.dump(type === RTM_GETLINK ? 'RTM_GETLINK' : 'RTM_GETROUTE', request, visit);
  } finally {
    socket.close();
  }
}
