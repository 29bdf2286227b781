import { type Address, familyOf } from '../address/address.ts';
import { type Network, networkSet, parseNetwork } from '../address/network.ts';
import type { Peer } from '../address/peer.ts';
import { isWithin, overlapsAny, type PortRange } from '../address/ports.ts';
import { isRefusal, type Refusal, type RefusalReason } from '../call/refusal.ts';
import { ownerOf, type Wanted } from '../call/wanted.ts';
import { inOnePiece } from '../own-copy.ts';
import { type Opening, openingId } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { printable } from '../printable.ts';
import { createExternals, type InterfaceAddresses, type NatMapping } from './external.ts';
import { createPeers, type Peers } from './peers.ts';

export interface PolicySettings {
  /** 'any': whoever announces a stream may have it opened towards itself (only for captures). */
  readonly inside: readonly Network[] | 'any';
  readonly mediaHosts: readonly Network[];
  /** Signalling peers outside with whom calls may open pinholes; empty: all. */
  readonly peers: readonly Peer[];
  readonly mediaPorts: readonly PortRange[];
  readonly deniedPorts: readonly PortRange[];
  readonly tcpMedia: boolean;
  /** What stands for inside hosts that announce it. */
  readonly nat: readonly NatMapping[];
  /** Open the way out, too, to what outside parties announce. */
  readonly outbound: boolean;
}

export interface Policy {
  /** The pinhole for a wanted transport of the call named `legId`, or why there is none. */
  decide(wanted: Wanted, legId: string): Pinhole | Refusal;
  /**
   * What keeps a pinhole that was decided elsewhere, or by other settings, from being open; null when nothing does. `owner`:
   * the signalling address of the party that announced it; `peer`: of the other.
   */
  review(pinhole: Pinhole, owner: Address, peer: Address): Refusal | null;
  isInside(address: Address): boolean;
  /** Whether packets still come to this pinhole as they did when it was decided. */
  isPresent(pinhole: Pinhole): boolean;
  /** Whether a pinhole may lead there: to a host inside, or to a media host. */
  isOpenable(address: Address): boolean;
  /** The named peer that the address is of, whose addresses are one party; null when there is none. */
  readonly peerOf: Peers['peerOf'];
  /** The addresses at which an inside host is reached from outside. */
  reachedAt(host: Address): readonly Address[];
}

/** Addresses to which no peer can send, or which are no single host (RFC 6890). */
const UNUSABLE = networkSet(
  [
    '0.0.0.0/8',
    '127.0.0.0/8',
    '169.254.0.0/16',
    '224.0.0.0/4',
    '240.0.0.0/4',
    '::/128',
    '::1/128',
    'fe80::/10',
    'ff00::/8',
  ].map((text) => parseNetwork(text)!),
);

/**
 * Decides what may be opened. The owner of a stream is the host that sent the packet announcing it: it must be
 * inside, and may name itself or one of the media hosts, by its own address or by one that stands for it. With
 * `outbound` what an outside owner announces opens the way out. Nothing here depends on time or on other calls.
 */
