import type { Buffer } from 'node:buffer';
import type { Address } from '../address/address.ts';
import { portsForPeer, type StaticMedia, type StaticMediaUse } from '../address/static-media.ts';
import type { Call, EndReason } from '../call/call.ts';
import { leaving } from '../call/outcome.ts';
import { type HeldConnection, isSameConnection, MOST_HELD_UP, type Standing } from '../call/standing.ts';
import type { Tracker } from '../call/tracker.ts';
import type { Departure } from '../call/wanted.ts';
import { type PacketView, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, type TcpFields } from '../packet/ip.ts';
import type { SipMessage } from '../sip/message.ts';
import { tellCall, type Work } from './inspection.ts';
import { createNews } from './news.ts';
import { beginsTls, carriesTls } from './reading/encrypted.ts';
import type { Refusals } from './refusals.ts';
import { createRegistrations, type Registered } from './registrations.ts';
import { createStandingCalls } from './standing-calls.ts';
import type { StaticPair, StaticPeers } from './static-peers.ts';

interface StandingsDeps {
  readonly peers: StaticPeers;
  readonly tracker: Pick<Tracker, 'stand'>;
  readonly refusals: Pick<Refusals, 'say'>;
  /** Ports that may be open at a time, counted for each host and sender. */
  readonly mostPorts: () => number;
  /** ms: `timers.static-idle`. */
  readonly idle: () => number;
  /** The call is new, and is to be told of. */
  readonly begin: (work: Work, call: Call) => void;
  readonly end: (work: Work, call: Call, reason: EndReason) => void;
  /** Works out afresh what the call wants. */
  readonly update: (work: Work, call: Call, departure: Departure) => void;
}

/** Calls that stand on a connection or a registration of a peer of `static-media`, as nobody can read their SIP. */
export interface Standings {
  /** A TCP segment between these two. */
  segment(work: Work, pair: StaticPair, packet: PacketView): void;
  /** A REGISTER or a response to one that could be read; any other message is nothing. */
  message(work: Work, message: SipMessage, bytes: Buffer, packet: PacketView): void;
  /** A call of a journal, or of another firewall. */
  take(call: Call): void;
  /** The settings may have changed: `review` of all is due. */
  doubt(): void;
  readonly isDoubted: boolean;
  /** Of those in doubt, which are what was taken as well: ends what is not listed any more, and decides the others once more. */
  review(work: Work): void;
  /** A call has ended, whatever it stood on. */
  over(call: Call): void;
  /** How each entry stands. */
  use(entries: readonly StaticMedia[]): readonly StaticMediaUse[];
}

/** How often, in `timers.static-idle`, a journal is told that a connection is in use. */
const TOLD_OFTEN = 16;
const RENEWED: Departure = leaving('unlisted');

/**
 * What shows that a peer is there is what the **host inside** sends: that it speaks TLS on a connection shows that the
 * connection is made and that it talks to that address, which nobody can forge who does not see its packets. So a stranger opens
 * nothing, not with the address of a peer on a SYN. Who forges it on the segments of a connection that the host has still, and
 * the peer no more, makes the host acknowledge: that keeps open what is open to this peer, and nothing else.
 */
