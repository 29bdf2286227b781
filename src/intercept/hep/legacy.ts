import type { Buffer } from 'node:buffer';
import { formatIPv4, formatIPv6 } from '../../address/address.ts';
import type { Mirrored } from '../../packet/mirrored.ts';
import { FAMILY, PROTOCOL } from './chunks.ts';
import { type HepFault, packetOf, timeOf } from './copy.ts';

/**
 * HEP versions 1 and 2, which end with their datagram and carry no key ("HEP/EEP: Extensible Encapsulation Protocol").
 * Integers in network order, but for the time of version 2, which its senders write as their machine has it (kamailio's
 * `struct hep_timehdr`: little endian where they run).
 *
 *      0  version   1  bytes of the head   2  address family   3  protocol
 *      4  source port   6  destination port   8  source and destination address, 4 or 16 bytes each
 *      then, in version 2: seconds and microseconds since the epoch, 4 bytes each, agent 2, unused 2
 */
const BEFORE_ADDRESSES = 8;
/** AF_INET6 as the sender's system has it: Linux, OpenBSD and NetBSD, FreeBSD, macOS. AF_INET is 2 everywhere. */
const IPV6_FAMILIES: ReadonlySet<number> = new Set([FAMILY[6], 24, 28, 30]);
const TIME = 12;

export function decodeOldHep(bytes: Buffer): Mirrored | HepFault {
  const version = bytes[0];
  if ((version !== 1 && version !== 2) || bytes.length < BEFORE_ADDRESSES) {
    return { fault: 'no HEP of version 1, 2 or 3' };
  }
  const family = bytes[2];
  if (family !== FAMILY[4] && !IPV6_FAMILIES.has(family!)) return { fault: `address family ${family}` };
  const size = family === FAMILY[4] ? 4 : 16;
  const timeAt = BEFORE_ADDRESSES + 2 * size;
  const payloadAt = timeAt + (version === 2 ? TIME : 0);
  if (bytes.length < payloadAt) return { fault: `${bytes.length} bytes of HEP version ${version}` };
  const format = size === 4 ? formatIPv4 : formatIPv6;
  const seenAt = version === 1 ? null : timeOf(bytes.readUInt32LE(timeAt), bytes.readUInt32LE(timeAt + 4));
  if (seenAt === null && version === 2) return { fault: `${bytes.readUInt32LE(timeAt + 4)} microseconds` };
  return {
    packet: packetOf({
      source: format(bytes, BEFORE_ADDRESSES),
      sourcePort: bytes.readUInt16BE(4),
      destination: format(bytes, BEFORE_ADDRESSES + size),
      destinationPort: bytes.readUInt16BE(6),
      payload: bytes.subarray(payloadAt) as Buffer,
    }),
    transport: bytes[3] === PROTOCOL.udp ? 'udp' : 'tcp',
    isSip: true,
    ...{ seenAt, agent: null, key: null },
  };
}
