/** Conntrack entries over netlink: read, and deleted one by one. */
import {
  AF_INET,
  AF_INET6,
  CTA_ID,
  CTA_IP_V4_DST,
  CTA_IP_V4_SRC,
  CTA_IP_V6_DST,
  CTA_IP_V6_SRC,
  CTA_MARK,
  CTA_PROTO_DST_PORT,
  CTA_PROTO_NUM,
  CTA_PROTO_SRC_PORT,
  CTA_TUPLE_IP,
  CTA_TUPLE_ORIG,
  CTA_TUPLE_PROTO,
  CTA_TUPLE_ZONE,
  CTA_ZONE,
  IPCTNL_MSG_CT_DELETE,
  NFNL_SUBSYS_CTNETLINK,
  NLM_F_ACK,
  NLM_F_REQUEST,
} from './constants.ts';
import {
  type ConntrackFilter,
  type DirectionInPlace,
  type EntryInPlace,
  idOf,
  numberOf,
  originalZoneOf,
  walkEntries,
  zoneOf,
} from './in-place.ts';
import { type MessageWriter, messageWriter, type NetlinkSocket } from './netlink.ts';

/** One direction of a flow. Addresses are 4 or 16 bytes in network order; ports are 0 for protocols without. */
export interface FlowTuple {
  readonly source: Buffer;
  readonly destination: Buffer;
  readonly protocol: number;
  readonly sourcePort: number;
  readonly destinationPort: number;
}

/** A conntrack entry: the flow as its first packet came, and as its answers come (after address translation). */
export interface ConntrackEntry {
  /** AF_INET or AF_INET6. */
  readonly family: number;
  readonly original: FlowTuple;
  readonly reply: FlowTuple;
  readonly mark: number;
  /** The kernel's id of the entry. */
  readonly id: number;
  readonly zone: number;
  /** Of the original direction alone, where it has one of its own; else 0. */
  readonly originalZone: number;
  /** Of each direction; null for a flow that began while net.netfilter.nf_conntrack_acct was 0. */
  readonly packets: { readonly original: number; readonly reply: number } | null;
}

function messageType(type: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | type;
}

/** `walkEntries` with an object for each, to be kept. */
export function forEachEntry(
  socket: NetlinkSocket,
  filter: ConntrackFilter,
  visit: (entry: ConntrackEntry) => void,
): void {
  walkEntries(socket, filter, (entry) => visit(copyOf(entry)));
}

function copyOf(entry: EntryInPlace): ConntrackEntry {
  const { addressSize, original, reply } = entry;
  const isCounted = original.packets !== null && reply.packets !== null;
  return {
    family: addressSize === 4 ? AF_INET : AF_INET6,
    original: tupleOf(entry, original),
    reply: tupleOf(entry, reply),
    mark: numberOf(entry, CTA_MARK, 4),
    id: idOf(entry),
    zone: zoneOf(entry),
    originalZone: originalZoneOf(entry),
    packets: isCounted ? { original: original.packets, reply: reply.packets } : null,
  };
}

function tupleOf({ bytes, addressSize, protocol }: EntryInPlace, direction: DirectionInPlace): FlowTuple {
  const { source, destination, sourcePort, destinationPort } = direction;
  const address = (at: number) => Buffer.from(bytes.subarray(at, at + addressSize));
  return {
    source: address(source),
    destination: address(destination),
    protocol,
    sourcePort,
    destinationPort,
  };
}

/**
 * Deletes one entry; false when it is gone already, also when another flow has taken its place since. The next
 * packet of the flow is a new one.
 */
export function deleteEntry(
  socket: NetlinkSocket,
  entry: Pick<ConntrackEntry, 'family' | 'original' | 'id' | 'zone' | 'originalZone'>,
): boolean {
  const writer = messageWriter(256);
  writer.message(
    messageType(IPCTNL_MSG_CT_DELETE),
    NLM_F_REQUEST | NLM_F_ACK,
    socket.sequence(),
    entry.family,
    0,
  );
  writeOriginal(writer, entry);
  writer.be32(CTA_ID, entry.id);
  if (entry.zone !== 0) writer.be16(CTA_ZONE, entry.zone);
  try {
    socket.transact('IPCTNL_MSG_CT_DELETE', writer.contents());
    return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
}

function writeOriginal(
  writer: MessageWriter,
  { family, original: tuple, originalZone }: Pick<ConntrackEntry, 'family' | 'original' | 'originalZone'>,
): void {
  const [source, destination] =
    family === AF_INET6 ? [CTA_IP_V6_SRC, CTA_IP_V6_DST] : [CTA_IP_V4_SRC, CTA_IP_V4_DST];
  writer.nest(CTA_TUPLE_ORIG, () => {
    writer.nest(CTA_TUPLE_IP, () => {
      writer.bytes(source, tuple.source);
      writer.bytes(destination, tuple.destination);
    });
    writer.nest(CTA_TUPLE_PROTO, () => {
      writer.u8(CTA_PROTO_NUM, tuple.protocol);
      writer.be16(CTA_PROTO_SRC_PORT, tuple.sourcePort);
      writer.be16(CTA_PROTO_DST_PORT, tuple.destinationPort);
    });
    if (originalZone !== 0) writer.be16(CTA_TUPLE_ZONE, originalZone);
  });
}
