import type { Buffer } from 'node:buffer';
import type { Address } from '../../address/address.ts';
import type { PacketView } from '../../packet/ip.ts';
import { APPLICATION_DATA, HANDSHAKE, LONGEST_RECORD, MAJOR_VERSION } from '../../packet/tls-records.ts';
import type { SipMessage } from '../../sip/message.ts';
import { nextHopIn } from '../../sip/next-hop.ts';
import { createNews, type Notice } from '../news.ts';

/** 3.1 is TLS 1.0, 3.3 stands for all from 1.2 on. */
const LAST_MINOR = 4;
/** The first message of either side of a handshake (RFC 8446 4). */
const CLIENT_HELLO = 1;
const SERVER_HELLO = 2;
/** Bytes of a record's head and of the first of its message. */
const ENOUGH = 6;

const ADVICE = 'mirror it by HEP, or have it come in clear';
/** ms in which a request by a name is sent, or given up (timer B, RFC 3261 17.1.1.2). */
const NAMED_FOR = 32_000;
const MOST_NAMED = 256;

/**
 * Sees that signalling is encrypted, so that it is said once and does not simply stay silent. `isProvidedFor`: what the host
 * sends and receives comes in copies, or it is a peer of `static-media`. `isWatched`: false for captures, in which TLS is anything.
 * No name is looked up: where DNS leads is known when TLS is seen there.
 */
export function createEncryptedWatch(
  isInside: (address: Address) => boolean,
  isProvidedFor: (address: Address) => boolean,
  isWatched: () => boolean,
) {
  const isNews = createNews();
  /** By inside host, the name that a message gave it last for what follows, and when. */
  const named = new Map<Address, { name: string; at: number }>();
  /** At the end of `named` already. */
  let last: Address | null = null;

  /** `why`: whatever an outside party can choose, and so make new each time. */
  function tell({ source, destination }: PacketView, how: string, why: string, now: number): Notice | null {
    if (!isWatched() || isProvidedFor(source) || isProvidedFor(destination)) return null;
    const said = `signalling with ${isInside(source) ? destination : source} ${how}`;
    const refusal = { reason: 'encrypted-signalling', detail: `${said}${why}: ${ADVICE}` } as const;
    return { refusal, isNews: isNews(said, now) };
  }

  function insideOf({ source, destination }: PacketView): Address {
    return isInside(source) ? source : destination;
  }

  function note(host: Address, name: string, now: number): void {
    const known = host === last ? named.get(host) : undefined;
    if (known !== undefined) {
      known.name = name;
      known.at = now;
      return;
    }
    named.delete(host);
    named.set(host, { name, at: now });
    last = host;
    if (named.size > MOST_NAMED) named.delete(named.keys().next().value!);
  }

  return {
    /** A TCP segment with which TLS begins, or the first of an `older` connection that carries it; null for any other. */
    segment(packet: PacketView, older: boolean, now: number): Notice | null {
      if (!beginsTls(packet.payload) && !(older && carriesTls(packet.payload))) return null;
      const led = named.get(insideOf(packet));
      const isRecent = led !== undefined && now - led.at < NAMED_FOR;
      const why = isRecent ? `, where DNS may have led for ${led.name}, which a message named` : '';
      return tell(packet, 'is encrypted (TLS)', why, now);
    },
    /** A message in clear, by which what follows of its dialog goes over TLS; null for any other. */
    message(packet: PacketView, read: SipMessage, bytes: Buffer, now: number): Notice | null {
      const { asksForTls = false, contact } = read;
      if (!isWatched() || !(asksForTls || isName(contact))) return null;
      const hop = nextHopIn(bytes, asksForTls);
      const name = hop === null || hop.isEncrypted !== asksForTls ? null : hop.name;
      if (name !== null) note(insideOf(packet), name, now);
      if (!asksForTls) return null;
      const why = name === null ? '' : `, to ${name} at the port that DNS has for it (SRV)`;
      return tell(packet, 'goes on encrypted, as Contact or Record-Route asks', why, now);
    },
  };
}

/** Whether a host is no address: the last label of a name is none of digits alone (RFC 1123 2.1). */
function isName(host: string): boolean {
  const last = host.charCodeAt(host.length - 1) | 0x20;
  return last >= 0x61 && last <= 0x7a && !host.includes(':');
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
