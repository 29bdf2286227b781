import { type Address, familyOf } from '../address/address.ts';
import { isCovered, type Network, networkHas, networksOverlap } from '../address/network.ts';
import { isWithin, type PortRange, portsOverlap } from '../address/ports.ts';
import { portsForPeer, type StaticMedia } from '../address/static-media.ts';
import { address, listOf, name, nameOnce, network, overlap, portRange } from './kinds.ts';
import type { NatSettings } from './nat.ts';
import { field, listField, type RecordsKind, required } from './records.ts';

/** Hosts, ranges of ports and further senders of one entry: a call may have 64 pinholes, and 32 may send to each. */
const MOST_HOSTS = 8;
const MOST_RANGES = 8;
const MOST_SENDERS = 31;

export const staticMedia: RecordsKind<StaticMedia> = {
  expected: 'a list of mappings with a name, peers, hosts and ports',
  most: 64,
  fields: {
    name: required(field(name('a name', 32), 'What they are called, in lists and in the log.')),
    peers: required(
      listField(
        listOf(network, 'a list of addresses and networks', 1),
        'Their addresses for signalling. One that has a TLS connection with an inside host on one of `sip-ports`, or a ' +
          'registration there or of an inside host with it, may send media, and no other.',
      ),
    ),
    mediaFrom: listField(
      { ...listOf(address, 'a list of addresses', 1), most: MOST_SENDERS },
      'Further addresses from which their media comes, as long as one of the peers has that.',
    ),
    hosts: required(
      listField(
        { ...listOf(address, 'a list of addresses of inside hosts', 1), most: MOST_HOSTS },
        'Inside hosts that the media goes to.',
      ),
    ),
    ports: required(
      listField(
        { ...listOf<PortRange>(portRange, 'a list of ports and port ranges', 1, overlap), most: MOST_RANGES },
        'UDP ports of these hosts, as narrow as the PBX allows: inside `media-ports`, and none of `denied-ports`.',
      ),
    ),
  },
  short: null,
  collide: (one, other) => (one.name === other.name ? nameOnce(one.name) : null),
};

/** What is wrong with an entry beside other settings. */
interface StaticMediaFault {
  /** `static-media[0].hosts[1]` */
  readonly key: string;
  /** The settings that it has to agree with. */
  readonly beside: readonly string[];
  readonly expected: string;
}

/** The settings that an entry has to agree with. */
interface Surroundings {
  readonly inside: readonly Network[];
  readonly mediaPorts: readonly PortRange[];
  readonly deniedPorts: readonly PortRange[];
  /** Whom policy admits; empty: everybody. */
  readonly peers: readonly { readonly networks: readonly Network[] }[];
  readonly nat: readonly NatSettings[];
  readonly staticMedia: readonly StaticMedia[];
  readonly caps: { readonly staticPorts: number };
}

/** Faults of entries that are each well-formed. */
export function staticMediaFaults(settings: Surroundings): StaticMediaFault[] {
  return settings.staticMedia.flatMap((entry, index) => {
    const at = `static-media[${index}]`;
    const senders = [`${at}.peers`, `${at}.media-from`];
    return [
      ...faultsOf(entry.peers, (peer) => peerFault(peer, settings), `${at}.peers`, [
        'inside',
        'nat',
        'peers',
      ]),
      ...faultsOf(entry.mediaFrom ?? [], (sender) => senderFault(sender, settings), `${at}.media-from`, [
        'inside',
        'nat',
      ]),
      ...faultsOf(entry.hosts, (host) => hostFault(host, entry, settings), `${at}.hosts`, [
        'inside',
        ...senders,
      ]),
      ...faultsOf(entry.ports, (ports) => portsFault(ports, settings), `${at}.ports`, [
        'media-ports',
        'denied-ports',
      ]),
      ...roomFault(entry, settings).map((expected) => ({
        key: `${at}.ports`,
        beside: ['caps.static-ports'],
        expected,
      })),
    ];
  });
}

function faultsOf<T>(
  items: readonly T[],
  faultOf: (item: T) => string | null,
  key: string,
  beside: readonly string[],
): StaticMediaFault[] {
  return items.flatMap((item, index) => {
    const expected = faultOf(item);
    return expected === null ? [] : [{ key: `${key}[${index}]`, beside, expected }];
  });
}

function peerFault(peer: Network, { inside, peers, nat }: Surroundings): string | null {
  const own = inside.find((one) => networksOverlap(one, peer));
  if (own !== undefined) return `addresses that are not inside (${own.text} is), found ${peer.text}`;
  const external = externalAddresses(nat).find((one) => networkHas(peer, one));
  if (external !== undefined)
    return `addresses that stand for no inside host (${external} does, in nat), found ${peer.text}`;
  const admitted = peers.flatMap(({ networks }) => networks);
  return peers.length === 0 || isCovered(peer, admitted)
    ? null
    : `addresses that \`peers\` admits, found ${peer.text}`;
}

function senderFault(sender: Address, { inside, nat }: Surroundings): string | null {
  const own = inside.find((one) => networkHas(one, sender));
  if (own !== undefined) return `an address that is not inside (${own.text} is), found ${sender}`;
  return externalAddresses(nat).includes(sender)
    ? `an address that stands for no inside host, as it does in nat, found ${sender}`
    : null;
}

/** Those that are written down; what an interface has now is not. */
function externalAddresses(nat: readonly NatSettings[]): Address[] {
  return nat.flatMap(({ external, arrivesAt }) => [
    ...('address' in external ? [external.address] : []),
    ...(arrivesAt === null ? [] : [arrivesAt]),
  ]);
}

function hostFault(
  host: Address,
  { peers, mediaFrom }: StaticMedia,
  { inside }: Surroundings,
): string | null {
  if (!inside.some((one) => networkHas(one, host))) return `a host that is inside, found ${host}`;
  const families = [...peers.map(({ family }) => family), ...(mediaFrom ?? []).map(familyOf)];
  return families.length === 0 || families.includes(familyOf(host))
    ? null
    : `a host of the address family of its peers, found ${host}`;
}

/** Ports that could never open, however few are open besides. */
function roomFault(entry: StaticMedia, { caps }: Surroundings): string[] {
  const needed = portsForPeer(entry);
  return needed <= caps.staticPorts
    ? []
    : [
        `at most caps.static-ports (${caps.staticPorts}), each port counted for each host and for each address that may send, ` +
          `found ${needed}`,
      ];
}

function portsFault(ports: PortRange, { mediaPorts, deniedPorts }: Surroundings): string | null {
  const found = portRange.write(ports);
  if (!isWithin(ports, mediaPorts)) {
    return `ports inside media-ports (${mediaPorts.map(portRange.write).join(', ')}), found ${found}`;
  }
  const denied = deniedPorts.find((range) => portsOverlap(range, ports));
  return denied === undefined
    ? null
    : `none of denied-ports, of which it has ${portRange.write(denied)}, found ${found}: give the ranges beside it`;
}
