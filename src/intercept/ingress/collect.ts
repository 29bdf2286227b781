import type { Ingress, Route } from '../../address/ingress.ts';
import { isDefaultRoute } from '../../address/ingress.ts';
import { type Network, networkOf, networksOverlap } from '../../address/network.ts';

/** What the settings say of the inside. */
export interface InsideSettings {
  readonly inside: readonly Network[];
  /** `inside-interfaces`; empty: to be found. */
  readonly insideInterfaces: readonly string[];
}

/** Gathers the routes that matter, as they are listed. */
interface RouteCollector {
  /** The first `prefix` bits of the destination's bytes. */
  add(bytes: Uint8Array, prefix: number, interfaces: readonly string[], kind: Route['kind']): void;
  collected(): Pick<Ingress, 'routes' | 'routed'>;
}

/** Routes kept at most. Past that nothing can be said of any: a part would be worse than none. */
const MOST_ROUTES = 4096;

/** Keeps those that overlap an inside network, and those to everywhere. */
export function createRouteCollector({ inside }: Pick<InsideSettings, 'inside'>): RouteCollector {
  const routes: Route[] = [];
  const routed = new Set<string>();
  return {
    add(bytes, prefix, interfaces, kind) {
      if (kind !== 'local') for (const name of interfaces) routed.add(name);
      const network = networkOf(bytes, prefix);
      // `local` routes of whole networks are made for transparent proxies, and say nothing of who is where.
      if (kind === 'local' && prefix < bytes.length * 8) return;
      const route = { network, interfaces, kind };
      const matters = isDefaultRoute(route) || inside.some((one) => networksOverlap(one, network));
      if (matters && routes.length <= MOST_ROUTES) routes.push(route);
    },
    collected: () => ({ routes: routes.length > MOST_ROUTES ? [] : routes, routed: [...routed] }),
  };
}
