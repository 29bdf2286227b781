import type { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import type { AskedFlow } from '../../firewall/model.ts';
import type { FramePlace } from '../../history/call-report.ts';
import type { PinholeTrace } from '../../history/pinholes.ts';
import { directionKey } from '../../packet/direction.ts';
import type { PacketView } from '../../packet/ip.ts';
import { classifyMedia, isUdptl, type PayloadKind, readRtp } from '../../packet/media.ts';
import type { PlaceChanges } from '../../pinhole/place-changes.ts';
import type { Codec } from '../../sdp/codecs.ts';
import type { Cause } from './cause.ts';
import { createDensity, type Density } from './density.ts';
import { createRtpMeter, meterRtp, meterRtpAt, type RtpMeter } from './rtp.ts';

/** Packets of a flow that were blocked for one cause. */
export interface BlockedSpell {
  readonly cause: Cause;
  readonly first: FramePlace;
  readonly firstAt: number;
  packets: number;
}

/** What PlaceChanges tells of one end of a flow. */
interface Seen {
  readonly slot: number;
  changes: number;
}

/** One UDP flow, one way, as it is counted. */
export interface UdpFlow {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
  readonly first: FramePlace;
  readonly firstAt: number;
  lastAt: number;
  packets: number;
  passed: number;
  blocked: number;
  outbound: number;
  /** Packets seen before at another point of the capture. */
  copies: number;
  /** Null before the first RTP packet. */
  rtp: RtpMeter | null;
  readonly density: Density;
  readonly kinds: Partial<Record<PayloadKind | 'other', number>>;
  /** Media by content for certain. */
  proven: boolean;
  /** RTP or RTCP by the content of one packet, which may be chance. */
  suspected: boolean;
  ssrc: number;
  sequence: number;
  /** SDP announced its destination as a fax stream (udptl) at some time. */
  isFax: boolean;
  /** The pinhole that passed the latest packet: by its rule, or by a state that it had made. */
  pinhole: PinholeTrace | null;
  /** The pinhole that leads to its destination, as of the latest packet. */
  into: PinholeTrace | null;
  /** The first packet that passed, null when none did. */
  firstPassed: {
    readonly place: FramePlace;
    readonly at: number;
    readonly by: 'rule' | 'state' | 'outbound';
  } | null;
  readonly spells: BlockedSpell[];
  /** State of the replay in which the last spell's cause was found. */
  epoch: number;
  /** How its destination and its source were when they were looked at. */
  readonly goesTo: Seen;
  readonly comesFrom: Seen;
  /** `pinhole` may be another of the same id by now. */
  isPinholeStale: boolean;
  /** Whether its packets pass. */
  readonly asked: AskedFlow;
}

export interface FlowTable {
  /** The flow of a UDP packet; undefined before `begin`. */
  find(packet: PacketView): UdpFlow | undefined;
  begin(packet: PacketView, asked: AskedFlow, place: FramePlace, at: number): UdpFlow;
  all(): Iterable<UdpFlow>;
  /** Flows that were neither media nor announced, and given up for want of room. */
  readonly forgotten: number;
}

const MAX_FLOWS = 200_000;

/** Flows that `isWanted` does not hold for are given up when there are too many. */
export function createFlowTable(
  isWanted: (flow: UdpFlow) => boolean,
  slotOf: PlaceChanges['slotOf'],
): FlowTable {
  const flows = new Map<string, UdpFlow>();
  let limit = MAX_FLOWS;
  let forgotten = 0;

  function begin(packet: PacketView, asked: AskedFlow, place: FramePlace, at: number): UdpFlow {
    const { source, sourcePort, destination, destinationPort } = packet;
    if (flows.size >= limit) makeRoom();
    const flow: UdpFlow = {
      source,
      sourcePort,
      destination,
      destinationPort,
      first: place,
      firstAt: at,
      lastAt: at,
      packets: 0,
      passed: 0,
      blocked: 0,
      outbound: 0,
      copies: 0,
      rtp: null,
      kinds: {},
      proven: false,
      suspected: false,
      ssrc: -1,
      sequence: 0,
      isFax: false,
      pinhole: null,
      into: null,
      firstPassed: null,
      spells: [],
      epoch: -1,
      goesTo: { slot: slotOf(destination, destinationPort), changes: -1 },
      comesFrom: { slot: slotOf(source, sourcePort), changes: -1 },
      isPinholeStale: true,
      density: createDensity(at),
      asked,
    };
    flows.set(directionKey(packet), flow);
    return flow;
  }

  function makeRoom(): void {
    for (const [key, flow] of flows) {
      if (isWanted(flow)) continue;
      flows.delete(key);
      forgotten++;
    }
    if (flows.size > limit * 0.9) limit *= 2;
  }

  return {
    find: (packet) => flows.get(directionKey(packet)),
    begin,
    all: () => flows.values(),
    get forgotten() {
      return forgotten;
    },
  };
}

/** `noteContent` for a packet of a proven flow, no fax, that is RTP for certain, from `start` on. */
export function noteRtpAt(
  flow: UdpFlow,
  bytes: Buffer,
  start: number,
  at: number,
  codecFor: (payloadType: number) => Codec | null,
): void {
  flow.kinds.rtp = (flow.kinds.rtp ?? 0) + 1;
  flow.rtp ??= createRtpMeter();
  meterRtpAt(flow.rtp, bytes, start, at, codecFor);
}

/** Counts what a packet is by its content; `codecFor` says what an RTP payload type stands for. */
export function noteContent(
  flow: UdpFlow,
  payload: PacketView['payload'],
  at: number,
  codecFor: (payloadType: number) => Codec | null,
): void {
  let kind: PayloadKind | 'other' = classifyMedia(payload) ?? 'other';
  if (flow.isFax) {
    if (isUdptl(payload)) kind = 't38';
  } else if (kind === 't38') {
    kind = 'other';
  }
  flow.kinds[kind] = (flow.kinds[kind] ?? 0) + 1;
  if (kind === 'rtp') {
    flow.rtp ??= createRtpMeter();
    meterRtp(flow.rtp, payload, at, codecFor);
  }
  if (flow.proven) return;
  if (kind === 'rtp') noteRtp(flow, payload);
  else if (kind === 'rtcp') flow.suspected = true;
  else if (kind !== 'other' && kind !== 'turn') flow.proven = true;
}

/** Two packets of one source with sequence numbers close to each other are no chance. */
function noteRtp(flow: UdpFlow, payload: PacketView['payload']): void {
  const header = readRtp(payload);
  if (header === null) return;
  const { ssrc, sequence } = header;
  const step = (sequence - flow.sequence) & 0xffff;
  if (flow.suspected && ssrc === flow.ssrc && step > 0 && step < MAX_STEP) flow.proven = true;
  flow.suspected = true;
  flow.ssrc = ssrc;
  flow.sequence = sequence;
}

/** RFC 3550 appendix A.1: MAX_DROPOUT. */
const MAX_STEP = 3000;
