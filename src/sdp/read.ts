import type { Buffer } from 'node:buffer';
import { type MediaDescription, parse, type SessionDescription } from 'sdp-transform';
import { listCodecs } from './codecs.ts';
import { readConnection } from './connection.ts';
import { type MediaSection, type SdpCaps, type SelectedLines, sdpError, selectLines } from './select.ts';
import {
  type Candidate,
  type Connection,
  isSdpError,
  type SdpError,
  type Session,
  type Stream,
  type TrickledCandidates,
} from './session.ts';

const CAPS: SdpCaps = { streams: 32, candidates: 24 };
/** No datagram is larger, and no message of a stream either. */
const MAX_BYTES = 65_536;
const MAX_PORT = 65_535;
/** RFC 8839 5.1: component-id is 1 to 256. */
const MAX_COMPONENT = 256;
const NO_CONNECTION: Connection = { kind: 'none' };
const NO_ATTRIBUTES = parse('');
const NO_MEDIA: MediaDescription = parse('m=\n').media[0]!;
const NO_BUNDLES: Session['bundles'] = [];

/**
 * Reads one session description (RFC 8866) as far as it decides about transport. The lines that do are selected
 * first, in linear time, and sdp-transform parses only the attributes among them, where there are any. Never throws.
 */
export function readSdp(bytes: Buffer, caps: SdpCaps = CAPS): Session | SdpError {
  const selection = select(bytes, caps, false);
  if (isSdpError(selection)) return selection;
  const { sections } = selection;
  const description = selection.hasAttributes ? parse(selection.selected) : NO_ATTRIBUTES;
  // A list that grows keeps room for sixteen more, and this one is kept as long as the call.
  const streams = sections.map((section, index) =>
    streamOf(selection, section, description.media[index] ?? NO_MEDIA, description),
  );
  return {
    origin: selection.origin,
    version: selection.version,
    streams,
    streamsDropped: selection.streamsDropped,
    bundles:
      description.groups === undefined ? NO_BUNDLES : description.groups.map((group) => midsOf(group.mids)),
  };
}

/**
 * Reads a fragment of trickle ICE (application/trickle-ice-sdpfrag, RFC 8840 section 9): the candidates to add,
 * by mid. Never throws.
 */
export function readSdpFragment(
  bytes: Buffer,
  caps: SdpCaps = CAPS,
): readonly TrickledCandidates[] | SdpError {
  const selection = select(bytes, caps, true);
  if (isSdpError(selection)) return selection;
  const { media } = parse(selection.selected);
  return selection.sections.map((section, index) => {
    const candidates = candidatesOf(media[index]!);
    return {
      mid: String(media[index]!.mid ?? ''),
      candidates,
      candidatesDropped: section.openable + section.others + section.candidatesDropped - candidates.length,
      isLast: media[index]!.endOfCandidates !== undefined,
    };
  });
}

function select(bytes: Buffer, caps: SdpCaps, isFragment: boolean): SelectedLines | SdpError {
  if (bytes.length > MAX_BYTES) {
    return sdpError('sdp-too-large', `${bytes.length} bytes, at most ${MAX_BYTES} are read`);
  }
  return selectLines(bytes, caps, isFragment);
}

function streamOf(
  selection: SelectedLines,
  section: MediaSection,
  media: MediaDescription,
  session: SessionDescription,
): Stream {
  const candidates = media.candidates === undefined ? NO_CANDIDATES : candidatesOf(media);
  return {
    media: section.media,
    proto: section.proto,
    codecs: codecsOf(selection.text, section),
    port: section.port,
    portCount: section.portCount,
    connection: connectionOf(section.connection === '' ? selection.top.connection : section.connection),
    direction: section.direction ?? selection.top.direction ?? 'sendrecv',
    rtcp: media.rtcp === undefined ? null : rtcpOf(media.rtcp),
    rtcpMux: media.rtcpMux !== undefined,
    rtcpMuxOnly: section.rtcpMuxOnly,
    bundleOnly: media.bundleOnly !== undefined,
    mid: media.mid === undefined ? '' : String(media.mid),
    setup: media.setup ?? session.setup ?? '',
    candidates,
    candidatesDropped: section.openable + section.others + section.candidatesDropped - candidates.length,
  };
}

/** `line`: as a section has it. The address ends at a blank, and at one that does not break (of latin1). */
function connectionOf(line: string | null): Connection {
  if (line === null || line === '') return NO_CONNECTION;
  const start = 'IN IP4 '.length;
  let end = start;
  while (end < line.length && line[end] !== ' ' && line[end] !== '\xa0') end++;
  return readConnection(line['IN IP'.length] === '6' ? 6 : 4, line.slice(start, end));
}

function codecsOf(text: string, { formats, rtpmaps }: MediaSection): readonly string[] {
  const [start, end] = formats;
  return listCodecs(text.slice(start, Math.min(end, start + LONGEST_FORMATS)), rtpmaps);
}

/** Characters behind the transport of an m= line that are looked at. */
const LONGEST_FORMATS = 512;
const NO_CANDIDATES: readonly Candidate[] = [];

/** a=rtcp:port [IN IP4|IP6 address] (RFC 3605 2.1); the port was checked when the line was selected. */
function rtcpOf(rtcp: NonNullable<MediaDescription['rtcp']>): Stream['rtcp'] {
  const { port, ipVer, address } = rtcp;
  return {
    port: Number(port),
    connection: address === undefined ? null : readConnection(Number(ipVer), String(address)),
  };
}

/** The candidates of a section; one with a component or port out of range is ignored, as RFC 8839 5.1 asks. */
function candidatesOf(media: MediaDescription): readonly Candidate[] {
  const candidates: Candidate[] = [];
  for (const { component, transport, ip, port, type } of media.candidates ?? []) {
    const componentNumber = numberOf(component, MAX_COMPONENT);
    const portNumber = numberOf(port, MAX_PORT);
    if (componentNumber < 1 || portNumber < 0) continue;
    candidates.push({
      component: componentNumber,
      transport: String(transport).toLowerCase(),
      connection: readConnection(null, String(ip)),
      port: portNumber,
      type: String(type),
    });
  }
  return candidates;
}

/** Digits as sdp-transform gives them, a number if that is their shortest form, else text; -1 if out of range. */
function numberOf(digits: number | string, max: number): number {
  const value = digits === '' ? -1 : Number(digits);
  return value <= max ? value : -1;
}

/** `mids` is a number when the group has one member whose mid is a number. */
function midsOf(mids: string | number): readonly string[] {
  return String(mids)
    .split(' ')
    .filter((mid) => mid !== '');
}
