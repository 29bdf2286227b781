import type { Buffer } from 'node:buffer';
import type { Address } from './address/address.ts';
import type { Entered, Ingress } from './address/ingress.ts';
import { type Call, type EndReason, otherSide } from './call/call.ts';
import type { CallCaps, CallTimers } from './call/context.ts';
import { createDeadlines } from './call/deadlines.ts';
import { type Bodies, leaving, type Outcome } from './call/outcome.ts';
import type { Refusal, RefusalReason } from './call/refusal.ts';
import { type StreamSettings, wantedStreams } from './call/streams.ts';
import { createTracker } from './call/tracker.ts';
import type { Departure, Wanted } from './call/wanted.ts';
import type { Direction } from './inspector/connections.ts';
import { createIngressGuard } from './inspector/ingress-guard.ts';
import { createTcpReader, type DirectionChange, type TcpBounds } from './inspector/tcp.ts';
import { createWaitingList } from './inspector/waiting.ts';
import { createFragmentReassembler } from './packet/fragments.ts';
import { type PacketError, type PacketView, readPacket } from './packet/ip.ts';
import type { Change } from './pinhole/change.ts';
import { createClaims, type Taken } from './pinhole/claims.ts';
import type { Pinhole } from './pinhole/pinhole.ts';
import {
  createPinholeTable,
  type Entry,
  type Held,
  type HolderEvent,
  type TableResult,
} from './pinhole/table.ts';
import { type AdmissionCaps, createAdmission } from './policy/admission.ts';
import type { InterfaceAddresses } from './policy/external.ts';
import { createPolicy, type Policy, type PolicySettings } from './policy/policy.ts';
import { readSdp, readSdpFragment } from './sdp/read.ts';
import type { SdpError, Session } from './sdp/session.ts';
import type { SipError, SipMessage, Transport } from './sip/message.ts';
import { readSip, type SipLimits } from './sip/read.ts';
import { isKeepalive, looksLikeSip } from './sip/recognise.ts';

/** Everything the inspector is told; all of it can change while it runs. */
export interface InspectorSettings extends PolicySettings, StreamSettings {
  /** Drop what arrives as SIP but cannot be read. */
  readonly strict: boolean;
  /** A connection that was up before is read at once if the first segment seen begins like SIP (only for captures). */
  readonly trustMidstream?: boolean;
  readonly timers: CallTimers & { readonly iceUnused: number; readonly tcpPartial: number };
  readonly caps: AdmissionCaps &
    CallCaps &
    StreamSettings['caps'] & {
      readonly pinholesPerCall: number;
      readonly streams: number;
      readonly candidates: number;
      readonly headers: number;
      readonly messageBytes: number;
      readonly tcpConnections: number;
      readonly reassemblyBytes: number;
    };
}

/** `came`: to where the pinhole leads; `sent`: by the host that it leads to, back to where it lets in. */
export type MediaWay = 'came' | 'sent';

/** What happened, in order. */
export type InspectorEvent =
  | MessageEvent
  | { readonly type: 'malformed'; readonly packet: PacketView; readonly error: SipError }
  | { readonly type: 'call'; readonly what: 'started' | 'ended'; readonly call: Call; readonly at: number }
  | RefusedEvent
  | { readonly type: 'pinhole'; readonly call: Call; readonly event: HolderEvent };

export interface RefusedEvent {
  readonly type: 'refused';
  readonly call: Call | null;
  readonly refusal: Refusal;
  /** The transport that got no pinhole; null when a whole message or description was refused. */
  readonly wanted: Wanted | null;
  readonly at: number;
}

export interface MessageEvent {
  readonly type: 'message';
  readonly message: SipMessage;
  readonly transport: Transport;
  readonly packet: PacketView;
  /** The legs it belongs to. */
  readonly calls: readonly Call[];
  /** Its session description, read at most once; null when it has none. */
  readonly session: () => Session | SdpError | Refusal | null;
}

export interface Inspection {
  /** What the firewall must have confirmed before the packet goes on; null when there is nothing to do. */
  readonly change: Change | null;
  /** `drop` only in strict mode. */
  readonly verdict: 'release' | 'drop';
  readonly events: readonly InspectorEvent[];
  /** The packet as it was read, reassembled when it completed a datagram; null when it could not be read. */
  readonly packet: PacketView | null;
}

