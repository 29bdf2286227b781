import { Buffer } from 'node:buffer';
import type { TransportAddress } from '../../address/address.ts';
import { datagramPacket, segmentPacket } from './packets.ts';

/** A SIP message as it went from one host to another. */
export interface CapturedMessage {
  /** ms since the epoch. */
  readonly at: number;
  readonly transport: 'udp' | 'tcp';
  readonly source: TransportAddress;
  readonly destination: TransportAddress;
  readonly bytes: Buffer;
}

/** draft-ietf-opsawg-pcap: microseconds, little endian; LINKTYPE_RAW, packets that begin with their IP header. */
const MAGIC = 0xa1b2c3d4;
const LINKTYPE_RAW = 101;
const SNAP_LENGTH = 262_144;
/** What fits into an IPv4 packet with a TCP header; of UDP nothing longer comes. */
const MOST_PAYLOAD = 65_535 - 40;

/**
 * A pcap file of these messages: one packet for each, of a TCP connection one segment after the other as if nothing else had
 * been said on it.
 */
export function captureOf(messages: readonly CapturedMessage[]): Buffer {
  const sent = new Map<string, number>();
  const records = messages.flatMap((message) =>
    packetsOf(message, sent).flatMap((packet) => [recordHeader(message.at, packet.length), packet]),
  );
  return Buffer.concat([fileHeader(LINKTYPE_RAW), ...records]);
}

/** What a pcap file begins with: 24 bytes. `linkType`: a LINKTYPE_ number of tcpdump.org. */
export function fileHeader(linkType: number): Buffer {
  const header = Buffer.alloc(24);
  header.writeUInt32LE(MAGIC, 0);
  header.writeUInt16LE(2, 4);
  header.writeUInt16LE(4, 6);
  header.writeUInt32LE(SNAP_LENGTH, 16);
  header.writeUInt32LE(linkType, 20);
  return header;
}

function recordHeader(at: number, length: number): Buffer {
  const header = Buffer.alloc(16);
  const micros = Math.round(at * 1000);
  header.writeUInt32LE(Math.floor(micros / 1e6), 0);
  header.writeUInt32LE(micros % 1e6, 4);
  header.writeUInt32LE(length, 8);
  header.writeUInt32LE(length, 12);
  return header;
}

/** `sent`: bytes of each direction so far. */
function packetsOf(message: CapturedMessage, sent: Map<string, number>): Buffer[] {
  const { transport, source, destination, bytes } = message;
  if (transport === 'udp') return [datagramPacket(source, destination, bytes.subarray(0, MOST_PAYLOAD))];
  const [there, back] = [directionOf(source, destination), directionOf(destination, source)];
  const packets: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += MOST_PAYLOAD) {
    const payload = bytes.subarray(at, at + MOST_PAYLOAD);
    const [seq, ack] = [sent.get(there) ?? 1, sent.get(back) ?? 1];
    packets.push(segmentPacket(source, destination, { seq, ack, payload }));
    sent.set(there, seq + payload.length);
  }
  return packets;
}

function directionOf(from: TransportAddress, to: TransportAddress): string {
  return `${from.address} ${from.port} ${to.address} ${to.port}`;
}
