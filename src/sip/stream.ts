import { Buffer } from 'node:buffer';
import { CR, LF, skipFillers } from '../scan.ts';
import { type Head, readHead, sipError } from './head.ts';
import type { SipError, SipErrorReason, SipMessage } from './message.ts';
import { finishMessage, missingContentLength } from './read.ts';
import { recogniseStart } from './recognise.ts';

export interface FramerOptions {
  readonly maxHeaders: number;
  /** Bytes of one message, headers and body. */
  readonly maxBytes: number;
  /**
   * True to pick up a stream whose beginning was not seen, or whose framing was lost: at a segment after a
   * silence that holds a start-line and a complete header block, and nowhere else. False (the default) leaves
   * such a stream alone for good.
   */
  readonly resync: boolean;
}

/** Cuts one direction of a TCP connection into SIP messages. */
export interface SipFramer {
  /**
   * Takes the next bytes of the stream, in order and without gaps, and answers the messages they complete. An
   * error stands for a message that must not be used; if the stream cannot be framed any further it is the last
   * answer ever (`stopped`). `sdp.bytes` of an answer lasts until the next push. `afterSilence` says that the
   * stream was idle before these bytes; it matters only while picking up. Never throws; the work of all pushes
   * together is linear in the bytes.
   */
  push(bytes: Buffer, afterSilence?: boolean): readonly (SipMessage | SipError)[];
  /** Bytes of the stream are missing, or the message held never completed: drops it, and the framing with it. */
  lose(): void;
  /** Bytes held for a message that is not complete. */
  readonly held: number;
  /** Bytes of memory that this takes. */
  readonly memory: number;
  /** Why the stream is not read any more, null while it is. */
  readonly stopped: SipErrorReason | null;
}

const DEFAULTS: FramerOptions = { maxHeaders: 256, maxBytes: 65_536, resync: false };
/** Bytes within which method and URI scheme of a request line have ended, or it is none. */
const FIRST_WORDS = 256;
/** The longest start-line. */
const MAX_START_LINE = 8192;

const EMPTY = Buffer.alloc(0);
const NOTHING: readonly (SipMessage | SipError)[] = [];

interface Stream {
  readonly options: FramerOptions;
  /** First bytes of an incomplete message; `size` of them are in use. */
  buffer: Buffer;
  size: number;
  /** Of the incomplete message: no header block ends before here. */
  scanned: number;
  hasStartLine: boolean;
  isSip: boolean;
  /** Its head, once that is complete. */
  head: Head | null;
  isLost: boolean;
  stopped: SipErrorReason | null;
}

/**
 * A framer for one direction of one connection. Messages are told apart by Content-Length alone (RFC 3261 18.3),
 * never by segment boundaries; line breaks between them are keepalives (RFC 5626 3.5.1), and so are the NULs that
 * some send with them: no message begins with one. A stream whose first
 * bytes are not SIP is not SIP for life, whatever comes later: a web page can make a browser send SIP text in
 * the middle of an HTTP request, at the start of a segment.
 */
export function createSipFramer(options: Partial<FramerOptions> = {}): SipFramer {
  const stream: Stream = {
    options: { ...DEFAULTS, ...options },
    buffer: EMPTY,
    size: 0,
    scanned: 0,
    hasStartLine: false,
    isSip: false,
    head: null,
    isLost: options.resync === true,
    stopped: null,
  };
  return {
    push: (bytes, afterSilence = false) => push(stream, bytes, afterSilence),
    lose: () => lose(stream),
    get held() {
      return stream.size;
    },
    get memory() {
      return stream.buffer.length;
    },
    get stopped() {
      return stream.stopped;
    },
  };
}

function push(stream: Stream, segment: Buffer, afterSilence: boolean): readonly (SipMessage | SipError)[] {
  if (stream.stopped !== null) return NOTHING;
  if (stream.isLost) {
    if (!afterSilence || !holdsHeaders(segment)) return NOTHING;
    stream.isLost = false;
  }
  const answers: (SipMessage | SipError)[] = [];
  let rest = stream.size === 0 ? segment : append(stream, segment);
  while (rest.length > 0) {
    if (stream.scanned === 0) rest = withoutFillers(rest);
    const answer = rest.length === 0 ? null : takeMessage(stream, rest);
    if (answer === null) break;
    answers.push(answer.message);
    rest = answer.length === rest.length ? EMPTY : rest.subarray(answer.length);
  }
  hold(stream, rest);
  return answers;
}

