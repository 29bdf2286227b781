import type { Buffer } from 'node:buffer';
import { extended } from '../lists.ts';
import { ownCopy, sharedWords } from '../own-copy.ts';
import { printable } from '../printable.ts';
import { COLON, decimal, EQUALS, endOfWord, indexOfCode, SLASH, SPACE, skipSpace, trimEnd } from '../scan.ts';
import type { Direction, SdpError, SdpErrorReason } from './session.ts';

/** How much of one description is read; what is beyond is counted and left out. */
export interface SdpCaps {
  /** m= lines. */
  readonly streams: number;
  /**
   * a=candidate lines of one stream that could be opened: UDP at an IP address. Of the others as many more are
   * kept, for people; those beyond are not missed.
   */
  readonly candidates: number;
}

/** The lines of a description that decide about transport. */
export interface SelectedLines {
  /** The description decoded as latin1. */
  readonly text: string;
  /** `o=` without its first two characters, '' in a fragment. */
  readonly origin: string;
  /** sess-version, the third word of `o=` (RFC 8866 5.2). */
  readonly version: string;
  /** The attributes for sdp-transform, in order, each ended by LF; an empty `m=` where a section begins. */
  readonly selected: string;
  /** Whether there is an attribute in `selected`: most descriptions have none. */
  readonly hasAttributes: boolean;
  /** One for each `m=` in `selected`. */
  readonly sections: readonly MediaSection[];
  /** What stands before the first m= line, and so holds for all sections that do not say otherwise. */
  readonly top: MediaSection;
  readonly streamsDropped: number;
}

/**
 * An m= line and what belongs to its section but is not in sdp-transform's grammar, which has no port count, no
 * rtcp-mux-only, and narrower tokens than RFC 8866; and what a word alone says, which nearly every section has.
 */
export interface MediaSection {
  /** In lower case (RFC 6838 4.2). */
  readonly media: string;
  readonly port: number;
  readonly portCount: number;
  readonly proto: string;
  /** Where in the text the formats of the m= line begin and end. */
  readonly formats: readonly [start: number, end: number];
  /** The a=rtpmap lines, from `rtpmap:` on, each ended by LF; and how many. */
  rtpmaps: string;
  rtpmapCount: number;
  rtcpMuxOnly: boolean;
  direction: Direction | null;
  /** a=candidate lines that are kept: those that could be opened, and others. */
  openable: number;
  others: number;
  /** Those left out that could have been opened, or are too long to tell. */
  candidatesDropped: number;
  /** `IN IP4 address`, its words apart by one blank; '' without a c=, null where it has no one address in any. */
  connection: string | null;
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
  hasAttributes: boolean;
  sections: readonly MediaSection[];
  readonly top: MediaSection;
  streamsDropped: number;
  groups: number;
  /** null inside a stream past the cap. */
  section: MediaSection | null;
}

/** Characters of a line that is read. */
const MAX_LINE = 1024;
/** Characters of the media type and of the transport of an m= line. */
const MAX_TOKEN = 64;
const MAX_GROUPS = 32;
/** a=rtpmap lines of a section. */
const MAX_RTPMAPS = 64;
const MAX_PORT = 65_535;

const mediaWord = sharedWords(['audio', 'video', 'image', 'application', 'message', 'text']);
const protoWord = sharedWords(['RTP/AVP', 'RTP/SAVP', 'RTP/AVPF', 'RTP/SAVPF', 'UDP/TLS/RTP/SAVPF', 'udptl']);

const DOT = 0x2e;

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
const RTPMAP = 1024;

/**
 * Walks once over a description and keeps what decides about transport: o=, c=, m= and a few
 * attributes; keys and passwords are never among them. A line ends in CR, LF or CRLF. Linear in `bytes`.
 *
 * A fragment (RFC 8840 section 9) has no v= and o=, and there an a=mid may begin a section without an m= line.
 */