/**
 * One call with the pinholes it holds, for a journal: plain data that structured cloning keeps whole. Times are
 * those of the clock the inspector ran on.
 */
export interface CallRecord {
  readonly call: Call;
  readonly held: readonly Held[];
}

export interface InspectorStats {
  packets: number;
  notSip: number;
  keepalives: number;
  malformed: number;
  /** TCP connections that begin like SIP, are older than the inspector and are not read. */
  olderConnections: number;
  /** Packets with an inside host's address that did not come in from inside. */
  spoofed: number;
  /** Packets whose headers cannot be read, by name. */
  readonly unreadable: Map<PacketError, number>;
  readonly messages: { udp: number; tcp: number };
  readonly methods: Map<string, number>;
  readonly refusals: Map<RefusalReason, number>;
  callsStarted: number;
}

export interface Inspector {
  /**
   * One IP packet at `now` (ms, a clock that never runs backwards) to what has to change. Never throws, whatever
   * the bytes; takes time linear in them. The packet itself is never touched. `entered` is the interface it came
   * in through, as its interceptor says.
   */
  inspect(bytes: Buffer, now: number, entered?: Entered): Inspection;
  /** `inspect` for a packet that somebody else has read and, where it came in fragments, put together. */
  inspectPacket(packet: PacketView, now: number): Inspection;
  /** Does everything that is due at `now`. */
  tick(now: number): Inspection;
  /** When `tick` is due next, in ms of the same clock; Infinity never. */
  nextDeadline(): number;
  /** Media was seen at `now` in the pinhole with this id: what came to where it leads, or what was sent from there. */
  traffic(pinholeId: string, now: number, way?: MediaWay): void;
  /** Ends a call on the administrator's word. */
  end(call: Call, now: number): Inspection;
  dump(call: Call): CallRecord;
  /** Takes up calls from a journal at `now`, of the same clock. What became due meanwhile is done at once. */
  adopt(records: readonly CallRecord[], now: number): Inspection;
  /** Directions of TCP connections that SIP was read on for the first time, and those that ended, since the last call. */
  directionChanges(): readonly DirectionChange[];
  /** Takes up directions of TCP connections from a journal: they are read on wherever they are. */
  remember(directions: Iterable<Direction>, now: number): void;
  /** The interfaces that lead to inside hosts are these; null, as at first: not known. */
  learn(ingress: Ingress | null): void;
  /**
   * The addresses that interfaces have now; at first none is known. What was opened for an external address that is gone
   * closes, and what was refused for want of it opens.
   */
  renumber(addresses: InterfaceAddresses, now: number): Inspection;
  /** The settings have changed. Calls go on; what is decided from now on follows the new ones. */
  reload(): void;
  calls(): Iterable<Call>;
  /** The call whose leg has this hash. */
  call(hash: string): Call | null;
  held(call: Call): readonly Held[];
  /** Every pinhole that should be open now. */
  pinholes(): Iterable<Pinhole>;
  /** How many calls have not ended, and how many pinholes should be open. */
  sizes(): { readonly calls: number; readonly pinholes: number };
  readonly stats: InspectorStats;
}

const NO_EVENTS: readonly InspectorEvent[] = [];
const NOTHING: Inspection = { change: null, verdict: 'release', events: NO_EVENTS, packet: null };
/** Methods counted by name; everything else is counted as `other`, so that no sender can fill memory. */
const KNOWN_METHODS = [
  'other',
  ...'INVITE ACK BYE CANCEL OPTIONS REGISTER PRACK UPDATE INFO REFER NOTIFY SUBSCRIBE PUBLISH MESSAGE'.split(
    ' ',
  ),
];
const MAX_REFUSALS_OF_CALL = 64;
/** Nothing of a call leaves that is wanted as before; what is not closes at once. */
const AT_ONCE = { movedLinger: 0, goneLinger: 0, muxLinger: 0 } as const;
const STAYING: Departure = { reason: 'answered', ...AT_ONCE };
const RENUMBERED: Departure = { reason: 'external-changed', ...AT_ONCE };
const NO_SLOTS: ReadonlyMap<string, 'stream-disabled' | 'bundled'> = new Map();

/**
 * The only place where the rooms meet: packets, SIP, calls, policy and pinholes. Has no clock and does no I/O;
 * the same packets at the same times always give the same changes.
 */
