import { Buffer } from 'node:buffer';
import { type Address, addressBytes, type TransportAddress } from '../../address/address.ts';

const UDP = 17;
const TCP = 6;
const HOPS = 64;
/** PSH and ACK. */
const FLAGS = 0x18;

/** An IP packet with this UDP datagram and its checksums (RFC 791, 8200, 768). */
export function datagramPacket(from: TransportAddress, to: TransportAddress, payload: Buffer): Buffer {
  const header = Buffer.alloc(8);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt16BE(8 + payload.length, 4);
  return ipPacket(UDP, from.address, to.address, Buffer.concat([header, payload]), 6);
}

/** An IP packet with this TCP segment and its checksums (RFC 9293 3.1): what was sent before has `seq` bytes. */
export function segmentPacket(
  from: TransportAddress,
  to: TransportAddress,
  { seq, ack, payload }: { readonly seq: number; readonly ack: number; readonly payload: Buffer },
): Buffer {
  const header = Buffer.alloc(20);
  header.writeUInt16BE(from.port, 0);
  header.writeUInt16BE(to.port, 2);
  header.writeUInt32BE(seq >>> 0, 4);
  header.writeUInt32BE(ack >>> 0, 8);
  header[12] = 5 << 4;
  header[13] = FLAGS;
  header.writeUInt16BE(0xffff, 14);
  return ipPacket(TCP, from.address, to.address, Buffer.concat([header, payload]), 16);
}

/** `checksumAt`: where in the datagram its checksum stands. */
function ipPacket(
  protocol: number,
  from: Address,
  to: Address,
  datagram: Buffer,
  checksumAt: number,
): Buffer {
  const [source, destination] = [addressBytes(from), addressBytes(to)];
  const pseudo = Buffer.from([0, protocol, datagram.length >> 8, datagram.length & 0xff]);
  const sum = checksum(Buffer.concat([source, destination, pseudo, datagram]));
  datagram.writeUInt16BE(sum === 0 ? 0xffff : sum, checksumAt);
  return Buffer.concat([
    source.length === 4
      ? ipv4Header(protocol, source, destination, datagram.length)
      : ipv6Header(protocol, source, destination, datagram.length),
    datagram,
  ]);
}

function ipv4Header(protocol: number, source: Uint8Array, destination: Uint8Array, length: number): Buffer {
  const header = Buffer.alloc(20);
  header[0] = 0x45;
  header.writeUInt16BE(20 + length, 2);
  header[8] = HOPS;
  header[9] = protocol;
  header.set(source, 12);
  header.set(destination, 16);
  header.writeUInt16BE(checksum(header), 10);
  return header;
}

function ipv6Header(protocol: number, source: Uint8Array, destination: Uint8Array, length: number): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(length, 4);
  header[6] = protocol;
  header[7] = HOPS;
  header.set(source, 8);
  header.set(destination, 24);
  return header;
}

/** RFC 1071. */
function checksum(bytes: Buffer): number {
  let sum = 0;
  for (let at = 0; at + 1 < bytes.length; at += 2) sum += bytes.readUInt16BE(at);
  if (bytes.length % 2 === 1) sum += bytes.at(-1)! << 8;
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >>> 16);
  return ~sum & 0xffff;
}
