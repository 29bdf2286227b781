import type { Buffer } from 'node:buffer';
import { directionKey, type Ends, reverseKey } from './direction.ts';
import { type PacketView, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG, type TcpFields } from './ip.ts';
import { createQueue, type Link, newLink } from './queue.ts';
import { createSequencer, newSequence, positionOf, type Sequence } from './sequence.ts';

/** A bound, or what to ask for it each time. */
type Bound = number | (() => number);

export interface StreamOptions<User = unknown> {
  /**
   * Directions of connections that are known at once. Where there are too many, one whose connection is not made yet
   * makes room, or is closed; then one that is not worth keeping (see `keep`); then any; of each the one idle longest.
   * Those that are ignored take no room of the others and have as much of their own.
   */
  readonly maxStreams?: Bound;
  /** A stream made room that was neither closed nor ignored. */
  readonly onEvict?: (stream: TcpStream<User>) => void;
  /**
   * Bytes: how far beyond a hole a stream is kept, and how much of what was delivered but is not yet
   * acknowledged is remembered to compare retransmissions with.
   */
  readonly windowBytes?: number;
  /** Bytes kept over all streams, book-keeping included. The streams idle longest lose theirs first. */
  readonly maxBytes?: Bound;
  /** ms without progress after which a hole is given up, or without a packet after which buffers are. */
  readonly bufferIdleMs?: Bound;
  /** ms without a packet after which a stream is forgotten. */
  readonly streamIdleMs?: number;
}

/** One direction of a TCP connection. */
export interface TcpStream<User> extends Ends {
  /** No SYN was seen: the first byte delivered may be anywhere in a message. */
  readonly midstream: boolean;
  /**
   * Set for life once a copy of a byte differed from the first one, could no longer be compared with it, or was
   * urgent data, which the receiver may take out of the stream: what the receiver reads is not known.
   */
  readonly conflict: boolean;
  /** Set for life once bytes were lost. */
  readonly gap: boolean;
  /** All bytes up to the FIN were delivered, or the connection was reset. */
  readonly closed: boolean;
  readonly ignored: boolean;
  /** The consumer's own state. */
  user: User | null;
}

interface StreamDelivery<User> {
  readonly stream: TcpStream<User>;
  /**
   * The bytes that are new and in order, each exactly once; null when there are none. Valid as long as the
   * packet's own bytes.
   */
  readonly bytes: Buffer | null;
  /** Bytes are missing between those delivered before and these. */
  readonly gap: boolean;
}

interface StreamTable<User> {
  /**
   * Takes a TCP view at `now` ms (any clock that does not run backwards). Null when it belongs to no stream: no
   * TCP, or no byte and no SYN of a stream not known.
   */
  push(view: PacketView, now: number): StreamDelivery<User> | null;
  /** The stream stays known, with its flags and its `user`, but nothing of it is kept or delivered any more. */
  ignore(stream: TcpStream<User>): void;
  /** The stream is of use: others go before it does. */
  keep(stream: TcpStream<User>): void;
  /**
   * What follows in this direction may have passed elsewhere: the next bytes begin the stream anew, in its middle, unless
   * they go on where it was. The stream, where it is known.
   */
  elsewhere(direction: Ends): TcpStream<User> | null;
  /** Forgets what is older than the time-outs; `push` does so too. */
  expire(now: number): void;
  readonly size: number;
  /** Bytes kept at the moment, book-keeping included. */
  readonly bytes: number;
}

/**
 * How long a stream is kept where there are too many: `pending` until both ends have spoken, so that forged packets
 * push out nothing but each other; `open`; `kept` on the consumer's word.
 */
type Rank = 'pending' | 'open' | 'kept' | 'ignored';

interface StreamState<User> extends TcpStream<User>, Sequence {
  readonly key: string;
  conflict: boolean;
  gap: boolean;
  closed: boolean;
  ignored: boolean;
  peer: StreamState<User> | null;
  /** Sequence number behind a SYN that a live stream does not expect: a new connection, or a forgery. */
  candidate: number | null;
  /** The other end has acknowledged that SYN. */
  isAnswered: boolean;
  /** What followed may have passed elsewhere. */
  isElsewhere: boolean;
  rank: Rank;
  readonly inUsed: Link<StreamState<User>>;
}

const NOTHING = { bytes: null, gap: false } as const;

/**
 * TCP reassembly (RFC 9293 section 3.4), one stream for each direction of a connection. The first copy of a
 * byte wins. Work is linear in the bytes pushed, whatever their order.
 */
