import type { Mirrored } from '../../packet/mirrored.ts';
import { PROTOCOL } from './chunks.ts';

/** What is wrong with a copy, for people: a phrase. Hostile bytes are the ordinary case here. */
export interface HepFault {
  readonly fault: string;
}

const MICROSECONDS = 1_000_000;

/** ms since the epoch; null where this is no time. */
export function timeOf(seconds: number, microseconds: number): number | null {
  return microseconds < MICROSECONDS ? seconds * 1000 + microseconds / 1000 : null;
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
