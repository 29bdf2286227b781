import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { readPacket } from './ip.ts';

/** Bytes of a fingerprint. */
export const FINGERPRINT = 8;

/**
 * The same for a packet and for its retransmission, as 16 hexadecimal digits: of who sends what to whom, without what
 * a host or a router writes anew each time (identification, hop limit, checksums, acknowledgements). Of bytes that are
 * no packet it is that of all of them.
 */
export function fingerprintOf(bytes: Buffer): string {
  const hash = createHash('sha256');
  const view = readPacket(bytes);
  if (typeof view === 'string') {
    hash.update(bytes);
  } else {
    const { protocolNumber, source, sourcePort, destination, destinationPort, fragment, payload } = view;
    hash.update(
      `${protocolNumber} ${source} ${sourcePort} ${destination} ${destinationPort} ${fragment?.offset ?? 0}\n`,
    );
    hash.update(payload);
  }
  return hash.digest('hex').slice(0, 2 * FINGERPRINT);
}
