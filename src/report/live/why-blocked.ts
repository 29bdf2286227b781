import { parseNetwork } from '../../address/network.ts';
import { transportText } from '../../call/description.ts';
import type { BlockedFlow } from '../../control/blocked.ts';
import type { RecordedMessage } from '../../daemon/recording.ts';
import type { CallReport } from '../../history/call-report.ts';
import type { InspectorSettings } from '../../inspector.ts';
import { type Frame, makeFrame } from '../../intercept/capture/frame.ts';
import { type InterfaceAddresses, mappingsWith } from '../../policy/external.ts';
import { datagramPacket } from '../pcap/packets.ts';
import { IN_RECORDING } from '../replay/explain/seen.ts';
import type { Block, FlowReport } from '../replay/model.ts';
import { createReplay } from '../replay/replay.ts';
import type { BlockedResult } from './blocked.ts';

const LINKTYPE_RAW = 101;
const FILE = 'recording';

/**
 * Why this was dropped: a replay of the call's messages and of the packets, and of the same with one setting after the other
 * changed. A frame in the text is one of `explain --pcap`. `addresses`: those that interfaces have. `epoch`: that of the
 * daemon's clock, in ms.
 */
export function explainBlocked(
  flow: BlockedFlow,
  call: Pick<CallReport, 'legId' | 'callId' | 'from' | 'to'>,
  messages: readonly RecordedMessage[],
  running: InspectorSettings,
  addresses: InterfaceAddresses,
  epoch: number,
): BlockedResult {
  const settings = { ...running, nat: mappingsWith(running.nat, addresses) };
  const { source: src, sourcePort: srcPort, destination: dst, destinationPort: dstPort, packets } = flow;
  const common = {
    ...{ src, srcPort, dst, dstPort, packets },
    firstAt: (epoch + flow.firstAt) / 1000,
    lastAt: (epoch + flow.lastAt) / 1000,
    ...{ legId: call.legId, callId: call.callId, from: call.from, to: call.to },
  };
  const frames = framesOf(flow, messages, epoch);
  if (frames.length === flow.samples.length) {
    const text = `${src} sends to ${transportText(dst, dstPort)}; the messages of the call are not recorded (any more).`;
    return { ...common, reason: 'unknown', text, advice: 'See daemon.recording.', line: null };
  }
  const found = replayed(flow, frames, settings);
  const block = lastBlock(found);
  if (block === null) {
    const passes = found !== null && found.passed > 0;
    const text = passes
      ? 'By the messages of the call a pinhole lets it pass: it came before that was open, or your ruleset drops it before the pinholes are asked.'
      : `No description of the call names ${transportText(dst, dstPort)}, and it does not look like media.`;
    return { ...common, reason: passes ? 'passes' : 'never-announced', text, advice: '', line: null };
  }
  const { reason, text, advice } = block;
  return { ...common, reason, text, advice, line: lineFor(flow, frames, settings) };
}

function lastBlock(flow: FlowReport | null): Block | null {
  return flow?.blocks.at(-1) ?? null;
}

/** The messages, numbered as `explain --pcap` does, and the packets. */
function framesOf(flow: BlockedFlow, messages: readonly RecordedMessage[], epoch: number): Frame[] {
  const frames: Frame[] = [];
  const add = (at: number, bytes: Buffer) => {
    const time = epoch + at;
    const seconds = Math.floor(time / 1000);
    const nanoseconds = Math.round((time - seconds * 1000) * 1e6);
    frames.push(makeFrame(FILE, frames.length + 1, seconds, nanoseconds, LINKTYPE_RAW, bytes, bytes.length));
  };
  for (const { at, source, sourcePort, destination, destinationPort, bytes } of messages) {
    const message = bytes();
    if (message === null) continue;
    add(
      at,
      datagramPacket(
        { address: source, port: sourcePort },
        { address: destination, port: destinationPort },
        message,
      ),
    );
  }
  for (const { at, bytes } of flow.samples) add(at, bytes);
  return frames.sort((one, other) => one.time - other.time);
}

function replayed(
  flow: BlockedFlow,
  frames: readonly Frame[],
  settings: InspectorSettings,
): FlowReport | null {
  const window = { from: null, to: null };
  const replay = createReplay({
    ...{ files: [FILE], tunnels: false, sipPorts: null, window, settings },
    seen: IN_RECORDING,
  });
  for (const frame of frames) replay.frame(frame);
  const { media } = replay.finish([]);
  const { source, sourcePort, destination, destinationPort } = flow;
  const own = media.find(
    (one) =>
      one.source === source &&
      one.sourcePort === sourcePort &&
      one.destination === destination &&
      one.destinationPort === destinationPort,
  );
  return own ?? null;
}

/** What may be missing in a configuration, the narrowest first. */
function linesFor(
  { destination }: BlockedFlow,
  { mediaHosts }: InspectorSettings,
): readonly (readonly [line: string, Partial<InspectorSettings>])[] {
  const host = parseNetwork(destination);
  return [
    ['early-media-source: any', { earlyMediaSource: 'any' }],
    ['symmetric: false', { symmetric: false }],
    ['ice: true', { ice: true }],
    ...(host === null
      ? []
      : [[`media-hosts: [${destination}]`, { mediaHosts: [...mediaHosts, host] }] as const]),
    ['media-ports: [1024-65535]', { mediaPorts: [[1024, 65_535]] }],
    ['denied-ports: []', { deniedPorts: [] }],
    ['media-source: any', { mediaSource: 'any' }],
  ];
}

/** The first line under which all of these packets would pass. */
function lineFor(flow: BlockedFlow, frames: readonly Frame[], settings: InspectorSettings): string | null {
  for (const [line, change] of linesFor(flow, settings)) {
    const found = replayed(flow, frames, { ...settings, ...change });
    if (found !== null && found.passed > 0 && found.blocked === 0) return line;
  }
  return null;
}
