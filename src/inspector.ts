import type { Buffer } from 'node:buffer';
import type { Address } from './address/address.ts';
import type { Entered, Ingress } from './address/ingress.ts';
import type { StaticMediaUse } from './address/static-media.ts';
import type { Call } from './call/call.ts';
import type { Refusal, RefusalReason } from './call/refusal.ts';
import type { MissingAudio } from './inspector/audio.ts';
import { createDecider, endsOf, type MessageTap } from './inspector/deciding.ts';
import {
  type Inspection,
  inspectionOf,
  newWork,
  tell,
  uneventful,
  type Work,
} from './inspector/inspection.ts';
import type { MediaWay } from './inspector/media-seen.ts';
import type { ConnectionDirection } from './inspector/reading/connections.ts';
import type { DirectionChange } from './inspector/reading/tcp.ts';
import { createReader, type PacketReading } from './inspector/reading.ts';
import type { CallRecord } from './inspector/record.ts';
import { createRefusals } from './inspector/refusals.ts';
import type { InspectorSettings } from './inspector/settings.ts';
import { createStaticPeers } from './inspector/static-peers.ts';
import { type InspectorStats, newStats } from './inspector/stats.ts';
import { appended } from './lists.ts';
import type { PacketView } from './packet/ip.ts';
import type { Mirrored } from './packet/mirrored.ts';
import type { Pinhole } from './pinhole/pinhole.ts';
import type { Held } from './pinhole/table.ts';
import type { InterfaceAddresses } from './policy/external.ts';
import { createPolicy, type Policy } from './policy/policy.ts';
import type { SipError, SipMessage, Transport } from './sip/message.ts';

export type { MissingAudio } from './inspector/audio.ts';
export type { MessageTap } from './inspector/deciding.ts';
export type { Inspection } from './inspector/inspection.ts';
export type { MediaWay } from './inspector/media-seen.ts';
export type { CallRecord } from './inspector/record.ts';
export type { InspectorSettings } from './inspector/settings.ts';
export type { InspectorStats } from './inspector/stats.ts';

export interface Inspector {
  /**
   * One IP packet at `now` (ms, a clock that never runs backwards) to what has to change. Never throws, whatever
   * the bytes; takes time linear in them. The packet itself is never touched. `entered` is the interface it came
   * in through, as its interceptor says; without it a packet between two inside hosts opens nothing (`unknown-interface`).
   */
  inspect(bytes: Buffer, now: number, entered?: Entered): Inspection;
  /**
   * `inspect` for a packet that somebody else has read and, where it came in fragments, put together: of a capture, whose
   * packets are taken to have come in where they should.
   */
  inspectPacket(packet: PacketView, now: number): Inspection;
  /**
   * A message that a host mirrors: its changes are those that the message itself would have brought. `isShown`: to `onRead`,
   * as others are.
   */
  inspectCopy(
    copy: Mirrored['packet'],
    transport: Mirrored['transport'],
    now: number,
    isShown: boolean,
  ): Inspection;
  /** Tells that something was refused which is of no packet and no call; where it is no news, it is counted alone. */
  refuse(refusal: Refusal, isNews: boolean, now: number): Inspection;
  /** Does what is due at `now`, for at most `most` calls, and tells of missing audio in as many: for others it stays due. */
  tick(now: number, most?: number): Inspection;
  /** When `tick` is due next, in ms of the same clock; Infinity never. */
  nextDeadline(): number;
  /**
   * Media was seen at `now` in the pinhole with this id. What the host that it leads to has sent shows that this host is
   * there, and nothing else: it is not media that has arrived.
   */
  traffic(pinholeId: string, now: number, way?: MediaWay): void;
  /**
   * All counters of the packet filter were read by `now`, and what they counted was told: what is missing is missing. It is
   * told of in at most `most` calls, and in others by `tick`.
   */
  counted(now: number, most?: number): Inspection;
  /** Audio that a call that is up has in one direction only, or in none; null where nothing is missed. */
  missingAudio(call: Call): MissingAudio | null;
  /** Ends a call on the administrator's word. */
  end(call: Call, now: number): Inspection;
  /** The same for several, as one change. */
  endAll(calls: readonly Call[], now: number): Inspection;
  /** The call whose leg has this legId, for a journal; null when there is none. */
  dump(legId: string): CallRecord | null;
  /** Takes up calls from a journal at `now`, of the same clock. What became due meanwhile is done at once. */
  adopt(records: readonly CallRecord[], now: number): Inspection;
  /**
   * Takes up how calls are at another firewall at `now`, in place of how they are here. `refused`: how many there was no
   * room for.
   */
  share(records: readonly CallRecord[], now: number): Inspection & { readonly refused: number };
  /** These calls go on, as another firewall says: their silence here is none. */
  keep(legIds: Iterable<string>, now: number): void;
  /** Directions of TCP connections that SIP was read on for the first time, and those that ended, since the last call. */
  directionChanges(): readonly DirectionChange[];
  /** Takes up directions of TCP connections from a journal: they are read on wherever they are. */
  remember(directions: Iterable<ConnectionDirection>, now: number): void;
  /** These have ended, as another firewall says. */
  forget(directions: Iterable<ConnectionDirection>): void;
  /** The interfaces that lead to inside hosts are these; null, as at first: not known. */
  learn(ingress: Ingress | null): void;
  /**
   * The addresses that interfaces have now; at first none is known. What was opened for an external address that is gone
   * closes, and what was refused for want of it opens.
   */
  renumber(addresses: InterfaceAddresses, now: number): Inspection;
  /** The settings have changed. Calls go on; what is decided from now on follows the new ones. */
  reload(): void;
  /** The addresses at which an inside host is reached from outside: itself where nothing stands for it. */
  reachedAt(host: Address): readonly Address[];
  calls(): Iterable<Call>;
  /** The call whose leg has this legId. */
  call(legId: string): Call | null;
  /** What the leg with this id holds. */
  held(legId: string): readonly Held[];
  /** Every pinhole that should be open now. */
  pinholes(): Iterable<Pinhole>;
  /** How many calls have not ended, and how many pinholes should be open. */
  sizes(): { readonly calls: number; readonly pinholes: number };
  /** How many calls miss audio now. */
  readonly withoutAudio: number;
  /** How each entry of `static-media` stands; empty where there is none. */
  staticMedia(): readonly StaticMediaUse[];
  readonly stats: InspectorStats;
}

