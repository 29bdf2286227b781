import type { Network } from '../address/network.ts';
import type { Peer } from '../address/peer.ts';
import type { PortRange } from '../address/ports.ts';
import { choice, integer, type Kind, listOf, name, nameOnce, network, overlap, portRange } from './kinds.ts';
import { field, listField, type RecordsKind, required } from './records.ts';

const bareNetwork: Kind<Peer> = {
  expected: network.expected,
  read: (scalar) => {
    const reading = network.read(scalar);
    return reading.ok ? { ok: true, value: unnamed(reading.value) } : reading;
  },
  write: ({ networks }) => network.write(networks[0]!),
};

function unnamed(only: Network): Peer {
  return {
    name: null,
    networks: [only],
    calls: null,
    offersPerSecond: null,
    earlyMediaSource: null,
    mediaSource: null,
    mediaPorts: null,
  };
}

export const peers: RecordsKind<Peer> = {
  expected: 'a list of networks, and of mappings with a name and networks',
  most: 256,
  fields: {
    name: required(field(name('a name', 32), 'What the peer is called, in logs and refusals.')),
    networks: required(
      listField(
        listOf(network, 'a list of networks', 1),
        'Its addresses. They are one party: a request or response of a call may come from any of them. Where ' +
          'networks of several peers hold an address, it is of the peer with the narrowest.',
      ),
    ),
    calls: field(
      integer(1, 1_000_000),
      'Calls at a time with this peer. They are counted with `caps.calls` as well.',
    ),
    offersPerSecond: field(
      integer(1, 100_000),
      'Offers a second of all inside hosts in calls with this peer, in place of `caps.offers-per-second`.',
    ),
    earlyMediaSource: field(
      choice('signalling-peer', 'any'),
      '`early-media-source` for calls with this peer.',
    ),
    mediaSource: field(choice('exact', 'signalling-peer', 'any'), '`media-source` for calls with this peer.'),
    mediaPorts: listField(
      listOf<PortRange>(portRange, 'a list of ports and port ranges', 1, overlap),
      'Destination ports that calls with this peer may open, inside those of `media-ports`.',
    ),
  },
  short: { kind: bareNetwork, isShort: (peer) => peer.name === null },
  collide: (one, other) => {
    if (one.name !== null && one.name === other.name) return nameOnce(one.name);
    if ((one.name === null) !== (other.name === null)) return null;
    const shared = one.networks.find(({ text }) => other.networks.some((network) => network.text === text));
    if (shared === undefined) return null;
    return one.name === null ? 'each item once' : `networks that are not of ${other.name} (${shared.text})`;
  },
};
