import type { Buffer } from 'node:buffer';
import type { Libc } from '../../../native-bindings/engine.ts';
import { connectDatagramSocket } from '../../../native-bindings/inet-socket.ts';
import { addressBytes } from '../../address/address.ts';
import type { Settings } from '../../config/schema.ts';
import type { SipTap } from '../../inspector.ts';
import { AGENT, KIND } from '../../intercept/hep/chunks.ts';
import { encodeHep } from '../../intercept/hep/encode.ts';

/** Mirrors by HEP what is inspected. */
export interface MirrorOut {
  /** Takes a message as it was read; it goes out with the next `flush`, which no packet waits for. */
  readonly take: SipTap;
  flush(): void;
  /** `hepSent`; `hepUnsent`: what the network did not take, or was too much at once. */
  counters(): Readonly<Record<'hepSent' | 'hepUnsent', number>>;
}

/** Messages kept until the packets at hand have passed. */
const MOST_KEPT = 1024;

/** Opens the socket that the settings ask for; null where they ask for none. Throws SystemError. */
export function openMirrorOut(
  libc: Libc,
  { hep: { send } }: Settings,
  key: Uint8Array | null,
  wall: () => number = Date.now,
): MirrorOut | null {
  if (send === null) return null;
  const name = { address: addressBytes(send.address), port: send.port };
  const socket = connectDatagramSocket(libc, name, `hep.send ${send.address} port ${send.port}`);
  const counts = { hepSent: 0, hepUnsent: 0 };
  let kept: Buffer[] = [];
  return {
    take({ callId }, bytes, transport, { source, sourcePort, destination, destinationPort }) {
      const message = encodeHep({
        source: { address: source, port: sourcePort },
        destination: { address: destination, port: destinationPort },
        ...{ transport, kind: KIND.sip, seenAt: wall(), agent: AGENT, key, correlation: callId },
        payload: bytes,
      });
      if (message !== null && kept.length < MOST_KEPT) kept.push(message);
      else counts.hepUnsent++;
    },
    flush() {
      if (kept.length === 0) return;
      for (const message of kept) {
        if (socket.send(message)) counts.hepSent++;
        else counts.hepUnsent++;
      }
      kept = [];
    },
    counters: () => ({ ...counts }),
  };
}
