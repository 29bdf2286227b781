import type { Address } from '../address/address.ts';
import type { Settings } from '../config/schema.ts';
import { caution, type Finding, ok } from './finding.ts';

/**
 * Whether packets for the external addresses of `nat` arrive at this machine as the settings say. `addresses` are those
 * that its interfaces have now, by name. Nothing where there is no `nat`.
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
