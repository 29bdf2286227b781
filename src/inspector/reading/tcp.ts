import type { Buffer } from 'node:buffer';
import { directionKey } from '../../packet/direction.ts';
import type { PacketView } from '../../packet/ip.ts';
import { createStreamTable, type TcpStream } from '../../packet/stream.ts';
import { isSipError, type SipError, type SipErrorReason, type SipMessage } from '../../sip/message.ts';
import type { SipLimits } from '../../sip/read.ts';
import { looksLikeSip } from '../../sip/recognise.ts';
import { createSipFramer } from '../../sip/stream.ts';
import {
  type ConnectionDirection,
  createKnownDirections,
  createOlderConnections,
  directionOf,
  reverseOf,
} from './connections.ts';
import { createUnfinishedList, newUnfinished, type Unfinished } from './unfinished.ts';
import { createChosenFramer, createWebSockets } from './websocket.ts';

/** What one segment brought. */
interface SegmentReading {
  /** The messages it completed, and what stands in the place of one that cannot be used. */
  readonly items: readonly (SipMessage | SipError)[];
  /** The bytes of its messages, in order; they last until the next segment of their stream. */
  readonly bytes: readonly Buffer[];
  /** Streams that cannot be read any more, or not for a while, and why. */
  readonly lost: readonly Loss[];
  /** It carries bytes of a stream that is not read, because what came before is no SIP or cannot be framed. */
  readonly unread: boolean;
  /** Its stream was up before, and nothing was seen of it until now. */
  readonly older: boolean;
}

interface Loss {
  readonly reason: 'stream-unusable' | 'older-connection' | 'stream-evicted';
  /** Text for people. */
  readonly detail: string;
}

/**
 * SIP is read on this direction of a connection: for the first time, or here where another firewall had read it, or
 * still; or its end has come. `unused`: nothing was seen of it for so long that its numbers may be another's. `crowded`: it
 * makes room.
 */
export interface DirectionChange {
  readonly what: 'opened' | 'closed' | 'unused' | 'crowded';
  readonly direction: ConnectionDirection;
}

export interface TcpReader {
  /** Takes a TCP segment at `now` ms. `sdp.bytes` of an item lasts until the next segment of its stream. */
  push(packet: PacketView, now: number): SegmentReading;
  /** Takes up directions of a journal, or that another firewall reads: they are read on wherever they are. */
  remember(directions: Iterable<ConnectionDirection>, now: number): void;
  /** They have ended, as another firewall says. */
  forget(directions: Iterable<ConnectionDirection>): void;
  /** What a journal should know since the last call. */
  changes(): readonly DirectionChange[];
  /** Directions that SIP was read on. */
  known(): Iterable<ConnectionDirection>;
  /** SIP connections, known now, that are older than this reader and are not read. */
  readonly older: number;
}

/** The bounds, which may change while it runs. */
export interface TcpBounds {
  /** Connections that are known at once. */
  readonly maxConnections: number;
  /** Bytes kept for segments out of order and not yet acknowledged; and as many for messages not complete. */
  readonly maxBytes: number;
  /** ms without a segment after which a message that is not complete is given up. */
  readonly partialIdleMs: number;
}

interface TcpReaderOptions {
  readonly bounds: () => TcpBounds;
  readonly limits: () => SipLimits;
  /** A connection that was up before is read at once (only for captures). */
  readonly trustMidstream: () => boolean;
  /** The other end is known by name: what it sends and gets is read on wherever it is. */
  readonly isNamedPeer: (direction: ConnectionDirection) => boolean;
  readonly isInside: (address: string) => boolean;
  /** What cannot be read does not pass: nor does it when it is sent again, or what follows it. */
  readonly isStrict: () => boolean;
}

const NOTHING: SegmentReading = { items: [], bytes: [], lost: [], unread: false, older: false };
const NO_LOSSES: readonly Loss[] = [];
const NO_ITEMS: SegmentReading['items'] = [];
const NO_BYTES: SegmentReading['bytes'] = [];
const NO_CHANGES: readonly DirectionChange[] = [];
/** ms in which a direction is not noted as in use again. */
const NOTED = 60_000;

/** Why a stream of SIP is read no more, where it is not one message that is malformed. */
const WHY_STOPPED: Readonly<Partial<Record<SipErrorReason, string>>> = {
  'not-sip': 'what follows a message is no SIP',
  'bad-content-length': 'a message has no Content-Length that tells where the next begins',
};