export function createPolicy(settings: PolicySettings, addresses: InterfaceAddresses = {}): Policy {
  const { inside } = settings;
  const isInside = inside === 'any' ? () => true : networkSet(inside);
  const isMediaHost = networkSet(settings.mediaHosts);
  const { isAllowed, peerOf } = createPeers(settings.peers);
  const externals = createExternals(settings.nat, addresses, isMediaHost);

  function decide(wanted: Wanted, legId: string): Pinhole | Refusal {
    const { owner } = wanted;
    if (!isInside(owner) && !settings.outbound) return refused('not-inside', wanted, `announced by ${owner}`);
    const announced = usableAddress(wanted);
    if (typeof announced !== 'string') return announced;
    const opening = isInside(owner) ? wayIn(wanted, announced) : wayOut(wanted, announced);
    if (isRefusal(opening)) return opening;
    return pinholeOf(opening, wanted, legId);
  }

  function usableAddress(wanted: Wanted): Address | Refusal {
    const { connection } = wanted;
    switch (connection.kind) {
      case 'none':
        return refused('no-address', wanted);
      case 'unspecified':
        return refused('on-hold', wanted);
      case 'hostname':
        return refused('hostname-address', wanted);
    }
    if (UNUSABLE(connection.address)) return refused('unusable-address', wanted);
    return connection.address;
  }

  /** Towards a host that announced itself. */
  function wayIn(wanted: Wanted, announced: Address): Opening | Refusal {
    const { ports, owner } = wanted;
    const behind = externals.announcedAs(announced, owner);
    const address = behind?.host ?? announced;
    if (behind === null && announced !== owner && !isMediaHost(announced)) {
      return refused('foreign-address', wanted, `announced by ${owner}`);
    }
    if (wanted.relayed) return refused('relayed-transport', wanted, `announced by ${owner} after another`);
    if (wanted.protocol === 'tcp' && !settings.tcpMedia) return refused('tcp-media', wanted);
    const mediaPorts = peerOf(wanted.peer)?.mediaPorts ?? settings.mediaPorts;
    if (!isWithin(ports, mediaPorts)) return refused('port-out-of-range', wanted);
    if (isDenied(ports)) return refused('denied-port', wanted);
    if (!isInside(wanted.peer) && !isAllowed(wanted.peer)) {
      return refused('peer-not-allowed', wanted, `from ${wanted.peer}`);
    }
    const sources = senders(wanted.sources);
    if (sources === null) return refused('hairpin', wanted, `from a host behind ${announced}`);
    if (sources.length === 0) return refused('no-source', wanted);
    const { protocol, sourcePort } = wanted;
    const translation = behind?.translation ?? null;
    return { direction: 'in', protocol, sources, sourcePort, address, ports, translation };
  }

  /**
   * From the inside party of the call to what the outside party announced: never to an inside host, by none of its
   * addresses, and from no other host than those that may send for this party.
   */
  function wayOut(wanted: Wanted, address: Address): Opening | Refusal {
    const { ports, owner, peer } = wanted;
    if (!isInside(peer) || isInside(address) || externals.isExternal(address)) {
      return refused('not-inside', wanted, `announced by ${owner}`);
    }
    if (wanted.protocol === 'tcp' && !settings.tcpMedia) return refused('tcp-media', wanted);
    if (ports[0] < LOWEST_OUTSIDE_PORT) return refused('port-out-of-range', wanted);
    if (isDenied(ports)) return refused('denied-port', wanted);
    if (!isAllowed(owner)) return refused('peer-not-allowed', wanted, `from ${owner}`);
    const announced = wanted.sources === 'any' ? [] : wanted.sources;
    const sources = sendersOf(peer, announced).filter((source) => familyOf(source) === familyOf(address));
    if (sources.length === 0) return refused('no-source', wanted);
    const { protocol, sourcePort } = wanted;
    const translation = externals.seenAs(sources[0]!, announced);
    return { direction: 'out', protocol, sources, sourcePort, address, ports, translation };
  }

  /** The inside party, and what it may announce in its place. Sorted. */
  function sendersOf(party: Address, announced: readonly Address[]): Address[] {
    const hosts = announced.flatMap((address) => {
      const behind = externals.announcedAs(address, party);
      if (behind !== null) return [behind.host];
      return isInside(address) && isMediaHost(address) ? [address] : [];
    });
    return [...new Set([party, ...hosts])].sort();
  }

  /**
   * What comes from an external address to an inside host comes from the hosts behind it. Sorted; null where those are
   * not known.
   */
  function senders(sources: readonly Address[] | 'any'): readonly Address[] | 'any' | null {
    if (sources === 'any') return sources;
    const possible = sources.every(isPossibleSource) ? sources : sources.filter(isPossibleSource);
    if (!possible.some(externals.isExternal)) return possible;
    const outer = possible.filter(externals.isExternal);
    const hosts = outer.map(externals.hostsBehind);
    if (hosts.includes(null)) return null;
    return [...new Set([...possible, ...hosts.flatMap((some) => some ?? [])])].sort();
  }

  function review(pinhole: Pinhole, owner: Address, peer: Address): Refusal | null {
    const reason =
      pinhole.direction === 'in' ? faultOfWayIn(pinhole, peer) : faultOfWayOut(pinhole, owner, peer);
    return reason === null ? null : { reason, detail: `${pinhole.id}, held from before` };
  }

  function faultOfWayIn(pinhole: Pinhole, peer: Address): RefusalReason | null {
    const { address, ports, sources } = pinhole;
    if (!isInside(address) && !isMediaHost(address)) return 'not-inside';
    const allowed = [settings, ...settings.peers].map(({ mediaPorts }) => mediaPorts ?? settings.mediaPorts);
    if (!allowed.some((ranges) => isWithin(ports, ranges))) return 'port-out-of-range';
    if (!isInside(peer) && !isAllowed(peer)) return 'peer-not-allowed';
    return faultOf(pinhole, sources === 'any' || sources.every(isPossibleSource));
  }

  function faultOfWayOut(pinhole: Pinhole, owner: Address, peer: Address): RefusalReason | null {
    const { address, ports, sources } = pinhole;
    if (!settings.outbound || !isInside(peer)) return 'not-inside';
    if (isInside(address) || externals.isExternal(address)) return 'not-inside';
    if (ports[0] < LOWEST_OUTSIDE_PORT) return 'port-out-of-range';
    if (!isAllowed(owner)) return 'peer-not-allowed';
    return faultOf(
      pinhole,
      sources !== 'any' && sources.every((source) => isInside(source) || isMediaHost(source)),
    );
  }

  /** What holds for both ways. An address of an interface is not known at first, and seen to later. */
  function faultOf(pinhole: Pinhole, hasSources: boolean): RefusalReason | null {
    const { address, ports, protocol, sources, translation } = pinhole;
    if (UNUSABLE(address)) return 'unusable-address';
    if (translation !== null && translation.interface === null && !isPresent(pinhole))
      return 'foreign-address';
    if (protocol === 'tcp' && !settings.tcpMedia) return 'tcp-media';
    if (isDenied(ports)) return 'denied-port';
    if (!hasSources) return 'no-source';
    const strangers = sources === 'any' ? [] : sources.filter((one) => familyOf(one) !== familyOf(address));
    return sources.length === 0 || strangers.length > 0 ? 'no-source' : null;
  }

  function isDenied(ports: PortRange): boolean {
    return overlapsAny(ports, settings.deniedPorts);
  }

  function isPresent({ translation, address, sources, direction }: Pinhole): boolean {
    if (translation === null) return true;
    if (direction === 'in') return externals.isPresent(translation, address);
    return sources !== 'any' && sources.some((source) => externals.isPresent(translation, source));
  }

  const isOpenable = (address: Address) =>
    isInside(address) || isMediaHost(address) || externals.isExternal(address);

  const { reachedAt } = externals;
  return { decide, review, isInside, isOpenable, peerOf, isPresent, reachedAt };
}

