import { Buffer } from 'node:buffer';
import { createSocket } from 'node:dgram';
import { familyOf, type TransportAddress } from '../address/address.ts';
import type { Settings } from '../config/schema.ts';
import type { CallName, Occasion } from '../inspector/happening.ts';
import { AGENT, KIND } from '../intercept/hep/chunks.ts';
import { encodeHep } from '../intercept/hep/encode.ts';
import { logLines } from './log/lines.ts';
import type { RunningDaemon, Service } from './serve.ts';

/**
 * Tells a HEP receiver what became of calls: which pinholes opened and closed, what was refused and why. Each goes out as
 * a log line that bears the call's Call-ID, beside the messages that the data path mirrors.
 */
export function openHepLog({ hep: { send: to } }: Settings, key: Uint8Array | null): Service {
  if (to === null) return { start() {}, close() {} };
  const socket = createSocket(familyOf(to.address) === 4 ? 'udp4' : 'udp6').unref();
  // Whoever receives may be away: what was sent meanwhile is lost, as with any log over UDP.
  socket.on('error', () => {});
  const at: TransportAddress = to;
  let end = () => {};

  function tell(daemon: RunningDaemon, occasions: readonly Occasion[]): void {
    const ahead = Date.now() - daemon.clock();
    const wording = {
      callId: 'plain',
      parties: 'hidden',
      observes: daemon.settings().mode === 'observe',
      trafficOf: daemon.trafficOf,
    } as const;
    for (const { happenings, at: happenedAt } of occasions) {
      for (const event of happenings) {
        if ((event.type !== 'pinhole' && event.type !== 'refused') || event.call === null) continue;
        for (const { words } of logLines([event], wording))
          report(event.call, words().text, ahead + happenedAt);
      }
    }
  }

  function report({ callId, parties: [caller, callee] }: CallName, text: string, seenAt: number): void {
    const message = encodeHep({
      source: { address: caller, port: 0 },
      destination: { address: callee, port: 0 },
      ...{ transport: 'udp', kind: KIND.log, seenAt, agent: AGENT, key, correlation: callId },
      payload: Buffer.from(text),
    });
    if (message !== null) socket.send(message, at.port, at.address);
  }

  return {
    start(daemon) {
      end = daemon.subscribe((occasions) => tell(daemon, occasions));
    },
    close() {
      end();
      socket.close();
    },
  };
}