/** What is kept of one direction of a TCP connection. */
interface Signalling extends Unfinished {
  /** When it was noted as in use; -Infinity while no SIP was read on it. */
  notedAt: number;
  /** Whoever read it before was told that it is read here. */
  isClaimed: boolean;
  /** Copies of its bytes differed: nobody can say what the receiver reads. */
  frozen: boolean;
  /** A message of it must not pass. */
  isBlocked: boolean;
  /** What of the bytes that its framer passed over was told. */
  skippedTold: number;
}

const NOTHING_READ = {
  notedAt: Number.NEGATIVE_INFINITY,
  isClaimed: false,
  frozen: false,
  isBlocked: false,
  skippedTold: 0,
};

/** Whether what cannot be read any further was SIP until then. */
function isOfSip({ framer, notedAt }: Signalling, items: SegmentReading['items']): boolean {
  if (framer.stopped !== 'not-sip' || typeof framer.fault === 'string') return true;
  return notedAt !== Number.NEGATIVE_INFINITY || items.some((one) => !isSipError(one));
}

/** SIP messages from TCP segments: reassembly, framing, and the bounds on what both may keep. */
export function createTcpReader(options: TcpReaderOptions): TcpReader {
  const { bounds, limits, trustMidstream, isNamedPeer, isInside, isStrict } = options;
  let lost: Loss[] = [];
  let pending: DirectionChange[] = [];
  const streams = createStreamTable<Signalling>({
    maxStreams: () => bounds().maxConnections * 2,
    maxBytes: () => bounds().maxBytes,
    bufferIdleMs: () => bounds().partialIdleMs,
    onEvict: (stream) => {
      if (stream.user === null) return;
      stream.user.framer.lose();
      unfinished.count(stream.user);
      if (stream.user.notedAt === Number.NEGATIVE_INFINITY) return;
      const detail = `${stream.user.name}: more than ${bounds().maxConnections} connections`;
      lost.push({ reason: 'stream-evicted', detail });
    },
  });
  const known = createKnownDirections(() => bounds().maxConnections * 2);
  const older = createOlderConnections(() => bounds().maxConnections);
  const webSockets = createWebSockets({ limits, most: () => bounds().maxConnections, isInside, isNamedPeer });
  const unfinished = createUnfinishedList(bounds, note);

  function push(packet: PacketView, now: number): SegmentReading {
    const delivery = streams.push(packet, now);
    if (delivery === null) return NOTHING;
    const { stream, bytes } = delivery;
    const isOlder = stream.midstream && stream.user === null && !stream.ignored;
    if (stream.user === null && !admit(stream, packet.payload)) {
      return finish(NO_ITEMS, NO_BYTES, packet.payload.length > 0, isOlder);
    }
    stream.user ??= newSignalling(stream, packet.payload);
    const { user } = stream;
    unfinished.expire(now);
    if (stream.conflict && !user.frozen) {
      user.frozen = true;
      note(user, 'two copies of a byte differ');
    }
    if (delivery.gap) {
      user.framer.lose();
      note(user, 'bytes are missing');
    }
    user.lastAt = now;
    const items = bytes === null || user.frozen || user.isBlocked ? NO_ITEMS : user.framer.push(bytes);
    user.isBlocked ||= isStrict() && items.some(isSipError);
    const taken = items.length === 0 ? NO_BYTES : user.framer.taken;
    unfinished.count(user);
    unfinished.makeRoom(user);
    tellSkipped(user);
    const { stopped, fault } = user.framer;
    if (stopped !== null && !stream.ignored) {
      if (!user.isTold && isOfSip(user, items))
        note(user, fault ?? WHY_STOPPED[stopped] ?? 'a message in it cannot be read');
      streams.ignore(stream);
    }
    if (bytes !== null && !user.isClaimed && !user.frozen) claim(stream, user, now);
    follow(stream, user, items, now);
    const unread = (stopped !== null || user.isBlocked) && packet.payload.length > 0;
    return finish(items, taken, unread, isOlder);
  }

  function finish(
    items: SegmentReading['items'],
    bytes: SegmentReading['bytes'],
    unread: boolean,
    older: boolean,
  ): SegmentReading {
    if (lost.length === 0 && items.length === 0 && !unread && !older) return NOTHING;
    const reading = { items, bytes, lost: lost.length === 0 ? NO_LOSSES : lost, unread, older };
    if (lost.length === 0) return reading;
    lost = [];
    return reading;
  }

  /**
   * Whether a stream may be read. One whose beginning was not seen may be anything, a web page's HTTP with SIP in its
   * middle above all (NAT Slipstreaming): only those of named peers and those known as SIP are.
   */
  function admit(stream: TcpStream<Signalling>, first: Buffer): boolean {
    if (!stream.midstream) {
      if (known.delete(stream)) pending.push({ what: 'closed', direction: stream });
      older.delete(stream);
      return true;
    }
    if (!stream.ignored && (trustMidstream() || mayBeReadOn(stream))) return true;
    if (!stream.ignored) streams.ignore(stream);
    if (stream.closed) older.delete(stream);
    else if (looksLikeSip(first) && older.add(stream)) {
      lost.push({ reason: 'older-connection', detail: `TCP ${directionKey(stream)}` });
    }
    return false;
  }

  /** What comes from outside can open nothing: there it is enough that the inside host's direction is known. */
  function mayBeReadOn(direction: ConnectionDirection): boolean {
    if (isNamedPeer(direction) || known.has(direction)) return true;
    return !isInside(direction.source) && known.has(reverseOf(direction));
  }

  function newSignalling(stream: TcpStream<Signalling>, first: Buffer): Signalling {
    const resync = (trustMidstream() && stream.midstream) || mayBeReadOn(stream);
    const midstream = stream.midstream && !(trustMidstream() && looksLikeSip(first));
    const sip = () => createSipFramer({ ...limits(), resync, midstream });
    // What is looked for in its middle is SIP in clear.
    const framer = stream.midstream
      ? sip()
      : createChosenFramer((which) => webSockets.framer(stream, which) ?? sip());
    return { ...newUnfinished(`TCP ${directionKey(stream)}`, framer), ...NOTHING_READ };
  }

  /** Whoever read it before has seen nothing of what comes here, be it no whole message. */
  function claim(stream: TcpStream<Signalling>, user: Signalling, now: number): void {
    user.isClaimed = true;
    if (known.claim(stream, now)) pending.push({ what: 'opened', direction: stream });
  }

  /** Notes the directions that SIP is read on, and their end. */
  function follow(
    stream: TcpStream<Signalling>,
    user: Signalling,
    items: SegmentReading['items'],
    now: number,
  ): void {
    if (stream.closed) webSockets.closed(stream);
    if (stream.closed || stream.ignored || user.frozen) {
      if (user.notedAt !== Number.NEGATIVE_INFINITY) {
        user.notedAt = Number.NEGATIVE_INFINITY;
        if (known.delete(stream)) pending.push({ what: 'closed', direction: stream });
      }
      return;
    }
    if (user.notedAt === Number.NEGATIVE_INFINITY && !items.some((item) => !isSipError(item))) return;
    streams.keep(stream);
    if (now - user.notedAt < NOTED || webSockets.has(stream)) return;
    user.notedAt = now;
    if (known.add(stream, now)) pending.push({ what: 'opened', direction: stream });
    for (const one of known.expire(now)) pending.push(one);
  }

  function note(stream: Unfinished, why: string): void {
    stream.isTold = true;
    lost.push({ reason: 'stream-unusable', detail: `${stream.name}: ${why}` });
  }

  /** Once a message was found again, how much was passed over. */
  function tellSkipped(user: Signalling): void {
    const { skipped, isLost } = user.framer;
    if (isLost || skipped === user.skippedTold) return;
    note(user, `read on after ${skipped - user.skippedTold} bytes that were passed over`);
    user.skippedTold = skipped;
  }

  return {
    push,
    remember(directions, now) {
      for (const direction of directions) {
        known.remember(direction, now);
        older.delete(direction);
        const user = streams.elsewhere(direction)?.user ?? null;
        if (user !== null) user.isClaimed = false;
      }
      for (const one of known.expire(now)) pending.push(one);
    },
    forget(directions) {
      for (const direction of directions) known.delete(direction);
    },
    changes() {
      if (pending.length === 0) return NO_CHANGES;
      const told = pending;
      pending = [];
      return told.map(({ what, direction }) => ({ what, direction: directionOf(direction) }));
    },
    known: () => known.all(),
    get older() {
      return older.size;
    },
  };
}