export function createStreamTable<User>(options: StreamOptions<User> = {}): StreamTable<User> {
  const { windowBytes = 65_536, streamIdleMs = 7_200_000 } = options;
  const maxStreams = asked(options.maxStreams ?? 65_536);
  const sequencer = createSequencer({
    windowBytes,
    maxBytes: asked(options.maxBytes ?? 64 << 20),
    bufferIdleMs: asked(options.bufferIdleMs ?? 30_000),
  });
  const streams = new Map<string, StreamState<User>>();
  let ignoredCount = 0;
  /** All streams by rank, each in order of `lastAt`. */
  const used = {
    pending: createQueue<StreamState<User>>((stream) => stream.inUsed),
    open: createQueue<StreamState<User>>((stream) => stream.inUsed),
    kept: createQueue<StreamState<User>>((stream) => stream.inUsed),
    ignored: createQueue<StreamState<User>>((stream) => stream.inUsed),
  };

  function create(key: string, view: PacketView, origin: number, midstream: boolean): StreamState<User> {
    const peer = streams.get(reverseKey(view)) ?? null;
    const stream: StreamState<User> = {
      ...newSequence(origin),
      key,
      source: view.source,
      sourcePort: view.sourcePort,
      destination: view.destination,
      destinationPort: view.destinationPort,
      midstream,
      closed: false,
      ignored: false,
      user: null,
      peer,
      candidate: null,
      isAnswered: false,
      isElsewhere: false,
      rank: 'pending',
      inUsed: newLink(),
    };
    if (peer !== null) peer.peer = stream;
    streams.set(key, stream);
    return stream;
  }

  function forget(stream: StreamState<User>): void {
    sequencer.drop(stream);
    if (streams.get(stream.key) !== stream) return;
    streams.delete(stream.key);
    used[stream.rank].remove(stream);
    if (stream.rank === 'ignored') ignoredCount--;
    if (stream.peer?.peer === stream) stream.peer.peer = null;
  }

  function touch(stream: StreamState<User>, now: number): void {
    sequencer.touch(stream, now);
    used[stream.rank].toBack(stream);
    while (ignoredCount > maxStreams() && used.ignored.first !== null) forget(used.ignored.first);
    while (streams.size - ignoredCount > maxStreams()) {
      // The other direction of the same connection goes last: of a connection cut in two nothing is left.
      const others = [used.pending, used.open, used.kept].map((queue) => queue.first);
      const first =
        others.find((one) => one !== null && one !== stream && one !== stream.peer) ?? stream.peer;
      if (first === null || streams.get(first.key) !== first || first.rank === 'ignored') break;
      forget(first);
      if (!first.closed) options.onEvict?.(first);
    }
  }

  function moveTo(stream: StreamState<User>, rank: Rank): void {
    if (stream.rank === rank) return;
    used[stream.rank].remove(stream);
    if (stream.rank === 'ignored') ignoredCount--;
    if (rank === 'ignored') ignoredCount++;
    stream.rank = rank;
    used[rank].toBack(stream);
  }

  /** Once one end has acknowledged what the other began with, both have spoken: RFC 9293 3.5. */
  function establish(stream: StreamState<User>, peer: StreamState<User>): void {
    for (const one of [stream, peer]) if (one.rank === 'pending' && !one.closed) moveTo(one, 'open');
  }

  function expire(now: number): void {
    sequencer.expire(now);
    for (const queue of [used.pending, used.open, used.kept, used.ignored]) {
      while (queue.first !== null && now - queue.first.lastAt >= streamIdleMs) forget(queue.first);
    }
  }

  function push(view: PacketView, now: number): StreamDelivery<User> | null {
    const { tcp } = view;
    if (tcp === null) return null;
    expire(now);
    const { flags, seq } = tcp;
    const syn = (flags & TCP_SYN) !== 0;
    const dataSeq = syn ? (seq + 1) >>> 0 : seq;
    const key = directionOf(view, tcp);
    let stream = streams.get(key);
    const peer = stream === undefined ? streams.get(reverseKey(view)) : stream.peer;
    if ((flags & TCP_ACK) !== 0 && peer) {
      sequencer.acknowledge(peer, tcp.ack);
      if (isWithin(peer.candidate, tcp.ack, windowBytes)) peer.isAnswered = true;
    }

    if (stream === undefined) {
      if (!syn && !carriesData(view.payload)) return null;
      stream = create(key, view, dataSeq, !syn);
    } else if (startsAnew(stream, dataSeq, syn, windowBytes)) {
      forget(stream);
      stream = create(key, view, stream.candidate ?? dataSeq, false);
    } else if (stream.isElsewhere && !syn && carriesData(view.payload) && !goesOn(stream, dataSeq)) {
      forget(stream);
      stream = create(key, view, dataSeq, true);
    }
    touch(stream, now);
    const other = stream.peer;
    if (other !== null && stream.rank === 'pending' && hasSpoken(stream, other, tcp))
      establish(stream, other);
    if (stream.closed || (syn && dataSeq !== stream.origin)) return { stream, bytes: null, gap: false };

    const position = positionOf(stream, dataSeq);
    const end = position + view.payload.length + view.missing;
    if ((flags & TCP_RST) !== 0) {
      if (position === stream.next) closeBoth(stream);
      return { stream, bytes: null, gap: false };
    }
    if ((flags & TCP_FIN) !== 0 && end >= stream.next && end <= stream.next + windowBytes) {
      stream.finAt ??= end;
    }
    if (stream.ignored) {
      stream.next = Math.max(stream.next, end);
      stream.kept = stream.next;
    } else if (isFar(stream, position, windowBytes)) {
      return { stream, bytes: null, gap: false };
    }
    const isNews = end > Math.min(stream.acked, stream.next);
    if ((flags & TCP_URG) !== 0 && view.payload.length > 0 && isNews) stream.conflict = true;
    const { bytes, gap } = stream.ignored ? NOTHING : sequencer.take(stream, position, view.payload, now);
    if (bytes !== null) stream.isElsewhere = false;
    if (stream.finAt !== null && stream.next >= stream.finAt) close(stream);
    return { stream, bytes, gap };
  }

  /** Whether a segment follows what was seen of this stream, or is a copy of it. */
  function goesOn(stream: StreamState<User>, dataSeq: number): boolean {
    const behind = stream.next - positionOf(stream, dataSeq);
    return !stream.ignored && behind >= 0 && behind <= windowBytes;
  }

  /**
   * The key of the stream a segment belongs to. A capture made anonymous may give both ends one address and
   * port; then a segment that acknowledges all of the first direction and does not continue it is the other's.
   */
  function directionOf(view: PacketView, tcp: TcpFields): string {
    const key = directionKey(view);
    if (view.sourcePort !== view.destinationPort || view.source !== view.destination) return key;
    const first = streams.get(key);
    if (first === undefined) return key;
    const next = (first.origin + first.next) % 0x1_0000_0000;
    return tcp.seq !== next && tcp.ack === next ? `${key} back` : key;
  }

  function closeBoth(stream: StreamState<User>): void {
    for (const one of [stream, stream.peer]) {
      if (one === null) continue;
      close(one);
      sequencer.drop(one);
    }
  }

  function close(stream: StreamState<User>): void {
    stream.closed = true;
    if (stream.rank !== 'ignored') moveTo(stream, 'pending');
  }

  function ignore(stream: TcpStream<User>): void {
    const own = stream as StreamState<User>;
    if (streams.get(own.key) !== own) return;
    own.aheadEnd = own.next;
    sequencer.drop(own);
    own.ignored = true;
    moveTo(own, 'ignored');
  }

  function keep(stream: TcpStream<User>): void {
    const own = stream as StreamState<User>;
    if (streams.get(own.key) === own && own.rank === 'open') moveTo(own, 'kept');
  }

  function elsewhere(direction: Ends): TcpStream<User> | null {
    const stream = streams.get(directionKey(direction)) ?? null;
    if (stream !== null) stream.isElsewhere = true;
    return stream;
  }

  return {
    push,
    ignore,
    keep,
    elsewhere,
    expire,
    get size() {
      return streams.size;
    },
    get bytes() {
      return sequencer.bytes;
    },
  };
}

