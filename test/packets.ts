import { Buffer } from 'node:buffer';
import { type Address, addressBytes, type TransportAddress } from '../src/address/address.ts';

/** An IP packet with a UDP datagram, checksums left 0. RFC 791, 8200, 768. */
export function udpPacket(from: TransportAddress, to: TransportAddress, payload: Buffer | string): Buffer {
  const data = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt16BE(8 + data.length, 4);
  return ipPacket(17, from.address, to.address, Buffer.concat([header, data]));
}

export interface Segment {
  readonly seq: number;
  readonly ack?: number;
  /** The flag byte: FIN 1, SYN 2, RST 4, PSH 8, ACK 16. */
  readonly flags?: number;
  readonly payload?: Buffer | string;
}

/** An IP packet with a TCP segment without options, checksums left 0. RFC 9293 3.1. */
export function tcpPacket(from: TransportAddress, to: TransportAddress, segment: Segment): Buffer {
  const { seq, ack = 0, flags = 0x18, payload = '' } = segment;
  const data = typeof payload === 'string' ? Buffer.from(payload, 'latin1') : payload;
  const header = Buffer.alloc(20);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header[12] = 5 << 4;
  header[13] = flags;
  header.writeUInt16BE(65535, 14);
  return ipPacket(6, from.address, to.address, Buffer.concat([header, data]));
}

/** The same with its UDP or TCP checksum, without which IPv6 takes no datagram (RFC 8200 8.1). */
export function checksummed(packet: Buffer): Buffer {
  const isIPv6 = packet[0]! >> 4 === 6;
  const [addresses, start] = isIPv6 ? [packet.subarray(8, 40), 40] : [packet.subarray(12, 20), 20];
  const datagram = Buffer.from(packet.subarray(start));
  const protocol = packet[isIPv6 ? 6 : 9]!;
  const place = protocol === 6 ? 16 : 6;
  datagram.writeUInt16BE(0, place);
  const pseudo = Buffer.from([0, protocol, datagram.length >> 8, datagram.length & 0xff]);
  const words = Buffer.concat([addresses, pseudo, datagram, Buffer.alloc(datagram.length % 2)]);
  let sum = 0;
  for (let at = 0; at < words.length; at += 2) sum += words.readUInt16BE(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  datagram.writeUInt16BE(~sum & 0xffff || 0xffff, place);
  return Buffer.concat([packet.subarray(0, start), datagram]);
}

export function ipPacket(protocol: number, from: Address, to: Address, payload: Buffer): Buffer {
  const source = addressBytes(from);
  const destination = addressBytes(to);
  if (source.length === 4) {
    const header = Buffer.alloc(20);
    header[0] = 0x45;
    header.writeUInt16BE(20 + payload.length, 2);
    header[8] = 64;
    header[9] = protocol;
    header.set(source, 12);
    header.set(destination, 16);
    return Buffer.concat([header, payload]);
  }
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(payload.length, 4);
  header[6] = protocol;
  header[7] = 64;
  header.set(source, 8);
  header.set(destination, 24);
  return Buffer.concat([header, payload]);
}
