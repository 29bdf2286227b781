import type { Buffer } from 'node:buffer';
import type { Address } from '../../../address/address.ts';
import type { FramePlace } from '../../../history/call-report.ts';
import { MOST_REMEMBERED } from './bounds.ts';

/** What hides the signalling between two hosts. */
export interface Hidden {
  readonly how: 'tls' | 'sigcomp' | 'websocket';
  readonly place: FramePlace;
}

interface HiddenSignalling {
  add(a: Address, b: Address, how: Hidden['how'], place: FramePlace): void;
  between(a: Address, b: Address): Hidden | null;
}

/** Where SIP goes that nobody between the parties can read; the first sight of each pair of hosts. */
export function createHiddenSignalling(): HiddenSignalling {
  const byPair = new Map<string, Hidden>();
  return {
    add: (a, b, how, place) => {
      const key = pairKey(a, b);
      if (!byPair.has(key) && byPair.size < MOST_REMEMBERED) byPair.set(key, { how, place });
    },
    between: (a, b) => byPair.get(pairKey(a, b)) ?? null,
  };
}

/** TLS: a handshake record of version 3.x (RFC 8446 5.1); SIP over WebSocket: RFC 7118 4. */
export function streamKind(payload: Buffer): Hidden['how'] | null {
  if (payload[0] === 0x16 && payload[1] === 0x03 && payload[2]! <= 4) return 'tls';
  const isHttp = payload[0] === 0x47 || payload[0] === 0x48;
  return isHttp && /^Sec-WebSocket-Protocol:[^\r\n]*\bsip\b/im.test(payload.toString('latin1', 0, 2048))
    ? 'websocket'
    : null;
}

function pairKey(a: Address, b: Address): string {
  return a < b ? `${a} ${b}` : `${b} ${a}`;
}
