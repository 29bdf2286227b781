import { Buffer } from 'node:buffer';
import type { Address, Family } from '../address/address.ts';
import { cachedIPv4, cachedIPv6, readInt32 } from '../address/address-cache.ts';

/**
 * One IP packet, read but not copied: `payload` is a window on the caller's bytes and lives as long as they do.
 * Checksums are not verified: with checksum offload a packet on its way out, or captured on the sending host,
 * has none yet, and the receiver checks them anyway.
 */
export interface PacketView {
  /** The version of the IP header. */
  readonly family: Family;
  /** `other` also for a fragment, whose bytes are no transport header to be trusted before reassembly. */
  readonly protocol: 'udp' | 'tcp' | 'other';
  /** IANA protocol number behind the last extension header; for a fragment that of what was fragmented. */
  readonly protocolNumber: number;
  readonly source: Address;
  readonly destination: Address;
  /** 0 unless `protocol` is udp or tcp. */
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** What follows the UDP or TCP header; for everything else what follows the IP headers. */
  readonly payload: Buffer;
  /**
   * How many bytes of the payload the headers announce beyond those at hand: a capture with a short snap
   * length. Nothing may be opened on the word of such a packet.
   */
  readonly missing: number;
  readonly fragment: Fragment | null;
  readonly tcp: TcpFields | null;
}

interface Fragment {
  /** Identification: 16 bits in IPv4, 32 bits in IPv6. */
  readonly id: number;
  /** Where the payload belongs in the datagram, in bytes. */
  readonly offset: number;
  /** False in the last fragment. */
  readonly more: boolean;
}

export interface TcpFields {
  /** Sequence and acknowledgement number, unsigned. */
  readonly seq: number;
  readonly ack: number;
  /** The flag byte: TCP_FIN to TCP_URG, CWR and ECE. */
  readonly flags: number;
}

export const TCP_FIN = 0x01;
export const TCP_SYN = 0x02;
export const TCP_RST = 0x04;
export const TCP_ACK = 0x10;
export const TCP_URG = 0x20;

/** What is wrong with a packet. A name, not an exception: hostile bytes are the ordinary case here. */
export type PacketError = keyof typeof PACKET_ERRORS;

/** Every PacketError in a sentence, for logs and documentation. */
export const PACKET_ERRORS = {
  'ip-short': 'fewer bytes than the IP header needs',
  'ip-version': 'neither IP version 4 nor 6',
  'ipv4-header-length': 'IPv4 header length below 20 bytes',
  'ipv4-total-length': 'IPv4 total length shorter than the header',
  'ipv6-jumbogram': 'IPv6 payload length 0: a jumbogram (RFC 2675) or damage',
  'ipv6-mapped-address': 'IPv4-mapped address in an IPv6 header, which no host accepts from the wire',
  'ipv6-routing-header': 'IPv6 routing header type 0 (RFC 5095)',
  'ipv6-extension-chain': 'IPv6 extension headers too many, out of place or longer than the packet',
  'fragment-length': 'fragment is empty, cut short, or not last and not a multiple of 8 bytes long',
  'fragment-too-long': 'fragments reach beyond 65,535 bytes',
  'fragment-overlap': 'fragments overlap (RFC 5722)',
  'fragment-limit': 'datagram in more fragments than are kept',
  'udp-header': 'fewer bytes than the UDP header needs',
  'udp-length': 'UDP length below 8 or beyond the IP payload',
  'tcp-header': 'fewer bytes than the TCP header needs',
  'tcp-data-offset': 'TCP data offset below 5 or beyond the segment',
  'tunnel-header': 'tunnel header is damaged or of an unknown version',
  'tunnel-depth': 'more tunnels inside each other than are followed',
} as const;

export const PROTOCOL_IPV4 = 4;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;
export const PROTOCOL_IPV6 = 41;
export const PROTOCOL_GRE = 47;

