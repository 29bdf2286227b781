import type { Buffer } from 'node:buffer';
import type { Address } from '../address/address.ts';
import { type PacketView, TCP_ACK, TCP_FIN, TCP_RST, TCP_SYN, TCP_URG, type TcpFields } from './ip.ts';
import {
  agreesWith,
  dropAll,
  dropBetween,
  endOfRun,
  PAGE_COST,
  type Pages,
  pagesNeeded,
  readRun,
  startOfRun,
  writeOnce,
} from './pages.ts';
import { createQueue, type Link, newLink } from './queue.ts';

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
  readonly onEvict?: (stream: Stream<User>) => void;
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
export interface Stream<User> {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
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

export interface StreamDelivery<User> {
  readonly stream: Stream<User>;
  /**
   * The bytes that are new and in order, each exactly once; null when there are none. Valid as long as the
   * packet's own bytes.
   */
  readonly bytes: Buffer | null;
  /** Bytes are missing between those delivered before and these. */
  readonly gap: boolean;
}

export interface StreamTable<User> {
  /**
   * Takes a TCP view at `now` ms (any clock that does not run backwards). Null when it belongs to no stream: no
   * TCP, or no byte and no SYN of a stream not known.
   */
  push(view: PacketView, now: number): StreamDelivery<User> | null;
  /** The stream stays known, with its flags and its `user`, but nothing of it is kept or delivered any more. */
  ignore(stream: Stream<User>): void;
  /** The stream is of use: others go before it does. */
  keep(stream: Stream<User>): void;
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

/** Positions count the bytes of a stream from 0; `origin` is the sequence number of position 0. */
interface State<User> extends Stream<User> {
  readonly key: string;
  readonly origin: number;
  midstream: boolean;
  conflict: boolean;
  gap: boolean;
  closed: boolean;
  ignored: boolean;
  peer: State<User> | null;
  /** The position of the next byte to deliver. */
  next: number;
  /** Every byte from here to `next` is in `pages`. */
  kept: number;
  /** The end of what is kept beyond a hole; not above `next` when nothing is. */
  aheadEnd: number;
  /** What the receiver has acknowledged; may be above `next` when packets passed unseen. */
  acked: number;
  finAt: number | null;
  holeSince: number | null;
  /** Bytes beyond a hole were given up: the next segment is delivered wherever it stands. */
  lost: boolean;
  /** Sequence number behind a SYN that a live stream does not expect: a new connection, or a forgery. */
  candidate: number | null;
  readonly pages: Pages;
  lastAt: number;
  rank: Rank;
  readonly inUsed: Link<State<User>>;
  readonly inBuffered: Link<State<User>>;
}

/**
 * TCP reassembly (RFC 9293 section 3.4), one stream for each direction of a connection. The first copy of a
 * byte wins. Work is linear in the bytes pushed, whatever their order.
 */
export function createStreamTable<User>(options: StreamOptions<User> = {}): StreamTable<User> {
  const { windowBytes = 65_536, streamIdleMs = 7_200_000 } = options;
  const maxStreams = asked(options.maxStreams ?? 65_536);
  const maxBytes = asked(options.maxBytes ?? 64 << 20);
  const bufferIdleMs = asked(options.bufferIdleMs ?? 30_000);
  const streams = new Map<string, State<User>>();
  let ignoredCount = 0;
  /** All streams by rank, and those that have pages; each in order of `lastAt`. */
  const used = {
    pending: createQueue<State<User>>((stream) => stream.inUsed),
    open: createQueue<State<User>>((stream) => stream.inUsed),
    kept: createQueue<State<User>>((stream) => stream.inUsed),
    ignored: createQueue<State<User>>((stream) => stream.inUsed),
  };
  const buffered = createQueue<State<User>>((stream) => stream.inBuffered);
  let pageCount = 0;

  function create(key: string, view: PacketView, origin: number, midstream: boolean): State<User> {
    const peer = streams.get(reverseKeyOf(view)) ?? null;
    const stream: State<User> = {
      key,
      source: view.source,
      sourcePort: view.sourcePort,
      destination: view.destination,
      destinationPort: view.destinationPort,
      origin,
      midstream,
      conflict: false,
      gap: false,
      closed: false,
      ignored: false,
      user: null,
      peer,
      next: 0,
      kept: 0,
      aheadEnd: 0,
      acked: 0,
      finAt: null,
      holeSince: null,
      lost: false,
      candidate: null,
      pages: new Map(),
      lastAt: 0,
      rank: 'pending',
      inUsed: newLink(),
      inBuffered: newLink(),
    };
    if (peer !== null) peer.peer = stream;
    streams.set(key, stream);
    return stream;
  }

  function forget(stream: State<User>): void {
    dropBuffers(stream);
    if (streams.get(stream.key) !== stream) return;
    streams.delete(stream.key);
    used[stream.rank].remove(stream);
    if (stream.rank === 'ignored') ignoredCount--;
    if (stream.peer?.peer === stream) stream.peer.peer = null;
  }

  function touch(stream: State<User>, now: number): void {
    stream.lastAt = now;
    used[stream.rank].toBack(stream);
    if (stream.pages.size > 0) buffered.toBack(stream);
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

  function moveTo(stream: State<User>, rank: Rank): void {
    if (stream.rank === rank) return;
    used[stream.rank].remove(stream);
    if (stream.rank === 'ignored') ignoredCount--;
    if (rank === 'ignored') ignoredCount++;
    stream.rank = rank;
    used[rank].toBack(stream);
  }

  /** Once one end has acknowledged what the other began with, both have spoken: RFC 9293 3.5. */
  function establish(stream: State<User>, peer: State<User>): void {
    for (const one of [stream, peer]) if (one.rank === 'pending' && !one.closed) moveTo(one, 'open');
  }

  function expire(now: number): void {
    while (buffered.first !== null && now - buffered.first.lastAt >= bufferIdleMs())
      dropBuffers(buffered.first);
    for (const queue of [used.pending, used.open, used.kept, used.ignored]) {
      while (queue.first !== null && now - queue.first.lastAt >= streamIdleMs) forget(queue.first);
    }
  }

  function dropBuffers(stream: State<User>): void {
    if (stream.aheadEnd > stream.next) {
      stream.lost = true;
      stream.gap = true;
    }
    freePages(stream, null);
    stream.kept = stream.next;
    stream.aheadEnd = stream.next;
    stream.holeSince = null;
  }

  /** Gives back the pages before position `to`, or all of them. */
  function freePages(stream: State<User>, to: number | null): void {
    const before = stream.pages.size;
    if (before === 0) return;
    if (to === null) dropAll(stream.pages);
    else dropBetween(stream.pages, stream.kept, to);
    pageCount -= before - stream.pages.size;
    if (stream.pages.size === 0) buffered.remove(stream);
  }

  /** `position` is not above `next`. */
  function dropHistory(stream: State<User>, position: number): void {
    if (position <= stream.kept) return;
    const nothingLeft = position === stream.next && stream.aheadEnd <= stream.next;
    freePages(stream, nothingLeft ? null : position);
    stream.kept = position;
  }

  function makeRoom(stream: State<User>, position: number, length: number): boolean {
    const needed = pagesNeeded(stream.pages, position, length);
    while ((pageCount + needed) * PAGE_COST > maxBytes()) {
      const oldest = buffered.first;
      if (oldest === null || oldest === stream) return false;
      dropBuffers(oldest);
    }
    return true;
  }

  /** False when there is no room. A byte that is known with another value sets `conflict`. */
  function store(stream: State<User>, position: number, bytes: Buffer): boolean {
    if (bytes.length === 0) return true;
    if (!makeRoom(stream, position, bytes.length)) return false;
    const before = stream.pages.size;
    if (!writeOnce(stream.pages, position, bytes)) stream.conflict = true;
    pageCount += stream.pages.size - before;
    if (before === 0) buffered.toBack(stream);
    return true;
  }

  function acknowledge(stream: State<User>, ack: number): void {
    const position = positionOf(stream, ack);
    if (position <= stream.acked) return;
    stream.acked = position;
    dropHistory(stream, Math.min(position, stream.next));
  }

  /** Compares a copy of bytes before `next` with those delivered. */
  function compareAgain(stream: State<User>, position: number, bytes: Buffer): void {
    if (bytes.length === 1 && position === stream.next - 1 && bytes[0] === 0) return;
    const end = position + bytes.length;
    const from = Math.max(position, stream.acked, 0);
    if (from >= end) return;
    if (from < stream.kept) stream.conflict = true;
    else if (!agreesWith(stream.pages, from, bytes.subarray(from - position))) stream.conflict = true;
  }

  function advance(stream: State<User>, to: number, now: number): void {
    stream.next = to;
    stream.lost = false;
    stream.holeSince = stream.aheadEnd > to ? now : null;
    dropHistory(stream, Math.min(Math.max(stream.acked, to - windowBytes), to));
  }

  /** Gives up the hole at `next` and goes on at `position` or at what is kept before it. */
  function skipHole(stream: State<User>, position: number): void {
    const run = stream.aheadEnd > stream.next ? startOfRun(stream.pages, stream.next) : null;
    const target = run === null ? position : Math.min(run, position);
    freePages(stream, run === null ? null : target);
    stream.next = target;
    stream.kept = target;
    stream.gap = true;
    stream.lost = false;
  }

  function holeIsFinal(stream: State<User>, now: number): boolean {
    return (
      stream.lost ||
      stream.acked > stream.next ||
      (stream.holeSince !== null && now - stream.holeSince >= bufferIdleMs())
    );
  }

  function take(stream: State<User>, at: number, segment: Buffer, now: number): StreamDelivery<User> {
    let position = at;
    let bytes = segment;
    if (stream.finAt !== null && position + bytes.length > stream.finAt) {
      bytes = bytes.subarray(0, Math.max(0, stream.finAt - position));
    }
    if (position < stream.next) {
      const known = Math.min(bytes.length, stream.next - position);
      compareAgain(stream, position, bytes.subarray(0, known));
      bytes = bytes.subarray(known);
      position += known;
    }
    if (bytes.length === 0) return { stream, bytes: null, gap: false };

    let gap = false;
    if (position > stream.next) {
      if (holeIsFinal(stream, now)) {
        skipHole(stream, position);
        gap = true;
      } else {
        stream.holeSince ??= now;
        if (position + bytes.length <= stream.next + windowBytes && store(stream, position, bytes)) {
          stream.aheadEnd = Math.max(stream.aheadEnd, position + bytes.length);
        }
        return { stream, bytes: null, gap: false };
      }
    }
    return { stream, bytes: deliver(stream, position, bytes, now), gap };
  }

  function deliver(stream: State<User>, position: number, bytes: Buffer, now: number): Buffer | null {
    const stored = store(stream, position, bytes);
    const end = position + bytes.length;
    if (stream.aheadEnd <= stream.next || !stored) {
      if (!stored) dropBuffers(stream);
      advance(stream, end, now);
      if (!stored) stream.kept = end;
      return bytes;
    }
    stream.aheadEnd = Math.max(stream.aheadEnd, end);
    const runEnd = endOfRun(stream.pages, stream.next);
    const run = readRun(stream.pages, stream.next, runEnd);
    advance(stream, runEnd, now);
    return run;
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
    const peer = stream === undefined ? streams.get(reverseKeyOf(view)) : stream.peer;
    if ((flags & TCP_ACK) !== 0 && peer) acknowledge(peer, tcp.ack);

    if (stream === undefined) {
      if (!syn && !carriesData(view.payload)) return null;
      stream = create(key, view, dataSeq, !syn);
    } else if (startsAnew(stream, dataSeq, syn, windowBytes)) {
      forget(stream);
      stream = create(key, view, stream.candidate ?? dataSeq, false);
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
    if ((flags & TCP_URG) !== 0 && view.payload.length > 0) stream.conflict = true;
    if (stream.ignored) {
      stream.next = Math.max(stream.next, end);
      stream.kept = stream.next;
    }
    const delivery = stream.ignored
      ? { stream, bytes: null, gap: false }
      : take(stream, position, view.payload, now);
    if (stream.finAt !== null && stream.next >= stream.finAt) close(stream);
    return delivery;
  }

  /**
   * The key of the stream a segment belongs to. A capture made anonymous may give both ends one address and
   * port; then a segment that acknowledges all of the first direction and does not continue it is the other's.
   */
  function directionOf(view: PacketView, tcp: TcpFields): string {
    const key = keyOf(view);
    if (view.sourcePort !== view.destinationPort || view.source !== view.destination) return key;
    const first = streams.get(key);
    if (first === undefined) return key;
    const next = (first.origin + first.next) % 0x1_0000_0000;
    return tcp.seq !== next && tcp.ack === next ? `${key} back` : key;
  }

  function closeBoth(stream: State<User>): void {
    for (const one of [stream, stream.peer]) {
      if (one === null) continue;
      close(one);
      dropBuffers(one);
    }
  }

  function close(stream: State<User>): void {
    stream.closed = true;
    if (stream.rank !== 'ignored') moveTo(stream, 'pending');
  }

  function ignore(stream: Stream<User>): void {
    const own = stream as State<User>;
    if (streams.get(own.key) !== own) return;
    own.aheadEnd = own.next;
    dropBuffers(own);
    own.ignored = true;
    moveTo(own, 'ignored');
  }

  function keep(stream: Stream<User>): void {
    const own = stream as State<User>;
    if (streams.get(own.key) === own && own.rank === 'open') moveTo(own, 'kept');
  }

  return {
    push,
    ignore,
    keep,
    expire,
    get size() {
      return streams.size;
    },
    get bytes() {
      return pageCount * PAGE_COST;
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
function hasSpoken(stream: State<unknown>, peer: State<unknown>, { flags, ack }: TcpFields): boolean {
  if (stream.midstream || peer.midstream) return true;
  if ((flags & TCP_ACK) === 0 || (flags & TCP_SYN) !== 0) return false;
  const position = positionOf(peer, ack);
  return position >= 0 && position <= peer.next;
}

type Ends = Pick<PacketView, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>;

function keyOf(ends: Ends): string {
  return `${ends.source} ${ends.sourcePort} ${ends.destination} ${ends.destinationPort}`;
}

function reverseKeyOf(ends: Ends): string {
  return `${ends.destination} ${ends.destinationPort} ${ends.source} ${ends.sourcePort}`;
}

/** Sequence numbers are compared modulo 2^32 around what is expected next (RFC 9293 section 3.4). */
function positionOf(stream: State<unknown>, seq: number): number {
  return stream.next + ((seq - ((stream.origin + stream.next) % 0x1_0000_0000)) | 0);
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
function startsAnew(stream: State<unknown>, dataSeq: number, syn: boolean, windowBytes: number): boolean {
  if (syn) {
    if (dataSeq === stream.origin && !stream.midstream) return false;
    if (stream.closed) {
      stream.candidate = null;
      return true;
    }
    if (dataSeq !== stream.origin) stream.candidate = dataSeq;
    return false;
  }
  if (stream.candidate === null) return false;
  const beyondSyn = (dataSeq - stream.candidate) | 0;
  const beyondNext = positionOf(stream, dataSeq) - stream.next;
  return beyondSyn >= 0 && beyondSyn <= windowBytes && Math.abs(beyondNext) > windowBytes;
}
