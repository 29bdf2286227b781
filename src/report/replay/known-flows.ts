import type { FrameInPlace } from '../../intercept/capture.ts';
import type { PacketView } from '../../packet/ip.ts';
import { isRtpAt } from '../../packet/media.ts';
import { findUdp, newUdpPlace } from '../../packet/udp-place.ts';
import type { FlowSightings } from './copies.ts';
import { createFlowIndex } from './flow-index.ts';
import type { UdpFlow } from './flows.ts';
import type { FrameReader } from './frames.ts';
import type { MediaTaker } from './media.ts';
import { isSipPort } from './signalling/bounds.ts';

interface KnownFlow {
  readonly flow: UdpFlow;
  readonly sightings: FlowSightings;
}

interface KnownFlows {
  /** Takes the frame at `now` if it is RTP of a flow that is known; false where it has to be read as any other. */
  take(frame: FrameInPlace, now: number): boolean;
  /** Of a flow that is proven to be RTP, packets are taken from now on. `frame` holds one of them. */
  add(frame: FrameInPlace, packet: PacketView, flow: UdpFlow): void;
}

/**
 * Nearly all frames of a capture are RTP of flows that have had hundreds of packets. Those are taken where they lie, with
 * what is known of their flow, and nothing is made for them. What they are taken for is the same: no byte with its highest
 * bit set begins a message of SIP, and the first packets of a flow, by which it is known, went the whole way.
 */
export function createKnownFlows(frames: FrameReader, media: MediaTaker): KnownFlows {
  const index = createFlowIndex<KnownFlow>();
  const place = newUdpPlace();

  function take({ linkType, bytes, start, end, originalLength, time }: FrameInPlace, now: number): boolean {
    if (end - start < originalLength || !findUdp(linkType, bytes, start, end, place)) return false;
    if (!isRtpAt(bytes, place.payload, place.end)) return false;
    const known = index.find(bytes, place);
    if (known === undefined) return false;
    frames.counts.frames++;
    const isCopy = frames.copies.isSeenAgainAt(known.sightings, bytes, start, place, now);
    media.askAgain(known.flow, bytes, place.payload, place.end, time, now, isCopy);
    return true;
  }

  function add({ linkType, bytes, start, end }: FrameInPlace, packet: PacketView, flow: UdpFlow): void {
    if (!flow.proven || flow.kinds.rtp === undefined) return;
    if (isSipPort(flow.sourcePort) || isSipPort(flow.destinationPort)) return;
    if (!findUdp(linkType, bytes, start, end, place) || index.find(bytes, place) !== undefined) return;
    index.add(bytes, place, { flow, sightings: frames.copies.sightingsOf(packet) });
  }

  return { take, add };
}
