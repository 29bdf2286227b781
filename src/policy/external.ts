import { type Address, familyOf } from '../address/address.ts';
import { type Network, networkHas } from '../address/network.ts';
import type { Translation } from '../pinhole/opening.ts';

/** An external address, or the present ones of an interface, and the inside hosts that may announce it. */
export interface NatMapping {
  readonly external: { readonly address: Address } | { readonly interface: string };
  readonly hosts: readonly Network[];
  /** Null: `pinhole`. */
  readonly translation: 'pinhole' | 'ruleset' | null;
  /** Null: the external address itself. */
  readonly arrivesAt: Address | null;
}

/** The present addresses of interfaces, by name; of one that is left out none is known. */
export type InterfaceAddresses = Readonly<Record<string, readonly Address[]>>;

/** An inside host, by the address that it announced. */
interface TranslatedHost {
  readonly host: Address;
  readonly translation: Translation;
}

interface Externals {
  isExternal(address: Address): boolean;
  /**
   * The host that `owner` means by this external address: itself, or a media host that it stands for; null when it is
   * no external address, or stands for neither.
   */
  announcedAs(external: Address, owner: Address): TranslatedHost | null;
  /** What an inside host is seen as from outside: by `announced` where that stands for it; null where nothing does. */
  seenAs(host: Address, announced: readonly Address[]): Translation | null;
  /** The addresses that a host is reached at from outside, of its own family: itself where nothing stands for it. */
  reachedAt(host: Address): readonly Address[];
  /** The hosts behind an external address; null where a mapping has networks and they are not known one by one. */
  hostsBehind(external: Address): readonly Address[] | null;
  /** Whether this still is how packets come to `host`. */
  isPresent(translation: Translation, host: Address): boolean;
}

interface Present {
  readonly hosts: readonly Network[];
  readonly singles: readonly Address[];
  readonly translation: Translation;
}

const NOTHING: readonly Present[] = [];

/** What the mappings say at this moment: addresses of interfaces are those that they have now. */
export function createExternals(
  mappings: readonly NatMapping[],
  addresses: InterfaceAddresses,
  isMediaHost: (address: Address) => boolean,
): Externals {
  const present = mappings.flatMap((mapping) => presentOf(mapping, addresses));
  const byExternal = new Map<Address, Present[]>();
  for (const one of present) {
    const { external } = one.translation;
    const others = byExternal.get(external);
    if (others === undefined) byExternal.set(external, [one]);
    else others.push(one);
  }
  const behind = (external: Address) => byExternal.get(external) ?? NOTHING;
  const stands = ({ hosts }: Present, host: Address) => hosts.some((network) => networkHas(network, host));

  return {
    isExternal: (address) => byExternal.has(address),
    announcedAs(external, owner) {
      if (present.length === 0) return null;
      const own = behind(external).find((one) => stands(one, owner));
      if (own !== undefined) return { host: owner, translation: own.translation };
      for (const { singles, translation } of behind(external)) {
        const host = singles.find(isMediaHost);
        if (host !== undefined) return { host, translation };
      }
      return null;
    },
    seenAs(host, announced) {
      const family = familyOf(host);
      const fitting = present.filter(
        (one) => stands(one, host) && familyOf(one.translation.external) === family,
      );
      const named = fitting.find(({ translation }) => announced.includes(translation.external));
      return (named ?? fitting[0])?.translation ?? null;
    },
    reachedAt(host) {
      const outer = present.filter(
        (one) => stands(one, host) && familyOf(one.translation.external) === familyOf(host),
      );
      return outer.length === 0 ? [host] : [...new Set(outer.map(({ translation }) => translation.external))];
    },
    hostsBehind(external) {
      const mappings = behind(external);
      if (mappings.some(({ hosts, singles }) => singles.length < hosts.length)) return null;
      return mappings.flatMap(({ singles }) => singles);
    },
    isPresent: (translation, host) =>
      behind(translation.external).some((one) => stands(one, host) && isSame(one.translation, translation)),
  };
}

/**
 * The mappings as they are while interfaces have these addresses, for who is told of no others later, as a replay is. None of
 * an interface without an address.
 */
export function mappingsWith(mappings: readonly NatMapping[], addresses: InterfaceAddresses): NatMapping[] {
  return mappings.flatMap((mapping) => {
    const { external } = mapping;
    if ('address' in external) return [mapping];
    return (addresses[external.interface] ?? []).map((address) => ({ ...mapping, external: { address } }));
  });
}

function presentOf(
  { external, hosts, translation, arrivesAt }: NatMapping,
  known: InterfaceAddresses,
): Present[] {
  const name = 'interface' in external ? external.interface : null;
  const addresses = 'interface' in external ? (known[external.interface] ?? []) : [external.address];
  const singles = hosts.flatMap((network) => singleOf(network) ?? []);
  return addresses.map((address) => ({
    hosts,
    singles,
    translation: {
      external: address,
      arrivesAt: arrivesAt !== null && familyOf(arrivesAt) === familyOf(address) ? arrivesAt : address,
      interface: name,
      by: translation ?? 'pinhole',
    },
  }));
}

/** The one address of a network of that size. */
function singleOf({ text, prefix, bytes }: Network): Address | null {
  return prefix === bytes.length * 8 ? text.slice(0, text.lastIndexOf('/')) : null;
}

function isSame(a: Translation, b: Translation): boolean {
  return a.arrivesAt === b.arrivesAt && a.interface === b.interface && a.by === b.by;
}
