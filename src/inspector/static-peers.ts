import type { Address } from '../address/address.ts';
import { networkSet } from '../address/network.ts';
import { includesPort } from '../address/ports.ts';
import type { StaticMedia } from '../address/static-media.ts';
import type { Call } from '../call/call.ts';
import type { PacketView } from '../packet/ip.ts';
import { derived, type InspectorSettings } from './settings.ts';

/** A peer of `static-media` and a host inside, by where a packet is from and to. */
export interface StaticPair {
  readonly peer: Address;
  readonly host: Address;
  /** The host sent the packet. */
  readonly isFromHost: boolean;
  /** Never empty. */
  readonly entries: readonly StaticMedia[];
}

/** Who the peers of `static-media` are. */
export interface StaticPeers {
  /** The entries that list this address. */
  entriesOf(address: Address): readonly StaticMedia[];
  /** The entry that a standing call is for; null where its peer is not listed in it any more. */
  entryOf(call: Call): StaticMedia | null;
  /** Null where the ends are not a peer and a host inside. */
  pairOf(packet: Pick<PacketView, 'source' | 'destination'>): StaticPair | null;
  /** `pairOf` for a TCP segment, one of whose ports is for signalling. */
  pairOfSegment(packet: PacketView): StaticPair | null;
}

interface Listed {
  readonly entries: readonly (readonly [has: (address: Address) => boolean, entry: StaticMedia])[];
  readonly has: (address: Address) => boolean;
  readonly isSignalling: (port: number) => boolean;
}

const NONE: readonly StaticMedia[] = [];

export function createStaticPeers(
  settings: () => InspectorSettings,
  isInside: (address: Address) => boolean,
): StaticPeers {
  const listed = derived(settings, listedIn);

  function entriesOf(address: Address): readonly StaticMedia[] {
    const known = listed();
    if (known === null || !known.has(address)) return NONE;
    return known.entries.flatMap(([has, entry]) => (has(address) ? [entry] : []));
  }

  function entryOf({ standing, parties }: Call): StaticMedia | null {
    return entriesOf(parties[0]).find(({ name }) => name === standing?.entry) ?? null;
  }

  function pairOf({ source, destination }: Pick<PacketView, 'source' | 'destination'>): StaticPair | null {
    const known = listed();
    if (known === null) return null;
    if (known.has(destination) && isInside(source)) {
      return { peer: destination, host: source, isFromHost: true, entries: entriesOf(destination) };
    }
    if (!known.has(source) || !isInside(destination)) return null;
    return { peer: source, host: destination, isFromHost: false, entries: entriesOf(source) };
  }

  return {
    entriesOf,
    entryOf,
    pairOf,
    pairOfSegment(packet) {
      const known = listed();
      if (known === null) return null;
      const { sourcePort, destinationPort } = packet;
      return known.isSignalling(sourcePort) || known.isSignalling(destinationPort) ? pairOf(packet) : null;
    },
  };
}

/** Null where nobody is listed, as nearly everywhere. */
function listedIn({ staticMedia = NONE, sipPorts = [] }: InspectorSettings): Listed | null {
  if (staticMedia.length === 0) return null;
  return {
    entries: staticMedia.map((entry) => [networkSet(entry.peers), entry]),
    has: networkSet(staticMedia.flatMap(({ peers }) => peers)),
    isSignalling: (port) => includesPort(sipPorts, port),
  };
}
