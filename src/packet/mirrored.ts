import type { Buffer } from 'node:buffer';
import type { PacketView } from './ip.ts';

/** A message that a host sent or received, as that host, or somebody on its way, says in a copy. */
export interface Mirrored {
  /** As if the message had come in a datagram of its own, whatever it travelled in. `payload` is the whole message. */
  readonly packet: PacketView;
  /** What it travelled in; `tcp` also for TLS and WebSocket. */
  readonly transport: 'udp' | 'tcp';
  /** False for what is mirrored beside SIP: RTCP reports, log lines. */
  readonly isSip: boolean;
  /** When it was seen, in ms since the epoch; null where the copy does not say. */
  readonly seenAt: number | null;
  /** What its sender calls itself by; null where the copy does not say. */
  readonly agent: number | null;
  /** What the copy authenticates itself with; null without one. */
  readonly key: Buffer | null;
}
