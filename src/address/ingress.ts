/**
 * Through which interfaces packets of inside hosts come in. An address proves nothing on a packet from outside: who
 * may write any source into it writes that of an inside host. The interface it came in through is the kernel's word.
 */
import type { Address } from './address.ts';
import { type Network, networkHas } from './network.ts';

/**
 * What a packet says of the interface it came in through: an index (NFQUEUE), or the first seven characters of a
 * name (divert(4)). Null: none, since the packet was made on this machine. Undefined where it says nothing.
 */
export type Entered = number | string | null;

/** A route of this machine. Routes to its own addresses are `local`. */
export interface Route {
  readonly network: Network;
  /** Names of the interfaces that it leads through; several with several next hops. */
  readonly interfaces: readonly string[];
  readonly kind: 'on-link' | 'gateway' | 'local';
}

/** What is known of the interfaces: plain data that structured cloning keeps whole. */
export interface Ingress {
  /**
   * The interfaces that a packet may mean with what it says: itself, the bridge or VRF it belongs to, or every name
   * that begins so.
   */
  readonly meant: ReadonlyMap<number | string, readonly string[]>;
  /** Loopback interfaces: what comes in there was sent by this machine. */
  readonly loopback: readonly string[];
  /** `inside-interfaces`; empty: found from the routes. */
  readonly named: readonly string[];
  /** Routes of all tables that have to do with inside networks, and those to everywhere. */
  readonly routes: readonly Route[];
  /** Interfaces that some route leads through, be it to inside networks or not. */
  readonly routed: readonly string[];
}

/** An interface that inside hosts are reached through, for people. */
interface InsideInterface {
  readonly name: string;
  /** It leads everywhere as well: there an address counts only where its own route leads through it. */
  readonly uplink: boolean;
  /** Networks with a route through it. */
  readonly networks: readonly string[];
}

/**
 * `spoofed`: an inside address on a packet that cannot come from there. `unknown`: nothing speaks for or against
 * it, and the address alone has to do.
 */
type Standing = 'inside' | 'spoofed' | 'unknown';

/** Decides for an inside address and what a packet says of where it came in. Remembers its last answers. */
type IngressJudge = (source: Address, entered: Entered) => Standing;

/** A shorter prefix is a good part of everything (0.0.0.0/1, 2000::/3): routes of uplinks, and of VPNs that take all. */
const LEAST_PREFIX = { 4: 8, 6: 7 } as const;
const MOST_REMEMBERED = 4096;

/** Whether a route leads everywhere, or nearly so. */
export function isDefaultRoute({ network }: Pick<Route, 'network'>): boolean {
  return network.prefix < LEAST_PREFIX[network.family];
}

/**
 * With `inside-interfaces`, those alone lead inside. Without, the routes say: a packet from an address may come in
 * through the interfaces of the best route to it (RFC 3704, 2.2, feasible reverse path: of all tables and all next
 * hops), and through any other that leads to inside networks and not everywhere, but for an address that is on the
 * link of another interface (pf's `antispoof`). An own address comes in through no interface but loopback.
 */
export function createIngressJudge(ingress: Ingress | null): IngressJudge {
  if (ingress === null) return () => 'unknown';
  const { meant, loopback, named, routed } = ingress;
  const remembered = new Map<string, Standing>();
  const routes = [...ingress.routes].sort((a, b) => b.network.prefix - a.network.prefix);
  const inward = new Set(insideInterfaces(ingress).flatMap(({ name, uplink }) => (uplink ? [] : [name])));

  function judge(source: Address, entered: number | string): Standing {
    const candidates = meant.get(entered);
    if (candidates === undefined) return 'unknown';
    if (candidates.some((name) => loopback.includes(name))) return 'inside';
    if (named.length > 0) return candidates.some((name) => named.includes(name)) ? 'inside' : 'spoofed';
    const best = bestRoutes(routes, source);
    // What pf hands over on its way out may bear an own address since `nat`; NFQUEUE comes before all that.
    if (best.some(({ kind }) => kind === 'local')) return typeof entered === 'number' ? 'spoofed' : 'unknown';
    if (best.some(({ interfaces }) => candidates.some((name) => interfaces.includes(name)))) return 'inside';
    const elsewhere = best.some(({ kind }) => kind === 'on-link');
    if (!elsewhere && candidates.some((name) => inward.has(name))) return 'inside';
    if (best.length === 0 || !candidates.some((name) => routed.includes(name))) return 'unknown';
    return 'spoofed';
  }

  return (source, entered) => {
    if (entered === null) return 'unknown';
    const key = `${entered} ${source}`;
    const known = remembered.get(key);
    if (known !== undefined) return known;
    if (remembered.size >= MOST_REMEMBERED) remembered.clear();
    const standing = judge(source, entered);
    remembered.set(key, standing);
    return standing;
  };
}

/** The interfaces through which inside networks are reached, by name. With `named`, those. */
export function insideInterfaces({ named, routes }: Pick<Ingress, 'named' | 'routes'>): InsideInterface[] {
  const uplinks = new Set(routes.filter(isDefaultRoute).flatMap(({ interfaces }) => interfaces));
  const networks = new Map<string, Set<string>>(named.map((name) => [name, new Set()]));
  for (const route of routes) {
    if (isDefaultRoute(route) || route.kind === 'local') continue;
    for (const name of route.interfaces) {
      if (named.length > 0 && !named.includes(name)) continue;
      const found = networks.get(name) ?? new Set();
      networks.set(name, found.add(route.network.text));
    }
  }
  return [...networks.entries()]
    .map(([name, texts]) => ({ name, uplink: uplinks.has(name), networks: [...texts].sort() }))
    .sort((a, b) => (a.name < b.name ? -1 : 1));
}

/** Of routes in order, longest prefix first, those with the longest prefix that has the address. */
function bestRoutes(routes: readonly Route[], address: Address): Route[] {
  const best: Route[] = [];
  for (const route of routes) {
    if (best.length > 0 && route.network.prefix < best[0]!.network.prefix) break;
    if (networkHas(route.network, address)) best.push(route);
  }
  return best;
}
