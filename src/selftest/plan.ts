import {
  type Address,
  addressBytes,
  type Family,
  familyOf,
  formatIPv4,
  formatIPv6,
  parseAddress,
} from '../address/address.ts';
import { type Network, networkHas, networkOf } from '../address/network.ts';
import { includesPort } from '../address/ports.ts';
import { quote } from '../config/problem.ts';
import type { Settings } from '../config/schema.ts';
import { SelftestError } from './error.ts';

/** An interface of this machine and its addresses, as far as they are known outside the link. */
export interface Interface {
  readonly name: string;
  readonly addresses: readonly { readonly address: Address; readonly prefix: number }[];
}

/** Who calls whom, and how packets get there. */
export interface Plan {
  readonly family: Family;
  /** A host inside, and the interface that leads to it. */
  readonly host: Address;
  readonly inside: Interface;
  /** The other party, and the interface that leads to it; `stranger` is behind the same. */
  readonly peer: Address;
  readonly stranger: Address;
  readonly outside: Interface;
  /** What the host announces: its own address, or the external one that stands for it. */
  readonly announced: Address;
  readonly sipPort: number;
  /** Of the host's two streams. */
  readonly mediaPorts: readonly [number, number];
}

export interface Choice {
  readonly host: Address | null;
  /** An address, or the name that `peers` has for one. */
  readonly peer: string | null;
}

/** The interface by which packets for an address leave this machine; null where none does. */
export type RouteTo = (address: Address) => string | null;

/** Addresses that filters for forged sources do not drop; not one packet leaves the copy. */
const PEERS: Readonly<Record<Family, readonly [Address, Address, Address]>> = {
  4: ['203.0.114.10', '203.0.114.66', '203.0.114.130'],
  6: ['2a00:1234::10', '2a00:1234::66', '2a00:1234::130'],
};

/** Who is to call whom on this machine. Throws SelftestError where that cannot be told. */
export function planFor(
  settings: Settings,
  interfaces: readonly Interface[],
  routeTo: RouteTo,
  choice: Choice,
): Plan {
  const host = choice.host ?? hostFor(settings, interfaces);
  if (host === null) {
    throw new SelftestError(
      'no interface of this machine has an address in a network of `inside`, and no single host is named there: name one with --host',
    );
  }
  if (!settings.inside.some((network) => networkHas(network, host))) {
    throw new SelftestError(`${host} is not inside: see \`inside\` in the configuration`);
  }
  const family = familyOf(host);
  const peer = peerFor(settings, choice.peer, family);
  if (familyOf(peer) !== family) throw new SelftestError(`${host} and ${peer} are of two address families`);
  const [inside, outside] = [host, peer].map((address) => interfaceTo(address, interfaces, routeTo)) as [
    Interface,
    Interface,
  ];
  if (inside.name === outside.name) {
    throw new SelftestError(
      `${host} and ${peer} are both behind ${inside.name}: nothing between them passes here`,
    );
  }
  return {
    ...{ family, host, inside, peer, outside },
    stranger: strangerFor(settings, [host, peer], family),
    announced: externalOf(settings, host, interfaces) ?? host,
    sipPort: settings.sipPorts[0]![0],
    mediaPorts: mediaPortsOf(settings),
  };
}

function hasAddress(networks: readonly Network[], address: Address): boolean {
  return networks.some((network) => networkHas(network, address));
}

/** One that is named, else a neighbour of this machine's own address. */
function hostFor({ inside, nat }: Settings, interfaces: readonly Interface[]): Address | null {
  const named = [...nat.flatMap(({ hosts }) => hosts), ...inside].find(isSingle);
  if (named !== undefined) return firstOf(named);
  for (const { addresses } of interfaces) {
    for (const { address, prefix } of addresses) {
      const subnet = networkOf(addressBytes(address), prefix);
      const found = neighboursOf(address).find((one) => networkHas(subnet, one) && hasAddress(inside, one));
      if (found !== undefined) return found;
    }
  }
  return null;
}

function isSingle({ bytes, prefix }: Network): boolean {
  return prefix === bytes.length * 8;
}

function firstOf({ text }: Network): Address {
  return text.slice(0, text.lastIndexOf('/'));
}

/** The addresses beside it. */
function neighboursOf(address: Address): Address[] {
  return [1, -1].flatMap((step) => {
    const bytes = Uint8Array.from(addressBytes(address));
    const last = bytes.length - 1;
    const next = bytes[last]! + step;
    if (next < 1 || next > 254) return [];
    bytes[last] = next;
    return [bytes.length === 4 ? formatIPv4(bytes, 0) : formatIPv6(bytes, 0)];
  });
}

function peerFor({ peers }: Settings, chosen: string | null, family: Family): Address {
  const address = chosen === null ? null : parseAddress(chosen);
  if (address !== null) return address;
  const network = peers
    .filter(({ name }) => chosen === null || name === chosen)
    .flatMap(({ networks }) => networks)
    .find((one) => one.family === family && one.prefix > 0);
  if (network === undefined && chosen !== null) {
    throw new SelftestError(
      `--peer: expected an IP address, or a name under \`peers\` that has one, found ${quote(chosen)}`,
    );
  }
  if (network === undefined) return PEERS[family][0];
  const first = firstOf(network);
  if (isSingle(network)) return first;
  return neighboursOf(first).find((one) => networkHas(network, one)) ?? first;
}

/** One whom no call is with: better one that is not inside and that `peers` does not admit, but it may admit everybody. */
function strangerFor(
  { inside, peers }: Settings,
  parties: readonly [Address, Address],
  family: Family,
): Address {
  const known = [...inside, ...peers.flatMap(({ networks }) => networks)];
  const others = PEERS[family].filter((one) => !parties.includes(one));
  return others.find((one) => !hasAddress(known, one)) ?? others[0]!;
}

function interfaceTo(address: Address, interfaces: readonly Interface[], routeTo: RouteTo): Interface {
  const name = routeTo(address);
  const found = interfaces.find((one) => one.name === name);
  if (found !== undefined) return found;
  throw new SelftestError(
    name === null
      ? `there is no route to ${address}: name another with --host or --peer`
      : `packets to ${address} leave by ${name}, which ${name === 'lo' ? 'is this machine itself' : 'has no address'}`,
  );
}

function externalOf({ nat }: Settings, host: Address, interfaces: readonly Interface[]): Address | null {
  for (const { external, hosts } of nat) {
    if (!hasAddress(hosts, host)) continue;
    const addresses =
      'address' in external
        ? [external.address]
        : (interfaces.find(({ name }) => name === external.interface)?.addresses ?? []).map(
            ({ address }) => address,
          );
    const found = addresses.find((one) => familyOf(one) === familyOf(host));
    if (found !== undefined) return found;
  }
  return null;
}

/** The first two even ports that may open, each with the one above it for RTCP. */
function mediaPortsOf({ mediaPorts, deniedPorts }: Settings): readonly [number, number] {
  const found: number[] = [];
  for (const [first, last] of mediaPorts) {
    for (let port = first + (first % 2); port < last; port += 2) {
      if (!includesPort(deniedPorts, port) && !includesPort(deniedPorts, port + 1)) found.push(port);
      if (found.length === 2) return [found[0]!, found[1]!];
    }
  }
  throw new SelftestError('`media-ports` has no two pairs of neighbouring ports that may open');
}