export function createInspector(settings: () => InspectorSettings): Inspector {
  let addresses: InterfaceAddresses = {};
  let policy: Policy = createPolicy(settings());
  const admission = createAdmission(
    () => settings().caps,
    () => policy,
    (peer) => streamSettings(peer).earlyMediaSource === 'any',
  );
  const tracker = createTracker(
    () => settings().timers,
    () => settings().caps,
    admission,
  );
  const table = createPinholeTable(() => ({
    unusedAfter: settings().timers.iceUnused,
    most: settings().caps.pinholesPerCall,
  }));
  const deadlines = createDeadlines<Call>();
  const callOf = new Map<string, Call>();
  /** Calls that were refused a port of an external address, until it is free. */
  const waiting = createWaitingList<Call>();
  const refusedBefore = new WeakMap<Call, Refused>();
  /** Those that have not ended. */
  const underWay = new Set<Call>();
  let limits = limitsOf(settings());
  let sdpCaps = sdpCapsOf(settings());
  let tcpBounds = tcpBoundsOf(settings());
  const fragments = createFragmentReassembler({ maxBytes: () => tcpBounds.maxBytes });
  const guard = createIngressGuard((address) => policy.isInside(address));
  const tcp = createTcpReader({
    bounds: () => tcpBounds,
    limits: () => limits,
    trustMidstream: () => settings().trustMidstream === true,
    isNamedPeer: ({ source, destination }) => isNamedPeer(source) || isNamedPeer(destination),
    isInside: (address) => policy.isInside(address),
  });
  const stats: InspectorStats = {
    packets: 0,
    notSip: 0,
    keepalives: 0,
    malformed: 0,
    spoofed: 0,
    olderConnections: 0,
    unreadable: new Map(),
    messages: { udp: 0, tcp: 0 },
    methods: new Map(KNOWN_METHODS.map((name) => [name, 0])),
    refusals: new Map(),
    callsStarted: 0,
  };

  function inspect(bytes: Buffer, now: number, entered: Entered = null): Inspection {
    stats.packets++;
    let packet: PacketView | PacketError | null = readPacket(bytes);
    if (typeof packet !== 'string') {
      // Before fragments and segments meet those of the host whose address it bears.
      if (guard.isSpoofed(packet.source, entered)) return refuseSpoofed(packet, entered, now);
      if (packet.fragment !== null) packet = fragments.add(packet, now);
      if (packet === null) return NOTHING;
      if (typeof packet !== 'string') return examine(packet, now);
    }
    stats.unreadable.set(packet, (stats.unreadable.get(packet) ?? 0) + 1);
    return NOTHING;
  }

  function refuseSpoofed(packet: PacketView, entered: Entered, now: number): Inspection {
    stats.spoofed++;
    const work = newWork(packet, now);
    if (!looksLikeSip(packet.payload)) return finish(work);
    const refusal = guard.refusal(packet.source, entered, now);
    if (refusal !== null) refuse(work, null, refusal);
    else countRefusal('spoofed-inside');
    return finish(work);
  }

  function inspectPacket(packet: PacketView, now: number): Inspection {
    stats.packets++;
    return examine(packet, now);
  }

  function examine(packet: PacketView, now: number): Inspection {
    const work = newWork(packet, now);
    if (packet.protocol === 'udp') inspectDatagram(work, packet);
    else if (packet.protocol === 'tcp') inspectSegment(work, packet);
    else stats.notSip++;
    return conclude(work);
  }

  function inspectDatagram(work: Work, packet: PacketView): void {
    const { payload } = packet;
    if (isKeepalive(payload)) {
      stats.keepalives++;
      return;
    }
    if (!looksLikeSip(payload)) {
      stats.notSip++;
      unreadable(work);
      return;
    }
    if (packet.missing > 0) {
      const detail = `the last ${packet.missing} bytes of the datagram are missing`;
      malformed(work, packet, { error: 'truncated-body', detail });
      return;
    }
    const read = readSip(payload, limits);
    if ('error' in read) malformed(work, packet, read);
    else message(work, packet, read, 'udp');
  }

  function isNamedPeer(address: Address): boolean {
    return policy.peerOf(address) !== null && !policy.isInside(address);
  }

  function inspectSegment(work: Work, packet: PacketView): void {
    const { items, lost, unread } = tcp.push(packet, work.now);
    for (const loss of lost) refuse(work, null, loss);
    stats.olderConnections = tcp.older;
    for (const item of items) {
      if ('error' in item) malformed(work, packet, item);
      else message(work, packet, item, 'tcp');
    }
    // Also what follows and what is sent again: else the same bytes would pass the second time.
    if (unread) unreadable(work);
  }

  function message(work: Work, packet: PacketView, read: SipMessage, transport: Transport): void {
    stats.messages[transport]++;
    countMethod(stats.methods, read.method === '' ? read.cseqMethod : read.method);
    const bodies = bodiesOf(read);
    const { source, sourcePort, destination, destinationPort } = packet;
    const arrival = {
      source: { address: source, port: sourcePort },
      destination: { address: destination, port: destinationPort },
      now: work.now,
    };
    const outcomes = tracker.handle(read, arrival, bodies);
    const calls: Call[] = [];
    for (const { call, bystander } of outcomes) if (call !== null && !bystander) calls.push(call);
    emit(work, { type: 'message', message: read, transport, packet, calls, session: bodies.session });
    if (read.method === 'INVITE') for (const call of calls) if (!callOf.has(call.hash)) register(work, call);
    for (const outcome of outcomes) apply(work, outcome, work.now);
    forgetSurplus(work);
  }

  function malformed(work: Work, packet: PacketView, error: SipError): void {
    unreadable(work);
    if (error.error === 'not-sip') {
      stats.notSip++;
      return;
    }
    stats.malformed++;
    emit(work, { type: 'malformed', packet, error });
    refuse(work, null, { reason: refusalOf(error), detail: error.detail });
  }

  function unreadable(work: Work): void {
    if (settings().strict) work.verdict = 'drop';
  }

  function refuse(
    work: Work,
    call: Call | null,
    refusal: Refusal,
    at = work.now,
    wanted: Wanted | null = null,
  ): void {
    if (call !== null && !isFresh(call, refusal)) return;
    countRefusal(refusal.reason);
    emit(work, { type: 'refused', call, refusal, wanted, at });
  }

  function countRefusal(reason: RefusalReason): void {
    stats.refusals.set(reason, (stats.refusals.get(reason) ?? 0) + 1);
  }

  function register(work: Work, call: Call): void {
    callOf.set(call.hash, call);
    stats.callsStarted++;
    emit(work, { type: 'call', what: 'started', call, at: work.now });
  }

  function apply(work: Work, { call, departure, refusals }: Outcome, at: number): void {
    for (const refusal of refusals) refuse(work, call, refusal, at);
    if (call === null) return;
    if (departure !== null) {
      take(work, call, update(work, call, departure, at));
      if (call.state === 'ended') {
        refusedBefore.delete(call);
        emit(work, { type: 'call', what: 'ended', call, at });
      }
    }
    schedule(call);
  }

  function update(work: Work, call: Call, departure: Departure, at: number): TableResult {
    const { wanted, idleSlots, unusable } = wantedStreams(call, streamSettings);
    for (const refusal of unusable) refuse(work, call, refusal, at);
    waiting.leave(call);
    const entries: Entry[] = [];
    const most = settings().caps.pinholesPerCall;
    const claimed = createClaims();
    for (const one of wanted) {
      const decision = policy.decide(one, call.hash);
      const taken = 'reason' in decision ? null : (table.taken(decision) ?? claimed.taken(decision));
      if ('reason' in decision) refuse(work, call, decision, at, one);
      else if (taken !== null) refusePort(work, call, taken, at, one);
      else if (entries.length < most) {
        entries.push({ pinhole: decision, wanted: one });
        claimed.add(decision);
      } else {
        refuse(work, call, { reason: 'too-many-streams', detail: `more than ${most} pinholes` }, at, one);
      }
    }
    return table.replace(call.hash, entries, idleSlots, departure, at);
  }

  function refusePort(work: Work, call: Call, { place, host }: Taken, at: number, wanted: Wanted): void {
    waiting.wait(call, place);
    refuse(work, call, { reason: 'port-taken', detail: `${place} is ${host}'s` }, at, wanted);
  }

  /** Where media may come from in a call with this peer. */
  function streamSettings(peer: Address): StreamSettings {
    const general = settings();
    const own = policy.peerOf(peer);
    if (own === null) return general;
    const { ice, symmetric, caps } = general;
    const earlyMediaSource = own.earlyMediaSource ?? general.earlyMediaSource;
    return { ice, symmetric, caps, earlyMediaSource, mediaSource: own.mediaSource ?? general.mediaSource };
  }

  function take(work: Work, call: Call, { change, events, freed }: TableResult): void {
    for (const event of events) emit(work, { type: 'pinhole', call, event });
    if (change !== null) work.changes.push(change);
    for (const other of waiting.take(freed)) work.again.push(other);
  }

  /** Calls that waited for what this work has set free are decided once more; what they set free in turn is next. */
  function conclude(work: Work): Inspection {
    for (let call = work.again.shift(); call !== undefined; call = work.again.shift()) {
      if (call.state === 'ended') continue;
      take(work, call, update(work, call, STAYING, work.now));
      schedule(call);
    }
    return finish(work);
  }

  function renumber(found: InterfaceAddresses, now: number): Inspection {
    addresses = found;
    policy = createPolicy(settings(), addresses);
    const work = newWork(null, now);
    for (const call of underWay) {
      const isLost = table.held(call.hash).some(({ pinhole }) => !policy.isPresent(pinhole));
      if (!isLost && !wasForeign(call)) continue;
      take(work, call, update(work, call, RENUMBERED, now));
      schedule(call);
    }
    return conclude(work);
  }

  function wasForeign(call: Call): boolean {
    return refusedBefore.get(call)?.reasons.has('foreign-address') === true;
  }

  function bodiesOf(message: SipMessage): Bodies {
    let session: Session | SdpError | Refusal | null | undefined;
    return {
      session: () => {
        if (session === undefined) session = sessionOf(message);
        return session;
      },
      fragment: () => (message.sdp.kind === 'sdpfrag' ? readSdpFragment(message.sdp.bytes, sdpCaps) : []),
    };
  }

  function sessionOf({ sdp }: SipMessage): Session | SdpError | Refusal | null {
    if (sdp.kind === 'unusable') {
      switch (sdp.reason) {
        case 'nested-body':
          return { reason: 'malformed-body', detail: sdp.reason };
        case 'beyond-content-length':
          return {
            reason: 'malformed-body',
            detail: 'a session description stands behind Content-Length: 0',
          };
        default:
          return { reason: sdp.reason, detail: sdp.reason };
      }
    }
    return sdp.kind === 'sdp' ? readSdp(sdp.bytes, sdpCaps) : null;
  }

  /** Whether this refusal of the call is news. */
  function isFresh(call: Call, { reason, detail }: Refusal): boolean {
    const hash = hashOf(`${reason} ${detail}`);
    const before = refusedBefore.get(call) ?? { hashes: new Set(), reasons: new Set() };
    if (before.hashes.has(hash) || before.hashes.size >= MAX_REFUSALS_OF_CALL) return false;
    before.hashes.add(hash);
    before.reasons.add(reason);
    refusedBefore.set(call, before);
    return true;
  }

  /** Calls that are over and past their cap leave nothing behind. */
  function forgetSurplus(work: Work): void {
    for (let call = tracker.surplus(); call !== null; call = tracker.surplus()) {
      take(work, call, table.replace(call.hash, [], NO_SLOTS, leaving('over-limit'), work.now));
      callOf.delete(call.hash);
      deadlines.disarm(call);
    }
  }

  function schedule(call: Call): void {
    if (call.state === 'ended') {
      underWay.delete(call);
      waiting.leave(call);
    } else {
      underWay.add(call);
    }
    deadlines.arm(call, Math.min(tracker.deadline(call), table.deadline(call.hash)));
  }

  function tick(now: number): Inspection {
    const work = newWork(null, now);
    for (let due = deadlines.pop(now); due !== null; due = deadlines.pop(now)) {
      const { key: call, at } = due;
      take(work, call, table.expire(call.hash, at));
      if (at >= tracker.deadline(call)) {
        if (call.state === 'ended') {
          tracker.expire(call, at);
          callOf.delete(call.hash);
          continue;
        }
        apply(work, tracker.expire(call, at), at);
      }
      schedule(call);
    }
    forgetSurplus(work);
    return conclude(work);
  }

  function traffic(pinholeId: string, now: number, way: MediaWay = 'came'): void {
    for (const { holder, slot } of table.traffic(pinholeId, now)) {
      const call = callOf.get(holder);
      if (call === undefined) continue;
      const owner = slot.startsWith('0') ? 0 : 1;
      tracker.media(call, way === 'sent' ? owner : otherSide(owner), now);
      const due = table.deadline(holder);
      if (due <= now) deadlines.arm(call, due);
    }
  }

  function end(call: Call, now: number): Inspection {
    const work = newWork(null, now);
    const reason: EndReason = 'administrator';
    apply(work, tracker.end(call, reason, now), now);
    return conclude(work);
  }

  function adopt(records: readonly CallRecord[], now: number): Inspection {
    for (const { call, held } of records) {
      if (!tracker.adopt(call)) continue;
      callOf.set(call.hash, call);
      table.adopt(call.hash, held);
      schedule(call);
    }
    return tick(now);
  }

  return {
    inspect,
    inspectPacket,
    tick,
    nextDeadline: () => deadlines.next(),
    traffic,
    end,
    dump: (call) => ({ call, held: table.held(call.hash) }),
    adopt,
    directionChanges: tcp.changes,
    remember: tcp.remember,
    learn: guard.learn,
    renumber,
    reload: () => {
      policy = createPolicy(settings(), addresses);
      tracker.recount();
      limits = limitsOf(settings());
      sdpCaps = sdpCapsOf(settings());
      tcpBounds = tcpBoundsOf(settings());
    },
    calls: () => tracker.calls(),
    call: (hash) => callOf.get(hash) ?? null,
    held: (call) => table.held(call.hash),
    pinholes: () => table.open(),
    sizes: () => ({ calls: underWay.size, pinholes: table.size }),
    stats,
  };
}

