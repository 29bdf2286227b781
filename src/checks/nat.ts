import type { Address } from '../address/address.ts';
import { type Network, networksOverlap } from '../address/network.ts';
import type { Settings } from '../config/schema.ts';
import { caution, type Finding, ok } from './finding.ts';

/** One entry of `nat` as it is now: an interface's addresses in place of its name. */
export interface Mapping {
  /** What hosts announce. */
  readonly external: Address;
  /** Where packets for it arrive here. */
  readonly arrivesAt: Address;
  readonly hosts: readonly Network[];
  /** The ruleset translates media; otherwise each pinhole does. */
  readonly byRuleset: boolean;
}

/** `addresses` are those that the machine's interfaces have now, by name. */
export function mappingsOf(
  { nat }: Pick<Settings, 'nat'>,
  addresses: ReadonlyMap<string, readonly Address[]>,
): Mapping[] {
  return nat.flatMap(({ external, hosts, arrivesAt, translation }) => {
    const own = 'address' in external ? [external.address] : (addresses.get(external.interface) ?? []);
    return own.map((address) => ({
      external: address,
      arrivesAt: arrivesAt ?? address,
      hosts,
      byRuleset: translation === 'ruleset',
    }));
  });
}

/** Whether a translation leads to one of these networks; null: to no address that is known. */
export function isOf(target: Network | null, networks: readonly Network[]): boolean {
  return (
    target !== null && networks.some((one) => one.family === target.family && networksOverlap(one, target))
  );
}

/** `10000, 20000` */
export function mediaText(ports: readonly number[]): string {
  return [...new Set(ports)].join(', ');
}

/** SIP is forwarded to this host, and `nat` does not have it. */
export function unknownForward(host: string): Finding {
  const bare = host.replace(/\/(32|128)$/, '');
  return caution(
    'nat',
    `the ruleset forwards SIP to ${bare}, which nat: does not have: what it announces as its external address is refused`,
    `nat: [{external: ITS-PUBLIC-ADDRESS, hosts: [${bare}]}], if it announces one`,
  );
}

/**
 * Whether packets for the external addresses of `nat` arrive at this machine as the settings say. Nothing where there is
 * no `nat`.
 */
export function checkNat(
  { nat }: Pick<Settings, 'nat'>,
  addresses: ReadonlyMap<string, readonly Address[]>,
): Finding[] {
  const own = new Set([...addresses.values()].flat());
  const found = nat.flatMap(({ external, arrivesAt, translation }): Finding[] => {
    if ('interface' in external) {
      if ((addresses.get(external.interface) ?? []).length > 0) return [];
      const text = `${external.interface} has no address: what a PBX announces as its external address is refused`;
      return [caution('nat', text, 'bring the link up; the daemon follows within a second')];
    }
    const at = arrivesAt ?? external.address;
    if (translation === 'ruleset' || own.has(at)) return [];
    const text = `no interface has ${at}: packets for it arrive only where a router sends them here all the same`;
    return [
      caution(
        'nat',
        text,
        'give it to the outside interface, or set arrives-at to what a router in front sends to',
      ),
    ];
  });
  if (nat.length > 0 && found.length === 0)
    return [ok('nat', 'packets for the external addresses arrive here')];
  return found;
}
