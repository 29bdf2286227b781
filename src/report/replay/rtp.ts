import type { Buffer } from 'node:buffer';
import { readInt32 } from '../../address/address-cache.ts';
import { readRtp } from '../../packet/media.ts';
import type { Codec } from '../../sdp/codecs.ts';

/** RTP of one source within a flow, as RFC 3550 counts it. */
export interface RtpStream {
  readonly ssrc: number;
  readonly firstAt: number;
  lastAt: number;
  /** Payload types in the order of their first packets. */
  readonly payloadTypes: number[];
  /** Names of their codecs, in the same order; null where neither a description nor RFC 3551 names it. */
  readonly codecs: (string | null)[];
  /** Without those that were sent again. */
  packets: number;
  /** Expected less received (RFC 3550 A.3). */
  lost: number;
  /** Packets with a number that had come already, such as the end of a telephone event. */
  repeated: number;
  /** Packets that came after one with a higher number. */
  late: number;
  /** Interarrival jitter (RFC 3550 A.8) in ms, the highest and the mean; null where no clock rate is known. */
  jitterMax: number | null;
  jitterMean: number | null;
}

/** What is remembered of a source between its packets. */
interface State {
  readonly stream: RtpStream;
  codec: Codec | null;
  payloadType: number;
  /** Comfort noise came last (RFC 3389): the next packet begins a talk spurt. */
  afterNoise: boolean;
  /** The highest number, extended by cycles of 65,536, and the first one. */
  highest: number;
  base: number;
  received: number;
  /** Of what came before the source began anew. */
  lostBefore: number;
  /** Bit n: the packet n before the highest has come. */
  seen: number;
  time: number;
  timestamp: number;
  jitter: number;
  jitterSum: number;
  jitterCount: number;
}

/** What a payload type stands for. */
type CodecFor = (payloadType: number) => Codec | null;

/** Loss and jitter of the RTP of one flow, source by source. Data alone: a capture has a flow for each direction of a call. */
export interface RtpMeter {
  readonly states: State[];
  /** Of the latest packet: most flows have one source. */
  latest: State | null;
  /** Sources past the number that is kept. */
  omitted: number;
}

const MAX_SOURCES = 8;
const MAX_TYPES = 8;
const MAX_DIFFERENCE = 10_000;
const TELEPHONE_EVENT = 'telephone-event';
/** RFC 3389 in RFC 3551's table. */
const COMFORT_NOISE = 13;
/** RFC 3550 appendix A.1. */
const MAX_DROPOUT = 3000;
const MAX_MISORDER = 100;
const REMEMBERED = 32;

export function createRtpMeter(): RtpMeter {
  return { states: [], latest: null, omitted: 0 };
}

/** Counts a packet, if it is RTP. */
export function meterRtp(meter: RtpMeter, payload: Buffer, at: number, codecFor: CodecFor): void {
  if (readRtp(payload) !== null) meterRtpAt(meter, payload, 0, at, codecFor);
}

/** Counts what is RTP for certain, from `start` on. */
export function meterRtpAt(
  meter: RtpMeter,
  bytes: Buffer,
  start: number,
  at: number,
  codecFor: CodecFor,
): void {
  const payloadType = bytes[start + 1]! & 0x7f;
  const sequence = (bytes[start + 2]! << 8) | bytes[start + 3]!;
  const timestamp = readInt32(bytes, start + 4) >>> 0;
  const ssrc = readInt32(bytes, start + 8) >>> 0;
  let state = stateOf(meter, ssrc);
  if (state === null) {
    if (meter.states.length === MAX_SOURCES) {
      meter.omitted++;
      return;
    }
    state = begin(ssrc, sequence, at);
    meter.states.push(state);
  } else if (!isNew(state, sequence)) {
    state.stream.repeated++;
    return;
  }
  meter.latest = state;
  state.stream.packets++;
  state.stream.lastAt = at;
  const isOther = state.payloadType !== payloadType;
  const codec = isOther ? codecFor(payloadType) : state.codec;
  if (isOther) noteType(state.stream, payloadType, codec);
  // The timestamp of a telephone event is that of its beginning (RFC 4733 2.2.1); other clocks tell nothing.
  if (codec === null || codec.rate === 0 || isEvent(codec)) return;
  const isNoise = payloadType === COMFORT_NOISE;
  const isSpurt = (bytes[start + 1]! & 0x80) !== 0 || isNoise || state.afterNoise;
  const isComparable = state.payloadType >= 0 && state.codec?.rate === codec.rate;
  state.codec = codec;
  state.payloadType = payloadType;
  if (isComparable) measure(state, codec.rate, at, timestamp, isSpurt);
  state.afterNoise = isNoise;
  state.time = at;
  state.timestamp = timestamp;
}