/** What was refused of a call. Hashes of the words, which would take more memory than the call itself. */
interface Refused {
  readonly hashes: Set<number>;
  readonly reasons: Set<RefusalReason>;
}

/** Gathers what one packet, or one tick, leads to. */
interface Work {
  readonly packet: PacketView | null;
  readonly now: number;
  events: InspectorEvent[] | null;
  readonly changes: Change[];
  /** Calls to be decided once more. */
  readonly again: Call[];
  verdict: Inspection['verdict'];
}

/** FNV-1a in 31 bits. */
function hashOf(text: string): number {
  let hash = 0x811c9dc5;
  for (let i = 0; i < text.length; i++) hash = Math.imul(hash ^ text.charCodeAt(i), 0x01000193);
  return hash >>> 1;
}

function newWork(packet: PacketView | null, now: number): Work {
  return { packet, now, events: null, changes: [], again: [], verdict: 'release' };
}

function emit(work: Work, event: InspectorEvent): void {
  if (work.events === null) work.events = [event];
  else work.events.push(event);
}

function finish({ packet, events, changes, verdict }: Work): Inspection {
  return { change: joined(changes), verdict, events: events ?? NO_EVENTS, packet };
}

function limitsOf({ caps }: InspectorSettings): SipLimits {
  return { stream: false, maxHeaders: caps.headers, maxBytes: caps.messageBytes };
}

