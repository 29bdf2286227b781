import { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import type { PacketView } from '../../packet/ip.ts';
import { APPLICATION_DATA, HANDSHAKE, LONGEST_RECORD, MAJOR_VERSION } from '../../packet/tls-records.ts';
import { createNews, type Notice } from '../news.ts';

/** 3.1 is TLS 1.0, 3.3 stands for all from 1.2 on. */
const LAST_MINOR = 4;
/** The first message of either side of a handshake (RFC 8446 4). */
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
/** Bytes of a record's head and of the first of its message. */
const ENOUGH = 6;

const ADVICE = 'mirror it by HEP, or have it come in clear';
/** What stands in a URI for TLS, in lower case, as every sender writes it; of a parameter its name, and its values. */
const SECURE = [
  { word: Buffer.from('transport='), values: ['tls', 'wss'] },
  { word: Buffer.from('sips:'), values: null },
] as const;
/** Headers by which later messages find their way (RFC 3261 12.1): Contact, its short form, Record-Route. */
const ROUTING = ['contact', 'm', 'record-route'] as const;
const LF = 0x0a;

/**
 * Sees that signalling is encrypted, so that it is said once and does not simply stay silent. `isProvidedFor`: what the host
 * sends and receives comes in copies, or it is a peer of `static-media`. `isWatched`: false for captures, in which TLS is anything.
 */
export function createEncryptedWatch(
  isInside: (address: Address) => boolean,
  isProvidedFor: (address: Address) => boolean,
  isWatched: () => boolean,
) {
  const isNews = createNews();

  function tell({ source, destination }: PacketView, how: string, now: number): Notice | null {
    if (!isWatched() || isProvidedFor(source) || isProvidedFor(destination)) return null;
    const other = isInside(source) ? destination : source;
    const detail = `signalling with ${other} ${how}: ${ADVICE}`;
    return { refusal: { reason: 'encrypted-signalling', detail }, isNews: isNews(detail, now) };
  }

  return {
    /** A TCP segment with which TLS begins; null for any other. */
    segment(packet: PacketView, now: number): Notice | null {
      return beginsTls(packet.payload) ? tell(packet, 'is encrypted (TLS)', now) : null;
    },
    /** A message in clear, by which what follows of its dialog goes over TLS; null for any other. */
    message(packet: PacketView, bytes: Buffer, now: number): Notice | null {
      return isWatched() && movesToTls(bytes)
        ? tell(packet, 'goes on encrypted, as Contact or Record-Route asks', now)
        : null;
    },
  };
}

/** A segment that begins with the first message of a handshake, of either side. */
export function beginsTls(payload: Buffer): boolean {
  if (payload.length < ENOUGH || payload[0] !== HANDSHAKE || payload[1] !== MAJOR_VERSION) return false;
  return payload[5] === CLIENT_HELLO || payload[5] === SERVER_HELLO;
}

/** A segment that begins with a record of data (RFC 8446 5.1 and 5.2), of no more bytes than there can be in one. */
export function carriesTls(payload: Buffer): boolean {
  if (payload.length < ENOUGH || payload[0] !== APPLICATION_DATA || payload[1] !== MAJOR_VERSION)
    return false;
  return payload[2]! <= LAST_MINOR && payload.readUInt16BE(3) <= LONGEST_RECORD;
}

/** Each search looks on where the last ended: work is linear in the bytes. */
function movesToTls(bytes: Buffer): boolean {
  for (const { word, values } of SECURE) {
    for (let at = bytes.indexOf(word); at >= 0; ) {
      const value = at + word.length;
      if (values !== null && !hasOneOf(values, bytes, value)) {
        at = bytes.indexOf(word, value);
        continue;
      }
      if (standsInRouting(bytes, at)) return true;
      const end = bytes.indexOf(LF, at);
      at = end < 0 ? -1 : bytes.indexOf(word, end);
    }
  }
  return false;
}

function hasOneOf(values: readonly string[], bytes: Buffer, at: number): boolean {
  return values.some((value) => bytes.toString('latin1', at, at + value.length) === value);
}

function standsInRouting(bytes: Buffer, at: number): boolean {
  const line = bytes.lastIndexOf(LF, at) + 1;
  const name = bytes.toString('latin1', line, Math.min(at, line + 'record-route :'.length)).toLowerCase();
  return ROUTING.some((header) => name.startsWith(header) && isColon(name, header.length));
}

function isColon(name: string, at: number): boolean {
  return name.slice(at).trimStart().startsWith(':');
}
