import { Buffer } from 'node:buffer';
import { CR, LF, skipFillers } from '../scan.ts';
import { type Head, readHead, sipError } from './head.ts';
import { isSipError, type SipError, type SipErrorReason, type SipMessage } from './message.ts';
import { finishMessage, missingContentLength } from './read.ts';
import { recogniseStart } from './recognise.ts';
import { createMessageSearch, type MessageSearch } from './search.ts';

export interface FramerOptions {
  readonly maxHeaders: number;
  /** Bytes of one message, headers and body. */
  readonly maxBytes: number;
  /**
   * True to find the next message, by its start-line and its framing, where the framing was lost. False (the
   * default) leaves such a stream alone for good: whoever can write into one could put SIP in the middle of it. A
   * stream that does not begin with SIP is left alone in any case.
   */
  readonly resync: boolean;
  /** The first byte is in the middle of a stream: with `resync` the first message is looked for as well. */
  readonly midstream: boolean;
}

/** Cuts one direction of a TCP connection into SIP messages. */
export interface SipFramer {
  /**
   * Takes the next bytes of the stream, in order and without gaps, and answers the messages they complete. An
   * error stands for a message that must not be used; if the stream cannot be framed any further it is the last
   * answer ever (`stopped`), unless `resync`. `sdp.bytes` of an answer lasts until the next push. Never throws; the
   * work of all pushes together is linear in the bytes.
   */
  push(bytes: Buffer): readonly (SipMessage | SipError)[];
  /** Bytes of the stream are missing, or the message held never completed: drops it, and the framing with it. */
  lose(): void;
  /** Of the latest push: the bytes of each message, in the order of its answers that are no errors; they last as long. */
  readonly taken: readonly Buffer[];
  /** Bytes held for a message that is not complete. */
  readonly held: number;
  /** Bytes of memory that this takes. */
  readonly memory: number;
  /** Bytes that were passed over in looking for a message. */
  readonly skipped: number;
  /** A message is being looked for. */
  readonly isLost: boolean;
  /** Why the stream is not read any more, null while it is. */
  readonly stopped: SipErrorReason | null;
  /** What is wrong with what SIP is carried in there, for people; null or nothing where it is SIP itself. */
  readonly fault?: string | null;
}

const DEFAULTS: FramerOptions = { maxHeaders: 256, maxBytes: 65_536, resync: false, midstream: false };
/** Bytes within which method and URI scheme of a request line have ended, or it is none. */
const FIRST_WORDS = 256;
/** The longest start-line. */
const MAX_START_LINE = 8192;

const EMPTY = Buffer.alloc(0);
const NOT_FOLLOWED = sipError('not-sip', 'no message follows');
const NOTHING: readonly (SipMessage | SipError)[] = [];
const NONE_TAKEN: readonly Buffer[] = [];

interface FramedStream {
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
  /** Null where the stream is left alone once its framing is lost. */
  readonly search: MessageSearch | null;
  isLost: boolean;
  /** The message at hand was found by a search: what follows it has to begin like a message, too. */
  isFound: boolean;
  /** It has had a message, or was one of SIP before: what comes in between does not make it something else. */
  isKnown: boolean;
  /** Bytes still to come of a message that is longer than what is kept. */
  beyond: number;
  /** Bytes of candidates that turned out to be none. */
  rejected: number;
  stopped: SipErrorReason | null;
  taken: readonly Buffer[];
}

/**
 * A framer for one direction of one connection. Messages are told apart by Content-Length alone (RFC 3261 18.3),
 * never by segment boundaries; line breaks between them are keepalives (RFC 5626 3.5.1), and so are the NULs that
 * some send with them: no message begins with one. A stream whose first
 * bytes are not SIP is not SIP for life, whatever comes later: a web page can make a browser send SIP text in
 * the middle of an HTTP request, at the start of a segment.
 */
export function createSipFramer(options: Partial<FramerOptions> = {}): SipFramer {
  const all = { ...DEFAULTS, ...options };
  const stream: FramedStream = {
    options: all,
    buffer: EMPTY,
    size: 0,
    scanned: 0,
    hasStartLine: false,
    isSip: false,
    head: null,
    search: all.resync ? createMessageSearch(all.maxBytes) : null,
    isLost: false,
    isFound: false,
    isKnown: all.midstream,
    beyond: 0,
    rejected: 0,
    stopped: null,
    taken: NONE_TAKEN,
  };
  if (all.midstream) lose(stream);
  return {
    push: (bytes) => push(stream, bytes),
    lose: () => lose(stream),
    get taken() {
      return stream.taken;
    },
    get held() {
      return stream.size;
    },
    get memory() {
      return stream.buffer.length + (stream.search?.memory ?? 0);
    },
    get skipped() {
      return stream.rejected + (stream.search?.skipped ?? 0);
    },
    get isLost() {
      return stream.isLost;
    },
    get stopped() {
      return stream.stopped;
    },
  };
}