/** Of fragments, of segments and of messages that are not complete each may have a third of the memory. */
function tcpBoundsOf({ caps, timers }: InspectorSettings): TcpBounds {
  return {
    maxConnections: caps.tcpConnections,
    maxBytes: Math.floor(caps.reassemblyBytes / 3),
    partialIdleMs: timers.tcpPartial,
  };
}

function countMethod(methods: Map<string, number>, name: string): void {
  const count = methods.get(name);
  if (count === undefined) methods.set('other', methods.get('other')! + 1);
  else methods.set(name, count + 1);
}

function sdpCapsOf({ caps }: InspectorSettings): { streams: number; candidates: number } {
  return { streams: caps.streams, candidates: caps.candidates };
}

function refusalOf({ error }: SipError): RefusalReason {
  if (error === 'conflicting-header') return 'conflicting-header';
  if (error === 'message-too-large' || error === 'too-many-headers') return 'message-too-large';
  return 'malformed-sip';
}

/** Several changes of one packet as one: what is opened by one and closed by a later one cancels out. */
function joined(changes: readonly Change[]): Change | null {
  if (changes.length < 2) return changes[0] ?? null;
  const open = new Map<string, Pinhole>();
  const close = new Map<string, Pinhole>();
  for (const change of changes) {
    for (const pinhole of change.open) if (!close.delete(pinhole.id)) open.set(pinhole.id, pinhole);
    for (const pinhole of change.close) if (!open.delete(pinhole.id)) close.set(pinhole.id, pinhole);
  }
  return open.size + close.size === 0 ? null : { open: [...open.values()], close: [...close.values()] };
}
