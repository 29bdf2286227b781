import type { Buffer } from 'node:buffer';
import type { Address } from '../address/address.ts';
import type { Entered, Ingress } from '../address/ingress.ts';
import { networkSet } from '../address/network.ts';
import { createFragmentReassembler } from '../packet/fragments.ts';
import { type PacketError, type PacketView, readPacket } from '../packet/ip.ts';
import type { Mirrored } from '../packet/mirrored.ts';
import { isSipError, type SipError, type SipMessage, type Transport } from '../sip/message.ts';
import { readSipWithin, type SipLimits } from '../sip/read.ts';
import { isKeepalive, looksLikeSip } from '../sip/recognise.ts';
import { showsTheWay } from '../sip/way.ts';
import type { Verdict } from './inspection.ts';
import type { Notice } from './news.ts';
import type { ConnectionDirection } from './reading/connections.ts';
import { createEncryptedWatch } from './reading/encrypted.ts';
import { createIngressGuard, type IngressFault } from './reading/ingress-guard.ts';
import { createTcpReader, type TcpBounds, type TcpReader } from './reading/tcp.ts';
import { derived, type InspectorSettings } from './settings.ts';
import type { StaticPair, StaticPeers } from './static-peers.ts';
import { count, countMethod, countResponse, type ReadingStats } from './stats.ts';

/** What was found in a packet. */
type Found =
  | {
      readonly what: 'message';
      readonly message: SipMessage;
      readonly transport: Transport;
      /** All of it; lasts until the next packet. */
      readonly bytes: Buffer;
    }
  | { readonly what: 'malformed'; readonly error: SipError }
  /** A segment of a connection between a peer of `static-media` and a host inside. */
  | { readonly what: 'segment'; readonly pair: StaticPair }
  | ({ readonly what: 'refused' } & Notice);

/** One packet, read. */
export interface PacketReading {
  /** Reassembled when it completed a datagram; null when it could not be read, or is a fragment of one. */
  readonly packet: PacketView | null;
  /** In the order in which they stand in the packet. */
  readonly found: readonly Found[];
  /** `drop` only in strict mode, for what should be SIP and cannot be read. */
  readonly verdict: Verdict;
}

interface PacketReader {
  /** Never throws, whatever the bytes. A message's `sdp.bytes` last until the next packet. */
  read(bytes: Buffer, now: number, entered: Entered | undefined): PacketReading;
  /** `read` for a packet that somebody else has read and, where it came in fragments, put together. */
  readWhole(packet: PacketView, now: number): PacketReading;
  /** `read` for a message that a host mirrors, which is no packet of its own. */
  readCopy(packet: PacketView, transport: Mirrored['transport']): PacketReading;
  /** The interfaces that lead to inside hosts are these; null: not known. */
  learn(ingress: Ingress | null): void;
  readonly directionChanges: TcpReader['changes'];
  remember(directions: Iterable<ConnectionDirection>, now: number): void;
  /** They have ended, as another firewall says. */
  forget(directions: Iterable<ConnectionDirection>): void;
}

/** What reading has to know of the hosts that packets come from. */
interface Acquaintance {
  isInside(address: Address): boolean;
  /** The address is of a peer with a name. */
  isNamedPeer(address: Address): boolean;
  readonly staticPeers: StaticPeers;
}

const NOTHING: readonly Found[] = [];
const UNREAD: PacketReading = { packet: null, found: NOTHING, verdict: 'release' };

