/** Conntrack entries of closed pinholes. While there is one, an `established` rule passes its packets. */
import {
  type ConntrackEntry,
  deleteEntry,
  type FlowTuple,
  forEachEntry,
} from '../../native-bindings/linux/ctnetlink.ts';
import type { NetlinkSocket } from '../../native-bindings/linux/netlink.ts';
import { type Address, formatIPv4, formatIPv6 } from '../address/address.ts';
import type { Pinhole } from '../policy/pinhole.ts';

/** Packets in one direction, as filter rules see them: between the two halves of address translation. */
export interface Flow {
  readonly protocol: 'udp' | 'tcp';
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly port: number;
}

/** IPPROTO_ numbers. */
const protocols: Readonly<Record<number, 'udp' | 'tcp'>> = { 6: 'tcp', 17: 'udp' };

/**
 * Deletes every entry with a direction that one of the closed pinholes let pass, unless `isOpen` says that these
 * packets may pass still. Returns how many. Walks the whole table, which takes ten milliseconds and more. Throws
 * SystemError.
 */
export function deleteFlows(
  socket: NetlinkSocket,
  closed: readonly Pinhole[],
  isOpen: (flow: Flow) => boolean,
): number {
  const sourcePorts = new Uint8Array(0x10000);
  const byPort = new Map<string, Pinhole[]>();
  for (const pinhole of closed) {
    for (let port = pinhole.ports[0]; port <= pinhole.ports[1]; port++) {
      sourcePorts[port] = 1;
      const key = `${pinhole.protocol} ${pinhole.address} ${port}`;
      const others = byPort.get(key);
      if (others === undefined) byPort.set(key, [pinhole]);
      else others.push(pinhole);
    }
  }
  const wasOpen = (flow: Flow): boolean =>
    byPort.get(`${flow.protocol} ${flow.destination} ${flow.port}`)?.some((one) => lets(one, flow)) ?? false;
  const found: { entry: ConntrackEntry; flows: Flow[] }[] = [];
  forEachEntry(socket, { sourcePorts }, (entry) => {
    const flows = directions(entry).filter(wasOpen);
    if (flows.length > 0) found.push({ entry, flows });
  });
  return found.filter(({ entry, flows }) => !flows.every(isOpen) && deleteEntry(socket, entry)).length;
}

function lets({ sources, sourcePort }: Pinhole, flow: Flow): boolean {
  return (
    (sources === 'any' || sources.includes(flow.source)) &&
    (sourcePort ?? flow.sourcePort) === flow.sourcePort
  );
}

/** The flow as it began and the flow back, with the addresses that each has in the forward hook. */
function directions({ original, reply }: ConntrackEntry): Flow[] {
  const protocol = protocols[original.protocol];
  if (protocol === undefined) return [];
  return [flowFrom(protocol, original, reply), flowFrom(protocol, reply, original)];
}

/** A packet is sent from `from`'s source; where it goes is what the other direction comes from. */
function flowFrom(protocol: 'udp' | 'tcp', from: FlowTuple, back: FlowTuple): Flow {
  return {
    protocol,
    source: format(from.source),
    sourcePort: from.sourcePort,
    destination: format(back.source),
    port: back.sourcePort,
  };
}

function format(bytes: Buffer): Address {
  return bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0);
}