/** Is shown each message as it was read, before it is decided; its bytes last until the next packet. */
export type SipTap = (message: SipMessage, bytes: Buffer, transport: Transport, packet: PacketView) => void;

/**
 * The only place where the rooms meet: packets are read to messages, messages decided to changes. Has no clock and does
 * no I/O; the same packets at the same times always give the same changes. `onMessage` is shown the messages as they were
 * read. `firstCount`: where legs are counted from, another number for each of firewalls that share their calls.
 */
export function createInspector(
  settings: () => InspectorSettings,
  onMessage: MessageTap | null = null,
  onRead: SipTap | null = null,
  firstCount = 1,
): Inspector {
  let addresses: InterfaceAddresses = {};
  let policy: Policy = createPolicy(settings());
  const stats = newStats();
  const isInside = (address: Address) => policy.isInside(address);
  const isNamedPeer = (address: Address) => policy.peerOf(address) !== null;
  const staticPeers = createStaticPeers(settings, isInside);
  const reader = createReader(settings, { isInside, isNamedPeer, staticPeers }, stats);
  const refusals = createRefusals(stats.refusals);
  const decider = createDecider(settings, () => policy, staticPeers, refusals, stats, onMessage, firstCount);

  function decide({ packet, found, verdict }: PacketReading, now: number, show = onRead): Inspection {
    if (packet === null || found.length === 0) return uneventful(packet, verdict);
    const work = newWork(now);
    let messages: Buffer[] | null = null;
    for (const one of found) {
      if (one.what === 'message') {
        messages = appended(messages, one.bytes);
        show?.(one.message, one.bytes, one.transport, packet);
        decider.message(work, one.message, one.transport, packet);
        decider.standings.message(work, one.message, one.bytes, packet);
      } else if (one.what === 'segment') {
        decider.standings.segment(work, one.pair, packet);
      } else if (one.what === 'malformed') {
        tell(work, { type: 'malformed', packet: endsOf(packet), error: one.error, at: now });
        refusals.tell(work, null, { reason: reasonOf(one.error), detail: one.error.detail }, now);
      } else {
        refusals.say(work, one);
      }
    }
    decider.conclude(work);
    return inspectionOf(work, packet, verdict, messages);
  }

  /** What no packet asked for. */
  function doing(now: number, what: (work: Work) => void): Inspection {
    const work = newWork(now);
    what(work);
    decider.conclude(work);
    return inspectionOf(work, null, 'release');
  }

  return {
    inspect: (bytes, now, entered) => decide(reader.read(bytes, now, entered), now),
    inspectPacket: (packet, now) => decide(reader.readWhole(packet, now), now),
    inspectCopy: (copy, transport, now, isShown) =>
      decide(reader.readCopy(copy, transport), now, isShown ? onRead : null),
    refuse: (refusal, isNews, now) => doing(now, (work) => refusals.say(work, { refusal, isNews })),
    tick: (now, most = Number.POSITIVE_INFINITY) => doing(now, (work) => decider.tick(work, most)),
    nextDeadline: decider.nextDeadline,
    traffic: (pinholeId, now, way = 'came') => decider.traffic(pinholeId, now, way),
    counted: (now, most = Number.POSITIVE_INFINITY) => doing(now, (work) => decider.counted(work, most)),
    missingAudio: decider.missingAudio,
    end: (call, now) => doing(now, (work) => decider.end(work, call)),
    endAll: (calls, now) =>
      doing(now, (work) => {
        for (const call of calls) decider.end(work, call);
      }),
    dump: (legId) => {
      const call = decider.call(legId);
      return call && { call, held: decider.open.held(legId) };
    },
    adopt: (records, now) =>
      doing(now, (work) => {
        decider.adopt(work, records);
        decider.tick(work, Number.POSITIVE_INFINITY);
      }),
    share: (records, now) => {
      let refused = 0;
      const inspection = doing(now, (work) => {
        refused = decider.sharing.share(work, records);
        decider.tick(work, records.length);
      });
      return { ...inspection, refused };
    },
    keep: decider.sharing.keep,
    directionChanges: reader.directionChanges,
    remember: reader.remember,
    forget: reader.forget,
    learn: reader.learn,
    renumber: (found, now) => {
      addresses = found;
      policy = createPolicy(settings(), addresses);
      return doing(now, decider.renumber);
    },
    reload: () => {
      policy = createPolicy(settings(), addresses);
      decider.recount();
    },
    reachedAt: (host) => policy.reachedAt(host),
    calls: decider.calls,
    call: decider.call,
    held: decider.open.held,
    pinholes: decider.open.pinholes,
    sizes: () => ({ calls: decider.underWay, pinholes: decider.open.size }),
    get withoutAudio() {
      return decider.missingIn;
    },
    staticMedia: () => decider.standings.use(settings().staticMedia ?? []),
    stats,
  };
}

function reasonOf({ error }: SipError): RefusalReason {
  if (error === 'conflicting-header' || error === 'packet-cut') return error;
  if (error === 'message-too-large' || error === 'too-many-headers') return 'message-too-large';
  return 'malformed-sip';
}