/** Reads packets: puts fragments and segments together, tells SIP from what is none, says what strictness asks. */
export function createReader(
  settings: () => InspectorSettings,
  { isInside, isNamedPeer, staticPeers }: Acquaintance,
  stats: ReadingStats,
): PacketReader {
  const limits = derived(settings, limitsOf);
  const bounds = derived(settings, boundsOf);
  const fragments = createFragmentReassembler({ maxBytes: () => bounds().maxBytes });
  // Where nobody is outside, nobody forges addresses from there.
  const guard = createIngressGuard((address) => settings().inside !== 'any' && isInside(address));
  const mirrored = derived(settings, ({ hep }) =>
    networkSet(hep === undefined || hep.listen === null ? [] : [...hep.from, ...hep.speaksFor]),
  );
  const encrypted = createEncryptedWatch(
    isInside,
    (address) => mirrored()(address) || staticPeers.entriesOf(address).length > 0,
    () => settings().trustMidstream !== true,
  );
  const tcp = createTcpReader({
    bounds,
    limits,
    trustMidstream: () => settings().trustMidstream === true,
    isNamedPeer: ({ source, destination }) => isNamedOutside(source) || isNamedOutside(destination),
    isInside,
    isStrict: () => settings().strict === true,
  });

  function isNamedOutside(address: Address): boolean {
    return isNamedPeer(address) && !isInside(address);
  }

  function read(bytes: Buffer, now: number, entered: Entered | undefined): PacketReading {
    stats.packets++;
    const view = readPacket(bytes);
    if (typeof view === 'string') return unreadable(view);
    // Before fragments and segments meet those of the host whose address it bears.
    const fault = guard.fault(view, entered);
    if (fault !== null) return misplaced(fault, view, entered, now);
    const packet = view.fragment === null ? view : fragments.add(view, now);
    if (packet === null) return UNREAD;
    return typeof packet === 'string' ? unreadable(packet) : readPayload(packet, now);
  }

  function unreadable(error: PacketError): PacketReading {
    count(stats.unreadable, error);
    return UNREAD;
  }

  function misplaced(
    fault: IngressFault,
    packet: PacketView,
    entered: Entered | undefined,
    now: number,
  ): PacketReading {
    if (fault === 'spoofed-inside') stats.spoofed++;
    if (!looksLikeSip(packet.payload)) return { packet, found: NOTHING, verdict: 'release' };
    const refused = guard.refuse(fault, packet, entered, now);
    return { packet, found: [{ what: 'refused', ...refused }], verdict: 'release' };
  }

  function readWhole(packet: PacketView, now: number): PacketReading {
    stats.packets++;
    return readPayload(packet, now);
  }

  function readPayload(packet: PacketView, now: number): PacketReading {
    if (packet.protocol === 'udp') return withMove(readDatagram(packet, 'udp'), now);
    if (packet.protocol === 'tcp') return withMove(readSegment(packet, now), now);
    stats.notSip++;
    return { packet, found: NOTHING, verdict: 'release' };
  }

  /** Adds what is to be said where a message asks for what follows it over TLS. */
  function withMove(reading: PacketReading, now: number): PacketReading {
    const { packet, found } = reading;
    if (packet === null) return reading;
    for (const one of found) {
      if (one.what !== 'message' || !showsTheWay(one.message)) continue;
      const move = encrypted.message(packet, one.message, one.bytes, now);
      if (move !== null) return { ...reading, found: [...found, { what: 'refused', ...move }] };
    }
    return reading;
  }

  function readCopy(packet: PacketView, transport: Transport): PacketReading {
    stats.mirrored++;
    return readDatagram(packet, transport);
  }

  function readDatagram(packet: PacketView, transport: Transport): PacketReading {
    const { payload, missing } = packet;
    if (isKeepalive(payload)) {
      stats.keepalives++;
      return { packet, found: NOTHING, verdict: 'release' };
    }
    if (!looksLikeSip(payload)) {
      stats.notSip++;
      return { packet, found: NOTHING, verdict: ifUnread() };
    }
    const read = missing > 0 ? cutOff(missing) : readSipWithin(payload, limits());
    if (isSipError(read)) return { packet, found: malformed(read), verdict: ifUnread() };
    return { packet, found: [message(read, packet.source, transport, payload)], verdict: 'release' };
  }

  function readSegment(packet: PacketView, now: number): PacketReading {
    const { items, bytes, lost, unread, older } = tcp.push(packet, now);
    let messages = 0;
    stats.olderConnections = tcp.older;
    const sealed = unread || older ? encrypted.segment(packet, older, now) : null;
    const pair = staticPeers.pairOfSegment(packet);
    if (items.length === 0 && lost.length === 0 && sealed === null && pair === null) {
      return { packet, found: NOTHING, verdict: unread ? ifUnread() : 'release' };
    }
    const found: Found[] = lost.map((refusal) => ({ what: 'refused', refusal, isNews: true }));
    if (sealed !== null) found.push({ what: 'refused', ...sealed });
    if (pair !== null) found.push({ what: 'segment', pair });
    let isWhole = !unread;
    for (const item of items) {
      if (isSipError(item)) {
        isWhole = false;
        found.push(...malformed(item));
      } else {
        found.push(message(item, packet.source, 'tcp', bytes[messages++]!));
      }
    }
    // Also what follows and what is sent again: else the same bytes would pass the second time.
    return { packet, found, verdict: isWhole ? 'release' : ifUnread() };
  }

  function message(read: SipMessage, source: Address, transport: Transport, bytes: Buffer): Found {
    stats.messages[transport]++;
    stats.heard[isInside(source) ? 'inside' : 'outside'][read.method === '' ? 'responses' : 'requests']++;
    countMethod(stats, read.method === '' ? read.cseqMethod : read.method);
    if (read.status !== 0) countResponse(stats, read.status);
    return { what: 'message', message: read, transport, bytes };
  }

  function malformed(error: SipError): readonly Found[] {
    if (error.error === 'not-sip') {
      stats.notSip++;
      return NOTHING;
    }
    stats.malformed++;
    return [{ what: 'malformed', error }];
  }

  function ifUnread(): Verdict {
    return settings().strict ? 'drop' : 'release';
  }

  return {
    read,
    readWhole,
    readCopy,
    learn: guard.learn,
    directionChanges: tcp.changes,
    remember: tcp.remember,
    forget: tcp.forget,
  };
}

function cutOff(missing: number): SipError {
  return { error: 'packet-cut', detail: `the last ${missing} bytes of the datagram are missing` };
}

function limitsOf({ caps }: InspectorSettings): SipLimits {
  return { stream: false, maxHeaders: caps.headers, maxBytes: caps.messageBytes };
}

/** Of fragments, of segments and of messages that are not complete each may have a third of the memory. */
function boundsOf({ caps, timers }: InspectorSettings): TcpBounds {
  return {
    maxConnections: caps.tcpConnections,
    maxBytes: Math.floor(caps.reassemblyBytes / 3),
    partialIdleMs: timers.tcpPartial,
  };
}
