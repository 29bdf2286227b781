import type { Buffer } from 'node:buffer';
import { type Address, parseAddress } from '../../address/address.ts';

/** What a text that looks like a session description names, whatever it is worth. */
export interface Named {
  /** Ports of its m= lines, and of a=rtcp and the candidates. */
  readonly ports: readonly number[];
  readonly addresses: readonly Address[];
  /** Those that stand in a=candidate. */
  readonly candidates: readonly Address[];
  /** The lines in which an address stands that no c= line and no candidate names: `a=altc`. */
  readonly attributes: ReadonlyMap<Address, string>;
}

/** A message as far as it can be read without keeping to its grammar. */
export interface Rough {
  /** Method or status of the first line that looks like SIP, '' without one. */
  readonly summary: string;
  readonly callId: string;
  /** Values of the headers, '' where there is none. */
  readonly contentType: string;
  readonly contentLength: string;
  readonly contentEncoding: string;
  readonly contentDisposition: string;
  /** Bytes before the first start line; 0 without one. */
  readonly before: number;
  readonly named: Named;
}

const MOST_BYTES = 65_536;
const MOST_NAMED = 64;
const MOST_CANDIDATES = 256;
const MOST_WORDS = 24;
const LONGEST_VALUE = 256;

type Header = 'callId' | 'contentType' | 'contentLength' | 'contentEncoding' | 'contentDisposition';

const HEADERS: Readonly<Record<string, Header>> = {
  'call-id': 'callId',
  i: 'callId',
  'content-type': 'contentType',
  c: 'contentType',
  'content-length': 'contentLength',
  l: 'contentLength',
  'content-disposition': 'contentDisposition',
  'content-encoding': 'contentEncoding',
  e: 'contentEncoding',
};

/**
 * Reads what a person would read in a message that a parser refuses: its kind, its Call-ID, the ports and addresses
 * of what looks like SDP in it. Linear in the bytes, of which the first 64 KiB are looked at.
 */
export function readRoughly(payload: Buffer): Rough {
  const text = payload.toString('latin1', 0, Math.min(payload.length, MOST_BYTES));
  const start = startOfSip(text);
  const found: Record<Header, string> = {
    ...{ callId: '', contentType: '', contentLength: '', contentEncoding: '', contentDisposition: '' },
  };
  const ports = new Set<number>();
  const addresses = new Set<Address>();
  const candidates = new Set<Address>();
  const attributes = new Map<Address, string>();
  let summary = '';
  let inBody = false;
  for (let at = start; at < text.length; ) {
    const feed = text.indexOf('\n', at);
    const end = feed < 0 ? text.length : feed;
    const line = text.slice(at, text[end - 1] === '\r' ? end - 1 : end);
    if (summary === '') summary = summaryOf(line.slice(0, LONGEST_VALUE));
    else if (line[1] === '=' && (inBody || line[0] === 'm'))
      noteLine(line, { ports, addresses, candidates, attributes });
    else if (line === '') inBody = true;
    else if (!inBody) noteHeader(line, found);
    at = end + 1;
  }
  const named = { ports: [...ports], addresses: [...addresses], candidates: [...candidates], attributes };
  return { summary, ...found, before: start, named };
}

/** Whether ports may be among what `readRoughly` finds: a look alone, for the many messages that have no description. */
export function mayNamePorts(payload: Buffer): boolean {
  return payload.includes('\nm=') || payload.includes('\na=');
}

/**
 * Where the first line that ends in SIP's version, or a status line, begins: where its method does, if something stands
 * before that in the same line. 0 without such a line.
 */
function startOfSip(text: string): number {
  const version = text.indexOf('SIP/2.0');
  const line = text.lastIndexOf('\n', version) + 1;
  if (/^SIP\/2\.0 [1-6][0-9][0-9]\b/.test(text.slice(version, version + 12))) return Math.max(0, version);
  if (version <= 0 || !/^SIP\/2\.0\s*$/.test(text.slice(version, endOfLine(text, version)))) return 0;
  const method = /[A-Z]{3,32} +[a-z]{2,32}:/.exec(text.slice(line, Math.min(version, line + LONGEST_VALUE)));
  return method === null ? 0 : line + method.index;
}

function endOfLine(text: string, start: number): number {
  const feed = text.indexOf('\n', start);
  return Math.min(feed < 0 ? text.length : feed, start + LONGEST_VALUE);
}

function summaryOf(line: string): string {
  const status = /^SIP\/2\.0 +([1-6][0-9][0-9](?: [ -~]{0,32})?)/.exec(line)?.[1];
  return status?.trimEnd() ?? /^[A-Za-z]{1,32}(?= )/.exec(line)?.[0] ?? '';
}

function noteHeader(line: string, found: Record<Header, string>): void {
  const colon = line.indexOf(':');
  if (colon < 1 || colon > 32) return;
  const name = HEADERS[line.slice(0, colon).trimEnd().toLowerCase()];
  if (name !== undefined) found[name] ||= line.slice(colon + 1, colon + 1 + LONGEST_VALUE).trim();
}

interface Finds {
  readonly ports: Set<number>;
  readonly addresses: Set<Address>;
  readonly candidates: Set<Address>;
  readonly attributes: Map<Address, string>;
}

function noteLine(line: string, { ports, addresses, candidates, attributes }: Finds): void {
  const kind = line[0];
  if (kind !== 'm' && kind !== 'c' && kind !== 'a') return;
  const words = line
    .slice(2, 2 + LONGEST_VALUE)
    .split(/[ \t]/, MOST_WORDS)
    .filter(Boolean);
  if (kind === 'm') notePort(ports, words[1]);
  const colon = kind === 'a' ? (words[0]?.indexOf(':') ?? -1) : -1;
  const name = colon < 0 ? '' : words[0]!.slice(0, colon);
  if (name === 'rtcp') notePort(ports, words[0]!.slice(colon + 1) || words[1]);
  if (name === 'candidate') notePort(ports, words[5]);
  for (const word of words) {
    const slash = word.indexOf('/');
    const address = addressIn(slash < 0 ? word : word.slice(0, slash));
    if (address === null) continue;
    if (name === 'candidate' && candidates.size < MOST_CANDIDATES) candidates.add(address);
    if (addresses.size >= MOST_NAMED) continue;
    addresses.add(address);
    if (kind === 'a' && name !== 'candidate' && name !== 'rtcp' && !attributes.has(address))
      attributes.set(address, `a=${name === '' ? (words[0] ?? '') : name}`);
  }
}

/** An address, also one with a port behind it; not a plain number, which every attribute has. */
function addressIn(word: string): Address | null {
  if (!word.includes('.') && !word.includes(':')) return null;
  const colon = word.includes('.') ? word.indexOf(':') : -1;
  return parseAddress(colon < 0 ? word : word.slice(0, colon));
}

function notePort(ports: Set<number>, word: string | undefined): void {
  const digits = /^[0-9]{1,5}/.exec(word ?? '')?.[0];
  const port = Number(digits);
  if (digits !== undefined && port > 0 && port < 65_536 && ports.size < MOST_NAMED) ports.add(port);
}
