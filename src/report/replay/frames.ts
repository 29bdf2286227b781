import type { Frame } from '../../intercept/capture.ts';
import type { PacketView } from '../../packet/ip.ts';
import { findPacket } from '../../packet/link.ts';
import { createPacketReader } from '../../packet/reader.ts';
import { createCopyFilter } from './copies.ts';

/** A packet of a capture. */
interface FramedPacket {
  readonly packet: PacketView;
  /** It was seen before, at another point of its way. */
  readonly isCopy: boolean;
}

interface FrameReader {
  /** The innermost whole packet at `now`; null when there is none, yet or at all. */
  read(frame: Frame, now: number): FramedPacket | null;
  readonly counts: FrameCounts;
}

export interface FrameCounts {
  frames: number;
  /** Frames cut by the snap length. */
  truncated: number;
  /** Frames that could not be looked into, by what was wrong. */
  readonly unreadable: Map<string, number>;
  /** Frames by the LINKTYPE_ that is not read. */
  readonly unknownLinks: Map<number, number>;
  /** Datagrams of which fragments are missing. */
  readonly incomplete: number;
}

/** Frames to packets; `tunnels`: look into encapsulations; `maxBytes` may wait for their other fragments. */
export function createFrameReader(tunnels: boolean, maxBytes: number): FrameReader {
  const reader = createPacketReader({ tunnels, maxBytes });
  const isSeenAgain = createCopyFilter();
  const counts: FrameCounts = {
    ...{ frames: 0, truncated: 0 },
    unreadable: new Map(),
    unknownLinks: new Map(),
    get incomplete() {
      return reader.fragments.incomplete;
    },
  };

  function read({ linkType, bytes, truncated }: Frame, now: number): FramedPacket | null {
    counts.frames++;
    if (truncated) counts.truncated++;
    const found = findPacket(linkType, bytes);
    if (found === 'link-type-unknown') {
      counts.unknownLinks.set(linkType, (counts.unknownLinks.get(linkType) ?? 0) + 1);
    }
    const packet = typeof found === 'string' ? found : reader.read(found, now);
    if (typeof packet === 'string') {
      counts.unreadable.set(packet, (counts.unreadable.get(packet) ?? 0) + 1);
      return null;
    }
    if (packet === null) return null;
    const isCopy =
      packet.protocol === 'udp' && typeof found !== 'string' && isSeenAgain(bytes, found, packet, now);
    return { packet, isCopy };
  }

  return { read, counts };
}
