import type { Address } from '../address/address.ts';
import type { Opening } from './opening.ts';

/**
 * Which inside host has which port of an external address: packets to a port can go to one of them only. A host may
 * have a port for several openings at once.
 */
export interface Claims {
  /** The port that another host has, and the host; null when the opening can have all of its ports. */
  taken(opening: Opening): TakenPort | null;
  add(opening: Opening): void;
  /** Returns the ports that are free now, as `TakenPort.place` names them. */
  remove(opening: Opening): readonly string[];
}

export interface TakenPort {
  /** `udp 203.0.113.2:40000` */
  readonly place: string;
  readonly host: Address;
}

const NONE: readonly string[] = [];

export function createClaims(): Claims {
  const claims = new Map<string, { readonly host: Address; count: number }>();

  return {
    taken(opening) {
      for (const place of placesOf(opening)) {
        const claim = claims.get(place);
        if (claim !== undefined && claim.host !== opening.address) return { place, host: claim.host };
      }
      return null;
    },
    add(opening) {
      for (const place of placesOf(opening)) {
        const claim = claims.get(place);
        if (claim === undefined) claims.set(place, { host: opening.address, count: 1 });
        else claim.count++;
      }
    },
    remove(opening) {
      const places = placesOf(opening);
      if (places.length === 0) return NONE;
      return places.filter((place) => {
        const claim = claims.get(place);
        if (claim === undefined || --claim.count > 0) return false;
        return claims.delete(place);
      });
    },
  };
}

/** Ports of the external address that lead to the host; none for an opening without one, and for the way out. */
function placesOf({ direction, protocol, ports, translation }: Opening): readonly string[] {
  if (translation === null || direction === 'out') return NONE;
  const places: string[] = [];
  for (let port = ports[0]; port <= ports[1]; port++)
    places.push(`${protocol} ${translation.external}:${port}`);
  return places;
}
