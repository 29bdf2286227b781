import type { Address } from '../../address/address.ts';
import type { ModelFirewall } from '../../firewall/model.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { Inspector } from '../../inspector.ts';
import type { PacketView } from '../../packet/ip.ts';
import { findCause } from './cause.ts';
import { type Codec, codecOf } from './codecs.ts';
import { countPacket } from './density.ts';
import type { Findings } from './findings.ts';
import { noteContent, type UdpFlow } from './flows.ts';
import type { Moment } from './messages.ts';

interface MediaTakerOptions {
  readonly firewall: ModelFirewall;
  readonly inspector: Pick<Inspector, 'traffic'>;
  readonly findings: Findings;
  /** Whether the firewall stands before this address. */
  readonly isGuarded: (address: Address) => boolean;
  /** ms; flows are counted from here on. */
  readonly from: number;
}

interface MediaTaker {
  /** Would this packet pass? `time` is the frame's own; the moment's never runs backwards. */
  ask(packet: PacketView, time: number, moment: Moment): void;
  /** Something happened that may change why a packet is blocked. */
  changed(): void;
}

const MAX_SPELLS = 8;

/** Asks the firewall about each packet that is no SIP, and writes the answers down flow by flow. */
export function createMediaTaker(options: MediaTakerOptions): MediaTaker {
  const { firewall, inspector, findings, isGuarded, from } = options;
  const { announcements, pinholes, refusals, flows } = findings;
  /** Grows with everything that may change why a packet is blocked. */
  let epoch = 0;

  function ask(packet: PacketView, time: number, { place, at, isCopy }: Moment): void {
    const { source, sourcePort, destination, destinationPort, payload } = packet;
    const asked = { protocol: 'udp', source, sourcePort, destination, destinationPort } as const;
    const answer = firewall.ask(asked, payload.length, at);
    if (answer.pinhole !== null) inspector.traffic(answer.pinhole, at);
    for (const id of firewall.answered(asked)) inspector.traffic(id, at, 'sent');
    if (time < from) return;
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
      blame(flow, time, place);
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
  function codecIn(flow: UdpFlow, payloadType: number): Codec | null {
    const to = announcements.at(flow.destination, flow.destinationPort).at(-1)?.codecs ?? null;
    const from = announcements.at(flow.source, flow.sourcePort).at(-1)?.codecs ?? null;
    return codecOf(to?.has(payloadType) ? to : from, payloadType);
  }

  function leadsToFax({ destination, destinationPort }: UdpFlow): boolean {
    return announcements.at(destination, destinationPort).some(({ kind }) => kind === 'udptl');
  }

  /** Nothing changed since the last packet of a flow that was blocked: the same cause again. */
  function blame(flow: UdpFlow, time: number, place: FramePlace): void {
    const last = flow.spells.at(-1);
    if (last !== undefined && flow.epoch === epoch) {
      last.packets++;
      return;
    }
    const { destination, destinationPort } = flow;
    const cause = findCause(destination, destinationPort, announcements, pinholes, refusals);
    const same = flow.spells.find(({ cause: { key } }) => key === cause.key);
    if (same !== undefined) same.packets++;
    else if (flow.spells.length < MAX_SPELLS)
      flow.spells.push({ cause, first: place, firstAt: time, packets: 1 });
    else last!.packets++;
  }

  return {
    ask,
    changed: () => {
      epoch++;
    },
  };
}

function lastOf<T>(items: Iterable<T>): T | null {
  let last: T | null = null;
  for (const item of items) last = item;
  return last;
}
