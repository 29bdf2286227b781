import type { Call } from '../call/call.ts';
import { describeSession } from '../call/description.ts';
import type { Refusal } from '../call/refusal.ts';
import type { Inspector, InspectorEvent, MessageEvent } from '../inspector.ts';
import type { HolderEvent } from '../pinhole/table.ts';
import type { SdpError, Session } from '../sdp/session.ts';
import { legOf, type Told, type ToldMessage } from './messages.ts';

/** When something happened: packets received so far, ms of the clock, and whether a deadline was the cause. */
export type Occasion = Pick<Told, 'packet' | 'at' | 'deadline'>;

export interface Teller {
  /** What these events mean for calls, as plain data; null when no call is concerned. */
  tell(events: readonly InspectorEvent[], occasion: Occasion): Told | null;
  /** Messages with this Call-ID are told from now on. */
  know(callId: string): void;
}

/**
 * Puts what the inspector says into words for the history of each call. Messages that belong to no leg (an ACK after
 * a failure) are told while their Call-ID is one of the latest `capacity`.
 */
export function createTeller(inspector: Pick<Inspector, 'held'>, capacity: () => number): Teller {
  const known = new Set<string>();

  function know(callId: string): void {
    known.delete(callId);
    known.add(callId);
    if (known.size <= capacity()) return;
    for (const oldest of known) {
      known.delete(oldest);
      if (known.size <= capacity()) break;
    }
  }

  function tell(events: readonly InspectorEvent[], occasion: Occasion): Told | null {
    const calls = new Set<Call>();
    const messages: ToldMessage[] = [];
    const pinholes: HolderEvent[] = [];
    const refusals: (Refusal & { call: string; at: number })[] = [];
    const leaving: Told['leaving'][number][] = [];
    for (const event of events) {
      if (event.type === 'message') {
        if (event.calls.length === 0 && !known.has(event.message.callId)) continue;
        messages.push(messageOf(event));
        for (const call of event.calls) calls.add(call);
      } else if (event.type === 'pinhole') {
        calls.add(event.call);
        pinholes.push({ ...event.event, held: { ...event.event.held } });
      } else if (event.type === 'call') {
        calls.add(event.call);
      } else if (event.type === 'refused' && event.call !== null) {
        calls.add(event.call);
        refusals.push({ ...event.refusal, call: event.call.hash, at: event.at });
      }
    }
    if (calls.size + messages.length === 0) return null;
    for (const call of calls) {
      know(call.callId);
      if (messages.length === 0) continue;
      for (const { pinhole, until, reason } of inspector.held(call)) {
        if (until !== Number.POSITIVE_INFINITY)
          leaving.push({ call: call.hash, pinhole: pinhole.id, until, reason });
      }
    }
    return { ...occasion, messages, legs: [...calls].map(legOf), pinholes, refusals, leaving };
  }

  return { tell, know };
}

function messageOf({ message, transport, packet, calls, session }: MessageEvent): ToldMessage {
  const { source, sourcePort, destination, destinationPort } = packet;
  const { method, status, subject, cseq, cseqMethod, branch, callId, fromTag, toTag } = message;
  return {
    message: { method, status, subject, cseq, cseqMethod, branch, callId, fromTag, toTag },
    transport,
    packet: { source, sourcePort, destination, destinationPort },
    description: phrase(session()),
    calls: calls.map(({ hash }) => hash),
  };
}

function phrase(session: Session | SdpError | Refusal | null): string | null {
  if (session === null) return null;
  return 'streams' in session ? describeSession(session) : `unusable SDP: ${session.detail}`;
}
