import type { Call } from '../../call/call.ts';
import { describeSession } from '../../call/description.ts';
import type { Refusal } from '../../call/refusal.ts';
import { legOf, type Told, type ToldMessage } from '../../inspector/happening.ts';
import type { Inspector, InspectorEvent, MessageEvent } from '../../inspector.ts';
import type { HolderEvent } from '../../pinhole/table.ts';
import type { SdpError, Session } from '../../sdp/session.ts';

export interface Teller {
  /**
   * What these events mean for calls, as plain data; null when no call is concerned. `packet` counts the packets so
   * far, `at` is in ms of the clock, `deadline` says that no packet was the cause.
   */
  tell(events: readonly InspectorEvent[], packet: number, at: number, deadline: boolean): Told | null;
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

  function tell(
    events: readonly InspectorEvent[],
    packet: number,
    at: number,
    deadline: boolean,
  ): Told | null {
    const calls: Call[] = [];
    const messages: ToldMessage[] = [];
    const pinholes: HolderEvent[] = [];
    const refusals: Told['refusals'][number][] = [];
    for (const event of events) {
      if (event.type === 'message') {
        if (event.calls.length === 0 && !known.has(event.message.callId)) continue;
        messages.push(messageOf(event));
        for (const call of event.calls) note(calls, call);
      } else if (event.type === 'pinhole') {
        note(calls, event.call);
        pinholes.push(event.event);
      } else if (event.type === 'call') {
        note(calls, event.call);
      } else if (event.type === 'refused' && event.call !== null) {
        note(calls, event.call);
        const { reason, detail } = event.refusal;
        refusals.push({ reason, detail, call: event.call.hash, at: event.at });
      }
    }
    if (calls.length + messages.length === 0) return null;
    for (const { callId } of calls) know(callId);
    const leaving = messages.length === 0 ? [] : leavingOf(calls);
    return { packet, at, deadline, messages, legs: calls.map(legOf), pinholes, refusals, leaving };
  }

  /** Pinholes that are there still, and about to close. */
  function leavingOf(calls: readonly Call[]): Told['leaving'] {
    const leaving: Told['leaving'][number][] = [];
    for (const call of calls) {
      for (const { pinhole, until, reason } of inspector.held(call)) {
        if (until === Number.POSITIVE_INFINITY) continue;
        leaving.push({ call: call.hash, pinhole: pinhole.id, until, reason });
      }
    }
    return leaving;
  }

  return { tell, know };
}

/** A packet concerns few calls. */
function note(calls: Call[], call: Call): void {
  if (!calls.includes(call)) calls.push(call);
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
