import type { Buffer } from 'node:buffer';

/** Where a SIP message came from and how: the packet's addresses, not anything the message says. */
export type Transport = 'udp' | 'tcp';

/**
 * One SIP message (RFC 3261 section 7), read as far as a middlebox needs it. Strings are latin1 decoded, so
 * that any byte survives; they are never unescaped. A header that is absent is '' or null.
 */
export interface SipMessage {
  /** A request's method exactly as written (methods are case-sensitive), '' in a response. */
  readonly method: string;
  /** 100..699 in a response, 0 in a request. */
  readonly status: number;
  /** Request-URI of a request, reason phrase of a response: for people, at most 512 characters, no password. */
  readonly subject: string;
  /** At most 1,024 characters, as are tags, branch, sent-by and methods. */
  readonly callId: string;
  readonly fromTag: string;
  readonly toTag: string;
  /** CSeq number and method (RFC 3261 20.16), the number below 2**32. */
  readonly cseq: number;
  readonly cseqMethod: string;
  /** `branch` and sent-by of the topmost Via. */
  readonly branch: string;
  readonly sentBy: string;
  /** Host in the URI of the first Contact, without brackets; '' without one. */
  readonly contact: string;
  /** RSeq of a reliable provisional response (RFC 3262), null otherwise. */
  readonly rseq: number | null;
  /** RAck of a PRACK. */
  readonly rack: { readonly rseq: number; readonly cseq: number; readonly method: string } | null;
  /** Session-Expires in seconds (RFC 4028), null when absent or not a number. */
  readonly sessionExpires: number | null;
  /** Expires in seconds, null when absent or not a number. */
  readonly expires: number | null;
  /** From and To as written, for people: unfolded, at most 512 characters. */
  readonly from: string;
  readonly to: string;
  /** The session description of the message, or why there is none to act on. */
  readonly sdp: SdpBody;
  /** Contact or Record-Route may lead what follows, and has a URI of TLS (RFC 3261 12.1, 26.2.2). */
  readonly asksForTls?: true;
}

export type SdpBody =
  | { readonly kind: 'none' }
  /** Exactly one application/sdp part with disposition `session` (the default for SDP). Its bytes. */
  | { readonly kind: 'sdp'; readonly bytes: Buffer }
  /** A trickle-ICE fragment (application/trickle-ice-sdpfrag, RFC 8840). */
  | { readonly kind: 'sdpfrag'; readonly bytes: Buffer }
  | {
      readonly kind: 'unusable';
      readonly reason:
        | 'several-sdp'
        | 'encoded-body'
        | 'malformed-body'
        | 'nested-body'
        | 'beyond-content-length';
    };

/** Why bytes were not taken as a SIP message. Closed list; docs/refusals.md explains each. */
export type SipErrorReason =
  | 'not-sip'
  | 'malformed-start-line'
  | 'malformed-header'
  | 'missing-header'
  | 'conflicting-header'
  | 'bad-content-length'
  | 'truncated-body'
  | 'packet-cut'
  | 'too-many-headers'
  | 'message-too-large';

/** What `readSip` answers for bytes that are not a usable message. Never thrown. */
export interface SipError {
  readonly error: SipErrorReason;
  /** What was found and what was expected, for people; control characters escaped, at most 200 characters. */
  readonly detail: string;
}

/** Nothing else that is read has an `error`. */
export function isSipError(read: object): read is SipError {
  return 'error' in read;
}
