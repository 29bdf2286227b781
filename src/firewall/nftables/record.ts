/**
 * A pinhole in one line of text. One such line for each pinhole stands in the table beside the elements: people
 * read it with nft(8), and a daemon that starts again learns from it what it had opened.
 */
import { parseAddress } from '../../address/address.ts';
import { type Opening, openingId, parseWay, wayWords } from '../../pinhole/opening.ts';
import { isMediaKind, type Pinhole } from '../../pinhole/pinhole.ts';

const LONGEST_MEDIA = 32;

/** `pinholed:8c1f2a:1.0 rtp+rtcp audio udp 198.51.100.2,203.0.113.5 - 10.0.0.10 4000-4001`, in ASCII. */
export function formatRecord(pinhole: Pinhole): string {
  const { label, kind, media, protocol, sources, sourcePort, address, ports } = pinhole;
  const from = sources === 'any' ? 'any' : sources.join(',');
  const fromPort = sourcePort ?? '-';
  const text = `${label} ${kind ?? '?'} ${word(media)} ${protocol} ${from} ${fromPort} ${address} ${ports[0]}-${ports[1]}`;
  return [text, ...wayWords(pinhole)].join(' ');
}

/** A media type is whatever the description says; a character that would break the line becomes a `?`. */
function word(media: string): string {
  return media === '' ? '?' : media.slice(0, LONGEST_MEDIA).replace(/[^!-~]/g, '?');
}

/** The pinhole of a line, or null when it is none that `formatRecord` wrote. */
export function parseRecord(text: string): Pinhole | null {
  const [label, kind, media, protocol, from, fromPort, address, range, ...words] = text.split(' ');
  if (label === undefined || kind === undefined || media === undefined || from === undefined) return null;
  if (fromPort === undefined || address === undefined || range === undefined) return null;
  if (protocol !== 'udp' && protocol !== 'tcp') return null;
  if ((kind !== '?' && !isMediaKind(kind)) || !isAddress(address)) return null;
  const sources = from === 'any' ? from : from.split(',');
  if (sources !== 'any' && !sources.every(isAddress)) return null;
  const sourcePort = fromPort === '-' ? null : parsePort(fromPort);
  const ports = range.split('-').map(parsePort);
  const [first, last] = ports;
  if (Number.isNaN(sourcePort) || ports.length !== 2 || !(first! <= last!)) return null;
  const way = parseWay(words);
  if (way === null) return null;
  const opening: Opening = { protocol, sources, sourcePort, address, ports: [first!, last!], ...way };
  return { id: openingId(opening), kind: kind === '?' ? null : kind, media, label, ...opening };
}

function isAddress(text: string): boolean {
  return parseAddress(text) === text;
}

/** NaN for what is no port. */
function parsePort(text: string): number {
  const port = /^\d{1,5}$/.test(text) ? Number(text) : Number.NaN;
  return port <= 0xffff ? port : Number.NaN;
}
