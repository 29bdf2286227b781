import { ownCopy } from '../own-copy.ts';
import { printable } from '../printable.ts';

/** What an RTP payload type stands for. */
export interface Codec {
  /** `PCMU`, `opus`, as the description or RFC 3551 writes it; escaped. */
  readonly name: string;
  /** Clock rate in Hz; 0 when it is not known. */
  readonly rate: number;
}

/** Codecs by payload type. */
export type Codecs = ReadonlyMap<number, Codec>;

/** RFC 3551 section 6, tables 4 and 5: payload types that need no description. */
const STATIC: Codecs = new Map<number, Codec>(
  (
    [
      [0, 'PCMU', 8000],
      [3, 'GSM', 8000],
      [4, 'G723', 8000],
      [5, 'DVI4', 8000],
      [6, 'DVI4', 16_000],
      [7, 'LPC', 8000],
      [8, 'PCMA', 8000],
      // RFC 3551 4.5.2: 8000 although it samples at 16,000 Hz.
      [9, 'G722', 8000],
      [10, 'L16', 44_100],
      [11, 'L16', 44_100],
      [12, 'QCELP', 8000],
      [13, 'CN', 8000],
      [14, 'MPA', 90_000],
      [15, 'G728', 8000],
      [16, 'DVI4', 11_025],
      [17, 'DVI4', 22_050],
      [18, 'G729', 8000],
      [25, 'CelB', 90_000],
      [26, 'JPEG', 90_000],
      [28, 'nv', 90_000],
      [31, 'H261', 90_000],
      [32, 'MPV', 90_000],
      [33, 'MP2T', 90_000],
      [34, 'H263', 90_000],
    ] as const
  ).map(([type, name, rate]) => [type, { name, rate }]),
);

const MAX_CODECS = 64;
/** Lists that are kept, and characters of the lines that one is kept by. */
const MOST_LISTS = 512;
const LONGEST_LINES = 1024;
const NONE: readonly string[] = [];

const lists = new Map<string, readonly string[]>();

/**
 * The codecs of an m= line in its order, each as a=rtpmap has it (RFC 8866 6.6): `0 PCMU/8000`, `101 telephone-event/8000`;
 * of a payload type that neither a=rtpmap nor RFC 3551 names the number alone. None where its formats are no payload types.
 * Linear in the text. Most phones say the same in every call: those share one list.
 *
 * `formats` and `rtpmaps`: the rest of the m= line, and the a=rtpmap lines from `rtpmap:` on, with LF between them.
 */
export function listCodecs(formats: string, rtpmaps: string): readonly string[] {
  const lines = `${formats}\n${rtpmaps}`;
  if (lines.length > LONGEST_LINES) return sharedCodecs(namedCodecs(formats, rtpmaps));
  return lists.get(lines) ?? kept(lines, sharedCodecs(namedCodecs(formats, rtpmaps)));
}

/** The list itself, or one that is the same and is shared already. */
export function sharedCodecs(list: readonly string[]): readonly string[] {
  if (list.length === 0) return NONE;
  const lines = list.join('\n');
  return lines.length > LONGEST_LINES ? list : (lists.get(lines) ?? kept(lines, list));
}

function kept(lines: string, list: readonly string[]): readonly string[] {
  if (lists.size >= MOST_LISTS) lists.clear();
  lists.set(ownCopy(lines), list);
  return list;
}

function namedCodecs(formats: string, rtpmaps: string): readonly string[] {
  const types = formats
    .replaceAll('\t', ' ')
    .split(' ')
    .map(typeOf)
    .filter((type) => type >= 0)
    .slice(0, MAX_CODECS);
  if (types.length === 0) return NONE;
  const named = new Map<number, string>();
  for (const line of rtpmaps.split('\n'))
    takeRtpmap(named, line.slice('rtpmap:'.length).replaceAll('\t', ' '));
  return types.map((type) => {
    const fixed = STATIC.get(type);
    const name = named.get(type) ?? (fixed && `${fixed.name}/${fixed.rate}`);
    return name === undefined ? `${type}` : `${type} ${name}`;
  });
}

/** `101 telephone-event/8000`, `111 opus/48000/2`. */
function takeRtpmap(named: Map<number, string>, value: string): void {
  const space = value.indexOf(' ');
  const type = space < 0 ? -1 : typeOf(value.slice(0, space));
  const [name = '', rate = ''] = value
    .slice(space + 1, LONGEST_VALUE)
    .trimStart()
    .split('/');
  if (type < 0 || name === '' || name.includes(' ') || name.length > LONGEST_NAME || !isNumber(rate, 9))
    return;
  named.set(type, `${printable(name, LONGEST_NAME)}/${rate}`);
}

const LONGEST_VALUE = 120;
const LONGEST_NAME = 40;
/** RFC 3550 5.1: seven bits. */
const MAX_TYPE = 127;

/** -1 for what is no payload type. */
function typeOf(word: string): number {
  return isNumber(word, 3) && Number(word) <= MAX_TYPE ? Number(word) : -1;
}

function isNumber(word: string, most: number): boolean {
  if (word.length === 0 || word.length > most) return false;
  for (let i = 0; i < word.length; i++) {
    const code = word.charCodeAt(i);
    if (code < 0x30 || code > 0x39) return false;
  }
  return true;
}

const read = new WeakMap<readonly string[], Codecs>();

/** By payload type what `listCodecs` has put in a list. */
export function codecsIn(list: readonly string[]): Codecs {
  const known = read.get(list);
  if (known !== undefined) return known;
  const codecs = new Map<number, Codec>();
  for (const one of list) {
    const [type = '', named = ''] = one.split(' ');
    const slash = named.lastIndexOf('/');
    if (slash > 0)
      codecs.set(Number(type), { name: named.slice(0, slash), rate: Number(named.slice(slash + 1)) });
  }
  read.set(list, codecs);
  return codecs;
}

/**
 * Names of the codecs that two m= lines agree on (RFC 3264 6.1), in the order of the answer: those of one name and clock
 * rate, whatever numbers each party gave them; without a name, those of one number.
 */
export function agreedCodecs(offer: readonly string[], answer: readonly string[]): readonly string[] {
  const offered = new Set(offer.map(identityOf));
  return [...new Set(answer.filter((one) => offered.has(identityOf(one))).map(nameOf))];
}

/** RFC 4855 3: names are not case-sensitive. */
function identityOf(one: string): string {
  const space = one.indexOf(' ');
  return space < 0 ? one : one.slice(space).toLowerCase();
}

function nameOf(one: string): string {
  const space = one.indexOf(' ');
  return space < 0 ? `payload type ${one}` : one.slice(space + 1, one.lastIndexOf('/'));
}

/** The codec of a payload type: by the description, else by RFC 3551; null when neither knows it. */
export function codecOf(codecs: Codecs | null, payloadType: number): Codec | null {
  return codecs?.get(payloadType) ?? STATIC.get(payloadType) ?? null;
}