const HOP_BY_HOP = 0;
const ROUTING = 43;
const FRAGMENT = 44;
const AUTHENTICATION = 51;
const NO_NEXT_HEADER = 59;
const DESTINATION_OPTIONS = 60;
const MAX_EXTENSION_HEADERS = 8;
const NOTHING: Buffer = Buffer.alloc(0);

/**
 * Reads the packet that starts with the IP header at `bytes[0]` (RFC 791, RFC 8200, RFC 768, RFC 9293). Bytes
 * behind the packet's own length (Ethernet padding) are left out of the payload.
 */
export function readPacket(bytes: Buffer): PacketView | PacketError {
  if (bytes.length < 20) return 'ip-short';
  const version = bytes[0]! >> 4;
  if (version === 4) return readIPv4(bytes);
  return version === 6 ? readIPv6(bytes) : 'ip-version';
}

function readIPv4(bytes: Buffer): PacketView | PacketError {
  const headerLength = (bytes[0]! & 0x0f) << 2;
  if (headerLength < 20) return 'ipv4-header-length';
  const protocol = bytes[9]!;
  const announced = readUint16(bytes, 2);
  // Segmentation offload: a sending host captures its large TCP segments before the length is filled in.
  const total = announced === 0 && protocol === PROTOCOL_TCP ? bytes.length : announced;
  if (total < headerLength) return 'ipv4-total-length';
  const end = Math.min(total, bytes.length);
  if (end < headerLength) return 'ip-short';

  const view = draft(4, cachedIPv4(bytes, 12), cachedIPv4(bytes, 16), total - end);
  const fragmentation = readUint16(bytes, 6);
  if ((fragmentation & 0x3fff) === 0) return readUpperLayer(view, protocol, bytes, headerLength, end, false);
  view.fragment = {
    id: readUint16(bytes, 4),
    offset: (fragmentation & 0x1fff) << 3,
    more: (fragmentation & 0x2000) !== 0,
  };
  return other(view, protocol, bytes.subarray(headerLength, end));
}

function readIPv6(bytes: Buffer): PacketView | PacketError {
  if (bytes.length < 40) return 'ip-short';
  const announced = readUint16(bytes, 4);
  const next = bytes[6]!;
  if (announced === 0 && next !== NO_NEXT_HEADER) return 'ipv6-jumbogram';
  if (isMapped(bytes, 8) || isMapped(bytes, 24)) return 'ipv6-mapped-address';
  const total = 40 + announced;
  const end = Math.min(total, bytes.length);
  const view = draft(6, cachedIPv6(bytes, 8), cachedIPv6(bytes, 24), total - end);
  return readUpperLayer(view, next, bytes, 40, end, true);
}

/** Reads a datagram put together from fragments; `protocolNumber` is that of the first one. */
export function readReassembled(
  fragment: PacketView,
  protocolNumber: number,
  bytes: Buffer,
): PacketView | PacketError {
  const view = draft(fragment.family, fragment.source, fragment.destination, 0);
  const whole = readUpperLayer(view, protocolNumber, bytes, 0, bytes.length, false);
  return view.fragment === null ? whole : 'ipv6-extension-chain';
}

type Draft = { -readonly [Member in keyof PacketView]: PacketView[Member] };

function draft(family: Family, source: Address, destination: Address, missing: number): Draft {
  return {
    family,
    protocol: 'other',
    protocolNumber: 0,
    source,
    destination,
    sourcePort: 0,
    destinationPort: 0,
    payload: NOTHING,
    missing,
    fragment: null,
    tcp: null,
  };
}

/**
 * Completes `view` with what follows the IP header, from `start` to `end`: extension headers and authentication
 * header, then UDP or TCP. Hop-by-hop options stand only right behind an IPv6 header, which `afterIPv6` says.
 */
