import { type Endpoint, sendPaced, socketOf } from './endpoint.ts';

/** Bytes of G.711 in one packet: 20 ms at 8 kHz. */
const SAMPLES = 160;
const FRAME_MS = 20;

/** One 16 bit linear sample as G.711 µ-law (ITU-T G.711, table 2). */
function muLaw(sample: number): number {
  const sign = sample < 0 ? 0x80 : 0;
  const biased = Math.min(Math.abs(sample), 32635) + 0x84;
  const segment = Math.max(0, Math.floor(Math.log2(biased)) - 7);
  return ~(sign | (segment << 4) | ((biased >> (segment + 3)) & 0x0f)) & 0xff;
}

/** `SAMPLES` of a sine of `hertz`, starting at sample number `first`. */
function tone(hertz: number, first: number): Buffer {
  return Buffer.from(
    Array.from({ length: SAMPLES }, (_, i) =>
      muLaw(Math.round(8000 * Math.sin((2 * Math.PI * hertz * (first + i)) / 8000))),
    ),
  );
}

type Stream = { readonly ssrc: number; sequence: number; timestamp: number; packets: number; bytes: number };
const streams = new Map<string, Stream>();

function streamOf(from: Endpoint, payloadType: number): Stream {
  const key = `${from.address} ${from.port} ${payloadType}`;
  let stream = streams.get(key);
  if (stream === undefined) {
    let hash = 0x811c9dc5;
    for (const byte of Buffer.from(key)) hash = Math.imul(hash ^ byte, 0x01000193) >>> 0;
    stream = { ssrc: hash, sequence: hash & 0x7fff, timestamp: hash & 0xffff, packets: 0, bytes: 0 };
    streams.set(key, stream);
  }
  return stream;
}

/**
 * Sends `count` RTP packets (RFC 3550) of a sine tone, one each 20 ms, with a payload type of G.711 µ-law (0) or, for
 * a stream that stands for one we cannot play, any other. SSRC and first sequence number follow from the source's address,
 * port and payload type; the marker is on the first packet.
 */
export function sendRtp(
  from: Endpoint,
  to: Endpoint,
  count: number,
  payloadType = 0,
  hertz = 440,
): Promise<void> {
  const stream = streamOf(from, payloadType);
  return sendPaced(from, to, count, FRAME_MS, (n) => {
    const header = Buffer.alloc(12);
    header[0] = 0x80;
    header[1] = payloadType | (n === 0 ? 0x80 : 0);
    header.writeUInt16BE(stream.sequence++ & 0xffff, 2);
    header.writeUInt32BE(stream.timestamp >>> 0, 4);
    header.writeUInt32BE(stream.ssrc, 8);
    const payload = tone(hertz, stream.packets * SAMPLES);
    stream.timestamp += SAMPLES;
    stream.packets += 1;
    stream.bytes += payload.length;
    return Buffer.concat([header, payload]);
  });
}

/** Sends one RTCP compound packet, a sender report and a CNAME, about what was sent from `about` so far (RFC 3550, 6.4 and 6.5). */
export async function sendRtcp(
  from: Endpoint,
  to: Endpoint,
  about: Endpoint,
  payloadType = 0,
): Promise<void> {
  const stream = streamOf(about, payloadType);
  const report = Buffer.alloc(28);
  report[0] = 0x80;
  report[1] = 200;
  report.writeUInt16BE(6, 2);
  report.writeUInt32BE(stream.ssrc, 4);
  const now = Date.now() + 2_208_988_800_000;
  report.writeUInt32BE(Math.floor(now / 1000), 8);
  report.writeUInt32BE(Math.floor(((now % 1000) / 1000) * 2 ** 32), 12);
  report.writeUInt32BE(stream.timestamp >>> 0, 16);
  report.writeUInt32BE(stream.packets, 20);
  report.writeUInt32BE(stream.bytes, 24);
  const cname = Buffer.from(about.address);
  const chunk = Buffer.alloc(Math.ceil((4 + 2 + cname.length + 1) / 4) * 4);
  chunk.writeUInt32BE(stream.ssrc, 0);
  chunk[4] = 1;
  chunk[5] = cname.length;
  cname.copy(chunk, 6);
  const head = Buffer.from([0x81, 202, 0, 0]);
  head.writeUInt16BE(chunk.length / 4, 2);
  (await socketOf(from)).send(Buffer.concat([report, head, chunk]), to.port, to.address);
}
