import { type Address, familyOf } from '../address/address.ts';
import { type Network, networkSet, parseNetwork } from '../address/network.ts';
import type { Refusal, RefusalReason } from '../call/refusal.ts';
import type { Wanted } from '../call/wanted.ts';
import { type Opening, openingId } from '../pinhole/opening.ts';
import type { Pinhole } from '../pinhole/pinhole.ts';
import { printable } from '../printable.ts';
import { createPeers, type Peer, type Peers } from './peers.ts';

type PortRange = readonly [first: number, last: number];

export interface PolicySettings {
  /** 'any': whoever announces a stream may have it opened towards itself (only for captures). */
  readonly inside: readonly Network[] | 'any';
  readonly mediaHosts: readonly Network[];
  /** Signalling peers outside with whom calls may open pinholes; empty: all. */
  readonly peers: readonly Peer[];
  readonly mediaPorts: readonly PortRange[];
  readonly deniedPorts: readonly PortRange[];
  readonly tcpMedia: boolean;
}

export interface Policy {
  /** The pinhole for a wanted transport of the call named `hash`, or why there is none. */
  decide(wanted: Wanted, hash: string): Pinhole | Refusal;
  isInside(address: Address): boolean;
  /** The named peer that the address is of, whose addresses are one party; null when there is none. */
  readonly peerOf: Peers['peerOf'];
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
 * inside, and may name itself or one of the media hosts. Nothing here depends on time or on other calls.
 */
export function createPolicy(settings: PolicySettings): Policy {
  const { inside } = settings;
  const isInside = inside === 'any' ? () => true : networkSet(inside);
  const isMediaHost = networkSet(settings.mediaHosts);
  const { isAllowed, peerOf } = createPeers(settings.peers);

  function decide(wanted: Wanted, hash: string): Pinhole | Refusal {
    const { connection, ports, owner } = wanted;
    if (!isInside(owner)) return refused('not-inside', wanted, `announced by ${owner}`);
    switch (connection.kind) {
      case 'none':
        return refused('no-address', wanted);
      case 'unspecified':
        return refused('on-hold', wanted);
      case 'hostname':
        return refused('hostname-address', wanted);
    }
    const { address } = connection;
    if (UNUSABLE(address)) return refused('unusable-address', wanted);
    if (address !== owner && !isMediaHost(address)) {
      return refused('foreign-address', wanted, `announced by ${owner}`);
    }
    if (wanted.protocol === 'tcp' && !settings.tcpMedia) return refused('tcp-media', wanted);
    const mediaPorts = peerOf(wanted.peer)?.mediaPorts ?? settings.mediaPorts;
    if (!covered(ports, mediaPorts)) return refused('port-out-of-range', wanted);
    const denied = settings.deniedPorts.find(([first, last]) => first <= ports[1] && ports[0] <= last);
    if (denied !== undefined) return refused('denied-port', wanted);
    if (!isInside(wanted.peer) && !isAllowed(wanted.peer)) {
      return refused('peer-not-allowed', wanted, `from ${wanted.peer}`);
    }
    const sources = wanted.sources === 'any' ? 'any' : wanted.sources.filter(isPossibleSource);
    if (sources.length === 0) return refused('no-source', wanted);
    const { protocol, sourcePort, kind, media } = wanted;
    const opening: Opening = {
      direction: 'in',
      protocol,
      sources,
      sourcePort,
      address,
      ports,
      translation: null,
    };
    const label = `pinholed:${hash}:${wanted.slot.replace(':', '.')}`;
    return { ...opening, id: openingId(opening), kind, media, label };
  }

  return { decide, isInside, peerOf };
}

function isPossibleSource(address: Address): boolean {
  return !UNUSABLE(address);
}

/** Whether every port of the range lies in one of the allowed ranges. */
function covered(ports: PortRange, allowed: readonly PortRange[]): boolean {
  let next = ports[0];
  while (next <= ports[1]) {
    const range = allowed.find(([first, last]) => first <= next && next <= last);
    if (range === undefined) return false;
    next = range[1] + 1;
  }
  return true;
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
