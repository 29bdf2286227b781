import type { Buffer } from 'node:buffer';
import { skipFillers } from '../scan.ts';
import { readBody } from './body.ts';
import { type Head, readHead, sipError } from './head.ts';
import { isSipError, type SipError, type SipMessage } from './message.ts';

export interface SipLimits {
  /** True when the bytes are one message of a stream: Content-Length is then mandatory (RFC 3261 18.3). */
  readonly stream: boolean;
  readonly maxHeaders: number;
  /** Bytes of one message, headers and body. */
  readonly maxBytes: number;
}

const DATAGRAM: SipLimits = { stream: false, maxHeaders: 256, maxBytes: 65_535 };

/**
 * Reads one complete SIP message (RFC 3261 section 7): a UDP payload, or exactly one message of a stream.
 *
 * Nothing is copied but the text of the message: `sdp.bytes` is a view of `bytes` and lasts as long as they do,
 * and the strings of a short message share one copy of its text. In a datagram
 * Content-Length bytes are the body and what follows is discarded; without Content-Length, and with one that is
 * a little too large, the body goes to the end. docs/leniency.md lists where less than the RFC asks will do.
 * Never throws; time is linear in `bytes`.
 */
export function readSip(bytes: Buffer, options?: Partial<SipLimits>): SipMessage | SipError {
  return readSipWithin(bytes, options === undefined ? DATAGRAM : { ...DATAGRAM, ...options });
}

/** `readSip` with all limits given. */
export function readSipWithin(bytes: Buffer, limits: SipLimits): SipMessage | SipError {
  if (bytes.length > limits.maxBytes) {
    return sipError('message-too-large', `${bytes.length} bytes, at most ${limits.maxBytes} are read`);
  }
  const text = bytes.toString('latin1');
  const start = skipFillers(bytes, 0, bytes.length);
  const head = readHead(bytes, text, start, limits.maxHeaders, limits.stream);
  return isSipError(head) ? head : finishMessage(head, bytes, limits.stream);
}

/**
 * Completes a message whose head was read from `bytes` decoded as latin1: takes the body and finds the session
 * description in it.
 */
export function finishMessage(head: Head, bytes: Buffer, stream: boolean): SipMessage | SipError {
  const { contentLength, message } = head;
  const available = bytes.length - head.bodyStart;
  if (stream && contentLength < 0) return missingContentLength();
  const isMiscounted = contentLength !== available && contentLength >= 0;
  if (isMiscounted && !isForgiven(head, available, stream)) {
    const error = contentLength > available ? 'truncated-body' : 'bad-content-length';
    return sipError(error, `Content-Length is ${contentLength}, ${available} bytes are there`);
  }
  if (available === 0 || isSipError(message)) return message;
  if (contentLength === 0) {
    const isHidden = readBody(head, bytes.subarray(head.bodyStart)).kind === 'sdp';
    if (isHidden) message.sdp = { kind: 'unusable', reason: 'beyond-content-length' };
    return message;
  }
  const end = contentLength < 0 ? bytes.length : head.bodyStart + contentLength;
  message.sdp = readBody(head, bytes.subarray(head.bodyStart, end));
  return message;
}

/** Bytes by which Content-Length may exceed the body of a datagram: about one for each line of a description. */
const MAX_EXCESS = 128;

/**
 * In a datagram what is too much is discarded (RFC 3261 18.3), and what is said to be there and is not was miscounted.
 * A message without a body or a type for one has lost none.
 */
function isForgiven({ contentLength, contentType }: Head, available: number, stream: boolean): boolean {
  if (stream) return false;
  if (available === 0) return contentType === '';
  return contentLength < available || contentLength - available <= MAX_EXCESS;
}

/** RFC 3261 18.3: without a length nobody knows where the next message of a stream begins. */
export function missingContentLength(): SipError {
  return sipError('bad-content-length', 'no Content-Length, which a stream needs');
}
