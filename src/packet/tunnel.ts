import { Buffer } from 'node:buffer';
import { addressBytes } from '../address/address.ts';
import {
  type PacketError,
  type PacketView,
  PROTOCOL_GRE,
  PROTOCOL_IPV4,
  PROTOCOL_IPV6,
  readPacket,
} from './ip.ts';
import { fromEthernet, fromPpp, type LinkError } from './link.ts';
import { UDP_TUNNELS } from './tunnel-udp.ts';

/** How many tunnels inside each other are followed. */
export const MAX_TUNNELS = 4;

const GTP_USER_PORT = 2152;

/**
 * The packet inside a tunnel packet, one level down: IP in IP (RFC 2003, RFC 2473), GRE (RFC 2784, RFC 2890;
 * IP, Ethernet or ERSPAN inside), PPTP (RFC 2637; uncompressed, unencrypted), GTP-U (3GPP TS 29.281), VXLAN (RFC 7348),
 * Geneve (RFC 8926), L2TP (RFC 2661) and ESP without encryption (RFC 2410, over UDP as well: RFC 3948). Null when `view` is no tunnel packet or holds
 * something other than IP; what is wrong when it is damaged. The packet inside may be a fragment, or a tunnel
 * packet again: whoever calls this in turn stops after MAX_TUNNELS.
 */
export function readTunnel(view: PacketView): PacketView | PacketError | null {
  const inner = findInner(view);
  return inner === null || typeof inner === 'string' ? inner : readPacket(inner);
}

function findInner(view: PacketView): Buffer | PacketError | null {
  if (view.fragment !== null) return null;
  switch (view.protocolNumber) {
    case PROTOCOL_IPV4:
    case PROTOCOL_IPV6:
      return view.payload;
    case PROTOCOL_GRE:
      return fromGre(view.payload);
    case PROTOCOL_ESP:
      return fromEsp(view, view.payload);
    default: {
      if (
        view.protocol === 'udp' &&
        (view.destinationPort === NAT_T_PORT || view.sourcePort === NAT_T_PORT)
      ) {
        return view.payload.length > 4 && view.payload.readUInt32BE(0) !== 0
          ? fromEsp(view, view.payload)
          : null;
      }
      const inUdp = UDP_TUNNELS.get(view.destinationPort) ?? UDP_TUNNELS.get(view.sourcePort);
      if (inUdp !== undefined && view.protocol === 'udp') return ipInFrame(inUdp(view.payload));
      const gtp = view.destinationPort === GTP_USER_PORT || view.sourcePort === GTP_USER_PORT;
      return gtp && view.protocol === 'udp' ? fromGtp(view.payload) : null;
    }
  }
}

/**
 * GRE: two bytes of flags and version, the EtherType of the payload, then 4 bytes each for checksum, key and
 * sequence number where their flag is set. Source routing (RFC 1701) is gone.
 */
function fromGre(bytes: Buffer): Buffer | PacketError | null {
  if (bytes.length < 4) return 'tunnel-header';
  const flags = bytes[0]!;
  const version = bytes[1]! & 7;
  if (version === 1) return fromPptp(bytes);
  if (version !== 0 || (flags & 0x40) !== 0) return 'tunnel-header';
  const sequenced = (flags & 0x10) !== 0;
  const length = 4 + ((flags & 0x80) !== 0 ? 4 : 0) + ((flags & 0x20) !== 0 ? 4 : 0) + (sequenced ? 4 : 0);
  if (bytes.length < length) return 'tunnel-header';
  const inside = bytes.subarray(length);
  switch (bytes.readUInt16BE(2)) {
    case 0x0800:
    case 0x86dd:
      return inside;
    case 0x6558:
      return ipInFrame(fromEthernet(inside));
    case 0x88be:
      // ERSPAN type II; type I has neither a sequence number nor a header of its own.
      return ipInFrame(fromEthernet(inside.subarray(sequenced ? 8 : 0)));
    case 0x22eb:
      return fromErspan3(inside);
    default:
      return null;
  }
}

/** ERSPAN type III: 12 bytes, and 8 more where the last bit is set. */
function fromErspan3(bytes: Buffer): Buffer | PacketError | null {
  if (bytes.length < 12) return 'tunnel-header';
  return ipInFrame(fromEthernet(bytes.subarray((bytes[11]! & 1) !== 0 ? 20 : 12)));
}

/** GRE version 1: a key that holds payload length and call, then sequence number and acknowledgement; PPP inside. */
function fromPptp(bytes: Buffer): Buffer | PacketError | null {
  if (bytes.length < 8 || bytes.readUInt16BE(2) !== 0x880b) return 'tunnel-header';
  const length = 8 + ((bytes[0]! & 0x10) !== 0 ? 4 : 0) + ((bytes[1]! & 0x80) !== 0 ? 4 : 0);
  const payloadLength = bytes.readUInt16BE(4);
  if (payloadLength === 0) return null;
  return bytes.length < length
    ? 'tunnel-header'
    : ipInFrame(fromPpp(bytes.subarray(length, length + payloadLength)));
}