/** What there is of each source by now, in the order of their first packets. */
export function rtpStreams({ states }: RtpMeter): readonly RtpStream[] {
  return states.map(finished);
}

function stateOf({ states, latest }: RtpMeter, ssrc: number): State | null {
  if (latest !== null && latest.stream.ssrc === ssrc) return latest;
  return states.find(({ stream }) => stream.ssrc === ssrc) ?? null;
}

function isEvent({ name }: Codec): boolean {
  return name.length === TELEPHONE_EVENT.length && name.toLowerCase() === TELEPHONE_EVENT;
}

function begin(ssrc: number, sequence: number, at: number): State {
  return {
    stream: {
      ssrc,
      firstAt: at,
      lastAt: at,
      payloadTypes: [],
      codecs: [],
      packets: 0,
      lost: 0,
      repeated: 0,
      late: 0,
      jitterMax: null,
      jitterMean: null,
    },
    codec: null,
    payloadType: -1,
    afterNoise: false,
    highest: sequence,
    base: sequence,
    received: 1,
    lostBefore: 0,
    seen: 1,
    time: at,
    timestamp: 0,
    jitter: 0,
    jitterSum: 0,
    jitterCount: 0,
  };
}

/** Takes note of a sequence number; false when its packet has come before. */
function isNew(state: State, sequence: number): boolean {
  const step = (sequence - state.highest) & 0xffff;
  if (step > 0 && step < MAX_DROPOUT) {
    state.highest += step;
    state.seen = step >= REMEMBERED ? 1 : ((state.seen << step) | 1) >>> 0;
    state.received++;
    return true;
  }
  const behind = (0x1_0000 - step) & 0xffff;
  if (behind > MAX_MISORDER) {
    state.lostBefore += lostOf(state);
    state.highest = sequence;
    state.base = sequence;
    state.received = 1;
    state.seen = 1;
    return true;
  }
  if (behind < REMEMBERED) {
    const bit = (1 << behind) >>> 0;
    if ((state.seen & bit) !== 0) return false;
    state.seen = (state.seen | bit) >>> 0;
  }
  state.stream.late++;
  state.received++;
  state.base = Math.min(state.base, state.highest - behind);
  return true;
}

function lostOf({ highest, base, received }: State): number {
  return highest - base + 1 - received;
}

/**
 * RFC 3550 A.8: D is the difference in transit time of two packets, J goes to it by a sixteenth. As in Wireshark, the
 * first packet of a talk spurt is measured, but is not among those of which the mean and the highest are told.
 */
function measure(state: State, rate: number, at: number, timestamp: number, isSpurt: boolean): void {
  const ticks = (timestamp - state.timestamp) | 0;
  const difference = Math.abs(at - state.time - (ticks / rate) * 1000);
  // The sender's clock began anew.
  if (difference > MAX_DIFFERENCE) return;
  state.jitter += (difference - state.jitter) / 16;
  if (isSpurt) return;
  state.jitterSum += state.jitter;
  state.jitterCount++;
  state.stream.jitterMax = Math.max(state.stream.jitterMax ?? 0, state.jitter);
}

function noteType({ payloadTypes, codecs }: RtpStream, type: number, codec: Codec | null): void {
  if (payloadTypes.includes(type) || payloadTypes.length === MAX_TYPES) return;
  payloadTypes.push(type);
  codecs.push(codec?.name ?? null);
}

/** What there is of it by now. */
function finished(state: State): RtpStream {
  const { stream, lostBefore, jitterSum, jitterCount } = state;
  stream.lost = lostBefore + lostOf(state);
  stream.jitterMean = jitterCount === 0 ? null : jitterSum / jitterCount;
  return stream;
}
