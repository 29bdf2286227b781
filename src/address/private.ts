import { type Network, networkSet, parseNetwork } from './network.ts';

/** RFC 1918, RFC 4193: networks of one's own. What is behind carrier-grade NAT (RFC 6598) is the outside of those. */
export const PRIVATE_RANGES = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'] as const;
export const PRIVATE_NETWORKS: readonly Network[] = PRIVATE_RANGES.map((text) => parseNetwork(text)!);

/** RFC 1918, RFC 6598, RFC 4193: addresses that mean nothing beyond their own network. */
export const isPrivate = networkSet([...PRIVATE_NETWORKS, parseNetwork('100.64.0.0/10')!]);
