/** Conntrack entries over netlink: read, and deleted one by one. */
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
  CTA_ZONE,
  IPCTNL_MSG_CT_DELETE,
  IPCTNL_MSG_CT_GET,
  NFNL_SUBSYS_CTNETLINK,
  NLM_F_ACK,
  NLM_F_DUMP,
  NLM_F_REQUEST,
} from './constants.ts';
import {
  attributes,
  findAttribute,
  type MessageWriter,
  messageWriter,
  NETFILTER_HEADER,
  type NetlinkSocket,
  NLMSG_HDRLEN,
  valueEnd,
} from './netlink.ts';

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
  /** Of each direction; null for a flow that began while net.netfilter.nf_conntrack_acct was 0. */
  readonly packets: { readonly original: number; readonly reply: number } | null;
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

function messageType(type: number): number {
  return (NFNL_SUBSYS_CTNETLINK << 8) | type;
}

/**
 * Visits the conntrack entries that match. It walks the whole table: milliseconds when that is large. Throws
 * SystemError; EINTR when the table changed in a way that makes the dump incomplete.
 */
export function forEachEntry(
  socket: NetlinkSocket,
  filter: ConntrackFilter,
  visit: (entry: ConntrackEntry) => void,
): void {
  const writer = messageWriter(64);
  writer.message(
    messageType(IPCTNL_MSG_CT_GET),
    NLM_F_REQUEST | NLM_F_DUMP,
    socket.sequence(),
    filter.family ?? 0,
    0,
  );
  if (filter.mark !== undefined) {
    writer.be32(CTA_MARK, filter.mark.value);
    writer.be32(CTA_MARK_MASK, filter.mark.mask);
  }
  const { sourcePorts } = filter;
  socket.dump('IPCTNL_MSG_CT_GET', writer.contents(), ({ bytes, start, end }) => {
    if (sourcePorts !== undefined && !hasSourcePort(bytes, start, end, sourcePorts)) return;
    const entry = readEntry(bytes, start, end);
    if (entry !== undefined) visit(entry);
  });
}

/**
 * Deletes one entry; false when it is gone already, also when another flow has taken its place since. The next
 * packet of the flow is a new one.
 */
export function deleteEntry(socket: NetlinkSocket, entry: ConntrackEntry): boolean {
  const writer = messageWriter(256);
  writer.message(
    messageType(IPCTNL_MSG_CT_DELETE),
    NLM_F_REQUEST | NLM_F_ACK,
    socket.sequence(),
    entry.family,
    0,
  );
  writeTuple(writer, CTA_TUPLE_ORIG, entry.family, entry.original);
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

function writeTuple(writer: MessageWriter, type: number, family: number, tuple: FlowTuple): void {
  const [source, destination] =
    family === AF_INET6 ? [CTA_IP_V6_SRC, CTA_IP_V6_DST] : [CTA_IP_V4_SRC, CTA_IP_V4_DST];
  writer.nest(type, () => {
    writer.nest(CTA_TUPLE_IP, () => {
      writer.bytes(source, tuple.source);
      writer.bytes(destination, tuple.destination);
    });
    writer.nest(CTA_TUPLE_PROTO, () => {
      writer.u8(CTA_PROTO_NUM, tuple.protocol);
      writer.be16(CTA_PROTO_SRC_PORT, tuple.sourcePort);
      writer.be16(CTA_PROTO_DST_PORT, tuple.destinationPort);
    });
  });
}

function hasSourcePort(bytes: Buffer, start: number, end: number, ports: Uint8Array): boolean {
  const from = start + NETFILTER_HEADER - NLMSG_HDRLEN;
  return (
    ports[sourcePortOf(bytes, from, end, CTA_TUPLE_ORIG)] !== 0 ||
    ports[sourcePortOf(bytes, from, end, CTA_TUPLE_REPLY)] !== 0
  );
}

/** The source port of one direction; 0 where it has none. */
function sourcePortOf(bytes: Buffer, start: number, end: number, tuple: number): number {
  const direction = findAttribute(bytes, start, end, tuple);
  if (direction < 0) return 0;
  const proto = findAttribute(bytes, direction, valueEnd(bytes, direction), CTA_TUPLE_PROTO);
  if (proto < 0) return 0;
  const port = findAttribute(bytes, proto, valueEnd(bytes, proto), CTA_PROTO_SRC_PORT);
  return port < 0 || valueEnd(bytes, port) - port !== 2 ? 0 : bytes.readUInt16BE(port);
}

function readEntry(bytes: Buffer, start: number, end: number): ConntrackEntry | undefined {
  if (end - start < NETFILTER_HEADER - NLMSG_HDRLEN) return undefined;
  const family = bytes[start]!;
  if (family !== AF_INET && family !== AF_INET6) return undefined;
  const members = attributes(bytes, start + NETFILTER_HEADER - NLMSG_HDRLEN, end);
  const original = readTuple(members.get(CTA_TUPLE_ORIG));
  const reply = readTuple(members.get(CTA_TUPLE_REPLY));
  if (original === undefined || reply === undefined) return undefined;
  return {
    family,
    original,
    reply,
    mark: number(members.get(CTA_MARK), 4),
    id: number(members.get(CTA_ID), 4),
    zone: number(members.get(CTA_ZONE), 2),
    packets: readPackets(members.get(CTA_COUNTERS_ORIG), members.get(CTA_COUNTERS_REPLY)),
  };
}

function readPackets(original: Buffer | undefined, reply: Buffer | undefined): ConntrackEntry['packets'] {
  if (original === undefined || reply === undefined) return null;
  const packets = (nested: Buffer) => attributes(nested).get(CTA_COUNTERS_PACKETS);
  const [along, back] = [packets(original), packets(reply)];
  if (along?.length !== 8 || back?.length !== 8) return null;
  return { original: Number(along.readBigUInt64BE()), reply: Number(back.readBigUInt64BE()) };
}

function readTuple(nested: Buffer | undefined): FlowTuple | undefined {
  if (nested === undefined) return undefined;
  const tuple = attributes(nested);
  const ip = tuple.get(CTA_TUPLE_IP);
  const proto = tuple.get(CTA_TUPLE_PROTO);
  if (ip === undefined || proto === undefined) return undefined;
  const addresses = attributes(ip);
  const source = addresses.get(CTA_IP_V4_SRC) ?? addresses.get(CTA_IP_V6_SRC);
  const destination = addresses.get(CTA_IP_V4_DST) ?? addresses.get(CTA_IP_V6_DST);
  if (source === undefined || destination === undefined) return undefined;
  const ports = attributes(proto);
  return {
    source: Buffer.from(source),
    destination: Buffer.from(destination),
    protocol: ports.get(CTA_PROTO_NUM)?.[0] ?? 0,
    sourcePort: number(ports.get(CTA_PROTO_SRC_PORT), 2),
    destinationPort: number(ports.get(CTA_PROTO_DST_PORT), 2),
  };
}

/** An integer in network order; 0 where it is missing or of another size. */
function number(value: Buffer | undefined, size: number): number {
  return value?.length === size ? value.readUIntBE(0, size) : 0;
}
