import type { Address } from '../address/address.ts';

/** Who sends to whom, of one protocol. */
export interface Ends {
  readonly source: Address;
  readonly sourcePort: number;
  readonly destination: Address;
  readonly destinationPort: number;
}

/** What goes this way between these ends: `10.0.0.1 40000 > 10.0.0.2 5060` */
export function directionKey({ source, sourcePort, destination, destinationPort }: Ends): string {
  return `${source} ${sourcePort} > ${destination} ${destinationPort}`;
}

/** The `directionKey` of what goes the other way. */
export function reverseKey({ source, sourcePort, destination, destinationPort }: Ends): string {
  return `${destination} ${destinationPort} > ${source} ${sourcePort}`;
}
