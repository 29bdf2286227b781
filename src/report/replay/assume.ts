import { type Network, networkSet } from '../../address/network.ts';
import { PRIVATE_NETWORKS } from '../../address/private.ts';
import type { Frame } from '../../intercept/capture.ts';
import { findPacket } from '../../packet/link.ts';
import { createPacketReader } from '../../packet/reader.ts';
import { looksLikeSip } from '../../sip/recognise.ts';

const MOST_FRAMES = 50_000;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Who is probably inside, where nobody said: in a capture in which hosts with private addresses signal with hosts that
 * have public ones, the private side. Null where no SIP goes between the two. Looks at the first 50,000 frames at most.
 */
export function assumeInside(frames: Iterable<Frame>): readonly Network[] | null {
  const isPrivate = networkSet(PRIVATE_NETWORKS);
  const reader = createPacketReader({ maxBytes: MAX_BYTES });
  let looked = 0;
  for (const { linkType, bytes, time } of frames) {
    if (++looked > MOST_FRAMES) return null;
    const found = findPacket(linkType, bytes);
    if (typeof found === 'string') continue;
    const packet = reader.read(found, time);
    if (packet === null || typeof packet === 'string') continue;
    if (isPrivate(packet.source) === isPrivate(packet.destination)) continue;
    if (looksLikeSip(packet.payload)) return PRIVATE_NETWORKS;
  }
  return null;
}