function asked(bound: Bound): () => number {
  return typeof bound === 'number' ? () => bound : bound;
}

/**
 * Whether this segment shows that its sender has seen what the other end began with: it acknowledges that. Where the
 * beginning was not seen, that both ends send is all there is to see.
 */
function hasSpoken(
  stream: StreamState<unknown>,
  peer: StreamState<unknown>,
  { flags, ack }: TcpFields,
): boolean {
  if (stream.midstream || peer.midstream) return true;
  if ((flags & TCP_ACK) === 0 || (flags & TCP_SYN) !== 0) return false;
  const position = positionOf(peer, ack);
  return position >= 0 && position <= peer.next;
}

/**
 * Whether a segment stands where its receiver, whose acknowledgements are seen, takes none: it does so a window ahead of what
 * it has acknowledged (RFC 9293 3.10.7.4). Anybody may forge such a segment who knows the addresses and ports.
 */
function isFar(stream: StreamState<unknown>, position: number, windowBytes: number): boolean {
  return stream.peer !== null && position > Math.max(stream.acked, stream.next) + windowBytes;
}

/** Whether a sequence number is at most a window behind `from`, or that itself. */
function isWithin(from: number | null, seq: number, windowBytes: number): boolean {
  if (from === null) return false;
  const beyond = (seq - from) | 0;
  return beyond >= 0 && beyond <= windowBytes;
}

/** A single zero byte may be a keep-alive probe, which repeats the byte before the next one. */
function carriesData(payload: Buffer): boolean {
  return payload.length > 1 || (payload.length === 1 && payload[0] !== 0);
}

/**
 * Whether a packet belongs to a new connection between the same ports. A SYN proves that only when the old one
 * is over; otherwise it may be forged, and the old stream goes on until a segment fits the SYN but not the old
 * stream.
 */
function startsAnew(
  stream: StreamState<unknown>,
  dataSeq: number,
  syn: boolean,
  windowBytes: number,
): boolean {
  if (syn) {
    if (dataSeq === stream.origin && !stream.midstream) return false;
    if (stream.closed) {
      stream.candidate = null;
      return true;
    }
    if (dataSeq !== stream.origin && dataSeq !== stream.candidate) {
      stream.candidate = dataSeq;
      stream.isAnswered = false;
    }
    return false;
  }
  // Where the other end is seen, it has taken the SYN: else whoever forged that forges what follows it.
  if (stream.peer !== null && !stream.isAnswered) return false;
  const beyondNext = positionOf(stream, dataSeq) - stream.next;
  return isWithin(stream.candidate, dataSeq, windowBytes) && Math.abs(beyondNext) > windowBytes;
}
