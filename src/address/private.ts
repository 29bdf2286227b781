import { networkSet, parseNetwork } from './network.ts';

/** RFC 1918, RFC 6598, RFC 4193: addresses that mean nothing beyond their own network. */
export const isPrivate = networkSet(
  ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', '100.64.0.0/10', 'fc00::/7'].map(
    (text) => parseNetwork(text)!,
  ),
);
