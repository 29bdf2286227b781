import type { Buffer } from 'node:buffer';
import type { Entered } from '../address/ingress.ts';

/** One IP packet on its way through the host, held until it is released or dropped. */
export interface HeldPacket {
  /** The packet from its IP header on, exactly as received. Valid until the next `receive`. */
  readonly bytes: Buffer;
  /** The interceptor's own handle: divert's 16 address bytes, a queue's packet id, a frame number. */
  readonly handle: number;
  /** The interface it came in through; absent where that is not known. */
  readonly entered?: Entered;
}

/** The seam to whatever hands over packets: divert(4), NFQUEUE, a capture file. */
export interface Interceptor {
  /**
   * Waits at most `timeout` ms for packets and returns those at hand, oldest first; an empty list after a
   * time-out. Throws InterceptError when the source is gone.
   */
  receive(timeout: number): readonly HeldPacket[];
  /** Can be read when a packet waits: for who waits for something else as well; absent where there is nothing to wait for. */
  readonly descriptors?: readonly number[];
  /** Puts the packet back, byte for byte. Errors of the network (no route, no buffer) are counted, not thrown. */
  release(packet: HeldPacket): void;
  drop(packet: HeldPacket): void;
  /** Counters since it was opened, for people, by name: packets lost in a full queue, errors on release. */
  counters(): Readonly<Record<string, number>>;
  /** Lines for the log about what went wrong since the last call. */
  news(): readonly string[];
  /** How packets at hand pass from a process that died to the next, over one descriptor; absent where they cannot. */
  readonly succession?: Succession;
  close(): void;
}

/** A process that takes over the descriptor of another takes over the packets that the other had at hand, too. */
export interface Succession {
  /** What it takes to put the packet back, and where it came in: at most `LONGEST_WAY` bytes. Valid until the next `receive`. */
  wayOf(packet: HeldPacket): Uint8Array;
  /** A packet that another process received. It stays valid. */
  takeOver(bytes: Buffer, way: Uint8Array): HeldPacket;
}

export const LONGEST_WAY = 32;

export class InterceptError extends Error {
  override readonly name = 'InterceptError';
  readonly code: string;
  constructor(message: string, code: string) {
    super(message);
    this.code = code;
  }
}

/** Packets that the ruleset drops, as it logs them. */
export interface BlockedSource {
  /** Takes those that wait, about `most` of them, each from its IP header on; without blocking. Throws SystemError. */
  take(most: number): readonly Buffer[];
  close(): void;
}
