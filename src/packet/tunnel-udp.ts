import type { Buffer } from 'node:buffer';
import type { PacketError } from './ip.ts';
import { fromEthernet, fromPpp, type LinkError } from './link.ts';

/** What is inside a datagram of a tunnel: from its IP header on; null where that is no IP. */
type Inside = Buffer | LinkError | PacketError | null;

const VXLAN_HEADER = 8;

/** VXLAN (RFC 7348): 8 bytes with the I flag, then an Ethernet frame. */
function fromVxlan(bytes: Buffer): Inside {
  if (bytes.length < VXLAN_HEADER || (bytes[0]! & 0x08) === 0) return null;
  return fromEthernet(bytes.subarray(VXLAN_HEADER));
}

/** Geneve (RFC 8926): version and length of the options in units of 4 bytes, flags, EtherType of what follows. */
function fromGeneve(bytes: Buffer): Inside {
  if (bytes.length < 8 || bytes[0]! >> 6 !== 0) return null;
  const start = 8 + (bytes[0]! & 0x3f) * 4;
  if (bytes.length < start) return 'tunnel-header';
  const inside = bytes.subarray(start);
  const type = bytes.readUInt16BE(2);
  if (type === 0x6558) return fromEthernet(inside);
  return type === 0x0800 || type === 0x86dd ? inside : null;
}

/**
 * L2TP version 2, data messages (RFC 2661 3.1): flags and version, length, tunnel, session, numbers, an offset; those but
 * tunnel and session only where their flag is set. Then PPP, its compressed or encrypted packets left out.
 */
function fromL2tp(bytes: Buffer): Inside {
  if (bytes.length < 6) return null;
  const flags = bytes.readUInt16BE(0);
  const isControl = (flags & 0x8000) !== 0;
  if (isControl || (flags & 0x0f) !== 2) return null;
  let at = ((flags & 0x4000) !== 0 ? 4 : 2) + 4;
  if ((flags & 0x0800) !== 0) at += 4;
  if ((flags & 0x0200) !== 0) {
    if (bytes.length < at + 2) return 'tunnel-header';
    at += 2 + bytes.readUInt16BE(at);
  }
  return bytes.length < at + 2 ? 'tunnel-header' : fromPpp(bytes.subarray(at));
}

/** Readers of what is inside a datagram, by its UDP port. 8472 is what Linux used before VXLAN had a port of its own. */
export const UDP_TUNNELS: ReadonlyMap<number, (bytes: Buffer) => Inside> = new Map([
  [4789, fromVxlan],
  [8472, fromVxlan],
  [6081, fromGeneve],
  [1701, fromL2tp],
]);
