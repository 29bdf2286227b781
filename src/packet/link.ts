import type { Buffer } from 'node:buffer';
import { uint16 } from './uint16.ts';

/** Why a frame holds no IP packet to read. */
export type LinkError = keyof typeof LINK_ERRORS;

/** Every LinkError in a sentence. */
const LINK_ERRORS = {
  'link-type-unknown': 'link-layer type that is not read',
  'link-short': 'frame ends within its link-layer header',
  'link-not-ip': 'frame holds something other than IP',
} as const;

type Finder = (bytes: Buffer) => Buffer | LinkError;

/** By LINKTYPE_ value, https://www.tcpdump.org/linktypes.html. */
const FINDERS: ReadonlyMap<number, Finder> = new Map<number, Finder>([
  [0, fromNull],
  [1, fromEthernet],
  [9, fromPpp],
  [12, fromRaw],
  [14, fromRaw],
  [50, fromPpp],
  [51, (bytes) => fromPppoe(bytes, 0)],
  [101, fromRaw],
  [108, fromNull],
  [113, (bytes) => (bytes.length < 16 ? 'link-short' : fromEtherType(bytes, uint16(bytes, 14), 16))],
  [117, fromPflog],
  [197, fromErf],
  [228, fromRaw],
  [229, fromRaw],
  [239, fromNflog],
  [276, (bytes) => (bytes.length < 20 ? 'link-short' : fromEtherType(bytes, uint16(bytes, 0), 20))],
]);

/** Names of LINKTYPE_ values that are not read, and of which captures are met. */
const NAMES: ReadonlyMap<number, string> = new Map([
  [3, 'AX25'],
  [6, 'IEEE802_5'],
  [7, 'ARCNET_BSD'],
  [8, 'SLIP'],
  [10, 'FDDI'],
  [100, 'ATM_RFC1483'],
  [104, 'C_HDLC'],
  [105, 'IEEE802_11'],
  [107, 'FRELAY'],
  [119, 'IEEE802_11_PRISM'],
  [122, 'IP_OVER_FC'],
  [123, 'SUNATM'],
  [127, 'IEEE802_11_RADIOTAP'],
  [140, 'MTP2'],
  [141, 'MTP3'],
  [142, 'SCCP'],
  [143, 'DOCSIS'],
  [147, 'USER0'],
  [163, 'IEEE802_11_AVS'],
  [177, 'LINUX_LAPD'],
  [187, 'BLUETOOTH_HCI_H4'],
  [189, 'USB_LINUX'],
  [192, 'PPI'],
  [195, 'IEEE802_15_4_WITHFCS'],
  [201, 'BLUETOOTH_HCI_H4_WITH_PHDR'],
  [209, 'IPMB_LINUX'],
  [220, 'USB_LINUX_MMAPPED'],
  [227, 'CAN_SOCKETCAN'],
  [248, 'SCTP'],
  [249, 'USBPCAP'],
  [252, 'WIRESHARK_UPPER_PDU'],
  [253, 'NETLINK'],
]);

/** `link type 127 (IEEE802_11_RADIOTAP)`. */
export function linkTypeText(linkType: number): string {
  const name = NAMES.get(linkType);
  return `link type ${linkType}${name === undefined ? '' : ` (${name})`}`;
}

/**
 * The IP packet in a frame, from its IP header on, not copied: Ethernet with any VLAN tags, MPLS, PPPoE and PPP,
 * Linux cooked captures (SLL, SLL2), BSD null and loopback, pflog, nflog, ERF, raw IP. It may have padding behind it.
 */
export function findPacket(linkType: number, bytes: Buffer): Buffer | LinkError {
  const finder = FINDERS.get(linkType);
  return finder === undefined ? 'link-type-unknown' : finder(bytes);
}

/** The IP packet in an Ethernet frame (without preamble). */
export function fromEthernet(bytes: Buffer): Buffer | LinkError {
  return bytes.length < 14 ? 'link-short' : fromEtherType(bytes, uint16(bytes, 12), 14);
}

const MAX_TAGS = 4;

/** `type` is the EtherType of what starts at `offset`. Lengths (IEEE 802.3 with LLC) are no IP. */
function fromEtherType(bytes: Buffer, type: number, offset: number): Buffer | LinkError {
  let etherType = type;
  let at = offset;
  for (let tags = 0; isTag(etherType); tags++) {
    if (tags === MAX_TAGS) return 'link-not-ip';
    if (bytes.length < at + 4) return 'link-short';
    etherType = uint16(bytes, at + 2);
    at += 4;
  }
  if (etherType === 0x0800 || etherType === 0x86dd) return bytes.subarray(at);
  if (etherType === 0x8847 || etherType === 0x8848) return fromMpls(bytes, at);
  return etherType === 0x8864 ? fromPppoe(bytes, at) : 'link-not-ip';
}

const MAX_LABELS = 16;

/**
 * MPLS (RFC 3032): labels of four bytes, the last one with the S bit. Nothing says what follows: an IP packet begins with
 * its version, a pseudowire with a control word whose first four bits are 0 (RFC 4385), or with an Ethernet frame.
 */
function fromMpls(bytes: Buffer, start: number): Buffer | LinkError {
  let at = start;
  for (let labels = 0; ; labels++) {
    if (bytes.length < at + 5) return 'link-short';
    if (labels === MAX_LABELS) return 'link-not-ip';
    at += 4;
    if ((bytes[at - 2]! & 1) === 1) break;
  }
  const version = bytes[at]! >> 4;
  if (version === 4 || version === 6) return bytes.subarray(at);
  const isControlWord = bytes.length >= at + 4 && uint16(bytes, at) === 0;
  return fromEthernet(bytes.subarray(isControlWord ? at + 4 : at));
}

