import type { Address } from '../address/address.ts';
import { cachedAddress } from '../address/address-cache.ts';
import { ownCopy } from '../own-copy.ts';
import { remembered } from '../remembered.ts';
import type { Connection } from './session.ts';

const NONE: Connection = { kind: 'none' };
const UNSPECIFIED: Connection = { kind: 'unspecified' };

/**
 * The address of a c=, a=rtcp or a=candidate. `family` is the 4 or 6 of its IP4 or IP6, null where the text alone
 * decides. A TTL or a number of multicast addresses after a slash is not part of it (RFC 8866 5.7). Text of the
 * other family, a zone identifier, or an IPv4 octet with a leading zero names nothing.
 */
export function readConnection(family: number | null, text: string): Connection {
  const slash = text.indexOf('/');
  const host = slash < 0 ? text : text.slice(0, slash);
  if (family !== 4 && family !== 6 && family !== null) return NONE;
  const address = cachedAddress(host);
  if (address === null) return isHostname(host) ? { kind: 'hostname', name: ownCopy(host) } : NONE;
  if (family !== null && (family === 6) !== host.includes(':')) return NONE;
  return address === '0.0.0.0' || address === '::' ? UNSPECIFIED : connectionTo(address);
}

/** One for all descriptions that name this address lately: each is kept as long as its call. */
const connectionTo = remembered(4096, (address: Address): Connection => ({ kind: 'address', address }));

/** A name of letters, digits, hyphens and underscores with a letter in its last label (RFC 1123 2.1). */
function isHostname(text: string): boolean {
  if (text.length > 253) return false;
  let hasLetter = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    const lower = code | 0x20;
    if (lower >= 0x61 && lower <= 0x7a) hasLetter = true;
    else if (code === DOT && i < text.length - 1) hasLetter = false;
    else if (code !== DOT && code !== HYPHEN && code !== UNDERSCORE && (code < 0x30 || code > 0x39))
      return false;
  }
  return hasLetter;
}

const HYPHEN = 0x2d;
const DOT = 0x2e;
const UNDERSCORE = 0x5f;
