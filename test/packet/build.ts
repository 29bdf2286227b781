import { Buffer } from 'node:buffer';
import { addressBytes } from '../../src/address/address.ts';
import { type PacketView, readPacket } from '../../src/packet/ip.ts';

/** Packets written out byte by byte from RFC 791, 8200, 768 and 9293; checksums are left 0. */

export interface IPv4Options {
  readonly source?: string;
  readonly destination?: string;
  readonly protocol?: number;
  readonly id?: number;
  /** Bytes. */
  readonly offset?: number;
  readonly more?: boolean;
  readonly options?: Buffer;
  readonly totalLength?: number;
}

export function ipv4(payload: Buffer, given: IPv4Options = {}): Buffer {
  const options = given.options ?? Buffer.alloc(0);
  const header = Buffer.alloc(20 + options.length);
  header[0] = 0x40 | (header.length / 4);
  header.writeUInt16BE(given.totalLength ?? header.length + payload.length, 2);
  header.writeUInt16BE(given.id ?? 0, 4);
  header.writeUInt16BE((given.more ? 0x2000 : 0) | ((given.offset ?? 0) / 8), 6);
  header[8] = 64;
  header[9] = given.protocol ?? 17;
  header.set(addressBytes(given.source ?? '192.0.2.1'), 12);
  header.set(addressBytes(given.destination ?? '198.51.100.2'), 16);
  options.copy(header, 20);
  return Buffer.concat([header, payload]);
}

export interface IPv6Options {
  readonly source?: string;
  readonly destination?: string;
  readonly next?: number;
  readonly payloadLength?: number;
}

export function ipv6(payload: Buffer, given: IPv6Options = {}): Buffer {
  const header = Buffer.alloc(40);
  header[0] = 0x60;
  header.writeUInt16BE(given.payloadLength ?? payload.length, 4);
  header[6] = given.next ?? 17;
  header[7] = 64;
  header.set(addressBytes(given.source ?? '2001:db8::1'), 8);
  header.set(addressBytes(given.destination ?? '2001:db8::2'), 24);
  return Buffer.concat([header, payload]);
}

/** Hop-by-hop (0), routing (43) or destination options (60): `units` of 8 bytes, the first one included. */
export function extension(next: number, units: number, rest: Buffer, type = 1): Buffer {
  const header = Buffer.alloc(units * 8);
  header[0] = next;
  header[1] = units - 1;
  header[2] = type;
  return Buffer.concat([header, rest]);
}

export function fragmentHeader(
  next: number,
  id: number,
  offset: number,
  more: boolean,
  rest: Buffer,
): Buffer {
  const header = Buffer.alloc(8);
  header[0] = next;
  header.writeUInt16BE(offset | (more ? 1 : 0), 2);
  header.writeUInt32BE(id, 4);
  return Buffer.concat([header, rest]);
}

export function udp(
  payload: Buffer | string,
  sourcePort = 5060,
  destinationPort = 5062,
  length?: number,
): Buffer {
  const bytes = Buffer.from(payload as string);
  const header = Buffer.alloc(8);
  header.writeUInt16BE(sourcePort, 0);
  header.writeUInt16BE(destinationPort, 2);
  header.writeUInt16BE(length ?? 8 + bytes.length, 4);
  return Buffer.concat([header, bytes]);
}

export interface TcpOptions {
  readonly sourcePort?: number;
  readonly destinationPort?: number;
  readonly seq?: number;
  readonly ack?: number;
  readonly flags?: number;
  /** A multiple of 4 bytes. */
  readonly options?: Buffer;
}

export function tcp(payload: Buffer | string, given: TcpOptions = {}): Buffer {
  const options = given.options ?? Buffer.alloc(0);
  const header = Buffer.alloc(20 + options.length);
  header.writeUInt16BE(given.sourcePort ?? 5060, 0);
  header.writeUInt16BE(given.destinationPort ?? 5062, 2);
  header.writeUInt32BE((given.seq ?? 0) >>> 0, 4);
  header.writeUInt32BE((given.ack ?? 0) >>> 0, 8);
  header[12] = (header.length / 4) << 4;
  header[13] = given.flags ?? 0x10;
  options.copy(header, 20);
  return Buffer.concat([header, Buffer.from(payload as string)]);
}

/** The view of a packet that has nothing wrong with it. */
export function viewOf(packet: Buffer): PacketView {
  const view = readPacket(packet);
  if (typeof view === 'string') throw new Error(`packet refused: ${view}`);
  return view;
}
