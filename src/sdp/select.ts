import type { Buffer } from 'node:buffer';
import { printable } from '../printable.ts';
import { COLON, decimal, EQUALS, endOfWord, indexOfCode, SLASH, skipSpace, trimEnd } from '../scan.ts';
import type { SdpError, SdpErrorReason } from './session.ts';

/** How much of one description is read; what is beyond is counted and left out. */
export interface SdpCaps {
  /** m= lines. */
  readonly streams: number;
  /** a=candidate lines of one stream. */
  readonly candidates: number;
}

/** The lines of a description that decide about transport. */
export interface Selection {
  /** `o=` without its first two characters, '' in a fragment. */
  readonly origin: string;
  /** sess-version, the third word of `o=` (RFC 8866 5.2). */
  readonly version: string;
  /** The selected lines for sdp-transform, in order, each ended by LF; an empty `m=` where a section begins. */
  readonly selected: string;
  /** One for each `m=` in `selected`. */
  readonly sections: readonly Section[];
  readonly streamsDropped: number;
}

/**
 * An m= line and what belongs to its section but is not in sdp-transform's grammar, which has no port count, no
 * rtcp-mux-only, and narrower tokens than RFC 8866.
 */
export interface Section {
  readonly media: string;
  readonly port: number;
  readonly portCount: number;
  readonly proto: string;
  rtcpMuxOnly: boolean;
  /** a=candidate lines in the text, and those left out. */
  candidates: number;
  candidatesDropped: number;
  /** The first c= as written, '' without one. */
  connection: string;
  /** Bits of what was already taken: the first of each kind counts. */
  seen: number;
}

interface Walk {
  readonly bytes: Buffer;
  /** `bytes` decoded as latin1. */
  readonly text: string;
  readonly caps: SdpCaps;
  readonly isFragment: boolean;
  hasVersion: boolean;
  origin: string;
  version: string;
  selected: string;
  readonly sections: Section[];
  streamsDropped: number;
  groups: number;
  /** null inside a stream past the cap. */
  section: Section | null;
}

/** Characters of a line that is read. */
const MAX_LINE = 1024;
/** Characters of the media type and of the transport of an m= line. */
const MAX_TOKEN = 64;
const MAX_GROUPS = 32;
const MAX_PORT = 65_535;

const OTHER = 0;
const DIRECTION = 1;
const RTCP = 2;
const RTCP_MUX = 4;
const RTCP_MUX_ONLY = 8;
const SETUP = 16;
const MID = 32;
const BUNDLE_ONLY = 64;
const END_OF_CANDIDATES = 128;
const CANDIDATE = 256;
const BUNDLE = 512;
const CONNECTION = 1024;
const CONNECTIONS_DIFFER = 2048;

/** c= of anything but one IN IP4 or IN IP6 address, in words that sdp-transform understands; the last c= counts. */
const OTHER_NETWORK = 'IN IP0 -';

/**
 * Walks once over a description and keeps the lines that decide about transport: o=, c=, m= and a few
 * attributes; keys and passwords are never among them. A line ends in CR, LF or CRLF. Linear in `bytes`.
 *
 * A fragment (RFC 8840 section 9) has no v= and o=, and there an a=mid may begin a section without an m= line.
 */
export function selectLines(bytes: Buffer, caps: SdpCaps, isFragment: boolean): Selection | SdpError {
  const text = bytes.toString('latin1');
  const walk: Walk = {
    bytes,
    text,
    caps,
    isFragment,
    hasVersion: isFragment,
    origin: '',
    version: '',
    selected: '',
    sections: [],
    streamsDropped: 0,
    groups: 0,
    section: newSection('', 0, 1, ''),
  };
  const length = text.length;
  let lineFeed = -1;
  let carriageReturn = -1;
  let start = 0;
  while (start < length) {
    if (lineFeed < start) lineFeed = indexOrEnd(text, '\n', start);
    if (carriageReturn < start) carriageReturn = indexOrEnd(text, '\r', start);
    const end = Math.min(lineFeed, carriageReturn);
    if (end > start) {
      const error = takeLine(walk, start, trimEnd(bytes, start, end));
      if (error !== null) return error;
    }
    start = end + 1;
  }
  if (!walk.hasVersion) return sdpError('malformed-sdp', 'no v= line');
  if (walk.origin === '' && !isFragment) return sdpError('malformed-sdp', 'no o= line');
  return walk;
}

export function sdpError(error: SdpErrorReason, detail: string): SdpError {
  return { error, detail };
}

function indexOrEnd(text: string, char: string, start: number): number {
  const index = text.indexOf(char, start);
  return index < 0 ? text.length : index;
}