/** Written out: it is done for each stream of each message, and a spread costs ten times as much. */
function pinholeOf(opening: Opening, { kind, media, slot }: Wanted, legId: string): Pinhole {
  const { direction, protocol, sources, sourcePort, address, ports, translation } = opening;
  return {
    direction,
    protocol,
    sources,
    sourcePort,
    address,
    ports,
    translation,
    id: openingId(opening),
    kind,
    media,
    label: inOnePiece(`pinholed:${legId}:${ownerOf(slot)}.${slot.slice(2)}`),
  };
}

/** Media is not sent to ports of services (RFC 6335 section 6). */
const LOWEST_OUTSIDE_PORT = 1024;

function isPossibleSource(address: Address): boolean {
  return !UNUSABLE(address);
}

function refused(reason: RefusalReason, wanted: Wanted, more = ''): Refusal {
  return { reason, detail: more === '' ? describe(wanted) : `${describe(wanted)}, ${more}` };
}

function describe({ media, connection, ports, kind }: Wanted): string {
  const at =
    connection.kind === 'address'
      ? bracketed(connection.address)
      : connection.kind === 'hostname'
        ? printable(connection.name, 64)
        : connection.kind === 'unspecified'
          ? '0.0.0.0'
          : '(no address)';
  const range = ports[0] === ports[1] ? `${ports[0]}` : `${ports[0]}-${ports[1]}`;
  return `${printable(media, 20)} ${kind} at ${at}:${range}`;
}

function bracketed(address: Address): string {
  return familyOf(address) === 6 ? `[${address}]` : address;
}
