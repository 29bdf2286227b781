import type { Address } from '../../address/address.ts';
import { networkSet } from '../../address/network.ts';
import { createModelFirewall } from '../../firewall/model.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { Happening } from '../../inspector/happening.ts';
import { createInspector, type Inspection, type InspectorSettings } from '../../inspector.ts';
import { type CaptureError, type Frame, type FrameInPlace, inPlace } from '../../intercept/capture.ts';
import type { PacketView } from '../../packet/ip.ts';
import type { NatMapping } from '../../policy/external.ts';
import { IN_CAPTURE, type Seen } from './explain/seen.ts';
import { createFindings } from './findings.ts';
import { createFrameReader } from './frames.ts';
import { createKnownFlows } from './known-flows.ts';
import { createMediaTaker } from './media.ts';
import { createMessageTaker, type Moment, type ReadMessage } from './messages.ts';
import type { ReplayReport, Window } from './model.ts';
import { createRefusalCounts } from './refused.ts';
import { reportOf } from './report.ts';

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
  /** What the frames are of; a capture unless said otherwise. */
  readonly seen?: Seen;
}

interface Replay {
  /** One frame; frames come in the order of their time. */
  frame(frame: Frame): void;
  /** `frame` for one that lasts until the next. */
  pass(frame: FrameInPlace): void;
  /** Everything that was found; `damage` is what ended the reading of files early. Ends the replay. */
  finish(damage: readonly CaptureError[]): ReplayReport;
}

const MAX_HOSTS = 100_000;

/**
 * Runs captured frames through the inspector and a model firewall, as the data path does it inline: deadlines
 * first, then the packet, the change before the packet goes on, then the question whether it would pass.
 */
export function createReplay(options: ReplayOptions): Replay {
  const { settings, window, tunnels, sipPorts, files, assumed = false, seen = IN_CAPTURE } = options;
  /** Messages of the packet at hand that were not told of yet. */
  const read: ReadMessage[] = [];
  const inspector = createInspector(
    () => settings,
    (message, session) => read.push({ message, session }),
  );
  const firewall = createModelFirewall();
  const findings = createFindings();
  const { calls, pinholes, signalling, seenHosts, sipHosts } = findings;
  const frames = createFrameReader(tunnels, settings.caps.reassemblyBytes);
  const messages = createMessageTaker(findings);
  const refusals = createRefusalCounts();
  const media = createMediaTaker({
    ...{ firewall, inspector, findings, isGuarded: guardedBy(settings), here },
    isTranslated: settings.nat.length > 0,
    from: window.from ?? Number.NEGATIVE_INFINITY,
  });
  const known = tunnels ? null : createKnownFlows(frames, media);
  const fileIndex = new Map(files.map((name, index) => [name, index]));
  let firstAt: number | null = null;
  let now = 0;
  let name: string | null = null;
  let file = 0;
  let number = 0;
  let place: FramePlace | null = null;

  /** The frame at hand; while deadlines are seen to, the one before. */
  function here(): FramePlace {
    place ??= { file, frame: number };
    return place;
  }

  function frame(one: Frame): void {
    pass(inPlace(one));
  }

  function pass(one: FrameInPlace): void {
    firstAt ??= one.time;
    // Within one file a frame may be a little older than the one before it; deadlines never run backwards.
    now = Math.max(now, one.time);
    if (inspector.nextDeadline() <= now) apply(inspector.tick(now), null);
    place = null;
    number = one.number;
    if (one.file !== name) {
      name = one.file;
      file = fileIndex.get(name) ?? 0;
    }
    if (known?.take(one, now) === true) return;
    const framed = frames.read(one, now);
    if (framed === null || framed.packet.protocol === 'other') return;
    const { packet, isCopy } = framed;
    const moment: Moment = { place: here(), at: now, isCopy, packet };
    if (seenHosts.size < MAX_HOSTS) seenHosts.add(packet.source).add(packet.destination);
    if (sipPorts === null || isOn(sipPorts, packet)) {
      const inspection = inspector.inspectPacket(packet, now);
      apply(inspection, moment);
      if (inspection.events.some(({ type }) => type === 'message' || type === 'malformed')) return;
    }
    signalling.other(packet, moment.place, now);
    if (packet.protocol !== 'udp') return;
    const flow = media.ask(packet, one.time, moment);
    if (flow !== null) known?.add(one, packet, flow);
  }

  /** Does what the control thread and the data path do with an inspection; `moment` is null for a deadline. */
  function apply({ change, events }: Inspection, moment: Moment | null): void {
    if (change !== null) {
      firewall.commit(change);
      firewall.retire({ closed: change.close });
      media.changed();
    }
    for (const event of events) take(event, moment);
  }

  function take(event: Happening, moment: Moment | null): void {
    switch (event.type) {
      case 'message':
        if (moment !== null && messages.take(event, read.shift()!, moment)) media.changed();
        break;
      case 'malformed':
        messages.counts.malformed++;
        media.changed();
        sipHosts.add(event.packet.source).add(event.packet.destination);
        if (moment !== null) signalling.malformed(moment.packet, event.error.detail, here(), now);
        break;
      case 'call':
        calls.update(event.leg);
        break;
      case 'pinhole':
        for (let port = event.pinhole.ports[0]; port <= event.pinhole.ports[1]; port++)
          findings.places.changed(event.pinhole.address, port);
        pinholes.take(event, moment?.place ?? null, here());
        break;
      case 'refused': {
        media.changed();
        if (moment !== null) {
          findings.refusals.add(event, here());
          signalling.refused(event.refusal, here());
        }
        refusals.add(event.refusal);
        if (event.call === null) refusals.addLoose(event.refusal, here(), event.at);
        else calls.refused(event, here());
      }
    }
  }

  function finish(damage: readonly CaptureError[]): ReplayReport {
    // Media may have shown that what a stream moved away from is needed no more.
    if (inspector.nextDeadline() <= now) apply(inspector.tick(now), null);
    pinholes.settle();
    return reportOf({
      ...{ files, seen, window, findings, refusals, firstAt, now, damage },
      ...{ frames: frames.counts, sip: messages.counts },
      inside: settings.inside === 'any' ? 'any' : settings.inside.map(({ text }) => text),
      insideAssumed: assumed,
    });
  }

  return { frame, pass, finish };
}

/** Whether the firewall stands before an address: an inside host's, or one by which such a host is known outside. */
function guardedBy({ inside, nat }: InspectorSettings): (address: Address) => boolean {
  const isInside = inside === 'any' ? () => true : networkSet(inside);
  const external = new Set(nat.flatMap(outerAddresses));
  return (address) => isInside(address) || external.has(address);
}

/** Addresses by which the hosts of a mapping are known from outside. */
function outerAddresses({ external, arrivesAt }: NatMapping): Address[] {
  return [...('address' in external ? [external.address] : []), ...(arrivesAt === null ? [] : [arrivesAt])];
}

function isOn(ranges: readonly (readonly [number, number])[], packet: PacketView): boolean {
  return ranges.some(
    ([first, last]) =>
      (first <= packet.sourcePort && packet.sourcePort <= last) ||
      (first <= packet.destinationPort && packet.destinationPort <= last),
  );
}
