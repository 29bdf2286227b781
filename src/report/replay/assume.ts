import { type Network, networkSet, parseNetwork } from '../../address/network.ts';
import type { Frame } from '../../intercept/capture.ts';
import { findPacket } from '../../packet/link.ts';
import { createPacketReader } from '../../packet/reader.ts';
import { looksLikeSip } from '../../sip/recognise.ts';

/** Networks that nobody reaches from outside (RFC 1918, RFC 4193). */
const PRIVATE: readonly Network[] = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'].map(
  (text) => parseNetwork(text)!,
);

const MOST_FRAMES = 50_000;
const MAX_BYTES = 4 * 1024 * 1024;

/**
 * Who is probably inside, where nobody said: in a capture in which hosts with private addresses signal with hosts that
 * have public ones, the private side. Null where no SIP goes between the two. Looks at the first 50,000 frames at most.
 */
export function assumeInside(frames: Iterable<Frame>): readonly Network[] | null {
  const isPrivate = networkSet(PRIVATE);
  const reader = createPacketReader({ maxBytes: MAX_BYTES });
  let looked = 0;
  for (const { linkType, bytes, time } of frames) {
    if (++looked > MOST_FRAMES) return null;
    const found = findPacket(linkType, bytes);
    if (typeof found === 'string') continue;
    const packet = reader.read(found, time);
    if (packet === null || typeof packet === 'string') continue;
    if (isPrivate(packet.source) === isPrivate(packet.destination)) continue;
    if (looksLikeSip(packet.payload)) return PRIVATE;
  }
  return null;
}
