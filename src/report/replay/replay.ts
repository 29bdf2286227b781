import { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import { type Network, networkSet } from '../../address/network.ts';
import { describeSession } from '../../call/description.ts';
import type { Refusal, RefusalReason } from '../../call/refusal.ts';
import type { Side } from '../../call/wanted.ts';
import type { Leg } from '../../daemon/messages.ts';
import { createModelFirewall } from '../../firewall/model.ts';
import {
  createInspector,
  type Inspection,
  type InspectorEvent,
  type InspectorSettings,
  type MessageEvent,
} from '../../inspector.ts';
import type { CaptureError, Frame } from '../../intercept/capture.ts';
import type { PacketView } from '../../packet/ip.ts';
import { findPacket, linkTypeText } from '../../packet/link.ts';
import { createPacketReader } from '../../packet/reader.ts';
import type { NatMapping } from '../../policy/external.ts';
import { printable } from '../../printable.ts';
import { createAnnouncements } from './announced.ts';
import { type CallRecord, createCallJournal, ownCopy, summaryOf } from './calls.ts';
import { createRefusalIndex, findCause } from './cause.ts';
import { type Codec, codecOf, readCodecs } from './codecs.ts';
import { createCopyFilter } from './copies.ts';
import { countPacket } from './density.ts';
import { explain } from './explain/explain.ts';
import type { Knowledge } from './explain/knowledge.ts';
import { whyNoRequest } from './explain/response.ts';
import { createFlowTable, type Flow, noteContent } from './flows.ts';
import type {
  CallReport,
  FlowReport,
  LooseRefusal,
  Place,
  RefusalReport,
  ReplayReport,
  SipCounts,
  Window,
} from './model.ts';
import { createPinholeJournal } from './pinholes.ts';
import { createSignallingLog } from './signalling.ts';

export interface ReplayOptions {
  /** Names of the files, in the order of `Place.file`. */
  readonly files: readonly string[];
  readonly settings: InspectorSettings;
  /** Look into GRE, IP-in-IP and GTP-U. */
  readonly tunnels: boolean;
  /** Ports on which SIP is looked for; null: all, by content. */
  readonly sipPorts: readonly (readonly [first: number, last: number])[] | null;
  readonly window: Window;
  /** Nobody said what `settings.inside` is. */
  readonly assumed?: boolean;
}

export interface Replay {
  /** One frame; frames come in the order of their time. */
  frame(frame: Frame): void;
  /** Everything that was found; `damage` is what ended the reading of files early. Ends the replay. */
  finish(damage: readonly CaptureError[]): ReplayReport;
}

const MAX_SPELLS = 8;
const MAX_LOOSE_REFUSALS = 1000;
const MAX_METHODS = 32;
const MAX_HOSTS = 100_000;
const MAX_STRAYS = 1000;
const MAX_STRAY_MESSAGES = 50;
const MAX_NOTED = 3;

/**
 * Runs captured frames through the inspector and a model firewall, as the data path does it inline: deadlines
 * first, then the packet, the change before the packet goes on, then the question whether it would pass.
 */
export function createReplay(options: ReplayOptions): Replay {
  const { settings, window, tunnels, sipPorts, files, assumed = false } = options;
  // The media of a capture is counted without its direction, as packet filters count it.
  const inspector = createInspector(() => ({
    ...settings,
    timers: { ...settings.timers, oneWay: Number.POSITIVE_INFINITY },
  }));
  const firewall = createModelFirewall();
  const reader = createPacketReader({ tunnels, maxBytes: settings.caps.reassemblyBytes });
  const isInside = settings.inside === 'any' ? () => true : networkSet(settings.inside);
  const external = new Set(settings.nat.flatMap(outerAddresses));
  const isGuarded = (address: Address) => isInside(address) || external.has(address);
  const calls = createCallJournal();
  const strays = createCallJournal(MAX_STRAY_MESSAGES);
  const strayLegs = new Map<string, Leg>();
  const pinholes = createPinholeJournal();
  const announcements = createAnnouncements();
  const refusalIndex = createRefusalIndex();
  const signalling = createSignallingLog();
  const isSeenAgain = createCopyFilter();
  const seenHosts = new Set<Address>();
  const flows = createFlowTable((flow) => flow.proven || isAnnounced(flow));
  const fileIndex = new Map(files.map((name, index) => [name, index]));
  const sipHosts = new Set<Address>();
  const sipEndpoints = new Set<string>();
  const loose = new Map<string, LooseRefusal>();
  const refused = new Map<RefusalReason, number>();
  const unreadable = new Map<string, number>();
  /** Frames by the LINKTYPE_ that is not read. */
  const unknownLinks = new Map<number, number>();
  const sip: SipCounts = {
    messages: 0,
    malformed: 0,
    byTransport: { udp: 0, tcp: 0 },
    requests: new Map(),
    responses: new Map(),
  };
  let frames = 0;
  let truncated = 0;
  let firstAt: number | null = null;
  let now = 0;
  let place: Place = { file: 0, frame: 0 };
  /** The present packet was seen before, at another point of its way. */
  let isCopy = false;
  /** Grows with everything that may change why a packet is blocked. */
  let epoch = 0;

  function frame(one: Frame): void {
    frames++;
    firstAt ??= one.time;
    // Within one file a frame may be a little older than the one before it; deadlines never run backwards.
    now = Math.max(now, one.time);
    if (inspector.nextDeadline() <= now) apply(inspector.tick(now), null);
    place = { file: fileIndex.get(one.file) ?? 0, frame: one.number };
    if (one.truncated) truncated++;
    const packet = packetIn(one);
    if (packet === null || packet.protocol === 'other') return;
    if (seenHosts.size < MAX_HOSTS) seenHosts.add(packet.source).add(packet.destination);
    if (sipPorts === null || isOn(sipPorts, packet)) {
      const inspection = inspector.inspectPacket(packet, now);
      apply(inspection, place);
      if (inspection.events.some(({ type }) => type === 'message' || type === 'malformed')) return;
    }
    signalling.other(packet, place, now);
    if (packet.protocol === 'udp') ask(packet, one.time);
  }

  /** The innermost whole packet; null when there is none, yet or at all. */
  function packetIn({ linkType, bytes }: Frame): PacketView | null {
    const found = findPacket(linkType, bytes);
    if (found === 'link-type-unknown') unknownLinks.set(linkType, (unknownLinks.get(linkType) ?? 0) + 1);
    const packet = typeof found === 'string' ? found : reader.read(found, now);
    if (typeof packet !== 'string') {
      isCopy =
        packet?.protocol === 'udp' && typeof found !== 'string' && isSeenAgain(bytes, found, packet, now);
      return packet;
    }
    unreadable.set(packet, (unreadable.get(packet) ?? 0) + 1);
    return null;
  }

  /** Does what the control thread and the data path do with an inspection; `at` is null for a deadline. */
  function apply({ change, events }: Inspection, at: Place | null): void {
    if (change !== null) {
      firewall.commit(change);
      firewall.killStates(change.close);
      epoch++;
    }
    if (events.length === 0) return;
    for (const event of events) take(event, at);
    if (at === null) return;
    for (const event of events) {
      if (event.type !== 'message') continue;
      for (const call of event.calls) {
        calls.update(call);
        pinholes.caused(call.hash, at);
      }
    }
  }

  function take(event: InspectorEvent, at: Place | null): void {
    switch (event.type) {
      case 'message':
        message(event);
        break;
      case 'malformed':
        sip.malformed++;
        epoch++;
        sipHosts.add(event.packet.source).add(event.packet.destination);
        signalling.malformed(event.packet, event.error.detail, place, now);
        break;
      case 'call':
        calls.update(event.call);
        break;
      case 'pinhole':
        pinholes.take(event.event, at, place);
        break;
      case 'refused': {
        const { call, refusal, wanted } = event;
        epoch++;
        if (at !== null) {
          refusalIndex.add(refusal, wanted, place);
          signalling.refused(refusal, place);
        }
        refused.set(refusal.reason, (refused.get(refusal.reason) ?? 0) + 1);
        if (call === null) refuseLoosely(refusal, event.at);
        else calls.refused(call, refusal, wanted, place, event.at);
      }
    }
  }

  function message(event: MessageEvent): void {
    const { message: read, packet, transport } = event;
    sip.messages++;
    sip.byTransport[transport]++;
    if (read.status !== 0) sip.responses.set(read.status, (sip.responses.get(read.status) ?? 0) + 1);
    else countMethod(printable(read.method, 32));
    sipHosts.add(packet.source).add(packet.destination);
    if (transport === 'udp') {
      sipEndpoints.add(`${packet.source} ${packet.sourcePort}`);
      sipEndpoints.add(`${packet.destination} ${packet.destinationPort}`);
    }
    const session = event.session();
    const summary = summaryOf(read);
    signalling.message(read, session, packet, summary, place, now);
    let description: string | null = null;
    if (session !== null && 'streams' in session) {
      description = describeSession(session);
      const origin = {
        owner: packet.source,
        side: sideIn(event.calls[0], packet),
        callId: event.calls[0]?.callId ?? Buffer.from(read.callId, 'latin1').toString('latin1'),
        call: event.calls[0]?.hash ?? null,
        summary,
        place,
        at: now,
      };
      const codecs = read.sdp.kind === 'sdp' ? readCodecs(read.sdp.bytes) : [];
      announcements.add(session, codecs, origin);
      signalling.streams(session, origin);
      epoch++;
    } else if (session !== null) {
      description = `unusable SDP: ${session.detail}`;
    }
    calls.message(event, place, now, description, isCopy);
    if (event.calls.length === 0 && isOfDialog(read) && !calls.has(event)) stray(event, description);
  }

  /** The message of a dialog that no call came of. */
  function stray(event: MessageEvent, description: string | null): void {
    const { message: read, packet } = event;
    const callId = ownCopy(read.callId);
    let leg = strayLegs.get(callId);
    if (leg === undefined) {
      if (strayLegs.size >= MAX_STRAYS) return;
      const ends = [packet.source, packet.destination] as const;
      leg = {
        ...{ hash: `stray-${strayLegs.size + 1}`, callId, fromTag: ownCopy(read.fromTag) },
        ...{ parties: read.status === 0 ? ends : ([ends[1], ends[0]] as const) },
        ...{ from: ownCopy(read.from), to: ownCopy(read.to), state: 'calling', startedAt: now },
        ...{ answeredAt: null, endedAt: null, endReason: null, endStatus: 0, dialogs: [] },
      };
      strayLegs.set(callId, leg);
    }
    strays.message({ ...event, calls: [leg] }, place, now, description, isCopy);
  }

  /** Which party of a leg sent this; where both are one host, its port says so. */
  function sideIn(leg: MessageEvent['calls'][number] | undefined, packet: PacketView): Side | null {
    if (leg === undefined) return null;
    const [caller, callee] = leg.parties;
    if (caller !== callee) return packet.source === caller ? 0 : packet.source === callee ? 1 : null;
    const port = calls.of(leg).ports?.[0] ?? packet.sourcePort;
    return packet.source !== caller ? null : packet.sourcePort === port ? 0 : 1;
  }

  function countMethod(method: string): void {
    const count = sip.requests.get(method);
    if (count === undefined && sip.requests.size >= MAX_METHODS) return;
    sip.requests.set(method, (count ?? 0) + 1);
  }

  function refuseLoosely({ reason, detail }: Refusal, at: number): void {
    const key = `${reason} ${detail}`;
    const known = loose.get(key);
    if (known !== undefined) known.count++;
    else if (loose.size < MAX_LOOSE_REFUSALS)
      loose.set(key, { reason, detail, place, at, count: 1, why: '' });
  }

  /** Would this packet pass? */
  function ask(packet: PacketView, time: number): void {
    const { source, sourcePort, destination, destinationPort, payload } = packet;
    const answer = firewall.ask(
      { protocol: 'udp', source, sourcePort, destination, destinationPort },
      payload.length,
      now,
    );
    if (answer.pinhole !== null) inspector.traffic(answer.pinhole, now);
    if (window.from !== null && time < window.from) return;
    const flow = flows.of(packet, place, time);
    if (isCopy) {
      flow.copies++;
      return;
    }
    const isNews = flow.epoch !== epoch;
    if (isNews) {
      flow.isFax ||= leadsToFax(flow);
      flow.into = lastOf(pinholes.openAt(destination, destinationPort));
    }
    flow.lastAt = time;
    flow.packets++;
    noteContent(flow, payload, time, (type) => codecIn(flow, type));
    const by = answer.by ?? (isGuarded(destination) ? null : 'outbound');
    countPacket(flow.density, time, by === null ? 'blocked' : 'passed');
    if (by === null) {
      flow.blocked++;
      blame(flow, time);
    } else {
      flow.passed++;
      flow.firstPassed ??= { place, at: time, by };
      if (by === 'outbound') flow.outbound++;
      else if (isNews || flow.pinhole?.id !== answer.pinhole) flow.pinhole = pinholes.byId(answer.pinhole!);
      if (flow.into !== null) flow.into.packets++;
    }
    flow.epoch = epoch;
  }

  /** What a payload type stands for: by what its receiver announced, else by what its sender did. */
  function codecIn(flow: Flow, payloadType: number): Codec | null {
    const to = announcements.at(flow.destination, flow.destinationPort).at(-1)?.codecs ?? null;
    const from = announcements.at(flow.source, flow.sourcePort).at(-1)?.codecs ?? null;
    return codecOf(to?.has(payloadType) ? to : from, payloadType);
  }

  function leadsToFax({ destination, destinationPort }: Flow): boolean {
    return announcements.at(destination, destinationPort).some(({ kind }) => kind === 'udptl');
  }

  /** Nothing changed since the last packet of a flow that was blocked: the same cause again. */
  function blame(flow: Flow, time: number): void {
    const last = flow.spells.at(-1);
    if (last !== undefined && flow.epoch === epoch) {
      last.packets++;
      return;
    }
    const { destination, destinationPort } = flow;
    const cause = findCause(destination, destinationPort, announcements, pinholes, refusalIndex);
    const same = flow.spells.find(({ cause: { key } }) => key === cause.key);
    if (same !== undefined) same.packets++;
    else if (flow.spells.length < MAX_SPELLS)
      flow.spells.push({ cause, first: place, firstAt: time, packets: 1 });
    else last!.packets++;
  }

  function isAnnounced({ destination, destinationPort }: Flow): boolean {
    return announcements.at(destination, destinationPort).length > 0;
  }

  function finish(damage: readonly CaptureError[]): ReplayReport {
    pinholes.settle();
    for (const call of inspector.calls()) calls.update(call);
    return {
      files,
      frames,
      firstAt,
      lastAt: frames === 0 ? null : now,
      window,
      inside: settings.inside === 'any' ? 'any' : settings.inside.map(({ text }: Network) => text),
      insideAssumed: assumed,
      sip,
      unreadable,
      truncated,
      calls: calls.all().map(callReport).filter(isReported),
      strays: strays.all().map((record) => ({ ...record, pinholes: [] })),
      media: mediaReports(),
      refusals: looseReports(),
      refused,
      damage: damage.map(({ file, offset, expected, found, message: text }) => ({
        file: fileIndex.get(file) ?? 0,
        ...{ offset, expected, found, message: text },
      })),
      notes: notes(),
    };
  }

  function looseReports(): LooseRefusal[] {
    const known = knowledge();
    return [...loose.values()]
      .sort((a, b) => b.count - a.count)
      .map((one) => ({ ...one, why: whyRefused(one, known) }));
  }

  function whyRefused({ reason, place: where }: RefusalReport, known: Knowledge): string {
    const response = reason === 'response-without-request' ? signalling.responseAt(where) : null;
    return response === null ? '' : whyNoRequest(response, known).text;
  }

  function notes(): string[] {
    const oneSided = signalling.oneSided();
    const found = oneSided
      .slice(0, MAX_NOTED)
      .map(
        ({ from, to, messages }) =>
          `Only messages from ${from} to ${to} are here (${messages}): one direction of their signalling is missing from the capture, and what it asked for is not known.`,
      );
    const more = oneSided.length - MAX_NOTED;
    if (more > 0) found.push(`The same holds for ${more} more pairs of hosts.`);
    for (const [linkType, count] of unknownLinks) {
      found.push(
        `${count} of ${frames} frames are of ${linkTypeText(linkType)}, which is not read. Where they hold Ethernet or IP all the same, editcap -T ether or -T rawip makes them readable.`,
      );
    }
    return found;
  }

  function callReport(record: CallRecord): CallReport {
    const known = knowledge();
    const refusals = record.refusals.map((one) => ({ ...one, why: whyRefused(one, known) }));
    return { ...record, refusals, pinholes: pinholes.of(record.hash) };
  }

  function isReported({ startedAt, endedAt, messages }: CallReport): boolean {
    const until = endedAt ?? Math.max(messages.at(-1)?.at ?? startedAt, now);
    return (window.from === null || until >= window.from) && (window.to === null || startedAt <= window.to);
  }

  function mediaReports(): FlowReport[] {
    const listed = [...flows.all()].filter(isMedia);
    const byKey = new Map(listed.map((flow) => [flowKey(flow), flow]));
    const known = knowledge((flow) => byKey.get(reverseKey(flow)) ?? null);
    return listed.map((flow) => flowReport(flow, known));
  }

  function knowledge(reverse: Knowledge['reverse'] = () => null): Knowledge {
    return {
      announcements,
      signalling,
      call: calls.byHash,
      refusalOf: refusalIndex.ofMessage,
      isSeen: (address) => seenHosts.has(address),
      isInsideKnown: settings.inside !== 'any',
      pinholesOf: pinholes.of,
      reverse,
      speaksSip: (address) => sipHosts.has(address),
      frame: ({ file, frame: number }) =>
        files.length === 1 ? `frame ${number}` : `frame ${number} of ${printable(files[file] ?? '', 60)}`,
    };
  }

  /** What the contents or the announcements call media; not the keepalives between two SIP endpoints. */
  function isMedia(flow: Flow): boolean {
    if (isAnnounced(flow)) return true;
    const { source, sourcePort, destination, destinationPort } = flow;
    if (sipEndpoints.has(`${source} ${sourcePort}`) && sipEndpoints.has(`${destination} ${destinationPort}`))
      return false;
    if (sourcePort < 1024 || destinationPort < 1024) return false;
    if (flow.proven) return true;
    const hosts = [source, destination].some((one) => announcements.names(one) || sipHosts.has(one));
    const ports = [sourcePort, destinationPort].some((one) => announcements.ofPort(one) !== null);
    return flow.suspected && (hosts || ports || flow.kinds.rtcp !== undefined);
  }

  function flowReport(flow: Flow, known: Knowledge): FlowReport {
    const { source, sourcePort, destination, destinationPort, first, lastAt, packets, passed, blocked } =
      flow;
    return {
      ...{ source, sourcePort, destination, destinationPort, first, firstAt: flow.firstAt, lastAt },
      ...{ packets, passed, blocked, outbound: flow.outbound, copies: flow.copies, kinds: flow.kinds },
      ...{ density: flow.density, rtp: isRtp(flow) ? (flow.rtp?.streams() ?? []) : [] },
      ...callOf(flow),
      blocks: flow.spells.map((spell) => explain(flow, spell, known)),
    };
  }

  /** From the pinhole that passed it, else from the announcement that names its destination, else its source. */
  function callOf(flow: Flow): Pick<FlowReport, 'callId' | 'leg' | 'side'> {
    const to = nearest(flow.destination, flow.destinationPort, flow.firstAt);
    const from = nearest(flow.source, flow.sourcePort, flow.firstAt);
    const leg = flow.pinhole?.call ?? (to ?? from)?.call ?? null;
    const call = leg === null ? null : calls.byHash(leg);
    return {
      callId: flow.pinhole === null ? ((to ?? from)?.callId ?? null) : (call?.callId ?? null),
      leg,
      side: call === null ? null : sideOf(call, flow),
    };
  }

  /**
   * By who announced the destination first (a proxy passes on what the caller said), else by who is the destination;
   * else the same of the source.
   */
  function sideOf({ parties, callId }: CallRecord, flow: Flow): Side | null {
    const announcer = (address: Address, port: number) =>
      announcements.at(address, port).find((one) => one.callId === callId && one.side !== null)?.side ?? null;
    const party = (host: Address) => (host === parties[0] ? 0 : host === parties[1] ? 1 : null);
    const to = announcer(flow.destination, flow.destinationPort) ?? party(flow.destination);
    if (to !== null) return to;
    const from = announcer(flow.source, flow.sourcePort) ?? party(flow.source);
    return from === null ? null : from === 0 ? 1 : 0;
  }

  function nearest(address: Address, port: number, time: number) {
    const all = announcements.at(address, port);
    return all.findLast(({ at }) => at <= time) ?? all[0];
  }

  return { frame, finish };
}

/** Addresses by which the hosts of a mapping are known from outside. */
function outerAddresses({ external, arrivesAt }: NatMapping): Address[] {
  return [...('address' in external ? [external.address] : []), ...(arrivesAt === null ? [] : [arrivesAt])];
}

/** RTP for the most part: a few packets of something else may look like it. */
function isRtp({ kinds, packets }: Flow): boolean {
  return (kinds.rtp ?? 0) * 2 > packets;
}

function lastOf<T>(items: Iterable<T>): T | null {
  let last: T | null = null;
  for (const item of items) last = item;
  return last;
}

/** What only a call has: its requests and their responses. */
function isOfDialog({ method, cseqMethod }: MessageEvent['message']): boolean {
  return DIALOG_METHODS.has(method === '' ? cseqMethod : method);
}

const DIALOG_METHODS: ReadonlySet<string> = new Set(['INVITE', 'ACK', 'BYE', 'CANCEL', 'PRACK', 'UPDATE']);

function isOn(ranges: readonly (readonly [number, number])[], packet: PacketView): boolean {
  return ranges.some(
    ([first, last]) =>
      (first <= packet.sourcePort && packet.sourcePort <= last) ||
      (first <= packet.destinationPort && packet.destinationPort <= last),
  );
}

function flowKey({ source, sourcePort, destination, destinationPort }: Flow): string {
  return `${source} ${sourcePort} ${destination} ${destinationPort}`;
}

function reverseKey({ source, sourcePort, destination, destinationPort }: Flow): string {
  return `${destination} ${destinationPort} ${source} ${sourcePort}`;
}
