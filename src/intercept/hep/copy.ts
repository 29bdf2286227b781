import type { Mirrored } from '../../packet/mirrored.ts';
import { PROTOCOL } from './chunks.ts';

/** What is wrong with a copy, for people: a phrase. Hostile bytes are the ordinary case here. */
export interface HepFault {
  readonly fault: string;
}

/** A message as if it had come in a datagram of its own. */
export function packetOf(
  from: Pick<Mirrored['packet'], 'source' | 'sourcePort' | 'destination' | 'destinationPort' | 'payload'>,
): Mirrored['packet'] {
  return {
    ...from,
    family: from.source.includes(':') ? 6 : 4,
    protocol: 'udp',
    protocolNumber: PROTOCOL.udp,
    missing: 0,
    fragment: null,
    tcp: null,
  };
}
