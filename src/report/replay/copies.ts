import type { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import type { PacketView } from '../../packet/ip.ts';

/** Where a packet was seen: what tells one point of a capture from another. */
interface Sighting {
  /** Identification of the IPv4 header; 0 in IPv6, and where the sender sets none (RFC 6864). */
  readonly id: number;
  readonly ttl: number;
  /** Hash of the link-layer header. */
  readonly link: number;
  readonly isTunnelled: boolean;
  readonly at: number;
}

/** ms after which a packet with the same bytes is no copy any more. */
const WINDOW = 500;
/** Packets that are remembered at a time; a power of two. */
const REMEMBERED = 4096;
const MAX_SENDERS = 10_000;

/**
 * Finds UDP packets that a capture saw more than once on their way: on two interfaces, on both sides of a router or
 * a bridge, inside and outside a tunnel. Same addresses, ports and payload are not enough, since telephone events and
 * retransmissions are sent with the same bytes: the identification of the IP header has to be the same, too, or
 * the tunnel another.
 */
export function createCopyFilter(): (frame: Buffer, ip: Buffer, packet: PacketView, at: number) => boolean {
  const known = new Map<number, Sighting>();
  const order = new Float64Array(REMEMBERED);
  let next = 0;
  /** The latest packet of each sender, to see whether it numbers its packets at all. */
  const senders = new Map<Address, { key: number; id: number; isNumbering: boolean }>();

  /** The identification, or 0 where its sender gives different packets the same one. */
  function numberOf(source: Address, key: number, id: number): number {
    const sender = senders.get(source);
    if (sender === undefined) {
      if (senders.size < MAX_SENDERS) senders.set(source, { key, id, isNumbering: true });
      return id;
    }
    if (sender.key !== key && sender.id === id) sender.isNumbering = false;
    sender.key = key;
    sender.id = id;
    return sender.isNumbering ? id : 0;
  }

  return (frame, ip, packet, at) => {
    const key = keyOf(packet);
    const seen = sightingOf(frame, ip, at);
    const now = { ...seen, id: numberOf(packet.source, key, seen.id) };
    const before = known.get(key);
    if (before !== undefined && Math.abs(at - before.at) <= WINDOW && isElsewhere(before, now)) return true;
    if (before === undefined) {
      known.delete(order[next]!);
      order[next] = key;
      next = (next + 1) & (REMEMBERED - 1);
    }
    known.set(key, now);
    return false;
  };
}

function isElsewhere(before: Sighting, now: Sighting): boolean {
  if (before.isTunnelled !== now.isTunnelled) return true;
  return before.id === now.id && (now.id !== 0 || before.ttl !== now.ttl || before.link !== now.link);
}

/** `ip` is the outermost packet of the frame. */
function sightingOf(frame: Buffer, ip: Buffer, at: number): Sighting {
  const isIPv4 = ip[0]! >> 4 === 4;
  const protocol = isIPv4 ? ip[9]! : ip[6]!;
  const ports = isIPv4 ? (ip[0]! & 0x0f) * 4 : 40;
  const isGtp = protocol === 17 && ip.length >= ports + 4 && ip.readUInt16BE(ports + 2) === GTP_USER_PORT;
  return {
    id: isIPv4 ? ip.readUInt16BE(4) : 0,
    ttl: isIPv4 ? ip[8]! : ip[7]!,
    link: hash(frame, 0, ip.byteOffset - frame.byteOffset, 0x811c9dc5),
    isTunnelled: isGtp || TUNNELS.has(protocol),
    at,
  };
}

const GTP_USER_PORT = 2152;
/** IP in IP, IPv6 in IPv4, GRE, ESP. */
const TUNNELS: ReadonlySet<number> = new Set([4, 41, 47, 50]);

/** 53 bits of addresses, ports and payload. */
function keyOf({ source, sourcePort, destination, destinationPort, payload }: PacketView): number {
  let ends = Math.imul(sourcePort ^ 0x811c9dc5, 0x01000193) ^ destinationPort;
  for (let i = 0; i < source.length; i++) ends = Math.imul(ends ^ source.charCodeAt(i), 0x01000193);
  for (let i = 0; i < destination.length; i++) ends = Math.imul(ends ^ destination.charCodeAt(i), 0x01000193);
  const body = hash(payload, 0, Math.min(payload.length, MOST_HASHED), Math.imul(ends, 31) ^ payload.length);
  return (body >>> 0) * 0x20_0000 + ((ends >>> 0) & 0x1f_ffff);
}

const MOST_HASHED = 512;

function hash(bytes: Buffer, start: number, end: number, seed: number): number {
  let value = seed;
  for (let i = start; i < end; i++) value = Math.imul(value ^ bytes[i]!, 0x01000193);
  return value;
}