function newSection(media: string, port: number, portCount: number, proto: string): Section {
  return {
    media,
    port,
    portCount,
    proto,
    rtcpMuxOnly: false,
    candidatesDropped: 0,
    candidates: 0,
    connection: '',
    seen: 0,
  };
}

function takeLine(walk: Walk, start: number, end: number): SdpError | null {
  if (walk.bytes[start + 1]! !== EQUALS) {
    return walk.hasVersion ? null : noVersion(walk, start, end);
  }
  const type = walk.bytes[start]!;
  if (!walk.hasVersion) {
    walk.hasVersion = true;
    const isVersion = type === 0x76 && decimal(walk.bytes, start + 2, end, 0) === 0;
    return isVersion ? null : noVersion(walk, start, end);
  }
  switch (type) {
    case 0x61: // a
      return walk.section === null ? null : takeAttribute(walk, walk.section, start, end);
    case 0x6d: // m
      return takeMedia(walk, start, end);
    case 0x63: // c
      return walk.section === null ? null : takeConnection(walk, walk.section, start, end);
    case 0x6f: // o
      if (walk.origin !== '') return malformed('a second o= line', walk, start, end);
      return takeOrigin(walk, start, end);
    case 0x76: // v
      return sdpError('several-sdp', 'a second v= line');
    default:
      return null;
  }
}

function takeOrigin(walk: Walk, start: number, end: number): SdpError | null {
  if (end - start > MAX_LINE) return tooLong(walk, start);
  walk.origin = copyOf(walk, start + 2, end);
  const id = skipSpace(walk.bytes, endOfWord(walk.bytes, start + 2, end), end);
  const version = skipSpace(walk.bytes, endOfWord(walk.bytes, id, end), end);
  walk.version = copyOf(walk, version, endOfWord(walk.bytes, version, end));
  return null;
}

function keep(walk: Walk, start: number, end: number): SdpError | null {
  if (end - start > MAX_LINE) return tooLong(walk, start);
  walk.selected += `${walk.text.slice(start, end)}\n`;
  return null;
}

function tooLong(walk: Walk, start: number): SdpError {
  return sdpError(
    'sdp-too-large',
    `a ${walk.text.slice(start, start + 2)} line of more than ${MAX_LINE} bytes`,
  );
}

/**
 * A section with several c= lines is legal for layered multicast only (RFC 8866 5.7). Wherever they differ the
 * section has no one address, and gets none.
 */
function takeConnection(walk: Walk, section: Section, start: number, end: number): SdpError | null {
  const connection = walk.text.slice(start + 2, end);
  const isRepeated = (section.seen & CONNECTION) !== 0;
  if (isRepeated && (section.connection === connection || (section.seen & CONNECTIONS_DIFFER) !== 0))
    return null;
  section.seen |= isRepeated ? CONNECTIONS_DIFFER : CONNECTION;
  if (!isRepeated) section.connection = connection;
  if (!isRepeated && (connection.startsWith('IN IP4 ') || connection.startsWith('IN IP6 '))) {
    return keep(walk, start, end);
  }
  walk.selected += `c=${OTHER_NETWORK}\n`;
  return null;
}

/** `m=<media> <port>[/<count>] <proto> <fmt>...` (RFC 8866 5.14). */
function takeMedia(walk: Walk, start: number, end: number): SdpError | null {
  if (walk.sections.length >= walk.caps.streams) {
    walk.streamsDropped++;
    walk.section = null;
    return null;
  }
  const mediaEnd = endOfWord(walk.bytes, start + 2, end);
  const portStart = skipSpace(walk.bytes, mediaEnd, end);
  const portEnd = endOfWord(walk.bytes, portStart, end);
  const protoStart = skipSpace(walk.bytes, portEnd, end);
  const protoEnd = endOfWord(walk.bytes, protoStart, end);
  if (
    mediaEnd === start + 2 ||
    protoEnd === protoStart ||
    mediaEnd - start > MAX_TOKEN ||
    protoEnd - protoStart > MAX_TOKEN
  ) {
    return malformed('expected media type, port and transport', walk, start, end);
  }
  let slash = portStart;
  while (slash < portEnd && walk.bytes[slash]! !== SLASH) slash++;
  const port = decimal(walk.bytes, portStart, slash, MAX_PORT);
  const portCount = slash === portEnd ? 1 : decimal(walk.bytes, slash + 1, portEnd, MAX_PORT);
  if (port < 0 || portCount < 1 || port + 2 * (portCount - 1) > MAX_PORT) {
    return malformed('expected ports from 0 to 65535', walk, start, end);
  }
  const media = copyOf(walk, start + 2, mediaEnd);
  beginSection(walk, newSection(media, port, portCount, copyOf(walk, protoStart, protoEnd)));
  return null;
}

