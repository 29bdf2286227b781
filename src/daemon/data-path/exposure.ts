import type { Address } from '../../address/address.ts';
import type { Change } from '../../pinhole/change.ts';
import type { Pinhole } from '../../pinhole/pinhole.ts';

/** How much was open for how long since the data path took its first packet; sums in ms. */
export interface Exposure {
  /** ms since then. */
  readonly span: number;
  /** Destination ports open now, each counted once for every pinhole that opens it. */
  readonly ports: number;
  /** Sum over all pinholes of ports times time. */
  readonly portTime: number;
  /** The same times the number of addresses that may send, without pinholes that let any address send. */
  readonly sourceTime: number;
  /** The part of `portTime` in which any address may send. */
  readonly anySourceTime: number;
  /** Inside addresses that had a pinhole, and addresses that were let in, each counted once. */
  readonly hosts: number;
  readonly sources: number;
  /** Whether there were more of either than are counted. */
  readonly full: boolean;
}

interface ExposureMeter {
  /** The filter holds exactly these pinholes from `now` on. */
  start(pinholes: Iterable<Pinhole>, now: number): void;
  /** The filter has confirmed this at `now`. */
  change(change: Change, now: number): void;
  read(now: number): Exposure;
}

const MOST_ADDRESSES = 65_536;

/** Adds up what the packet filter let in, from what it confirmed. */
export function createExposureMeter(): ExposureMeter {
  const open = new Map<string, Pinhole>();
  const hosts = new Set<Address>();
  const sources = new Set<Address>();
  let full = false;
  let startedAt = 0;
  let countedAt = 0;
  let ports = 0;
  let sourcePorts = 0;
  let anySourcePorts = 0;
  let portTime = 0;
  let sourceTime = 0;
  let anySourceTime = 0;

  function advance(now: number): void {
    const passed = now - countedAt;
    countedAt = now;
    portTime += ports * passed;
    sourceTime += sourcePorts * passed;
    anySourceTime += anySourcePorts * passed;
  }

  function note(addresses: Set<Address>, address: Address): void {
    if (addresses.size < MOST_ADDRESSES) addresses.add(address);
    else if (!addresses.has(address)) full = true;
  }

  function add(pinhole: Pinhole, sign: 1 | -1): void {
    const count = sign * (pinhole.ports[1] - pinhole.ports[0] + 1);
    ports += count;
    if (pinhole.sources === 'any') anySourcePorts += count;
    else sourcePorts += count * pinhole.sources.length;
  }

  function opened(pinhole: Pinhole): void {
    if (open.has(pinhole.id)) return;
    open.set(pinhole.id, pinhole);
    add(pinhole, 1);
    note(hosts, pinhole.address);
    if (pinhole.sources !== 'any') for (const source of pinhole.sources) note(sources, source);
  }

  function closed({ id }: Pinhole): void {
    const pinhole = open.get(id);
    if (pinhole === undefined) return;
    open.delete(id);
    add(pinhole, -1);
  }

  return {
    start(pinholes, now) {
      for (const pinhole of open.values()) add(pinhole, -1);
      open.clear();
      startedAt = now;
      countedAt = now;
      portTime = 0;
      sourceTime = 0;
      anySourceTime = 0;
      for (const pinhole of pinholes) opened(pinhole);
    },
    change({ open: added, close }, now) {
      advance(now);
      for (const pinhole of added) opened(pinhole);
      for (const pinhole of close) closed(pinhole);
    },
    read(now) {
      advance(now);
      const counted = { hosts: hosts.size, sources: sources.size, full };
      return { span: now - startedAt, ports, portTime, sourceTime, anySourceTime, ...counted };
    },
  };
}
