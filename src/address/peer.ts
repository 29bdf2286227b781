import type { Network } from './network.ts';
import type { PortRange } from './ports.ts';

/** Outside parties with whom calls may open pinholes. What is null holds as the general settings say. */
export interface Peer {
  /** Null for a network that only admits its addresses, and has nothing of its own. */
  readonly name: string | null;
  readonly networks: readonly Network[];
  /** Calls at a time with all of its addresses together. */
  readonly calls: number | null;
  /** Offers a second from all of its addresses together. */
  readonly offersPerSecond: number | null;
  readonly earlyMediaSource: 'signalling-peer' | 'any' | null;
  readonly mediaSource: 'exact' | 'signalling-peer' | 'any' | null;
  /** Destination ports, inside the general ones. */
  readonly mediaPorts: readonly PortRange[] | null;
}