export function selectLines(bytes: Buffer, caps: SdpCaps, isFragment: boolean): SelectedLines | SdpError {
  const text = bytes.toString('latin1');
  const top = newSection('', 0, 1, '', NO_FORMATS);
  const walk: Walk = {
    bytes,
    text,
    caps,
    isFragment,
    hasVersion: isFragment,
    origin: '',
    version: '',
    selected: '',
    hasAttributes: false,
    sections: NO_SECTIONS,
    top,
    streamsDropped: 0,
    groups: 0,
    section: top,
  };
  const length = text.length;
  let lineFeed = -1;
  let carriageReturn = -1;
  let start = 0;
  while (start < length) {
    if (lineFeed < start) lineFeed = indexOrEnd(text, '\n', start);
    if (carriageReturn < start) carriageReturn = indexOrEnd(text, '\r', start);
    const end = Math.min(lineFeed, carriageReturn);
    // White space before the first line cannot be taken for one.
    const first = walk.hasVersion ? start : skipSpace(bytes, start, end);
    if (end > first) {
      const error = takeLine(walk, first, trimEnd(bytes, first, end));
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

const NO_FORMATS = [0, 0] as const;
const NO_SECTIONS: readonly MediaSection[] = [];

function newSection(
  media: string,
  port: number,
  portCount: number,
  proto: string,
  formats: MediaSection['formats'],
): MediaSection {
  return {
    media,
    port,
    portCount,
    proto,
    formats,
    rtpmaps: '',
    rtpmapCount: 0,
    rtcpMuxOnly: false,
    direction: null,
    openable: 0,
    others: 0,
    candidatesDropped: 0,
    connection: '',
    seen: 0,
  };
}

function takeLine(walk: Walk, start: number, end: number): SdpError | null {
  if (walk.bytes[start + 1]! !== EQUALS) {
    return walk.hasVersion ? null : noVersion(walk, start, end);
  }
  const type = walk.bytes[start]!;
  const valueStart = skipSpace(walk.bytes, start + 2, end);
  if (!walk.hasVersion) {
    walk.hasVersion = true;
    const isVersion = type === 0x76 && decimal(walk.bytes, valueStart, end, 0) === 0;
    return isVersion ? null : noVersion(walk, start, end);
  }
  switch (type) {
    case 0x61: // a
      return walk.section === null ? null : takeAttribute(walk, walk.section, valueStart, end);
    case 0x6d: // m
      return takeMedia(walk, start, valueStart, end);
    case 0x63: // c
      return walk.section === null ? null : takeConnection(walk, walk.section, start, valueStart, end);
    case 0x6f: // o
      return takeOrigin(walk, start, end);
    case 0x76: // v
      return sdpError('several-sdp', 'a second v= line');
    default:
      return null;
  }
}

function takeOrigin(walk: Walk, start: number, end: number): SdpError | null {
  if (end - start > MAX_LINE) return tooLong(walk, start);
  const origin = copyOf(walk, start + 2, end);
  if (walk.origin !== '')
    return walk.origin === origin ? null : malformed('another o= line', walk, start, end);
  walk.origin = origin;
  const id = skipSpace(walk.bytes, endOfWord(walk.bytes, start + 2, end), end);
  const version = skipSpace(walk.bytes, endOfWord(walk.bytes, id, end), end);
  walk.version = copyOf(walk, version, endOfWord(walk.bytes, version, end));
  return null;
}

/** Keeps an attribute in the words that sdp-transform understands: apart by one blank each. */
function keep(walk: Walk, line: string): null {
  walk.selected += `${line}\n`;
  walk.hasAttributes = true;
  return null;
}

/** `type` and [start, end), its words apart by one blank each. */
function lineOf(walk: Walk, type: string, start: number, end: number): string {
  return (
    type +
    (isPlain(walk.bytes, start, end) ? walk.text.slice(start, end) : wordsOf(walk, start, end).join(' '))
  );
}

/** Whether words are apart by one blank each already, and no blank follows a colon. */
function isPlain(bytes: Buffer, start: number, end: number): boolean {
  let before = SPACE;
  for (let i = start; i < end; i++) {
    const code = bytes[i]!;
    if (code < SPACE || (code === SPACE && (before === SPACE || before === COLON))) return false;
    before = code;
  }
  return true;
}

/** The words of [start, end); white space behind the colon of an attribute does not end its name. */
function wordsOf(walk: Walk, start: number, end: number): string[] {
  const words: string[] = [];
  for (let i = start; i < end; ) {
    let wordEnd = endOfWord(walk.bytes, i, end);
    let word = walk.text.slice(i, wordEnd);
    if (words.length === 0 && walk.bytes[wordEnd - 1] === COLON) {
      const next = skipSpace(walk.bytes, wordEnd, end);
      wordEnd = endOfWord(walk.bytes, next, end);
      word += walk.text.slice(next, wordEnd);
    }
    words.push(word);
    i = skipSpace(walk.bytes, wordEnd, end);
  }
  return words;
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
function takeConnection(
  walk: Walk,
  section: MediaSection,
  start: number,
  valueStart: number,
  end: number,
): SdpError | null {
  const isRepeated = section.connection !== '';
  const isTooLong = end - start > MAX_LINE;
  if (isTooLong && !isRepeated) return tooLong(walk, start);
  const connection = isTooLong ? null : connectionOf(lineOf(walk, '', valueStart, end)) || null;
  section.connection = isRepeated && section.connection !== connection ? null : connection;
  return null;
}

/** `IN IP4 address`, in any case; '' for anything else. */
function connectionOf(line: string): string {
  if (line.startsWith('IN IP4 ') || line.startsWith('IN IP6 ')) return line;
  const family = line.slice(0, 'IN IP4 '.length).toUpperCase();
  return family === 'IN IP4 ' || family === 'IN IP6 ' ? family + line.slice(family.length) : '';
}

/** `m=<media> <port>[/<count>] <proto> <fmt>...` (RFC 8866 5.14). */
function takeMedia(walk: Walk, start: number, valueStart: number, end: number): SdpError | null {
  if (walk.sections.length >= walk.caps.streams) {
    walk.streamsDropped++;
    walk.section = null;
    return null;
  }
  const mediaEnd = endOfWord(walk.bytes, valueStart, end);
  const portStart = skipSpace(walk.bytes, mediaEnd, end);
  const portEnd = endOfWord(walk.bytes, portStart, end);
  const protoStart = skipSpace(walk.bytes, portEnd, end);
  const protoEnd = endOfWord(walk.bytes, protoStart, end);
  const slash = indexOfCode(walk.bytes, SLASH, portStart, portEnd);
  const port = decimal(walk.bytes, portStart, slash, MAX_PORT);
  // A line that is switched off needs no transport.
  const hasWords = mediaEnd > valueStart && (protoEnd > protoStart || port === 0);
  if (!hasWords || mediaEnd - valueStart > MAX_TOKEN || protoEnd - protoStart > MAX_TOKEN) {
    return malformed('expected media type, port and transport', walk, start, end);
  }
  // A count of 0 is read as 1 by those who look at it at all.
  const count = slash === portEnd ? 1 : decimal(walk.bytes, slash + 1, portEnd, MAX_PORT);
  const portCount = count === 0 ? 1 : count;
  if (port < 0 || portCount < 1 || port + 2 * (portCount - 1) > MAX_PORT) {
    return malformed('expected ports from 0 to 65535', walk, start, end);
  }
  const media = mediaWord(walk.text.slice(valueStart, mediaEnd).toLowerCase());
  const proto = protoWord(walk.text.slice(protoStart, protoEnd));
  beginSection(walk, newSection(media, port, portCount, proto, [protoEnd, end]));
  return null;
}

/** Text that shares no memory with the body: a Session is kept as long as its call. */
function copyOf(walk: Walk, start: number, end: number): string {
  return ownCopy(walk.text.slice(start, end));
}

/** sdp-transform is only told that a section begins. */
function beginSection(walk: Walk, section: MediaSection): void {
  walk.sections = extended(walk.sections, section);
  walk.section = section;
  walk.selected += 'm=\n';
}

function takeAttribute(walk: Walk, section: MediaSection, start: number, end: number): SdpError | null {
  const kind = kindOf(walk, start, end);
  if (kind === OTHER) return null;
  const isTooLong = end - start > MAX_LINE - 'a='.length;
  if (kind === CANDIDATE) {
    if (isTooLong) section.candidatesDropped++;
    else takeCandidate(walk, section, start, end);
    return null;
  }
  if (kind === BUNDLE && ++walk.groups > MAX_GROUPS) return null;
  if (kind === RTPMAP) {
    if (isTooLong || section.rtpmapCount++ >= MAX_RTPMAPS) return null;
    section.rtpmaps += `${walk.text.slice(start, end)}\n`;
    return null;
  }
  if (kind !== BUNDLE && (section.seen & kind) !== 0 && !(kind === MID && walk.isFragment)) return null;
  if (isTooLong) return tooLong(walk, start - 'a='.length);
  if (kind === DIRECTION) return takeDirection(walk, section, start);
  if (kind === RTCP) return takeRtcp(walk, section, start, end);
  const line = lineOf(walk, 'a=', start, end);
  if (kind === BUNDLE) return keep(walk, line);
  if (kind === MID && walk.isFragment && (walk.sections.length === 0 || (section.seen & MID) !== 0)) {
    return takeFragmentSection(walk, line);
  }
  section.seen |= kind;
  if (kind === RTCP_MUX_ONLY) {
    section.rtcpMuxOnly = true;
    return null;
  }
  return keep(walk, line);
}

function takeDirection(walk: Walk, section: MediaSection, start: number): null {
  section.seen |= DIRECTION;
  section.direction = directionAt(walk, start);
  return null;
}

function directionAt({ bytes, text }: Walk, start: number): Direction {
  switch (bytes[start]!) {
    case 0x69: // i
      return 'inactive';
    case 0x72: // r
      return 'recvonly';
    default:
      return text.startsWith('sendrecv', start) ? 'sendrecv' : 'sendonly';
  }
}

/** Behind the foundation: component, transport, priority, address (RFC 8839 5.1). */
function takeCandidate(walk: Walk, section: MediaSection, start: number, end: number): void {
  const { bytes, caps } = walk;
  const foundation = skipSpace(bytes, start + 'candidate:'.length, end);
  const transport = nextWord(bytes, nextWord(bytes, foundation, end), end);
  const address = nextWord(bytes, nextWord(bytes, transport, end), end);
  const isOpenable = isUdp(bytes, transport, end) && mayBeAddress(bytes, address, end);
  if (isOpenable && section.openable >= caps.candidates) {
    section.candidatesDropped++;
  } else if (isOpenable || section.others < caps.candidates) {
    if (isOpenable) section.openable++;
    else section.others++;
    keep(walk, lineOf(walk, 'a=', start, end));
  }
}

function nextWord(bytes: Buffer, word: number, end: number): number {
  return skipSpace(bytes, endOfWord(bytes, word, end), end);
}

function isUdp(bytes: Buffer, start: number, end: number): boolean {
  if (endOfWord(bytes, start, end) - start !== 3) return false;
  return (
    (bytes[start]! | 0x20) === 0x75 &&
    (bytes[start + 1]! | 0x20) === 0x64 &&
    (bytes[start + 2]! | 0x20) === 0x70
  );
}

/** Whether a word has the characters of an IP address; host names of such characters alone are as good as none. */
function mayBeAddress(bytes: Buffer, start: number, end: number): boolean {
  const wordEnd = endOfWord(bytes, start, end);
  for (let i = start; i < wordEnd; i++) {
    const code = bytes[i]!;
    const lower = code | 0x20;
    if (code !== DOT && !(code >= 0x30 && code <= 0x3a) && !(lower >= 0x61 && lower <= 0x66)) return false;
  }
  return wordEnd > start;
}

/** `a=rtcp:<port> [IN IP4|IP6 <address>]` (RFC 3605 2.1); one without a port is as good as none. */
function takeRtcp(walk: Walk, section: MediaSection, start: number, end: number): null {
  const port = skipSpace(walk.bytes, start + 'rtcp:'.length, end);
  const portEnd = endOfWord(walk.bytes, port, end);
  if (decimal(walk.bytes, port, portEnd, MAX_PORT) < 0) return null;
  section.seen |= RTCP;
  const place = lineOf(walk, '', skipSpace(walk.bytes, portEnd, end), end);
  const line = `a=rtcp:${walk.text.slice(port, portEnd)}`;
  return keep(walk, place === '' ? line : `${line} ${connectionOf(place) || place}`);
}

/** In a fragment a=mid may stand for the m= line that older drafts of RFC 8840 did without. */
function takeFragmentSection(walk: Walk, line: string): null {
  if (walk.sections.length >= walk.caps.streams) {
    walk.streamsDropped++;
    walk.section = null;
    return null;
  }
  const section = newSection('', 0, 1, '', NO_FORMATS);
  section.seen = MID;
  beginSection(walk, section);
  return keep(walk, line);
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
  if (walk.text.startsWith('rtpmap:', start)) return RTPMAP;
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
