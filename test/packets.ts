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
