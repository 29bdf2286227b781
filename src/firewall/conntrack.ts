/** Conntrack entries of closed pinholes. While there is one, an `established` rule passes its packets. */
import {
  type ConntrackEntry,
  deleteEntry,
  type FlowTuple,
  forEachEntry,
} from '../../native-bindings/linux/ctnetlink.ts';
import type { NetlinkSocket } from '../../native-bindings/linux/netlink.ts';
import { type Address, formatIPv4, formatIPv6 } from '../address/address.ts';
import { createOpeningIndex, type Flow, type Opening, reverse } from '../pinhole/opening.ts';
import type { TrackedFlow } from './conntrack/flow-table.ts';
import { protocolName } from './protocols.ts';

/**
 * Deletes every entry with a direction that one of the closed openings let pass, unless `isOpen` says that these
 * packets may pass still. Returns how many. Looks at `candidates` alone; null walks the whole table, which takes ten
 * milliseconds and more. Throws SystemError.
 */
export function deleteFlows(
  socket: NetlinkSocket,
  closed: readonly Opening[],
  isOpen: (flow: Flow) => boolean,
  candidates: readonly TrackedFlow[] | null = null,
): number {
  const index = createOpeningIndex(closed);
  const wasOpen = (flow: Flow): boolean => index.find(flow) !== null;
  const found: { entry: TrackedFlow; flows: Flow[] }[] = [];
  const look = (entry: TrackedFlow) => {
    const flows = directions(entry).filter(wasOpen);
    if (flows.length > 0) found.push({ entry, flows });
  };
  if (candidates === null) forEachEntry(socket, { sourcePorts: portsOf(closed) }, look);
  else for (const candidate of candidates) look(candidate);
  return found.filter(({ entry, flows }) => !flows.every(isOpen) && deleteEntry(socket, entry)).length;
}

/**
 * Deletes entries from before these openings, whose packets the kernel would go on treating as it did: to the firewall
 * itself in place of the host, or from another port than the host's own. The next packet is translated. Returns how
 * many. Walks the whole table. Throws SystemError.
 */
export function deleteUntranslated(socket: NetlinkSocket, opened: readonly Opening[]): number {
  const sourcePorts = portsOf(opened);
  const inner = createOpeningIndex(opened);
  const outer = createOpeningIndex(
    opened.map((opening) => ({ ...opening, host: opening.address, address: arrivesAt(opening) })),
  );
  const found: ConntrackEntry[] = [];
  forEachEntry(socket, { sourcePorts }, (entry) => {
    const { original, reply } = entry;
    const protocol = protocolName(original.protocol);
    if (protocol === null) return;
    const towards = outer.find(asSent(protocol, original));
    const from = inner.find(reverse(asSent(protocol, original)));
    const astray = towards !== null && format(reply.source) !== towards.host;
    const renamed =
      from !== null &&
      (format(reply.destination) !== arrivesAt(from) || reply.destinationPort !== original.sourcePort);
    if (astray || renamed) found.push(entry);
  });
  return found.filter((entry) => deleteEntry(socket, entry)).length;
}

function arrivesAt({ translation, address }: Opening): Address {
  return translation?.arrivesAt ?? address;
}

/** A direction of an entry as it is before any translation. */
function asSent(protocol: 'udp' | 'tcp', tuple: FlowTuple): Flow {
  return {
    protocol,
    source: format(tuple.source),
    sourcePort: tuple.sourcePort,
    destination: format(tuple.destination),
    destinationPort: tuple.destinationPort,
  };
}

/** The flow as it began and the flow back, with the addresses that each has between the two halves of translation. */
function directions({ original, reply }: TrackedFlow): Flow[] {
  const protocol = protocolName(original.protocol);
  if (protocol === null) return [];
  return [flowFrom(protocol, original, reply), flowFrom(protocol, reply, original)];
}

/** Where a direction comes from. */
type End = TrackedFlow['reply'];

/** A packet is sent from `from`'s source; where it goes is what the other direction comes from. */
function flowFrom(protocol: 'udp' | 'tcp', from: End, back: End): Flow {
  return {
    protocol,
    source: format(from.source),
    sourcePort: from.sourcePort,
    destination: format(back.source),
    destinationPort: back.sourcePort,
  };
}

function format(bytes: Buffer): Address {
  return bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0);
}

/** Ports that they lead to, for `forEachEntry`: 1 at the index of each. */
function portsOf(openings: readonly Opening[]): Uint8Array {
  const marked = new Uint8Array(0x10000);
  for (const { ports } of openings) marked.fill(1, ports[0], ports[1] + 1);
  return marked;
}
