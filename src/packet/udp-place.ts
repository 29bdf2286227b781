import type { Buffer } from 'node:buffer';
import { uint16 } from './uint16.ts';

/** Where a UDP datagram lies in the bytes of a frame. */
export interface UdpPlace {
  /** Its IP header. */
  ip: number;
  isIPv6: boolean;
  /** The first byte of its payload, and the one behind the last. */
  payload: number;
  end: number;
}

export function newUdpPlace(): UdpPlace {
  return { ip: 0, isIPv6: false, payload: 0, end: 0 };
}

const ETHERNET = 1;
const LINUX_SLL = 113;
const LINUX_SLL2 = 276;
const RAW: ReadonlySet<number> = new Set([12, 14, 101, 228, 229]);
const UDP = 17;
const IPV4 = 0x0800;
const IPV6 = 0x86dd;
const VLAN = 0x8100;

/**
 * Finds the datagram in a frame that holds just that: whole, not fragmented, without extension headers, behind a link-layer
 * header of fixed length with one VLAN tag at most. False says only that `findPacket` and `readPacket` have to look.
 */
export function findUdp(
  linkType: number,
  bytes: Buffer,
  start: number,
  end: number,
  place: UdpPlace,
): boolean {
  const ip = ipAt(linkType, bytes, start);
  if (ip < 0 || ip + 28 > end) return false;
  const version = bytes[ip]! >> 4;
  if (version === 4) return inIPv4(bytes, ip, end, place);
  return version === 6 && inIPv6(bytes, ip, end, place);
}

/** Where the IP header should be; -1 where that is not as simple. */
function ipAt(linkType: number, bytes: Buffer, start: number): number {
  if (linkType === ETHERNET) return behindEtherType(bytes, start + 12);
  if (linkType === LINUX_SLL) return isIp(uint16(bytes, start + 14)) ? start + 16 : -1;
  if (linkType === LINUX_SLL2) return isIp(uint16(bytes, start)) ? start + 20 : -1;
  return RAW.has(linkType) ? start : -1;
}

function behindEtherType(bytes: Buffer, at: number): number {
  const type = uint16(bytes, at);
  if (isIp(type)) return at + 2;
  return type === VLAN && isIp(uint16(bytes, at + 4)) ? at + 6 : -1;
}

function isIp(type: number): boolean {
  return type === IPV4 || type === IPV6;
}

function inIPv4(bytes: Buffer, ip: number, end: number, place: UdpPlace): boolean {
  const headerLength = (bytes[ip]! & 0x0f) << 2;
  if (headerLength < 20 || bytes[ip + 9] !== UDP) return false;
  if ((uint16(bytes, ip + 6) & 0x3fff) !== 0) return false;
  const last = ip + uint16(bytes, ip + 2);
  return last <= end && isWhole(bytes, ip, false, ip + headerLength, last, place);
}

function inIPv6(bytes: Buffer, ip: number, end: number, place: UdpPlace): boolean {
  if (ip + 48 > end || bytes[ip + 6] !== UDP) return false;
  const last = ip + 40 + uint16(bytes, ip + 4);
  return last <= end && isWhole(bytes, ip, true, ip + 40, last, place);
}

function isWhole(
  bytes: Buffer,
  ip: number,
  isIPv6: boolean,
  udp: number,
  last: number,
  place: UdpPlace,
): boolean {
  if (udp + 8 > last) return false;
  const length = uint16(bytes, udp + 4);
  if (length < 8 || udp + length > last) return false;
  place.ip = ip;
  place.isIPv6 = isIPv6;
  place.payload = udp + 8;
  place.end = udp + length;
  return true;
}
