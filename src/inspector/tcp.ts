import type { Buffer } from 'node:buffer';
import type { PacketView } from '../packet/ip.ts';
import { createQueue, type Link, newLink } from '../packet/queue.ts';
import { createStreamTable, type Stream } from '../packet/stream.ts';
import type { SipError, SipMessage } from '../sip/message.ts';
import type { SipLimits } from '../sip/read.ts';
import { looksLikeSip } from '../sip/recognise.ts';
import { createSipFramer, type SipFramer } from '../sip/stream.ts';

/** What one segment brought. */
export interface SegmentReading {
  /** The messages it completed, and what stands in the place of one that cannot be used. */
  readonly items: readonly (SipMessage | SipError)[];
  /** Streams that cannot be read any more, or not for a while, and why: text for people. */
  readonly lost: readonly string[];
  /** It carries bytes of a stream that is not read, because what came before is no SIP or cannot be framed. */
  readonly unread: boolean;
}

export interface TcpReader {
  /** Takes a TCP segment at `now` ms. `sdp.bytes` of an item lasts until the next segment of its stream. */
  push(packet: PacketView, now: number): SegmentReading;
}

export interface TcpReaderOptions {
  /** Connections that are known at once. */
  readonly maxConnections: number;
  /** Bytes kept for segments out of order and not yet acknowledged; and as many for messages not complete. */
  readonly maxBytes: number;
  /** ms without a segment after which a message that is not complete is given up. */
  readonly partialIdleMs: number;
  readonly limits: () => SipLimits;
  /** A connection that was up before is read at once if the first segment seen begins like SIP (only for captures). */
  readonly trustMidstream: () => boolean;
}

const NOTHING: SegmentReading = { items: [], lost: [], unread: false };
const NO_TEXTS: readonly string[] = [];
const NO_ITEMS: SegmentReading['items'] = [];
/** ms of silence on a TCP stream after which a segment with a whole header block may start a message anew. */
const RESYNC_SILENCE = 1000;

/** What is kept of one direction of a TCP connection. */
interface Signalling {
  readonly name: string;
  readonly framer: SipFramer;
  /** When its last segment came. */
  lastAt: number;
  /** Copies of its bytes differed: nobody can say what the receiver reads. */
  frozen: boolean;
  /** What of its framer's memory is in the sum. */
  counted: number;
  readonly inPartial: Link<Signalling>;
}

/** SIP messages from TCP segments: reassembly, framing, and the bounds on what both may keep. */
export function createTcpReader(options: TcpReaderOptions): TcpReader {
  const { maxBytes, partialIdleMs, limits, trustMidstream } = options;
  const streams = createStreamTable<Signalling>({
    maxStreams: options.maxConnections * 2,
    maxBytes,
    bufferIdleMs: partialIdleMs,
  });
  /** Streams in the middle of a message, in order of `lastAt`. */
  const partial = createQueue<Signalling>((user) => user.inPartial);
  let held = 0;

  function push(packet: PacketView, now: number): SegmentReading {
    const delivery = streams.push(packet, now);
    if (delivery === null) return NOTHING;
    const { stream, bytes } = delivery;
    stream.user ??= newSignalling(stream, packet.payload);
    const { user } = stream;
    const lost: string[] = [];
    expire(now, lost);
    if (stream.conflict && !user.frozen) {
      user.frozen = true;
      lost.push(`${user.name}: two copies of a byte differ`);
    }
    if (delivery.gap) {
      user.framer.lose();
      lost.push(`${user.name}: bytes are missing`);
    }
    const silence = now - user.lastAt;
    user.lastAt = now;
    const items =
      bytes === null || user.frozen ? NO_ITEMS : user.framer.push(bytes, silence >= RESYNC_SILENCE);
    count(user);
    makeRoom(user, lost);
    const { stopped } = user.framer;
    if (stopped !== null && !stream.ignored) streams.ignore(stream);
    return {
      items,
      lost: lost.length === 0 ? NO_TEXTS : lost,
      unread: stopped !== null && packet.payload.length > 0,
    };
  }

  function newSignalling(stream: Stream<Signalling>, first: Buffer): Signalling {
    const isStart = trustMidstream() && looksLikeSip(first);
    const { source, sourcePort, destination, destinationPort } = stream;
    return {
      name: `TCP ${source} ${sourcePort} > ${destination} ${destinationPort}`,
      framer: createSipFramer({ ...limits(), resync: stream.midstream && !isStart }),
      lastAt: Number.POSITIVE_INFINITY,
      frozen: false,
      counted: 0,
      inPartial: newLink(),
    };
  }

  function count(user: Signalling): void {
    const { memory } = user.framer;
    held += memory - user.counted;
    user.counted = memory;
    if (memory > 0) partial.toBack(user);
    else partial.remove(user);
  }

  function giveUp(user: Signalling, why: string, lost: string[]): void {
    user.framer.lose();
    count(user);
    lost.push(`${user.name}: ${why}`);
  }

  function expire(now: number, lost: string[]): void {
    while (partial.first !== null && now - partial.first.lastAt >= partialIdleMs) {
      giveUp(partial.first, 'a message did not go on', lost);
    }
  }

  /** Messages that wait for their end may not take more than their share: the stream idle longest loses its own. */
  function makeRoom(latest: Signalling, lost: string[]): void {
    while (held > maxBytes && partial.first !== null && partial.first !== latest) {
      giveUp(partial.first, 'too many messages are not complete', lost);
    }
  }

  return { push };
}
