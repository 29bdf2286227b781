import type { Address } from './address.ts';
import type { Network } from './network.ts';
import { type PortRange, portsIn } from './ports.ts';

/** Peers whose signalling nobody here can read, and the media ports that are open while they are there. */
export interface StaticMedia {
  readonly name: string;
  /** Each address of these that has a connection or a registration with an inside host may send. */
  readonly peers: readonly Network[];
  /** Others that may send while one of the peers has; null: none. */
  readonly mediaFrom: readonly Address[] | null;
  /** Inside hosts that media goes to. */
  readonly hosts: readonly Address[];
  /** UDP ports of each of them. */
  readonly ports: readonly PortRange[];
}

/** What one peer that is there has open, each port counted for each host and for each address that may send. */
export function portsForPeer({ hosts, ports, mediaFrom }: StaticMedia): number {
  return portsIn(ports) * hosts.length * (1 + (mediaFrom?.length ?? 0));
}

/** How an entry stands. */
export interface StaticMediaUse {
  readonly name: string;
  /** Addresses of its peers that are there: they have a connection or a registration. */
  readonly peers: number;
  /** What is open for them, as `portsForPeer` counts. */
  readonly ports: number;
}
