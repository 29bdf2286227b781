import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import type { SipError, SipMessage } from '../../src/sip/message.ts';

/** Lines and a body to the bytes of a message with CRLF line ends. */
export function bytesOf(lines: readonly string[], body = ''): Buffer {
  return Buffer.from(`${lines.join('\r\n')}\r\n\r\n${body}`, 'latin1');
}

/** The INVITE of RFC 3261 section 24.2 (F1), with its body of 142 bytes replaced by `body`. */
export function invite(body: string, ...moreHeaders: string[]): Buffer {
  return bytesOf(
    [
      'INVITE sip:bob@biloxi.example.com SIP/2.0',
      'Via: SIP/2.0/UDP pc33.atlanta.example.com;branch=z9hG4bKnashds8',
      'Max-Forwards: 70',
      'To: Bob <sip:bob@biloxi.example.com>',
      'From: Alice <sip:alice@atlanta.example.com>;tag=1928301774',
      'Call-ID: a84b4c76e66710',
      'CSeq: 314159 INVITE',
      'Contact: <sip:alice@pc33.atlanta.example.com>',
      ...moreHeaders,
      `Content-Length: ${Buffer.byteLength(body, 'latin1')}`,
    ],
    body,
  );
}

/** The description of RFC 3264 section 10.1 (the offer). */
export const OFFER = [
  'v=0',
  'o=alice 2890844526 2890844526 IN IP4 host.anywhere.com',
  's=',
  'c=IN IP4 host.anywhere.com',
  't=0 0',
  'm=audio 49170 RTP/AVP 0',
  'a=rtpmap:0 PCMU/8000',
  'm=video 51372 RTP/AVP 31',
  'a=rtpmap:31 H261/90000',
  'm=video 53000 RTP/AVP 32',
  'a=rtpmap:32 MPV/90000',
  '',
].join('\r\n');

export function isError<Value>(answer: Value | SipError): answer is SipError {
  return typeof answer === 'object' && answer !== null && 'error' in answer;
}

export function mustRead(answer: SipMessage | SipError): SipMessage {
  assert.ok(!isError(answer), `refused: ${JSON.stringify(answer)}`);
  return answer;
}

export function mustRefuse(answer: SipMessage | SipError): SipError {
  assert.ok(isError(answer), `read: ${JSON.stringify(answer)}`);
  return answer;
}