export function createStandings(deps: StandingsDeps): Standings {
  const { peers, tracker, refusals, mostPorts, idle } = deps;
  const calls = createStandingCalls((call) => weightOf(peers.entryOf(call)));
  const registrations = createRegistrations(peers);
  const isNews = createNews();
  /** When it was told last, for a journal, that a connection is in use. */
  const toldAt = new WeakMap<HeldConnection, number>();
  const doubted = new Set<Call>();

  function segment(work: Work, pair: StaticPair, packet: PacketView): void {
    const { tcp } = packet;
    if (tcp === null) return;
    for (const entry of pair.entries) {
      const call = calls.of(entry.name, pair.peer);
      const connection = call === null ? undefined : connectionIn(call, pair, packet);
      if (call !== null && connection !== undefined) follow(work, call, connection, pair, tcp);
      else if (pair.isFromHost && speaksTls(packet, tcp)) connect(work, entry, pair, packet, tcp);
    }
  }

  function follow(
    work: Work,
    call: Call,
    connection: HeldConnection,
    { isFromHost }: StaticPair,
    tcp: TcpFields,
  ): void {
    const { flags, seq, ack } = tcp;
    // RFC 5961 3.2: a reset counts where it is exactly what is awaited. What the peer ends otherwise, the host ends, too.
    const isOver = isFromHost
      ? (flags & (TCP_FIN | TCP_RST)) !== 0 || (flags & (TCP_SYN | TCP_ACK)) === TCP_SYN
      : (flags & TCP_RST) !== 0 && seq === connection.awaits;
    if (isOver) {
      const { connections } = call.standing!;
      connections.splice(connections.indexOf(connection), 1);
      lost(work, call, 'connection-closed');
    } else if (isFromHost) {
      connection.seenAt = work.now;
      connection.awaits = ack;
      if (work.now - (toldAt.get(connection) ?? Number.NEGATIVE_INFINITY) < idle() / TOLD_OFTEN) return;
      toldAt.set(connection, work.now);
      tellCall(work, 'changed', call);
    }
  }

  function connect(
    work: Work,
    entry: StaticMedia,
    pair: StaticPair,
    { sourcePort, destinationPort }: PacketView,
    { ack }: TcpFields,
  ): void {
    const { host } = pair;
    const ends = { peerPort: destinationPort, host, hostPort: sourcePort };
    const connection = { ...ends, seenAt: work.now, awaits: ack };
    toldAt.set(connection, work.now);
    gained(work, entry, pair, ({ connections }) => {
      if (connections.length >= MOST_HELD_UP) connections.shift();
      connections.push(connection);
    });
  }

  /** The peer has one thing more that it stands on. */
  function gained(
    work: Work,
    entry: StaticMedia,
    { peer, host }: StaticPair,
    add: (standing: Standing) => void,
  ): void {
    const known = calls.of(entry.name, peer);
    if (known !== null) {
      add(known.standing!);
      tellCall(work, 'changed', known);
      return;
    }
    if (!hasRoom(work, entry, peer)) return;
    const standing: Standing = { entry: entry.name, connections: [], registrations: [] };
    add(standing);
    const call = tracker.stand(entry.name, [peer, host], standing, work.now);
    calls.add(call);
    deps.begin(work, call);
  }

  /** It has one thing less. */
  function lost(work: Work, call: Call, reason: EndReason): void {
    const { connections, registrations } = call.standing!;
    if (connections.length + registrations.length === 0) deps.end(work, call, reason);
    else tellCall(work, 'changed', call);
  }

  function hasRoom(work: Work, entry: StaticMedia, peer: Address): boolean {
    const used = calls.weight;
    const most = mostPorts();
    if (used + weightOf(entry) <= most) return true;
    const reason = 'static-ports-limit';
    const detail = `${entry.name}: ${weightOf(entry)} ports for ${peer}, beside ${used}, at most ${most}`;
    refusals.say(work, { refusal: { reason, detail }, isNews: isNews(detail, work.now) });
    return false;
  }

  function message(work: Work, read: SipMessage, bytes: Buffer, packet: PacketView): void {
    const registered = registrations(read, bytes, packet);
    if (registered === null) return;
    for (const entry of registered.pair.entries) {
      const call = calls.of(entry.name, registered.pair.peer);
      if (registered.life > 0) register(work, entry, registered);
      else if (call !== null) unregister(work, call, registered);
    }
  }

  function register(work: Work, entry: StaticMedia, { pair, callId, life }: Registered): void {
    const until = work.now + life;
    gained(work, entry, pair, ({ registrations: held }) => {
      const known = held.find((one) => one.callId === callId);
      if (known !== undefined) {
        known.until = until;
        return;
      }
      if (held.length >= MOST_HELD_UP) held.shift();
      held.push({ callId, until });
    });
  }

  function unregister(work: Work, call: Call, { callId }: Registered): void {
    const held = call.standing!.registrations;
    const at = held.findIndex((one) => one.callId === callId);
    if (at < 0) return;
    held.splice(at, 1);
    lost(work, call, 'registration-expired');
  }

  function review(work: Work): void {
    const all = [...doubted];
    doubted.clear();
    for (const call of all) {
      if (!calls.has(call)) deps.end(work, call, 'connection-closed');
      else if (peers.entryOf(call) !== null) deps.update(work, call, RENEWED);
      else deps.end(work, call, 'unlisted');
    }
  }

  return {
    segment,
    message,
    take(call) {
      if (call.standing === null || call.state === 'ended') return;
      const twin = calls.add(call);
      doubted.add(call);
      if (twin !== null) doubted.add(twin);
    },
    doubt() {
      calls.weighAgain();
      for (const call of calls.all()) doubted.add(call);
    },
    get isDoubted() {
      return doubted.size > 0;
    },
    review,
    over(call) {
      if (call.standing === null) return;
      calls.drop(call);
      doubted.delete(call);
    },
    use(entries) {
      const peers = new Map<string, number>();
      for (const { standing } of calls.all())
        peers.set(standing!.entry, (peers.get(standing!.entry) ?? 0) + 1);
      return entries.map((entry) => {
        const present = peers.get(entry.name) ?? 0;
        return { name: entry.name, peers: present, ports: present * portsForPeer(entry) };
      });
    },
  };
}

function connectionIn(
  call: Call,
  { host, isFromHost }: StaticPair,
  { sourcePort, destinationPort }: PacketView,
): HeldConnection | undefined {
  const [hostPort, peerPort] = isFromHost ? [sourcePort, destinationPort] : [destinationPort, sourcePort];
  const ends = { peerPort, host, hostPort };
  return call.standing!.connections.find((one) => isSameConnection(one, ends));
}

/** A segment within a connection that begins with a record of TLS: the handshake's first or, where that was not seen, data. */
function speaksTls({ payload }: PacketView, { flags }: TcpFields): boolean {
  return (flags & (TCP_SYN | TCP_FIN | TCP_RST)) === 0 && (beginsTls(payload) || carriesTls(payload));
}

/** What the packet filter has to hold for an entry and one of its peers; 0 where it is not listed any more. */
function weightOf(entry: StaticMedia | null): number {
  return entry === null ? 0 : portsForPeer(entry);
}
