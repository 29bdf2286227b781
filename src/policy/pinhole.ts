import type { Address } from '../address/address.ts';
import type { MediaKind } from '../call/wanted.ts';

export type { MediaKind } from '../call/wanted.ts';

/**
 * What a firewall is asked to let through: one protocol, known sources, one destination address, exact ports.
 * Source ports are free unless `sourcePort` is set.
 */
export interface Pinhole {
  /** Derived from everything below but the label: equal ids are equal rules. */
  readonly id: string;
  readonly protocol: 'udp' | 'tcp';
  /** Never empty. All of the destination's address family, sorted. */
  readonly sources: readonly Address[] | 'any';
  readonly sourcePort: number | null;
  readonly address: Address;
  /** First and last destination port, inclusive; host order. */
  readonly ports: readonly [first: number, last: number];
  readonly kind: MediaKind;
  /** Media type of the m= line: audio, video... */
  readonly media: string;
  /** `pinholed:<call hash>:<stream>`, at most 63 bytes of [0-9a-z:.]; states are killed by it. */
  readonly label: string;
}

/** The id of a rule that matches this: what policy gives a pinhole, and what a rule read back must have. */
export function pinholeId(
  rule: Pick<Pinhole, 'protocol' | 'sources' | 'sourcePort' | 'address' | 'ports'>,
): string {
  const { protocol, sources, sourcePort, address, ports } = rule;
  const from = sources === 'any' ? 'any' : sources.join(',');
  const port = sourcePort === null ? '' : `:${sourcePort}`;
  return `${protocol} ${from}${port} > ${address} ${ports[0]}-${ports[1]}`;
}
