/** Through which interfaces inside hosts are reached, as the daemon sees it. */
import { type Ingress, insideInterfaces, isDefaultRoute } from '../address/ingress.ts';
import { type Network, parseNetwork } from '../address/network.ts';
import { caution, type Finding, ok } from './finding.ts';

const NAME_THEM = 'name them: inside-interfaces: [...]';

/** Nothing where nothing can be known. */
export function checkInterfaces(ingress: Ingress | null): Finding[] {
  if (ingress === null) return [];
  const found = insideInterfaces(ingress);
  const text = found
    .map(({ name, networks, uplink }) => {
      const list = networks.length === 0 ? '' : ` (${networks.join(', ')})`;
      return `${name}${list}${uplink ? ', which leads everywhere as well' : ''}`;
    })
    .join('; ');
  const named = ingress.named.length > 0;
  const lost = ingress.named.filter((name) => !ingress.routed.includes(name));
  if (lost.length > 0) {
    return [
      caution(
        'inside-interfaces',
        `inside-interfaces names ${lost.join(', ')}, which no route leads through`,
        'an address counts as inside only on a packet that came in through one of these: correct the name',
      ),
    ];
  }
  if (found.length === 0) {
    return [
      caution(
        'inside-interfaces',
        'no interface with a route to an inside network was found: nobody can tell a forged inside address',
        NAME_THEM,
      ),
    ];
  }
  if (!named && found.every(({ uplink }) => uplink)) {
    return [caution('inside-interfaces', `inside hosts are behind ${text}`, NAME_THEM)];
  }
  return [
    ok(
      'inside-interfaces',
      `inside hosts are behind ${text}${named ? ', as configured' : ', found by routes'}`,
    ),
  ];
}

/** The inside networks that there are routes to; where no routes are known, all that are configured. */
export function insideNetworks(ingress: Ingress | null, inside: readonly Network[]): readonly Network[] {
  const found = ingress === null ? [] : insideInterfaces(ingress).flatMap(({ networks }) => networks);
  return found.length === 0 ? inside : found.flatMap((text) => parseNetwork(text) ?? []);
}

/** Names of the interfaces that lead everywhere. */
export function uplinksOf(ingress: Ingress | null): string[] {
  const routes = ingress?.routes.filter(isDefaultRoute) ?? [];
  return [...new Set(routes.flatMap(({ interfaces }) => interfaces))];
}