/** IEEE 802.1Q, 802.1ad and the types that were in use for stacked tags before it. */
function isTag(etherType: number): boolean {
  return etherType === 0x8100 || etherType === 0x88a8 || etherType === 0x9100 || etherType === 0x9200;
}

/** PPPoE session stage (RFC 2516): version and type 1, code 0, session, length, then the PPP protocol. */
function fromPppoe(bytes: Buffer, at: number): Buffer | LinkError {
  if (bytes.length < at + 8) return 'link-short';
  if (bytes[at] !== 0x11 || bytes[at + 1] !== 0) return 'link-not-ip';
  const end = at + 6 + uint16(bytes, at + 4);
  return fromPppProtocol(bytes.subarray(at + 6, end));
}

/** The IP packet in a PPP frame, with RFC 1662's address and control bytes or without (RFC 1661 section 6.6). */
export function fromPpp(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < 2) return 'link-short';
  const framed = (bytes[0] === 0xff || bytes[0] === 0x0f || bytes[0] === 0x8f) && (bytes[1]! & 0xfc) === 0;
  return fromPppProtocol(framed ? bytes.subarray(2) : bytes);
}

/** The protocol number may be compressed to its second byte (RFC 1661 section 6.5), which is odd. */
function fromPppProtocol(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < 2) return 'link-short';
  const compressed = (bytes[0]! & 1) === 1;
  const protocol = compressed ? bytes[0]! : uint16(bytes, 0);
  if (protocol !== 0x0021 && protocol !== 0x0057) return 'link-not-ip';
  return bytes.subarray(compressed ? 1 : 2);
}

/** Four bytes of address family: in the order of the machine that captured (null) or network order (loop). */
function fromNull(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < 4) return 'link-short';
  const family = bytes[0] === 0 && bytes[1] === 0 ? uint16(bytes, 2) : (bytes[1]! << 8) | bytes[0]!;
  return isIpFamily(family) ? bytes.subarray(4) : 'link-not-ip';
}

/** pf's log (FreeBSD net/if_pflog.h): header length, then address family; padded to a multiple of four. */
function fromPflog(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < 4) return 'link-short';
  const headerLength = (bytes[0]! + 3) & ~3;
  if (bytes.length < headerLength) return 'link-short';
  return isIpFamily(bytes[1]!) ? bytes.subarray(headerLength) : 'link-not-ip';
}

const ERF_HEADER = 16;
const ERF_EXTENSION = 8;
const MAX_ERF_EXTENSIONS = 16;
/** TYPE_ETH, TYPE_COLOR_ETH, TYPE_DSM_COLOR_ETH, TYPE_COLOR_HASH_ETH: two bytes, then the frame. */
const ERF_ETHERNET: ReadonlySet<number> = new Set([2, 11, 16, 20]);
/** TYPE_IPV4, TYPE_IPV6. */
const ERF_IP: ReadonlySet<number> = new Set([22, 23]);

/**
 * Extensible Record Format of Endace (ERF types reference guide): 16 bytes, the type in the ninth; its highest bit says
 * that an extension of 8 bytes follows, and so does that of each extension.
 */
function fromErf(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < ERF_HEADER) return 'link-short';
  let at = ERF_HEADER;
  let more = (bytes[8]! & 0x80) !== 0;
  for (let count = 0; more; count++) {
    if (count === MAX_ERF_EXTENSIONS || bytes.length < at + ERF_EXTENSION) return 'link-short';
    more = (bytes[at]! & 0x80) !== 0;
    at += ERF_EXTENSION;
  }
  const type = bytes[8]! & 0x7f;
  if (ERF_ETHERNET.has(type))
    return bytes.length < at + 2 ? 'link-short' : fromEthernet(bytes.subarray(at + 2));
  return ERF_IP.has(type) ? fromRaw(bytes.subarray(at)) : 'link-not-ip';
}

const NFULA_PAYLOAD = 9;

/**
 * Linux nflog (linktypes.html, LINKTYPE_NFLOG): family, version, resource, then attributes of length and type in the
 * order of the machine that captured, padded to four bytes; one of them is the packet.
 */
function fromNflog(bytes: Buffer): Buffer | LinkError {
  if (bytes.length < 8) return 'link-short';
  if (!isIpFamily(bytes[0]!) || bytes[1] !== 0) return 'link-not-ip';
  const isLittle = bytes.readUInt16LE(4) <= bytes.length - 4;
  const read = (at: number) => (isLittle ? bytes.readUInt16LE(at) : bytes.readUInt16BE(at));
  for (let at = 4; at + 4 <= bytes.length; ) {
    const length = read(at);
    if (length < 4 || at + length > bytes.length) return 'link-short';
    if ((read(at + 2) & 0x7fff) === NFULA_PAYLOAD) return fromRaw(bytes.subarray(at + 4, at + length));
    at += (length + 3) & ~3;
  }
  return 'link-not-ip';
}

/** AF_INET is 2 everywhere; AF_INET6 is 10 on Linux, 24 on NetBSD and OpenBSD, 28 on FreeBSD, 30 on macOS. */
function isIpFamily(family: number): boolean {
  return family === 2 || family === 10 || family === 24 || family === 28 || family === 30;
}

function fromRaw(bytes: Buffer): Buffer | LinkError {
  if (bytes.length === 0) return 'link-short';
  const version = bytes[0]! >> 4;
  return version === 4 || version === 6 ? bytes : 'link-not-ip';
}