function push(stream: FramedStream, segment: Buffer): readonly (SipMessage | SipError)[] {
  stream.taken = NONE_TAKEN;
  if (stream.stopped !== null) return NOTHING;
  const answers: (SipMessage | SipError)[] = [];
  const taken: Buffer[] = [];
  const own = stream.beyond === 0 ? segment : withoutBeyond(stream, segment);
  let rest = stream.isLost ? find(stream, own) : stream.size === 0 ? own : append(stream, own);
  while (rest.length > 0) {
    if (stream.scanned === 0) rest = withoutFillers(rest);
    const answer = rest.length === 0 ? null : takeMessage(stream, rest);
    if (answer === null) break;
    if (answer.message !== null) {
      answers.push(answer.message);
      if (!isSipError(answer.message)) taken.push(rest.subarray(0, answer.length));
    }
    rest = answer.length === rest.length ? EMPTY : rest.subarray(answer.length);
    if (stream.isLost) rest = find(stream, rest);
  }
  hold(stream, rest);
  if (taken.length > 0) stream.taken = taken;
  return answers;
}

/** What follows a message that is not kept. */
function withoutBeyond(stream: FramedStream, segment: Buffer): Buffer {
  const passed = Math.min(stream.beyond, segment.length);
  stream.beyond -= passed;
  return segment.subarray(passed);
}

/** The next message and what follows it; nothing while none is found. */
function find(stream: FramedStream, bytes: Buffer): Buffer {
  const found = bytes.length === 0 ? null : (stream.search?.push(bytes) ?? null);
  if (found === null) return EMPTY;
  stream.isLost = false;
  stream.isFound = true;
  return found;
}

interface Framed {
  /** Null for what looked like a message and was none. */
  readonly message: SipMessage | SipError | null;
  readonly length: number;
}

/** The message `rest` begins with; null when it is not complete. */
function takeMessage(stream: FramedStream, rest: Buffer): Framed | null {
  if (stream.head === null) {
    const head = takeHead(stream, rest);
    if (head === null) return null;
    if (isSipError(head)) return refuse(stream, rest, head);
    const error = problemOf(head, stream.options.maxBytes);
    if (error?.error === 'message-too-large' && isExpected(stream))
      return passOver(stream, rest, error, head.bodyStart + head.contentLength);
    if (error !== null) return refuse(stream, rest, error);
    stream.head = head;
  }
  const { head } = stream;
  const length = head.bodyStart + head.contentLength;
  if (rest.length < length) return null;
  if (stream.isFound && !isFollowedByMessage(rest, length)) return refuse(stream, rest, NOT_FOLLOWED, length);
  stream.isFound = false;
  stream.isKnown = true;
  beginNext(stream);
  const bytes = rest.length === length ? rest : rest.subarray(0, length);
  return { message: finishMessage(head, bytes, true), length };
}

/** A message of known length that is longer than what is kept: what follows it is where it has to be. */
function passOver(stream: FramedStream, rest: Buffer, message: SipError, length: number): Framed {
  beginNext(stream);
  const here = Math.min(length, rest.length);
  stream.beyond = length - here;
  return { message, length: here };
}

function beginNext(stream: FramedStream): void {
  stream.head = null;
  stream.scanned = 0;
  stream.hasStartLine = false;
  stream.isSip = false;
}

/** Start-line and headers, once they are complete; an error as soon as it is certain. */
function takeHead(stream: FramedStream, rest: Buffer): Head | SipError | null {
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
  const head = readHead(rest, text, 0, maxHeaders, true);
  if (!isSipError(head) || stream.search === null || !isExpected(stream)) return head;
  // What others may take for its body is not looked through for messages.
  const lenient = readHead(rest, text, 0, maxHeaders, false);
  return isSipError(lenient) ? head : { ...lenient, message: head };
}

/** Whether what begins here is a message for certain: the one before it has ended, and it was not searched for. */
function isExpected({ isKnown, isFound }: FramedStream): boolean {
  return isKnown && !isFound;
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
function endOfHead(stream: FramedStream, bytes: Buffer): number {
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

/**
 * After this the stream is left alone, or the next message is looked for: behind the start-line, or behind what is
 * certainly none.
 */
function refuse(stream: FramedStream, rest: Buffer, error: SipError, behind?: number): Framed {
  if (stream.search === null || !stream.isKnown) {
    stop(stream, error.error);
    return { message: error, length: rest.length };
  }
  const { isFound } = stream;
  const lineFeed = rest.indexOf(LF);
  const length = behind ?? (lineFeed < 0 ? rest.length : lineFeed + 1);
  stream.rejected += length;
  lose(stream);
  return { message: isFound ? null : error, length };
}

/** What follows the message in these bytes, as far as there is something. */
function isFollowedByMessage(bytes: Buffer, length: number): boolean {
  return bytes.length === length || recogniseStart(bytes.subarray(length)) !== 'other';
}

function withoutFillers(bytes: Buffer): Buffer {
  const start = skipFillers(bytes, 0, bytes.length);
  return start === 0 ? bytes : bytes.subarray(start);
}

function append(stream: FramedStream, segment: Buffer): Buffer {
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
function hold(stream: FramedStream, rest: Buffer): void {
  if (rest.length === stream.size) return;
  stream.buffer = rest.length === 0 ? EMPTY : Buffer.from(rest);
  stream.size = rest.length;
}

function stop(stream: FramedStream, reason: SipErrorReason): void {
  stream.stopped = reason;
}

function lose(stream: FramedStream): void {
  hold(stream, EMPTY);
  stream.beyond = 0;
  beginNext(stream);
  stream.isFound = false;
  stream.search?.reset();
  if (stream.search !== null) stream.isLost = true;
  else stream.stopped ??= 'truncated-body';
}
