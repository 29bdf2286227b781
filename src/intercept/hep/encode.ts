import { Buffer } from 'node:buffer';
import { addressBytes, familyOf, type TransportAddress } from '../../address/address.ts';
import { CHUNK, CHUNK_HEAD, FAMILY, HEAD, type KIND, LONGEST, MAGIC, PROTOCOL } from './chunks.ts';

/** What is to be mirrored. */
export interface ToMirror {
  readonly source: TransportAddress;
  readonly destination: TransportAddress;
  readonly transport: 'udp' | 'tcp';
  readonly kind: (typeof KIND)[keyof typeof KIND];
  /** ms since the epoch; parts of a ms count. */
  readonly seenAt: number;
  /** Number of the capture agent, for the receiver to tell its sources apart. */
  readonly agent: number;
  readonly key: Uint8Array | null;
  /** What ties it to others of one call, as a Call-ID does; null for none. */
  readonly correlation: string | null;
  readonly payload: Uint8Array;
}

/** A message of HEP version 3; null where it would be longer than one can be (65,535 bytes). */
export function encodeHep(one: ToMirror): Buffer | null {
  const { source, destination, transport, kind, seenAt, agent, key, correlation, payload } = one;
  const isIPv4 = familyOf(source.address) === 4;
  const seconds = Math.floor(seenAt / 1000);
  const chunks: Buffer[] = [
    chunk(CHUNK.family, uint(FAMILY[isIPv4 ? 4 : 6], 1)),
    chunk(CHUNK.protocol, uint(PROTOCOL[transport], 1)),
    chunk(isIPv4 ? CHUNK.sourceIPv4 : CHUNK.sourceIPv6, addressBytes(source.address)),
    chunk(isIPv4 ? CHUNK.destinationIPv4 : CHUNK.destinationIPv6, addressBytes(destination.address)),
    chunk(CHUNK.sourcePort, uint(source.port, 2)),
    chunk(CHUNK.destinationPort, uint(destination.port, 2)),
    chunk(CHUNK.seconds, uint(seconds, 4)),
    chunk(CHUNK.microseconds, uint(Math.floor((seenAt - seconds * 1000) * 1000), 4)),
    chunk(CHUNK.kind, uint(kind, 1)),
    chunk(CHUNK.agent, uint(agent, 4)),
  ];
  if (key !== null) chunks.push(chunk(CHUNK.key, key));
  if (correlation !== null) chunks.push(chunk(CHUNK.correlation, Buffer.from(correlation, 'latin1')));
  chunks.push(chunk(CHUNK.payload, payload));
  const length = chunks.reduce((sum, one) => sum + one.length, HEAD);
  if (length > LONGEST) return null;
  const head = Buffer.alloc(HEAD);
  head.set(MAGIC);
  head.writeUInt16BE(length, 4);
  return Buffer.concat([head, ...chunks], length);
}

/** One chunk of vendor 0. A value that is too long makes the whole too long, which is seen there. */
function chunk(type: number, value: Uint8Array): Buffer {
  const bytes = Buffer.alloc(CHUNK_HEAD + value.length);
  bytes.writeUInt16BE(type, 2);
  bytes.writeUInt16BE(Math.min(bytes.length, LONGEST), 4);
  bytes.set(value, CHUNK_HEAD);
  return bytes;
}

function uint(value: number, size: number): Buffer {
  const bytes = Buffer.alloc(size);
  bytes.writeUIntBE(value, 0, size);
  return bytes;
}
