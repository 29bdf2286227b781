import type { Address } from '../address/address.ts';
import type { Call } from '../call/call.ts';
import { codecsText } from '../call/codecs.ts';
import type { Refusal } from '../call/refusal.ts';
import type { Side } from '../call/wanted.ts';
import type { PacketView } from '../packet/ip.ts';
import type { HolderEvent } from '../pinhole/table.ts';
import type { SipError, SipMessage, Transport } from '../sip/message.ts';
import type { AudioCause } from './audio-cause.ts';

/**
 * What happened: the only shape of it, made once by the inspector. Log, journal, watch, metrics, live page, history and
 * replay are views of it. Plain data that structured cloning keeps whole and that lasts when the packet is gone. A call is
 * told of before what concerns it. Times are in ms of the clock that the inspector runs on.
 */
export type Happening =
  | MessageHappening
  | MalformedHappening
  | CallHappening
  | PinholeHappening
  | RefusedHappening
  | AudioHappening;

/** A SIP message, without its body. */
export interface MessageHappening {
  readonly type: 'message';
  readonly message: Pick<
    SipMessage,
    'method' | 'status' | 'subject' | 'cseq' | 'cseqMethod' | 'branch' | 'callId' | 'fromTag' | 'toTag'
  >;
  readonly transport: Transport;
  readonly packet: PacketEnds;
  /** Its session description in one phrase; null when it has none, or no call is known that it may be of. */
  readonly description: string | null;
  /** Ids of the legs that it belongs to. */
  readonly legIds: readonly string[];
  readonly at: number;
}

export type PacketEnds = Readonly<
  Pick<PacketView, 'source' | 'sourcePort' | 'destination' | 'destinationPort'>
>;

/** What came as SIP and cannot be read. */
interface MalformedHappening {
  readonly type: 'malformed';
  readonly packet: PacketEnds;
  readonly error: SipError;
  readonly at: number;
}

/** A call began, ended, or is otherwise not as it was told last. The first of a call that was taken up is no `started`. */
export interface CallHappening {
  readonly type: 'call';
  readonly what: 'started' | 'changed' | 'ended';
  /** As it is now. */
  readonly leg: Leg;
  readonly at: number;
}

/** What happened to a pinhole as one call holds it. */
export interface PinholeHappening extends HolderEvent {
  readonly type: 'pinhole';
  readonly call: CallName;
}

export interface RefusedHappening {
  readonly type: 'refused';
  readonly call: CallName | null;
  readonly refusal: Refusal;
  /** The transport that got no pinhole; null when a whole message or description was refused. */
  readonly transport: RefusedTransport | null;
  readonly at: number;
}

export interface RefusedTransport {
  /** Who announced it. */
  readonly owner: Address;
  /** Null where it was announced at a name, or nowhere. */
  readonly address: Address | null;
  readonly ports: readonly [first: number, last: number];
  readonly protocol: 'udp' | 'tcp';
  /** Signalling address of the other party. */
  readonly peer: Address;
  /** Which stream of which side it is of, as in Wanted. */
  readonly slot: string;
  /** An ICE candidate beside the default one. */
  readonly candidate: boolean;
}

/** In a call that is up audio is missed, or not any more; the next of the same call takes the place of this one. */
export interface AudioHappening {
  readonly type: 'audio';
  readonly call: CallName;
  /** The parties that get none; empty: those who missed it get it again, or do not await it any more. */
  readonly missing: readonly Side[];
  /** Since when it is missed, or was. */
  readonly since: number;
  readonly causes: readonly AudioCause[];
  readonly at: number;
}

/** A call leg by all that it is called. */
export interface CallName {
  readonly legId: string;
  readonly callId: string;
  /** Signalling addresses; the first sent the first INVITE. */
  readonly parties: readonly [Address, Address];
  /** Who calls whom, as From and To of the INVITE say. */
  readonly from: string;
  readonly to: string;
}

/** A call leg as far as people look at it, and how it stands. */
export interface Leg
  extends CallName,
    Readonly<
      Pick<Call, 'fromTag' | 'state' | 'endReason' | 'endStatus' | 'startedAt' | 'answeredAt' | 'endedAt'>
    > {
  /** Of its dialogs, in the order in which they came. */
  readonly toTags: readonly string[];
  /** What is agreed on, as `codecsText` says it. */
  readonly codecs: string;
}

/** Everything that one packet, or one deadline, led to. */
export interface Occasion {
  /** Packets received when it happened, this one included. */
  readonly packet: number;
  readonly at: number;
  /** A deadline and no packet was the cause. */
  readonly deadline: boolean;
  readonly happenings: readonly Happening[];
}

const NO_TAGS: readonly string[] = [];

/** Written out: it is done for each message, and a spread costs ten times as much. */
export function legOf(call: Call): Leg {
  return {
    legId: call.legId,
    callId: call.callId,
    parties: call.parties,
    from: call.from,
    to: call.to,
    fromTag: call.fromTag,
    toTags: tagsOf(call.dialogs),
    codecs: codecsText(call),
    state: call.state,
    endReason: call.endReason,
    endStatus: call.endStatus,
    startedAt: call.startedAt,
    answeredAt: call.answeredAt,
    endedAt: call.endedAt,
  };
}

export function nameOf({ legId, callId, parties, from, to }: CallName): CallName {
  return { legId, callId, parties, from, to };
}

function tagsOf(dialogs: Call['dialogs']): readonly string[] {
  if (dialogs.length === 0) return NO_TAGS;
  return dialogs.length === 1 ? [dialogs[0]!.toTag] : dialogs.map(({ toTag }) => toTag);
}