interface Framed {
  readonly message: SipMessage | SipError;
  readonly length: number;
}

/** The message `rest` begins with; null when it is not complete. */
function takeMessage(stream: Stream, rest: Buffer): Framed | null {
  if (stream.head === null) {
    const head = takeHead(stream, rest);
    if (head === null) return null;
    const error = 'error' in head ? head : problemOf(head, stream.options.maxBytes);
    if (error !== null) {
      stop(stream, error.error);
      return { message: error, length: rest.length };
    }
    stream.head = head as Head;
  }
  const { head } = stream;
  const length = head.bodyStart + head.contentLength;
  if (rest.length < length) return null;
  stream.head = null;
  stream.scanned = 0;
  stream.hasStartLine = false;
  stream.isSip = false;
  const bytes = rest.length === length ? rest : rest.subarray(0, length);
  return { message: finishMessage(head, bytes, true), length };
}

/** Start-line and headers, once they are complete; an error as soon as it is certain. */
function takeHead(stream: Stream, rest: Buffer): Head | SipError | null {
  const { maxBytes, maxHeaders } = stream.options;
  const headEnd = endOfHead(stream, rest);
  if (!stream.isSip && (stream.hasStartLine || rest.length <= FIRST_WORDS || rest.length > MAX_START_LINE)) {
    const recognition = recogniseStart(rest);
    if (recognition === 'other') return sipError('not-sip', 'expected a SIP start-line');
    stream.isSip = recognition === 'sip';
  }
  if (headEnd < 0) {
    return rest.length > maxBytes
      ? sipError('message-too-large', `a header block of more than ${maxBytes} bytes`)
      : null;
  }
  const text = rest.toString('latin1', 0, headEnd);
  return readHead(rest, text, 0, maxHeaders, true);
}

/** What makes a message impossible to frame though its head could be read. */
function problemOf(head: Head, maxBytes: number): SipError | null {
  if (head.contentLength < 0) return missingContentLength();
  const length = head.bodyStart + head.contentLength;
  return length > maxBytes
    ? sipError('message-too-large', `${length} bytes, at most ${maxBytes} are read`)
    : null;
}

/** Index after the empty line, or -1; continues where the last search ended. */
function endOfHead(stream: Stream, bytes: Buffer): number {
  for (;;) {
    const lineFeed = bytes.indexOf(LF, stream.scanned);
    if (lineFeed < 0) {
      stream.scanned = bytes.length;
      return -1;
    }
    stream.hasStartLine = true;
    const next = bytes[lineFeed + 1];
    if (next === LF) return lineFeed + 2;
    if (next === CR && bytes[lineFeed + 2] === LF) return lineFeed + 3;
    if (lineFeed + 2 >= bytes.length) {
      stream.scanned = lineFeed;
      return -1;
    }
    stream.scanned = lineFeed + 1;
  }
}

/** Whether a stream may be picked up here: a start-line and all headers of one message, at the very beginning. */
function holdsHeaders(segment: Buffer): boolean {
  return recogniseStart(segment) === 'sip' && segment.includes('\r\n\r\n');
}

function withoutFillers(bytes: Buffer): Buffer {
  const start = skipFillers(bytes, 0, bytes.length);
  return start === 0 ? bytes : bytes.subarray(start);
}

function append(stream: Stream, segment: Buffer): Buffer {
  const size = stream.size + segment.length;
  if (size > stream.buffer.length) {
    const larger = Buffer.allocUnsafe(2 * size);
    stream.buffer.copy(larger, 0, 0, stream.size);
    stream.buffer = larger;
  }
  segment.copy(stream.buffer, stream.size);
  stream.size = size;
  return stream.buffer.subarray(0, size);
}

/** Keeps `rest` for the next push, unless it is what `append` has put together already. */
function hold(stream: Stream, rest: Buffer): void {
  if (rest.length === stream.size) return;
  stream.buffer = rest.length === 0 ? EMPTY : Buffer.from(rest);
  stream.size = rest.length;
}

function stop(stream: Stream, reason: SipErrorReason): void {
  stream.stopped = reason;
}

function lose(stream: Stream): void {
  hold(stream, EMPTY);
  stream.head = null;
  stream.scanned = 0;
  stream.hasStartLine = false;
  stream.isSip = false;
  if (stream.options.resync) stream.isLost = true;
  else stream.stopped ??= 'truncated-body';
}
