import type { PacketView } from './ip.ts';

type Ends = Pick<PacketView, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>;

/** What goes this way between these ends, of one protocol: `10.0.0.1 40000 > 10.0.0.2 5060` */
export function directionKey({ source, sourcePort, destination, destinationPort }: Ends): string {
  return `${source} ${sourcePort} > ${destination} ${destinationPort}`;
}

/** The `directionKey` of what goes the other way. */
export function reverseKey({ source, sourcePort, destination, destinationPort }: Ends): string {
  return `${destination} ${destinationPort} > ${source} ${sourcePort}`;
}