function readUpperLayer(
  view: Draft,
  protocolNumber: number,
  bytes: Buffer,
  start: number,
  end: number,
  afterIPv6: boolean,
): PacketView | PacketError {
  let next = protocolNumber;
  let at = start;
  for (let headers = 0; ; headers++) {
    if (next === PROTOCOL_UDP) return readUdp(view, bytes, at, end);
    if (next === PROTOCOL_TCP) return readTcp(view, bytes, at, end);
    if (!isExtension(view.family, next)) return other(view, next, bytes.subarray(at, end));
    if (headers === MAX_EXTENSION_HEADERS || at + 8 > end) return 'ipv6-extension-chain';
    if (next === HOP_BY_HOP && !(afterIPv6 && headers === 0)) return 'ipv6-extension-chain';
    if (next === ROUTING && bytes[at + 2] === 0) return 'ipv6-routing-header';
    const following = bytes[at]!;
    if (next === FRAGMENT) {
      const field = readUint16(bytes, at + 2);
      const offset = field & 0xfff8;
      const more = (field & 1) !== 0;
      // Offset 0 and no more to come: an atomic fragment, which is whole (RFC 6946).
      if (offset !== 0 || more) {
        view.fragment = { id: readInt32(bytes, at + 4) >>> 0, offset, more };
        return other(view, following, bytes.subarray(at + 8, end));
      }
    }
    at += extensionLength(next, bytes[at + 1]!);
    next = following;
    if (at > end) return 'ipv6-extension-chain';
  }
}

function isExtension(family: Family, next: number): boolean {
  if (next === AUTHENTICATION) return true;
  return (
    family === 6 &&
    (next === HOP_BY_HOP || next === ROUTING || next === FRAGMENT || next === DESTINATION_OPTIONS)
  );
}

function extensionLength(header: number, field: number): number {
  if (header === FRAGMENT) return 8;
  return header === AUTHENTICATION ? (field + 2) << 2 : (field + 1) << 3;
}

function other(view: Draft, protocolNumber: number, payload: Buffer): PacketView {
  view.protocolNumber = protocolNumber;
  view.payload = payload;
  return view;
}

function readUdp(view: Draft, bytes: Buffer, at: number, end: number): PacketView | PacketError {
  if (at + 8 > end) return 'udp-header';
  const length = readUint16(bytes, at + 4);
  if (length < 8 || at + length > end + view.missing) return 'udp-length';
  const stop = Math.min(at + length, end);
  view.protocol = 'udp';
  view.protocolNumber = PROTOCOL_UDP;
  view.sourcePort = readUint16(bytes, at);
  view.destinationPort = readUint16(bytes, at + 2);
  view.payload = bytes.subarray(at + 8, stop);
  view.missing = at + length - stop;
  return view;
}

function readTcp(view: Draft, bytes: Buffer, at: number, end: number): PacketView | PacketError {
  if (at + 20 > end) return 'tcp-header';
  const dataAt = at + ((bytes[at + 12]! >> 4) << 2);
  if (dataAt < at + 20 || dataAt > end + view.missing) return 'tcp-data-offset';
  view.protocol = 'tcp';
  view.protocolNumber = PROTOCOL_TCP;
  view.sourcePort = readUint16(bytes, at);
  view.destinationPort = readUint16(bytes, at + 2);
  view.payload = bytes.subarray(Math.min(dataAt, end), end);
  view.missing -= Math.max(0, dataAt - end);
  view.tcp = {
    seq: readInt32(bytes, at + 4) >>> 0,
    ack: readInt32(bytes, at + 8) >>> 0,
    flags: bytes[at + 13]!,
  };
  return view;
}

function readUint16(bytes: Buffer, offset: number): number {
  return (bytes[offset]! << 8) | bytes[offset + 1]!;
}

function isMapped(bytes: Buffer, offset: number): boolean {
  return (
    readInt32(bytes, offset + 8) === 0xffff &&
    readInt32(bytes, offset) === 0 &&
    readInt32(bytes, offset + 4) === 0
  );
}
