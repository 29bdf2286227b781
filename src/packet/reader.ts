import type { Buffer } from 'node:buffer';
import { createFragmentReassembler, type FragmentReassembler, type ReassemblyOptions } from './fragments.ts';
import { type PacketError, type PacketView, readPacket } from './ip.ts';
import { MAX_TUNNELS, readTunnel } from './tunnel.ts';

interface PacketReaderOptions extends ReassemblyOptions {
  /** Look into GRE, IP-in-IP and GTP-U. */
  readonly tunnels?: boolean;
}

interface PacketReader {
  /**
   * The innermost whole packet in the bytes from an IP header on, at `now` ms: fragments are put together at
   * every level, tunnels are followed where asked for. Null while fragments are missing.
   */
  read(bytes: Buffer, now: number): PacketView | PacketError | null;
  readonly fragments: FragmentReassembler;
}

/** Joins readPacket, fragment reassembly and tunnels into one step. */
export function createPacketReader(options: PacketReaderOptions = {}): PacketReader {
  const fragments = createFragmentReassembler(options);
  const { tunnels = false } = options;

  function read(bytes: Buffer, now: number): PacketView | PacketError | null {
    let view = whole(readPacket(bytes), now);
    if (!tunnels) return view;
    for (let depth = 0; view !== null && typeof view !== 'string'; depth++) {
      const inner = readTunnel(view);
      if (inner === null) return view;
      if (depth === MAX_TUNNELS) return 'tunnel-depth';
      view = whole(inner, now);
    }
    return view;
  }

  function whole(view: PacketView | PacketError, now: number): PacketView | PacketError | null {
    return typeof view === 'string' || view.fragment === null ? view : fragments.add(view, now);
  }

  return { read, fragments };
}
