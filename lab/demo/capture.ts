import { readFileSync } from 'node:fs';

/** A UDP datagram that tcpdump saw. */
export interface Datagram {
  /** ms since the epoch. */
  readonly at: number;
  readonly source: string;
  readonly sourcePort: number;
  readonly destination: string;
  readonly destinationPort: number;
  readonly payload: Buffer;
}

const FILE_HEADER = 24;
const RECORD_HEADER = 16;
const ETHERNET = 14;
const IPV4 = 0x0800;
const UDP = 17;

/** The frames of a capture's first `ms`, as a capture. */
export function beginningOf(bytes: Buffer, ms: number): Buffer {
  let first: number | null = null;
  let at = FILE_HEADER;
  for (; at + RECORD_HEADER <= bytes.length; at += RECORD_HEADER + bytes.readUInt32LE(at + 8)) {
    const time = timeOf(bytes, at);
    first ??= time;
    if (time - first > ms) break;
  }
  return bytes.subarray(0, at);
}

/** ms of the record there. */
function timeOf(bytes: Buffer, at: number): number {
  return bytes.readUInt32LE(at) * 1000 + bytes.readUInt32LE(at + 4) / 1000;
}

/** Reads the UDP datagrams over IPv4 in a file that tcpdump wrote on an Ethernet device of this machine. */
export function readDatagrams(file: string): Datagram[] {
  const bytes = readFileSync(file);
  const datagrams: Datagram[] = [];
  for (let at = FILE_HEADER; at + RECORD_HEADER <= bytes.length; ) {
    const start = at + RECORD_HEADER;
    const end = start + bytes.readUInt32LE(at + 8);
    if (end > bytes.length) break;
    const datagram = readFrame(bytes.subarray(start, end), timeOf(bytes, at));
    if (datagram !== null) datagrams.push(datagram);
    at = end;
  }
  return datagrams;
}

function readFrame(frame: Buffer, at: number): Datagram | null {
  if (frame.length < ETHERNET + 28 || frame.readUInt16BE(12) !== IPV4) return null;
  const ip = frame.subarray(ETHERNET);
  const udp = ip.subarray((ip[0]! & 15) * 4, ip.readUInt16BE(2));
  if (ip[9] !== UDP || udp.length < 8) return null;
  return {
    at,
    source: ip.subarray(12, 16).join('.'),
    sourcePort: udp.readUInt16BE(0),
    destination: ip.subarray(16, 20).join('.'),
    destinationPort: udp.readUInt16BE(2),
    payload: udp.subarray(8),
  };
}
