import type { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import type { AskedFlow, ModelFirewall, Passage } from '../../firewall/model.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { Inspector } from '../../inspector.ts';
import type { PacketView } from '../../packet/ip.ts';
import { type Codec, codecOf } from '../../sdp/codecs.ts';
import { findCause } from './cause.ts';
import { countPacket } from './density.ts';
import type { Findings } from './findings.ts';
import { noteContent, noteRtpAt, type UdpFlow } from './flows.ts';
import type { Moment } from './messages.ts';

interface MediaTakerOptions {
  readonly firewall: ModelFirewall;
  readonly inspector: Pick<Inspector, 'traffic'>;
  readonly findings: Findings;
  /** Whether the firewall stands before this address. */
  readonly isGuarded: (address: Address) => boolean;
  /** Packets are known by other addresses than their pinholes somewhere. */
  readonly isTranslated: boolean;
  /** ms; flows are counted from here on. */
  readonly from: number;
  /** Where the packet at hand is. */
  readonly here: () => FramePlace;
}

export interface MediaTaker {
  /**
   * Would this packet pass? `time` is the frame's own; the moment's never runs backwards. Null before the time from which
   * flows are counted.
   */
  ask(packet: PacketView, time: number, moment: Moment): UdpFlow | null;
  /** `ask` for a packet of a proven flow that is RTP: its payload lies in `bytes`, from `start` to before `end`. */
  askAgain(
    flow: UdpFlow,
    bytes: Buffer,
    start: number,
    end: number,
    time: number,
    at: number,
    isCopy: boolean,
  ): void;
  /** Something happened that may change why a packet is blocked. */
  changed(): void;
}

const MAX_SPELLS = 8;

/** Asks the firewall about each packet that is no SIP, and writes the answers down flow by flow. */
export function createMediaTaker(options: MediaTakerOptions): MediaTaker {
  const { firewall, inspector, findings, isGuarded, isTranslated, from, here } = options;
  const { announcements, pinholes, refusals, flows, places } = findings;
  /** Grows with everything that may change why a packet is blocked. */
  let epoch = 0;
  /** The flow of the packet at hand. */
  let atHand: UdpFlow | null = null;
  const codecAtHand = (payloadType: number) => (atHand === null ? null : codecIn(atHand, payloadType));

  function ask(packet: PacketView, time: number, { at, isCopy }: Moment): UdpFlow | null {
    const { source, sourcePort, destination, destinationPort, payload } = packet;
    const known = flows.find(packet);
    const asked =
      known?.asked ?? firewall.asked({ protocol: 'udp', source, sourcePort, destination, destinationPort });
    const answer = askFirewall(asked, payload.length, at);
    if (time < from) return null;
    const flow = known ?? flows.begin(packet, asked, here(), time);
    if (isCopy) {
      flow.copies++;
      return flow;
    }
    lookAround(flow);
    atHand = flow;
    noteContent(flow, payload, time, codecAtHand);
    count(flow, answer, time);
    return flow;
  }

  function askAgain(
    flow: UdpFlow,
    bytes: Buffer,
    start: number,
    end: number,
    time: number,
    at: number,
    isCopy: boolean,
  ): void {
    const answer = askFirewall(flow.asked, end - start, at);
    if (time < from) return;
    if (isCopy) {
      flow.copies++;
      return;
    }
    lookAround(flow);
    atHand = flow;
    if (flow.isFax) noteContent(flow, bytes.subarray(start, end), time, codecAtHand);
    else noteRtpAt(flow, bytes, start, time, codecAtHand);
    count(flow, answer, time);
  }

  function askFirewall(asked: AskedFlow, bytes: number, at: number): Passage {
    const answer = asked.ask(bytes, at);
    if (answer.pinhole !== null) inspector.traffic(answer.pinhole, at);
    for (const id of asked.answered()) inspector.traffic(id, at, 'sent');
    return answer;
  }

  /** What has changed where the flow goes and comes from. */
  function lookAround(flow: UdpFlow): void {
    if (flow.epoch === epoch) return;
    const { goesTo, comesFrom } = flow;
    const [to, from] = [places.at(goesTo.slot), places.at(comesFrom.slot)];
    if (goesTo.changes !== to) {
      flow.isFax ||= leadsToFax(flow);
      flow.into = pinholes.latestAt(flow.destination, flow.destinationPort);
    }
    if (isTranslated || goesTo.changes !== to || comesFrom.changes !== from) flow.isPinholeStale = true;
    goesTo.changes = to;
    comesFrom.changes = from;
  }

  function count(flow: UdpFlow, answer: Passage, time: number): void {
    flow.lastAt = time;
    flow.packets++;
    const by = answer.by ?? (isGuarded(flow.destination) ? null : 'outbound');
    countPacket(flow.density, time, by === null ? 'blocked' : 'passed');
    if (by === null) {
      flow.blocked++;
      blame(flow, time);
    } else {
      flow.passed++;
      flow.firstPassed ??= { place: here(), at: time, by };
      if (by === 'outbound') flow.outbound++;
      else if (flow.isPinholeStale || flow.pinhole?.id !== answer.pinhole) {
        flow.pinhole = pinholes.byId(answer.pinhole!);
        flow.isPinholeStale = false;
      }
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
  function blame(flow: UdpFlow, time: number): void {
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
      flow.spells.push({ cause, first: here(), firstAt: time, packets: 1 });
    else last!.packets++;
  }

  return {
    ask,
    askAgain,
    changed: () => {
      epoch++;
    },
  };
}
