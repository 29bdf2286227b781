import { type Address, familyOf } from '../address/address.ts';
import { type Network, networkHas } from '../address/network.ts';
import { address, choice, interfaceName, type Kind, listOf, network } from './kinds.ts';
import { field, listField, type RecordsKind, required } from './records.ts';

/** An external address, or the interface whose present addresses are meant. */
type External = { readonly address: Address } | { readonly interface: string };

/** What stands for which inside hosts. */
export interface NatSettings {
  readonly external: External;
  readonly hosts: readonly Network[];
  /** Null: `pinhole`. */
  readonly translation: 'pinhole' | 'ruleset' | null;
  /** Null: the external address itself. */
  readonly arrivesAt: Address | null;
}

export interface UplinkSettings {
  readonly interface: string;
  readonly gateway: Address;
}

const INTERFACE = 'interface:';

const external: Kind<External> = {
  expected: 'an address, or interface: with the name of one, such as interface:em0',
  read: (scalar) => {
    if (scalar.text.startsWith(INTERFACE)) {
      const text = scalar.text.slice(INTERFACE.length);
      const reading = interfaceName.read({ value: text, text });
      return reading.ok ? { ok: true, value: { interface: reading.value } } : reading;
    }
    const reading = address.read(scalar);
    return reading.ok
      ? { ok: true, value: { address: reading.value } }
      : { ok: false, expected: external.expected };
  },
  write: (value) => ('address' in value ? value.address : `${INTERFACE}${value.interface}`),
};

export const nat: RecordsKind<NatSettings> = {
  expected: 'a list of mappings with an external address and hosts',
  most: 256,
  fields: {
    external: required(
      field(
        external,
        'The address that others send to. `interface:em0` is whatever that interface has now, followed as it changes.',
      ),
    ),
    hosts: required(
      listField(
        listOf(network, 'a list of inside addresses and networks', 1),
        'Inside hosts that may announce it and then mean themselves.',
      ),
    ),
    translation: field(
      choice('pinhole', 'ruleset'),
      '`pinhole`: each pinhole brings its own translation, in both directions, and the port stays what it is; the ' +
        'default. `ruleset`: 1:1 NAT or a forwarded range of yours does it already.',
    ),
    arrivesAt: field(
      address,
      'Where another router in front translates first: the address that packets for the external one have when they ' +
        'arrive here.',
    ),
  },
  short: null,
  collide: (one, other) => {
    if (external.write(one.external) !== external.write(other.external)) return null;
    const shared = one.hosts.find((host) => other.hosts.some((known) => overlap(host, known)));
    return shared === undefined
      ? null
      : `hosts that no other mapping of ${external.write(one.external)} has (${shared.text})`;
  },
};

export const uplinks: RecordsKind<UplinkSettings> = {
  expected: 'a list of mappings with an interface and its gateway',
  most: 64,
  fields: {
    interface: required(field(interfaceName, 'The interface.')),
    gateway: required(field(address, 'The router behind it.')),
  },
  short: null,
  collide: (one, other) =>
    one.interface === other.interface && familyOf(one.gateway) === familyOf(other.gateway)
      ? `each interface once for each address family (${one.interface} is listed too)`
      : null,
};

function overlap(one: Network, other: Network): boolean {
  return networkHas(one, addressOf(other)) || networkHas(other, addressOf(one));
}

/** The first address of a network. */
function addressOf({ text }: Network): Address {
  return text.split('/', 1)[0]!;
}

/** What is wrong with one mapping, given what is inside. */
interface NatFault {
  /** As behind `nat[0].` in a file: `external`, `hosts[1]`. */
  readonly at: string;
  readonly expected: string;
}

/** Faults of mappings that are each well-formed, by their place in the list. */
export function natFaults(
  mappings: readonly NatSettings[],
  inside: readonly Network[],
): (NatFault & { readonly index: number })[] {
  return mappings.flatMap((mapping, index) =>
    faultsOf(mapping, inside).map((fault) => ({ ...fault, index })),
  );
}

function faultsOf(
  { external: outer, hosts, arrivesAt }: NatSettings,
  inside: readonly Network[],
): NatFault[] {
  const faults: NatFault[] = [];
  if ('address' in outer) {
    const of = inside.find((one) => networkHas(one, outer.address));
    if (of !== undefined) {
      faults.push({
        at: 'external',
        expected: `an address that is not inside (${of.text} is), found ${outer.address}`,
      });
    }
    if (arrivesAt !== null && familyOf(arrivesAt) !== familyOf(outer.address)) {
      faults.push({
        at: 'arrives-at',
        expected: `an address of the family of ${outer.address}, found ${arrivesAt}`,
      });
    }
  }
  for (const [index, host] of hosts.entries()) {
    const at = `hosts[${index}]`;
    if (!inside.some((one) => one.prefix <= host.prefix && networkHas(one, addressOf(host)))) {
      faults.push({ at, expected: `a host that is inside, found ${host.text}` });
    } else if ('address' in outer && familyOf(addressOf(host)) !== familyOf(outer.address)) {
      faults.push({ at, expected: `a host of the family of ${outer.address}, found ${host.text}` });
    }
  }
  return faults;
}
