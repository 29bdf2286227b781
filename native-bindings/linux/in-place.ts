/**
 * Elements of sets and conntrack entries, visited where they lie in the kernel's answer, with one object for all of a message:
 * what reads thousands of them every few seconds makes none for each.
 */
import {
  AF_INET,
  AF_INET6,
  CTA_COUNTERS_ORIG,
  CTA_COUNTERS_PACKETS,
  CTA_COUNTERS_REPLY,
  CTA_ID,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_MARK_MASK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_REPLY,
  CTA_TUPLE_ZONE,
  CTA_ZONE,
  IPCTNL_MSG_CT_GET,
  NFNL_SUBSYS_CTNETLINK,
  NFNL_SUBSYS_NFTABLES,
  NFPROTO_INET,
  NFT_MSG_GETSETELEM,
  NFTA_COUNTER_BYTES,
  NFTA_COUNTER_PACKETS,
  NFTA_DATA_VALUE,
  NFTA_EXPR_DATA,
  NFTA_EXPR_NAME,
  NFTA_LIST_ELEM,
  NFTA_SET_ELEM_EXPR,
  NFTA_SET_ELEM_KEY,
  NFTA_SET_ELEM_LIST_ELEMENTS,
  NFTA_SET_ELEM_LIST_SET,
  NFTA_SET_ELEM_LIST_TABLE,
  NFTA_SET_ELEM_USERDATA,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from './constants.ts';
import {
  findAttribute,
  type Message,
  messageWriter,
  NETFILTER_HEADER,
  type NetlinkSocket,
  NLMSG_HDRLEN,
  valueEnd,
} from './netlink.ts';

/** An element of a set: where its key and its comment lie in `bytes`, and what it has counted. */
export interface ElementInPlace {
  readonly bytes: Buffer;
  /** All its attributes. */
  readonly start: number;
  readonly end: number;
  readonly keyStart: number;
  readonly keyEnd: number;
  /** The text of its comment; empty where it has none. */
  readonly commentStart: number;
  readonly commentEnd: number;
  readonly isCounted: boolean;
  /** 0 where the set has no counters. */
  readonly packets: number;
  readonly octets: number;
}

/** One direction of a flow: where its addresses begin, and its ports (0 for protocols without). */
export interface DirectionInPlace {
  readonly source: number;
  readonly destination: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
  /** Null for a flow that began while net.netfilter.nf_conntrack_acct was 0. */
  readonly packets: number | null;
}

/** A conntrack entry whose addresses lie in `bytes`, each `addressSize` long (4 or 16). */
export interface EntryInPlace {
  readonly bytes: Buffer;
  /** All its attributes. */
  readonly start: number;
  readonly end: number;
  readonly addressSize: number;
  readonly protocol: number;
  readonly original: DirectionInPlace;
  readonly reply: DirectionInPlace;
}

type Writable<T> = { -readonly [Key in keyof T]: T[Key] };

const ATTRIBUTES = NETFILTER_HEADER - NLMSG_HDRLEN;
const COUNTER = Buffer.from('counter\0');
/** nft keeps a comment as type (0), length and text with its NUL. */
const COMMENT_TYPE = 0;
const NOTHING = Buffer.alloc(0);

/**
 * Visits a set's elements; what `visit` is given holds until it returns. Throws SystemError: ENOENT where there is no such set,
 * EINTR when anything in nf_tables changed meanwhile and an element may have been missing. One may come twice (`readElements`).
 */
export function walkElements(
  socket: NetlinkSocket,
  table: string,
  set: string,
  visit: (element: ElementInPlace) => void,
): void {
  const writer = messageWriter(256);
  const type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETSETELEM;
  writer.message(type, NLM_F_REQUEST | NLM_F_DUMP, socket.sequence(), NFPROTO_INET, 0);
  writer.text(NFTA_SET_ELEM_LIST_TABLE, table);
  writer.text(NFTA_SET_ELEM_LIST_SET, set);
  socket.dump('NFT_MSG_GETSETELEM', writer.contents(), (message) => elementsIn(message, visit));
}

/** Visits the elements in one message of the kernel; what `visit` is given holds until it returns. */
export function elementsIn({ bytes, start, end }: Message, visit: (element: ElementInPlace) => void): void {
  const list = findAttribute(bytes, start + ATTRIBUTES, end, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list < 0) return;
  const element: Writable<ElementInPlace> = {
    bytes,
    start: 0,
    end: 0,
    keyStart: 0,
    keyEnd: 0,
    commentStart: 0,
    commentEnd: 0,
    isCounted: false,
    packets: 0,
    octets: 0,
  };
  const listEnd = valueEnd(bytes, list);
  let at = findAttribute(bytes, list, listEnd, NFTA_LIST_ELEM);
  while (at >= 0) {
    const elementEnd = valueEnd(bytes, at);
    if (locate(element, at, elementEnd)) visit(element);
    at = findAttribute(bytes, aligned(elementEnd), listEnd, NFTA_LIST_ELEM);
  }
}

/** False for one without a key. */
function locate(element: Writable<ElementInPlace>, start: number, end: number): boolean {
  const { bytes } = element;
  const key = nested(bytes, start, end, NFTA_SET_ELEM_KEY, NFTA_DATA_VALUE);
  if (key < 0) return false;
  element.start = start;
  element.end = end;
  element.keyStart = key;
  element.keyEnd = valueEnd(bytes, key);
  element.commentStart = 0;
  element.commentEnd = 0;
  element.isCounted = false;
  element.packets = 0;
  element.octets = 0;
  const comment = findAttribute(bytes, start, end, NFTA_SET_ELEM_USERDATA);
  if (comment >= 0) locateComment(element, comment, valueEnd(bytes, comment));
  const expression = findAttribute(bytes, start, end, NFTA_SET_ELEM_EXPR);
  if (expression >= 0) locateCounter(element, expression, valueEnd(bytes, expression));
  return true;
}

function locateComment(element: Writable<ElementInPlace>, start: number, end: number): void {
  const { bytes } = element;
  if (end - start < 2 || bytes[start] !== COMMENT_TYPE) return;
  const last = Math.min(end, start + 2 + bytes[start + 1]!);
  element.commentStart = start + 2;
  element.commentEnd = bytes[last - 1] === 0 ? last - 1 : last;
}

function locateCounter(element: Writable<ElementInPlace>, start: number, end: number): void {
  const { bytes } = element;
  const name = findAttribute(bytes, start, end, NFTA_EXPR_NAME);
  const data = findAttribute(bytes, start, end, NFTA_EXPR_DATA);
  if (name < 0 || data < 0) return;
  if (bytes.compare(COUNTER, 0, COUNTER.length, name, valueEnd(bytes, name)) !== 0) return;
  const dataEnd = valueEnd(bytes, data);
  const packets = be64(bytes, findAttribute(bytes, data, dataEnd, NFTA_COUNTER_PACKETS));
  const octets = be64(bytes, findAttribute(bytes, data, dataEnd, NFTA_COUNTER_BYTES));
  if (packets === null || octets === null) return;
  element.isCounted = true;
  element.packets = packets;
  element.octets = octets;
}

export interface ConntrackFilter {
  readonly family?: typeof AF_INET | typeof AF_INET6;
  /** Entries whose connection mark, under the mask, is this. The kernel leaves out the others. */
  readonly mark?: { readonly value: number; readonly mask: number };
  /**
   * Of 65,536 ports those that are not 0: an entry's original or reply source port must be among them, which are
   * the ports that packets of either direction go to, after address translation. Others are passed over cheaply.
   */
  readonly sourcePorts?: Uint8Array;
}

/**
 * Visits the conntrack entries that match; what `visit` is given holds until it returns. It walks the whole table: milliseconds
 * when that is large. Throws SystemError; EINTR when the table changed in a way that makes the dump incomplete.
 */
export function walkEntries(
  socket: NetlinkSocket,
  { family, mark, sourcePorts }: ConntrackFilter,
  visit: (entry: EntryInPlace) => void,
): void {
  const writer = messageWriter(64);
  const type = (NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET;
  writer.message(type, NLM_F_REQUEST | NLM_F_DUMP, socket.sequence(), family ?? 0, 0);
  if (mark !== undefined) {
    writer.be32(CTA_MARK, mark.value);
    writer.be32(CTA_MARK_MASK, mark.mask);
  }
  const read = entryReader(sourcePorts);
  socket.dump('IPCTNL_MSG_CT_GET', writer.contents(), (message) => {
    const entry = read(message);
    if (entry !== null) visit(entry);
  });
}

/**
 * Reads entries out of messages of ctnetlink, each into the same object. Null for what is no whole entry of IPv4 or IPv6, and
 * for one without any of `sourcePorts` (see `ConntrackFilter`).
 */
export function entryReader(sourcePorts?: Uint8Array): (message: Message) => EntryInPlace | null {
  const empty = { source: 0, destination: 0, sourcePort: 0, destinationPort: 0, packets: null };
  const original: Writable<DirectionInPlace> = { ...empty };
  const reply: Writable<DirectionInPlace> = { ...empty };
  const head = { bytes: NOTHING, start: 0, end: 0, addressSize: 0, protocol: 0 };
  const entry: Writable<EntryInPlace> = { ...head, original, reply };
  return ({ bytes, start, end }) => {
    const own = bytes[start];
    if (end - start < ATTRIBUTES || (own !== AF_INET && own !== AF_INET6)) return null;
    if (sourcePorts !== undefined && !hasSourcePort(bytes, start + ATTRIBUTES, end, sourcePorts)) return null;
    entry.bytes = bytes;
    entry.start = start + ATTRIBUTES;
    entry.end = end;
    entry.addressSize = own === AF_INET ? 4 : 16;
    if (!locateDirection(entry, original, CTA_TUPLE_ORIG)) return null;
    if (!locateDirection(entry, reply, CTA_TUPLE_REPLY)) return null;
    original.packets = packetsOf(entry, CTA_COUNTERS_ORIG);
    reply.packets = packetsOf(entry, CTA_COUNTERS_REPLY);
    return entry;
  };
}

/** The kernel's id of an entry (CTA_ID); 0 where it tells none. */
export function idOf(entry: EntryInPlace): number {
  return numberOf(entry, CTA_ID, 4);
}

/** Its zone (CTA_ZONE); 0 where it is in none. */
export function zoneOf(entry: EntryInPlace): number {
  return numberOf(entry, CTA_ZONE, 2);
}

/** The zone of its original direction alone (CTA_TUPLE_ZONE, `ct original zone`); 0 where that is in none of its own. */
export function originalZoneOf({ bytes, start, end }: EntryInPlace): number {
  return be16(bytes, nested(bytes, start, end, CTA_TUPLE_ORIG, CTA_TUPLE_ZONE));
}

/** An integer of `size` bytes among its attributes; 0 where there is none. */
export function numberOf({ bytes, start, end }: EntryInPlace, type: number, size: number): number {
  const value = findAttribute(bytes, start, end, type);
  return value < 0 || valueEnd(bytes, value) - value !== size ? 0 : bytes.readUIntBE(value, size);
}

function hasSourcePort(bytes: Buffer, start: number, end: number, ports: Uint8Array): boolean {
  return (
    ports[sourcePortOf(bytes, start, end, CTA_TUPLE_ORIG)] !== 0 ||
    ports[sourcePortOf(bytes, start, end, CTA_TUPLE_REPLY)] !== 0
  );
}

/** The source port of one direction; 0 where it has none. */
function sourcePortOf(bytes: Buffer, start: number, end: number, tuple: number): number {
  const proto = nested(bytes, start, end, tuple, CTA_TUPLE_PROTO);
  return proto < 0 ? 0 : be16(bytes, findAttribute(bytes, proto, valueEnd(bytes, proto), CTA_PROTO_SRC_PORT));
}

/** False where it is not whole. */
function locateDirection(
  entry: Writable<EntryInPlace>,
  direction: Writable<DirectionInPlace>,
  tuple: number,
): boolean {
  const { bytes, start, end } = entry;
  const from = findAttribute(bytes, start, end, tuple);
  if (from < 0) return false;
  const to = valueEnd(bytes, from);
  const ip = findAttribute(bytes, from, to, CTA_TUPLE_IP);
  const proto = findAttribute(bytes, from, to, CTA_TUPLE_PROTO);
  if (ip < 0 || proto < 0) return false;
  const is4 = entry.addressSize === 4;
  direction.source = address(entry, ip, is4 ? CTA_IP_V4_SRC : CTA_IP_V6_SRC);
  direction.destination = address(entry, ip, is4 ? CTA_IP_V4_DST : CTA_IP_V6_DST);
  if (direction.source < 0 || direction.destination < 0) return false;
  const protoEnd = valueEnd(bytes, proto);
  const number = findAttribute(bytes, proto, protoEnd, CTA_PROTO_NUM);
  entry.protocol = number < 0 ? 0 : bytes[number]!;
  direction.sourcePort = be16(bytes, findAttribute(bytes, proto, protoEnd, CTA_PROTO_SRC_PORT));
  direction.destinationPort = be16(bytes, findAttribute(bytes, proto, protoEnd, CTA_PROTO_DST_PORT));
  return true;
}

/** -1 where there is none of the family. */
function address({ bytes, addressSize }: EntryInPlace, ip: number, type: number): number {
  const at = findAttribute(bytes, ip, valueEnd(bytes, ip), type);
  return at < 0 || valueEnd(bytes, at) - at !== addressSize ? -1 : at;
}

function packetsOf({ bytes, start, end }: EntryInPlace, counters: number): number | null {
  return be64(bytes, nested(bytes, start, end, counters, CTA_COUNTERS_PACKETS));
}

/** Where the value of an attribute within an attribute begins, or -1. */
export function nested(bytes: Buffer, start: number, end: number, outer: number, inner: number): number {
  const at = findAttribute(bytes, start, end, outer);
  return at < 0 ? -1 : findAttribute(bytes, at, valueEnd(bytes, at), inner);
}

/** Where the attribute behind one that ends at `end` begins. Those in a datagram are aligned from its beginning. */
function aligned(end: number): number {
  return (end + 3) & ~3;
}

function be16(bytes: Buffer, at: number): number {
  return at < 0 || valueEnd(bytes, at) - at !== 2 ? 0 : bytes.readUInt16BE(at);
}

/** Exact up to 2^53. Null where the value is missing or of another size. */
function be64(bytes: Buffer, at: number): number | null {
  if (at < 0 || valueEnd(bytes, at) - at !== 8) return null;
  return bytes.readUInt32BE(at) * 2 ** 32 + bytes.readUInt32BE(at + 4);
}
