/** Conntrack entries of closed pinholes. While there is one, an `established` rule passes its packets. */
import { deleteEntry, type FlowTuple, forEachEntry } from '../../native-bindings/linux/ctnetlink.ts';
import type { NetlinkSocket } from '../../native-bindings/linux/netlink.ts';
import { type Address, formatIPv4, formatIPv6 } from '../address/address.ts';
import { createOpeningIndex, type Flow, type Opening, reverse } from '../pinhole/opening.ts';
import type { TrackedFlow } from './conntrack/flow-table.ts';
import type { TrackedFlows } from './conntrack/tracked-flows.ts';
import { protocolName } from './protocols.ts';

type FlowsTowards = TrackedFlows['towards'];

/**
 * Deletes every entry with a direction that one of the closed openings let pass, unless `isOpen` says that these
 * packets may pass still. Returns how many. Where `flowsTowards` does not know them all it walks
 * the whole table, which takes ten milliseconds and more. Throws SystemError.
 */
export function deleteFlows(
  socket: NetlinkSocket,
  closed: readonly Opening[],
  isOpen: (flow: Flow) => boolean,
  flowsTowards: FlowsTowards = () => null,
): number {
  const index = createOpeningIndex(closed);
  const wasOpen = (flow: Flow): boolean => index.find(flow) !== null;
  const found: { entry: TrackedFlow; flows: Flow[] }[] = [];
  eachTowards(socket, closed, flowsTowards, (entry) => {
    const flows = directions(entry).filter(wasOpen);
    if (flows.length > 0) found.push({ entry, flows });
  });
  return found.filter(({ entry, flows }) => !flows.every(isOpen) && deleteEntry(socket, entry)).length;
}

/**
 * Deletes entries from before these openings, whose packets the kernel would go on treating as it did: to the firewall
 * itself in place of the host, or from another port than the host's own. The next packet is translated. Returns how
 * many. `flowsTowards`: as for `deleteFlows`, to these openings or their outer addresses. Throws SystemError.
 */
export function deleteUntranslated(
  socket: NetlinkSocket,
  opened: readonly Opening[],
  flowsTowards: FlowsTowards = () => null,
): number {
  const inner = createOpeningIndex(opened);
  const outside = opened.map((opening) => ({
    ...opening,
    host: opening.address,
    address: arrivesAt(opening),
  }));
  const outer = createOpeningIndex(outside);
  const found: TrackedFlow[] = [];
  eachTowards(socket, [...opened, ...outside], flowsTowards, (entry) => {
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

/** Visits at least the entries of which a direction goes to a port of these openings. */
function eachTowards(
  socket: NetlinkSocket,
  openings: readonly Opening[],
  flowsTowards: FlowsTowards,
  visit: (entry: TrackedFlow) => void,
): void {
  const known = flowsTowards(openings);
  if (known === null) forEachEntry(socket, { sourcePorts: portsOf(openings) }, visit);
  else for (const entry of known) visit(entry);
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

/** A packet is sent from `from`'s source; where it goes is what the other direction comes from. */
function flowFrom(protocol: 'udp' | 'tcp', from: FlowTuple, back: FlowTuple): Flow {
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
