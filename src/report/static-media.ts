import type { StaticMediaUse } from '../address/static-media.ts';
import { plural } from '../counted.ts';

/** `trunk: 2 peers, 400 ports open`; `trunk: no peer is there`. */
export function staticMediaText({ name, peers, ports }: StaticMediaUse): string {
  if (peers === 0) return `${name}: no peer is there`;
  return `${name}: ${plural(peers, 'peer')}, ${plural(ports, 'port')} open`;
}
