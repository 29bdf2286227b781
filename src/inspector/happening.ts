import type { Call } from '../call/call.ts';
import type { Refusal } from '../call/refusal.ts';
import type { PacketView } from '../packet/ip.ts';
import type { Held, HolderEvent } from '../pinhole/table.ts';
import type { SipMessage, Transport } from '../sip/message.ts';

/** What one packet, or one deadline, did to calls: the history of each call is made of these. */
export interface Told {
  /** Packets received when it happened, this one included. */
  readonly packet: number;
  readonly at: number;
  /** A deadline and no packet was the cause. */
  readonly deadline: boolean;
  readonly messages: readonly ToldMessage[];
  /** Every leg that is concerned, as it is afterwards. */
  readonly legs: readonly Leg[];
  readonly pinholes: readonly HolderEvent[];
  readonly refusals: readonly (Refusal & { readonly call: string; readonly at: number })[];
  /** Pinholes of the messages' legs that are still there and about to close, with the leg's hash. */
  readonly leaving: readonly (Pick<Held, 'until' | 'reason'> & {
    readonly call: string;
    readonly pinhole: string;
  })[];
}

/** A SIP message without its body. */
export interface ToldMessage {
  readonly message: Pick<
    SipMessage,
    'method' | 'status' | 'subject' | 'cseq' | 'cseqMethod' | 'branch' | 'callId' | 'fromTag' | 'toTag'
  >;
  readonly transport: Transport;
  readonly packet: Pick<PacketView, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>;
  /** Its session description in one phrase, null when it has none. */
  readonly description: string | null;
  /** Hashes of the legs that it belongs to. */
  readonly calls: readonly string[];
}

/** A call leg as far as people look at it, and how it stands. */
export interface Leg
  extends Readonly<
    Pick<
      Call,
      | 'hash'
      | 'callId'
      | 'fromTag'
      | 'parties'
      | 'from'
      | 'to'
      | 'state'
      | 'endReason'
      | 'endStatus'
      | 'startedAt'
      | 'answeredAt'
      | 'endedAt'
    >
  > {
  readonly dialogs: readonly { readonly toTag: string }[];
}

/** What is told of a call. Written out: it is done for each message, and a spread costs ten times as much. */
export function legOf(call: Call): Leg {
  return {
    hash: call.hash,
    callId: call.callId,
    fromTag: call.fromTag,
    parties: call.parties,
    from: call.from,
    to: call.to,
    state: call.state,
    endReason: call.endReason,
    endStatus: call.endStatus,
    startedAt: call.startedAt,
    answeredAt: call.answeredAt,
    endedAt: call.endedAt,
    dialogs: call.dialogs.map(tagOf),
  };
}

function tagOf({ toTag }: { readonly toTag: string }): { readonly toTag: string } {
  return { toTag };
}
