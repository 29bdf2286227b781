import type { Buffer } from 'node:buffer';
import { cachedAddress } from '../address/address-cache.ts';
import { COLON, CR, indexOfCode, LF, skipSpace } from '../scan.ts';
import { hasName, nameBytes } from './grammar.ts';

/** Where a message says that those after it go, as far as that is not a transport in clear (RFC 3263 section 4). */
export interface NextHop {
  /** `sips:`, or a transport that is TLS; else nobody but DNS says what it goes over. */
  readonly isEncrypted: boolean;
  /** The name for which DNS has port and transport, as it is written; null where an address or a port stands there. */
  readonly name: string | null;
}

/** Headers by which later messages find their way (RFC 3261 12.1): Contact, its short form, Record-Route. */
const CONTACT = nameBytes('contact');
const SHORT_CONTACT = nameBytes('m');
const RECORD_ROUTE = nameBytes('record-route');
const ENCRYPTED: ReadonlySet<string> = new Set(['transport=tls', 'transport=wss', 'transport=tls-sctp']);
const LONGEST_HOST = 253;

/**
 * The first hop in Contact or Record-Route that is encrypted; where there is none, the first by a name for which DNS says how
 * (RFC 3263 4.1: no port, no transport, no maddr); null where there is neither. Scheme, parameters and their values are compared
 * without regard to case (RFC 3261 19.1.4). Work is linear in the bytes. `isSought`: false where it is known that none is encrypted.
 */
export function nextHopIn(message: Buffer, isSought = true): NextHop | null {
  let found: NextHop | null = null;
  for (let line = 0; line < message.length; ) {
    const end = indexOfCode(message, LF, line, message.length);
    if (end === line || (end === line + 1 && message[line] === CR)) break;
    const value = routingValue(message, line, end);
    if (value !== null) {
      for (const uri of urisIn(value)) {
        const hop = hopOf(uri);
        if (hop !== null && (hop.isEncrypted || !isSought)) return hop;
        found ??= hop;
      }
    }
    line = end + 1;
  }
  return found;
}

function routingValue(message: Buffer, line: number, end: number): string | null {
  const name = routingName(message, line);
  if (name === null) return null;
  const colon = skipSpace(message, line + name.length, end);
  return message[colon] === COLON ? message.toString('latin1', colon + 1, end) : null;
}

/** Which of the headers the line may begin with. */
function routingName(message: Buffer, line: number): Uint8Array | null {
  switch (message[line]! | 0x20) {
    case 0x63: // c
      return hasName(message, line, CONTACT) ? CONTACT : null;
    case 0x6d: // m
      return SHORT_CONTACT;
    case 0x72: // r
      return hasName(message, line, RECORD_ROUTE) ? RECORD_ROUTE : null;
    default:
      return null;
  }
}

/** What stands in angle brackets; where there are none, the value up to a parameter of the header is a URI, and so taken whole. */
function urisIn(value: string): readonly string[] {
  let open = value.indexOf('<');
  if (open < 0) return [value.trim()];
  const uris: string[] = [];
  while (open >= 0) {
    const close = value.indexOf('>', open);
    if (close < 0) break;
    uris.push(value.slice(open + 1, close).trim());
    open = value.indexOf('<', close);
  }
  return uris;
}

/** Null where it is in clear, or no SIP URI. */
function hopOf(uri: string): NextHop | null {
  const colon = uri.indexOf(':');
  const scheme = uri.slice(0, Math.max(0, colon)).toLowerCase();
  if (scheme !== 'sip' && scheme !== 'sips') return null;
  const start = Math.max(colon, uri.indexOf('@')) + 1;
  const end = endOfHost(uri, start);
  const parameters = end === uri.length ? NO_PARAMETERS : parametersIn(uri.slice(end + 1));
  const isEncrypted = scheme === 'sips' || parameters.some((one) => ENCRYPTED.has(one));
  const host = uri.slice(start, end);
  const name = isName(host) ? host : null;
  if (isEncrypted) return { isEncrypted, name };
  return name === null || parameters.some(settles) ? null : { isEncrypted, name };
}

const NO_PARAMETERS: readonly string[] = [];

function endOfHost(uri: string, start: number): number {
  let at = start;
  while (at < uri.length && uri[at] !== ';' && uri[at] !== '?') at++;
  return at;
}

/** What stands behind the host, in lower case: parameters, and headers. */
function parametersIn(text: string): readonly string[] {
  const parts = text.toLowerCase().replaceAll('?', ';').split(';');
  return parts.map((one) => one.trim());
}

function settles(parameter: string): boolean {
  return parameter.startsWith('transport=') || parameter.startsWith('maddr=');
}

/** Letters, digits, `-`, `.` (RFC 1123 2.1), and an underscore, which some names have. */
function isName(host: string): boolean {
  if (host === '' || host.length > LONGEST_HOST) return false;
  for (let at = 0; at < host.length; at++) if (IN_NAMES[host.charCodeAt(at)] !== 1) return false;
  return cachedAddress(host) === null;
}

const IN_NAMES = new Uint8Array(256);
for (const char of 'abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._') {
  IN_NAMES[char.charCodeAt(0)] = 1;
}
