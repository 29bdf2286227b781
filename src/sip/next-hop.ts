import type { Buffer } from 'node:buffer';
import { parseAddress } from '../address/address.ts';
import { COLON, CR, LF, skipSpace } from '../scan.ts';
import { hasName, nameBytes } from './grammar.ts';

/** Where a message says that those after it go, as far as that is not a transport in clear (RFC 3263 section 4). */
export interface NextHop {
  /** `sips:`, or a transport that is TLS; else nobody but DNS says what it goes over. */
  readonly isEncrypted: boolean;
  /** The name for which DNS has port and transport, as it is written; null where an address or a port stands there. */
  readonly name: string | null;
}

/** Headers by which later messages find their way (RFC 3261 12.1): Contact, its short form, Record-Route. */
const ROUTING = ['contact', 'm', 'record-route'].map(nameBytes);
const ENCRYPTED: ReadonlySet<string> = new Set(['transport=tls', 'transport=wss', 'transport=tls-sctp']);
/** What names of hosts consist of (RFC 1123 2.1), and an underscore, which some have. */
const IN_NAMES: ReadonlySet<string> = new Set('abcdefghijklmnopqrstuvwxyz0123456789-._');
const LONGEST_HOST = 253;

/**
 * The first hop in Contact or Record-Route that is encrypted; where there is none, the first by a name for which DNS says how
 * (RFC 3263 4.1: no port, no transport, no maddr); null where there is neither. Scheme, parameters and their values are compared
 * without regard to case (RFC 3261 19.1.4). Work is linear in the bytes.
 */
export function nextHopIn(message: Buffer): NextHop | null {
  let found: NextHop | null = null;
  for (let line = 0; line < message.length; ) {
    const lineFeed = message.indexOf(LF, line);
    const end = lineFeed < 0 ? message.length : lineFeed;
    if (end === line || (end === line + 1 && message[line] === CR)) break;
    const value = routingValue(message, line, end);
    for (const uri of value === null ? [] : urisIn(value)) {
      const hop = hopOf(uri);
      if (hop?.isEncrypted === true) return hop;
      found ??= hop;
    }
    line = end + 1;
  }
  return found;
}

function routingValue(message: Buffer, line: number, end: number): string | null {
  const name = ROUTING.find((one) => hasName(message, line, one));
  if (name === undefined) return null;
  const colon = skipSpace(message, line + name.length, end);
  return message[colon] === COLON ? message.toString('latin1', colon + 1, end) : null;
}

/** What stands in angle brackets; where there are none, the value up to a parameter of the header is a URI, and so taken whole. */
function* urisIn(value: string): Iterable<string> {
  let open = value.indexOf('<');
  if (open < 0) yield value.trim();
  while (open >= 0) {
    const close = value.indexOf('>', open);
    if (close < 0) return;
    yield value.slice(open + 1, close).trim();
    open = value.indexOf('<', close);
  }
}

/** Null where it is in clear, or no SIP URI. */
function hopOf(uri: string): NextHop | null {
  const colon = uri.indexOf(':');
  const scheme = uri.slice(0, Math.max(0, colon)).toLowerCase();
  if (scheme !== 'sip' && scheme !== 'sips') return null;
  const [address = '', ...parameters] = uri
    .slice(Math.max(colon, uri.indexOf('@')) + 1)
    .replaceAll('?', ';')
    .split(';');
  const written = parameters.map((one) => one.trim().toLowerCase());
  const name = isName(address) ? address : null;
  if (scheme === 'sips' || written.some((one) => ENCRYPTED.has(one))) return { isEncrypted: true, name };
  const isSettled = written.some((one) => one.startsWith('transport=') || one.startsWith('maddr='));
  return name === null || isSettled ? null : { isEncrypted: false, name };
}

function isName(host: string): boolean {
  if (host === '' || host.length > LONGEST_HOST || parseAddress(host) !== null) return false;
  return [...host.toLowerCase()].every((character) => IN_NAMES.has(character));
}
