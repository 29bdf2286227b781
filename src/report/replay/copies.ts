import type { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import { FNV_BASIS, fnv1a, fnv1aOfBytes, fnv1aStep } from '../../hash.ts';
import type { PacketView } from '../../packet/ip.ts';
import type { UdpPlace } from '../../packet/udp-place.ts';

/** Where a packet was seen: what tells one point of a capture from another. */
interface Sighting {
  /** Identification of the IPv4 header; 0 in IPv6, and where the sender sets none (RFC 6864). */
  readonly id: number;
  readonly ttl: number;
  /** Hash of the link-layer header. */
  readonly link: number;
  readonly isTunnelled: boolean;
}

/** The latest packet of a sender, to see whether it numbers its packets at all. */
interface Sender {
  body: number;
  ends: number;
  id: number;
  isNumbering: boolean;
}

/** What the packets of one flow have in common. */
export interface FlowSightings {
  /** Hash of addresses and ports. */
  readonly ends: number;
  /** Null past the number that is kept. */
  readonly sender: Sender | null;
}

export interface CopyFilter {
  /** Whether the packet was seen before. `ip` is the outermost packet of the frame. */
  isSeenAgain(frame: Buffer, ip: Buffer, packet: PacketView, at: number): boolean;
  /** Of a flow of which a packet was asked about. */
  sightingsOf(packet: PacketView): FlowSightings;
  /** `isSeenAgain` for a datagram of the flow that lies in a frame, which starts at `start`. */
  isSeenAgainAt(flow: FlowSightings, frame: Buffer, start: number, place: UdpPlace, at: number): boolean;
}

/** ms after which a packet with the same bytes is no copy any more. */
const WINDOW = 500;
/** Packets that are remembered at a time; a power of two. */
const REMEMBERED = 4096;
const BUCKETS = 2 * REMEMBERED;
const NONE = -1;
const MAX_SENDERS = 10_000;

/**
 * Finds UDP packets that a capture saw more than once on their way: on two interfaces, on both sides of a router or
 * a bridge, inside and outside a tunnel. Same addresses, ports and payload are not enough, since telephone events and
 * retransmissions are sent with the same bytes: the identification of the IP header has to be the same, too, or
 * the tunnel another.
 */
export function createCopyFilter(): CopyFilter {
  // The packets that are remembered, in a ring; each is in the chain of its bucket.
  const bodies = new Int32Array(REMEMBERED);
  const endsOf = new Int32Array(REMEMBERED);
  const ids = new Uint16Array(REMEMBERED);
  const ttls = new Uint8Array(REMEMBERED);
  const links = new Int32Array(REMEMBERED);
  const tunnelled = new Uint8Array(REMEMBERED);
  const times = new Float64Array(REMEMBERED);
  const following = new Int16Array(REMEMBERED).fill(NONE);
  const first = new Int16Array(BUCKETS).fill(NONE);
  let next = 0;
  let isFull = false;
  const senders = new Map<Address, Sender>();

  /** The identification, or 0 where its sender gives different packets the same one. */
  function numberOf(sender: Sender | null, body: number, ends: number, id: number): number {
    if (sender === null) return id;
    if ((sender.body !== body || sender.ends !== ends) && sender.id === id) sender.isNumbering = false;
    sender.body = body;
    sender.ends = ends;
    sender.id = id;
    return sender.isNumbering ? id : 0;
  }

  function senderOf(source: Address, body: number, ends: number, id: number): Sender | null {
    const known = senders.get(source);
    if (known !== undefined) return known;
    if (senders.size < MAX_SENDERS) senders.set(source, { body, ends, id, isNumbering: true });
    return null;
  }

  function find(body: number, ends: number): number {
    let slot = first[bucketOf(body, ends)]!;
    while (slot !== NONE && (bodies[slot] !== body || endsOf[slot] !== ends)) slot = following[slot]!;
    return slot;
  }

  /** The slot of the packet that was first remembered before all others, for another. */
  function replace(body: number, ends: number): number {
    const slot = next;
    if (isFull) forget(slot);
    next = (next + 1) & (REMEMBERED - 1);
    isFull ||= next === 0;
    const bucket = bucketOf(body, ends);
    bodies[slot] = body;
    endsOf[slot] = ends;
    following[slot] = first[bucket]!;
    first[bucket] = slot;
    return slot;
  }

  function forget(slot: number): void {
    const bucket = bucketOf(bodies[slot]!, endsOf[slot]!);
    if (first[bucket] === slot) {
      first[bucket] = following[slot]!;
      return;
    }
    let before = first[bucket]!;
    while (following[before] !== slot) before = following[before]!;
    following[before] = following[slot]!;
  }

  function isCopy(
    body: number,
    ends: number,
    id: number,
    ttl: number,
    link: number,
    isTunnelled: boolean,
    at: number,
  ): boolean {
    let slot = find(body, ends);
    if (slot === NONE) slot = replace(body, ends);
    else if (Math.abs(at - times[slot]!) <= WINDOW) {
      if ((tunnelled[slot] === 1) !== isTunnelled) return true;
      if (ids[slot] === id && (id !== 0 || ttls[slot] !== ttl || links[slot] !== link)) return true;
    }
    ids[slot] = id;
    ttls[slot] = ttl;
    links[slot] = link;
    tunnelled[slot] = Number(isTunnelled);
    times[slot] = at;
    return false;
  }

  function isSeenAgain(frame: Buffer, ip: Buffer, packet: PacketView, at: number): boolean {
    const { source, payload } = packet;
    const ends = hashOfEnds(packet);
    const body = hashOfBody(payload, 0, payload.length, ends);
    const { id, ttl, link, isTunnelled } = sightingOf(frame, ip);
    const number = numberOf(senderOf(source, body, ends, id), body, ends, id);
    return isCopy(body, ends, number, ttl, link, isTunnelled, at);
  }

  function isSeenAgainAt(
    { ends, sender }: FlowSightings,
    frame: Buffer,
    start: number,
    { ip, isIPv6, payload, end }: UdpPlace,
    at: number,
  ): boolean {
    const body = hashOfBody(frame, payload, end, ends);
    const id = isIPv6 ? 0 : (frame[ip + 4]! << 8) | frame[ip + 5]!;
    const number = numberOf(sender, body, ends, id);
    const ttl = frame[ip + (isIPv6 ? 7 : 8)]!;
    const link = hash(frame, start, ip, FNV_BASIS);
    const isTunnelled = ((frame[payload - 6]! << 8) | frame[payload - 5]!) === GTP_USER_PORT;
    return isCopy(body, ends, number, ttl, link, isTunnelled, at);
  }

  return {
    isSeenAgain,
    sightingsOf: (packet) => ({ ends: hashOfEnds(packet), sender: senders.get(packet.source) ?? null }),
    isSeenAgainAt,
  };
}

function bucketOf(body: number, ends: number): number {
  const mixed = body ^ ends;
  return (mixed ^ (mixed >>> 13)) & (BUCKETS - 1);
}

function sightingOf(frame: Buffer, ip: Buffer): Sighting {
  const isIPv4 = ip[0]! >> 4 === 4;
  const protocol = isIPv4 ? ip[9]! : ip[6]!;
  const ports = isIPv4 ? (ip[0]! & 0x0f) * 4 : 40;
  const isGtp = protocol === 17 && ip.length >= ports + 4 && ip.readUInt16BE(ports + 2) === GTP_USER_PORT;
  return {
    id: isIPv4 ? ip.readUInt16BE(4) : 0,
    ttl: isIPv4 ? ip[8]! : ip[7]!,
    link: hash(frame, 0, ip.byteOffset - frame.byteOffset, FNV_BASIS),
    isTunnelled: isGtp || TUNNELS.has(protocol),
  };
}

const GTP_USER_PORT = 2152;
/** IP in IP, IPv6 in IPv4, GRE, ESP. */
const TUNNELS: ReadonlySet<number> = new Set([4, 41, 47, 50]);

function hashOfEnds({ source, sourcePort, destination, destinationPort }: PacketView): number {
  const ports = fnv1aStep(FNV_BASIS, sourcePort) ^ destinationPort;
  return fnv1a(destination, fnv1a(source, ports));
}

const MOST_HASHED = 512;

/** Of a payload: 32 bits beside the 32 of addresses and ports. */
function hashOfBody(bytes: Buffer, start: number, end: number, ends: number): number {
  return hash(bytes, start, Math.min(end, start + MOST_HASHED), Math.imul(ends, 31) ^ (end - start));
}

/** FNV-1a over words of 32 bits, turned so that the high bits come back to the low ones. */
function hash(bytes: Buffer, start: number, end: number, seed: number): number {
  let value = seed;
  let at = start;
  for (; at + 4 <= end; at += 4) {
    const word = (bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!;
    value = fnv1aStep(value, word);
    value ^= value >>> 15;
  }
  return fnv1aOfBytes(bytes, at, end, value);
}
