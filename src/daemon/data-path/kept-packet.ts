import { Buffer } from 'node:buffer';
import type { HeldPacket, Interceptor } from '../../intercept/interceptor.ts';

/** The packet for as long as it waits: the interceptor's memory is its own again at the next receive. */
export function keptPacket({ succession }: Pick<Interceptor, 'succession'>, packet: HeldPacket): HeldPacket {
  const bytes = Buffer.from(packet.bytes);
  if (succession === undefined) return { ...packet, bytes };
  return succession.takeOver(bytes, Uint8Array.from(succession.wayOf(packet)));
}
