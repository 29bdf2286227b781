import type { FrameInPlace } from '../../intercept/capture.ts';
import type { PacketView } from '../../packet/ip.ts';
import { findPacket } from '../../packet/link.ts';
import { createPacketReader } from '../../packet/reader.ts';
import { type CopyFilter, createCopyFilter } from './copies.ts';

/** A packet of a capture. */
interface FramedPacket {
  readonly packet: PacketView;
  /** It was seen before, at another point of its way. */
  readonly isCopy: boolean;
}

export interface FrameReader {
  /** The innermost whole packet at `now`; null when there is none, yet or at all. */
  read(frame: FrameInPlace, now: number): FramedPacket | null;
  readonly copies: CopyFilter;
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
  const copies = createCopyFilter();
  const counts: FrameCounts = {
    ...{ frames: 0, truncated: 0 },
    unreadable: new Map(),
    unknownLinks: new Map(),
    get incomplete() {
      return reader.fragments.incomplete;
    },
  };

  function read(frame: FrameInPlace, now: number): FramedPacket | null {
    const { linkType, start, end } = frame;
    const bytes = frame.bytes.subarray(start, end);
    counts.frames++;
    if (bytes.length < frame.originalLength) counts.truncated++;
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
      packet.protocol === 'udp' && typeof found !== 'string' && copies.isSeenAgain(bytes, found, packet, now);
    return { packet, isCopy };
  }

  return { read, copies, counts };
}
