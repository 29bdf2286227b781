import type { Buffer } from 'node:buffer';
import { printable } from '../../printable.ts';

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
const NONE: Codecs = new Map();

/** The codecs of each m= line of a description, in order (RFC 8866 6.6, a=rtpmap). Linear in the bytes. */
export function readCodecs(sdp: Buffer): readonly Codecs[] {
  const streams: Map<number, Codec>[] = [];
  for (const line of sdp.toString('latin1').split('\n')) {
    if (line.startsWith('m=')) streams.push(new Map());
    const own = streams.at(-1);
    if (own === undefined || !line.startsWith('a=rtpmap:') || own.size >= MAX_CODECS) continue;
    const found = /^([0-9]{1,3})[ \t]+([^ \t/\r]{1,40})\/([0-9]{1,9})/.exec(
      line.slice('a=rtpmap:'.length, 120),
    );
    if (found === null) continue;
    const [, type, name, rate] = found;
    own.set(Number(type), { name: printable(name!, 40), rate: Number(rate) });
  }
  return streams.map((one) => (one.size === 0 ? NONE : one));
}

/** The codec of a payload type: by the description, else by RFC 3551; null when neither knows it. */
export function codecOf(codecs: Codecs | null, payloadType: number): Codec | null {
  return codecs?.get(payloadType) ?? STATIC.get(payloadType) ?? null;
}
