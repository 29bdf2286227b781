import type { Address } from '../address/address.ts';
import { networkHas, networkSet } from '../address/network.ts';
import type { Peer } from '../address/peer.ts';
import { remembered } from '../remembered.ts';

/** A peer whose addresses are one party. */
export interface NamedPeer extends Peer {
  readonly name: string;
}

export interface Peers {
  /** Whether calls with this outside address may open pinholes: it is of a peer, or no peers are given. */
  isAllowed(address: Address): boolean;
  /** The named peer that the address is of; null for one of none, or of a network without a name. */
  peerOf(address: Address): NamedPeer | null;
}

/** Addresses whose peer is remembered. */
const MAX_KNOWN = 4096;

/**
 * Who the configured peers are. Of several named peers that have an address the one with the narrowest network
 * counts. A question takes time linear in the number of networks, or none when it was asked lately.
 */
export function createPeers(peers: readonly Peer[]): Peers {
  const isListed = networkSet(peers.flatMap(({ networks }) => networks));
  const named = peers
    .filter(isNamed)
    .flatMap((peer) => peer.networks.map((network) => ({ peer, network })))
    .sort((a, b) => b.network.prefix - a.network.prefix);
  const find = remembered(
    MAX_KNOWN,
    (address: Address) => named.find(({ network }) => networkHas(network, address))?.peer ?? null,
  );

  return {
    isAllowed: (address) => peers.length === 0 || isListed(address),
    peerOf: (address) => (named.length === 0 ? null : find(address)),
  };
}

function isNamed(peer: Peer): peer is NamedPeer {
  return peer.name !== null;
}