function ipInFrame(packet: Buffer | LinkError | PacketError | null): Buffer | PacketError | null {
  if (packet === 'link-short' || packet === 'tunnel-header') return 'tunnel-header';
  return typeof packet === 'string' ? null : packet;
}

const GTP_USER_DATA = 255;
const MAX_GTP_EXTENSIONS = 8;

const PROTOCOL_ESP = 50;
const NAT_T_PORT = 4500;
const ESP_HEADER = 8;
/** Lengths of an integrity check value: HMAC-96 (RFC 2403, 2404, 3566), HMAC-SHA-256-128 (RFC 4868), none, others. */
const CHECK_LENGTHS = [12, 16, 0, 24, 32] as const;
const PROTOCOL_TCP = 6;
const PROTOCOL_UDP = 17;

/**
 * ESP (RFC 4303) with NULL encryption (RFC 2410): security parameters and sequence number, the packet as it is, padding
 * of 1, 2, 3..., its length and the protocol inside, then a check value whose length nobody tells. It is taken for
 * not encrypted when all of that fits for one length. In transport mode the addresses are those of the outer packet.
 */
function fromEsp(view: PacketView, bytes: Buffer): Buffer | null {
  for (const check of CHECK_LENGTHS) {
    const end = bytes.length - check;
    if (end < ESP_HEADER + 2 + 8) continue;
    const padding = bytes[end - 2]!;
    const inside = bytes.subarray(ESP_HEADER, Math.max(ESP_HEADER, end - 2 - padding));
    if (inside.length < 8 || !isPadding(bytes, end - 2 - padding, padding)) continue;
    const protocol = bytes[end - 1]!;
    if (protocol === PROTOCOL_IPV4 || protocol === PROTOCOL_IPV6) {
      if (isWholeIp(inside, protocol === PROTOCOL_IPV4 ? 4 : 6)) return inside;
    } else if (isWholeSegment(inside, protocol)) {
      return withIpHeader(view, protocol, inside);
    }
  }
  return null;
}

/** RFC 4303 2.4: 1, 2, 3 and so on. */
function isPadding(bytes: Buffer, start: number, length: number): boolean {
  for (let i = 0; i < length; i++) if (bytes[start + i] !== i + 1) return false;
  return true;
}

function isWholeIp(bytes: Buffer, version: 4 | 6): boolean {
  if (bytes[0]! >> 4 !== version) return false;
  if (version === 4) return bytes.length >= 20 && bytes.readUInt16BE(2) === bytes.length;
  return bytes.length >= 40 && 40 + bytes.readUInt16BE(4) === bytes.length;
}

function isWholeSegment(bytes: Buffer, protocol: number): boolean {
  if (protocol === PROTOCOL_UDP) return bytes.readUInt16BE(4) === bytes.length;
  if (protocol !== PROTOCOL_TCP || bytes.length < 20) return false;
  const offset = (bytes[12]! >> 4) * 4;
  // RFC 9293 3.1: the bits behind the data offset are reserved and zero.
  return offset >= 20 && offset <= bytes.length && (bytes[12]! & 0x0f) === 0;
}

/** What stood in ESP in transport mode, behind an IP header of its own. */
function withIpHeader(
  { family, source, destination }: PacketView,
  protocol: number,
  payload: Buffer,
): Buffer {
  const header = Buffer.alloc(family === 4 ? 20 : 40);
  header[0] = family === 4 ? 0x45 : 0x60;
  header.writeUInt16BE(family === 4 ? 20 + payload.length : payload.length, family === 4 ? 2 : 4);
  header[family === 4 ? 8 : 7] = 64;
  header[family === 4 ? 9 : 6] = protocol;
  header.set(addressBytes(source), family === 4 ? 12 : 8);
  header.set(addressBytes(destination), family === 4 ? 16 : 24);
  return Buffer.concat([header, payload]);
}

/** GTPv1-U: 8 bytes, 4 more where any of three flags is set, then extension headers in units of 4 bytes. */
function fromGtp(bytes: Buffer): Buffer | PacketError | null {
  if (bytes.length < 8) return null;
  const flags = bytes[0]!;
  if (flags >> 4 !== 3 || bytes[1] !== GTP_USER_DATA) return null;
  const end = Math.min(bytes.length, 8 + bytes.readUInt16BE(2));
  let at = 8;
  if ((flags & 7) !== 0) {
    if (end < 12) return 'tunnel-header';
    at = 12;
    let next = (flags & 4) !== 0 ? bytes[11]! : 0;
    for (let extensions = 0; next !== 0; extensions++) {
      const length = at < end ? bytes[at]! * 4 : 0;
      if (length === 0 || at + length > end || extensions === MAX_GTP_EXTENSIONS) return 'tunnel-header';
      next = bytes[at + length - 1]!;
      at += length;
    }
  }
  const version = at < end ? bytes[at]! >> 4 : 0;
  return version === 4 || version === 6 ? bytes.subarray(at, end) : null;
}
