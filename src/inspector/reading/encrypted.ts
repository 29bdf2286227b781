import type { Buffer } from 'node:buffer';
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
    /** A message in clear, by which what follows of its dialog goes over TLS. */
    message(packet: PacketView, now: number): Notice | null {
      return tell(packet, 'goes on encrypted, as Contact or Record-Route asks', now);
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
