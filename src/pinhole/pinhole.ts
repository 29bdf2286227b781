import type { Address } from '../address/address.ts';

export type PinholeKind = 'rtp' | 'rtcp' | 'rtp+rtcp' | 'udptl' | 'datachannel' | 'msrp' | 'bfcp' | 'tcp';

/**
 * What a firewall is asked to let through: one protocol, known sources, one destination address, exact ports.
 * Source ports are free unless `sourcePort` is set.
 */
export interface Pinhole {
  /** Names this pinhole to the firewall: equal ids are equal rules. Unique among the open ones. */
  readonly id: string;
  readonly protocol: 'udp' | 'tcp';
  /** Never empty. All of the destination's address family. */
  readonly sources: readonly Address[] | 'any';
  readonly sourcePort: number | null;
  readonly address: Address;
  /** First and last destination port, inclusive; host order. */
  readonly ports: readonly [first: number, last: number];
  readonly kind: PinholeKind;
  /** Media type of the m= line: audio, video... */
  readonly media: string;
  /** `pinholed:<call hash>:<stream>`, at most 63 bytes of [0-9a-z:.]; states are killed by it. */
  readonly label: string;
}

/**
 * What one packet or one deadline asks of the firewall, to be done as one: everything in `open` exists and
 * everything in `close` is gone when the commit returns. A firewall opens before it closes.
 */
export interface Change {
  readonly open: readonly Pinhole[];
  readonly close: readonly Pinhole[];
}