/** Text that shares no memory with the body: a Session is kept as long as its call. */
function copyOf(walk: Walk, start: number, end: number): string {
  return walk.bytes.toString('latin1', start, end);
}

/** sdp-transform is only told that a section begins. */
function beginSection(walk: Walk, section: Section): void {
  walk.sections.push(section);
  walk.section = section;
  walk.selected += 'm=\n';
}

function takeAttribute(walk: Walk, section: Section, start: number, end: number): SdpError | null {
  const kind = kindOf(walk, start + 2, end);
  switch (kind) {
    case OTHER:
      return null;
    case CANDIDATE:
      if (section.candidates >= walk.caps.candidates || end - start > MAX_LINE) {
        section.candidatesDropped++;
        return null;
      }
      section.candidates++;
      return keep(walk, start, end);
    case BUNDLE:
      return ++walk.groups > MAX_GROUPS ? null : keep(walk, start, end);
    case MID:
      if (walk.isFragment && (walk.sections.length === 0 || (section.seen & MID) !== 0)) {
        return takeFragmentSection(walk, start, end);
      }
  }
  if ((section.seen & kind) !== 0) return null;
  section.seen |= kind;
  if (kind === RTCP_MUX_ONLY) {
    section.rtcpMuxOnly = true;
    return null;
  }
  if (kind === RTCP) {
    const port = start + 'a=rtcp:'.length;
    if (decimal(walk.bytes, port, endOfWord(walk.bytes, port, end), MAX_PORT) < 0) {
      return malformed('expected a port from 0 to 65535', walk, start, end);
    }
  }
  return keep(walk, start, end);
}

/** In a fragment a=mid may stand for the m= line that older drafts of RFC 8840 did without. */
function takeFragmentSection(walk: Walk, start: number, end: number): SdpError | null {
  if (walk.sections.length >= walk.caps.streams) {
    walk.streamsDropped++;
    walk.section = null;
    return null;
  }
  const section = newSection('', 0, 1, '');
  section.seen = MID;
  beginSection(walk, section);
  return keep(walk, start, end);
}

/** Which of the attributes that are read stands at `start`; names are case-sensitive (RFC 8866 5.13). */
function kindOf(walk: Walk, start: number, end: number): number {
  switch (walk.bytes[start]!) {
    case 0x62: // b
      return isFlag(walk, start, end, 'bundle-only') ? BUNDLE_ONLY : OTHER;
    case 0x63: // c
      return walk.text.startsWith('candidate:', start) ? CANDIDATE : OTHER;
    case 0x65: // e
      return isFlag(walk, start, end, 'end-of-candidates') ? END_OF_CANDIDATES : OTHER;
    case 0x67: // g
      return walk.text.startsWith('group:BUNDLE ', start) ? BUNDLE : OTHER;
    case 0x69: // i
      return isFlag(walk, start, end, 'inactive') ? DIRECTION : OTHER;
    case 0x6d: // m
      return walk.text.startsWith('mid:', start) ? MID : OTHER;
    case 0x72: // r
      return kindOfR(walk, start, end);
    case 0x73: // s
      if (isFlag(walk, start, end, 'sendrecv') || isFlag(walk, start, end, 'sendonly')) return DIRECTION;
      return walk.text.startsWith('setup:', start) ? SETUP : OTHER;
    default:
      return OTHER;
  }
}

function kindOfR(walk: Walk, start: number, end: number): number {
  if (walk.bytes[start + 1]! === 0x65 /* re */)
    return isFlag(walk, start, end, 'recvonly') ? DIRECTION : OTHER;
  if (!walk.text.startsWith('rtcp', start)) return OTHER;
  if (walk.text.startsWith('rtcp:', start)) return RTCP;
  if (isFlag(walk, start, end, 'rtcp-mux')) return RTCP_MUX;
  return isFlag(walk, start, end, 'rtcp-mux-only') ? RTCP_MUX_ONLY : OTHER;
}

function isFlag(walk: Walk, start: number, end: number, name: string): boolean {
  return end - start === name.length && walk.text.startsWith(name, start);
}

/** Names the line, without what may be a key. */
function noVersion(walk: Walk, start: number, end: number): SdpError {
  const word = endOfWord(walk.bytes, start, end);
  const name = walk.text.slice(start, indexOfCode(walk.bytes, COLON, start, word));
  return sdpError('malformed-sdp', `expected v=0 first, found "${printable(name, 20)}"`);
}

function malformed(problem: string, walk: Walk, start: number, end: number): SdpError {
  return sdpError('malformed-sdp', `${problem}: "${printable(walk.text.slice(start, end))}"`);
}
