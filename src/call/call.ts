import type { Address, TransportAddress } from '../address/address.ts';
import { fnv1a, hexadecimal } from '../hash.ts';
import { inOnePiece, ownCopy } from '../own-copy.ts';
import type { SdpError, Session } from '../sdp/session.ts';
import type { SipMessage } from '../sip/message.ts';
import type { Announcements } from './announced.ts';
import type { Refusal } from './refusal.ts';
import { type Standing, standingName } from './standing.ts';
import { isEnabled, isHeldByAddress, type Trickled } from './transport.ts';
import type { Side } from './wanted.ts';

/** A session description with the host that sent it. */
export interface Description {
  readonly session: Session;
  /** Packet source of the message that carried it. */
  readonly owner: Address;
  /** It was there, but could not be read or was refused: `session` only says which streams there are. */
  readonly unread?: true;
}

/** A message's session description with its owner, or what keeps it from being used. */
export interface Described {
  readonly description: Description | null;
  readonly refusals: readonly Refusal[];
}

/** A completed offer/answer exchange (RFC 3264): what both parties of a dialog have agreed on. */
export interface Agreement {
  readonly offerSide: Side;
  readonly sides: readonly [Description, Description];
  /** What `codecsText` says of it, which is told with each message; null until it is asked. */
  words: string | null;
}

/** A request that still may be answered, or was answered a short while ago (retransmissions). */
export interface Transaction {
  readonly method: string;
  readonly branch: string;
  readonly cseq: number;
  readonly side: Side;
  readonly source: Address;
  readonly destination: Address;
  /** To-tag of the request: '' outside a dialog. */
  readonly toTag: string;
  readonly startedAt: number;
  offer: Description | null;
  /** It had a description, whatever became of that: what answers it is an answer. */
  readonly offered: boolean;
  /** What was agreed before a provisional answer to this request; a failure brings it back. */
  replaced: Agreement | null;
  /** It came from an address that is not the party's: what it says waits until the party inside accepts it. */
  waiting: Described | null;
  /** Final status, 0 while there is none. */
  final: number;
}

/**
 * A response, or an ACK, that came from an address which is not the party's: kept, without the bytes of its body, until
 * the party inside goes on with it or `timers.offer` has passed.
 */
export interface Stray {
  readonly message: SipMessage;
  /** Its description, as far as it could be read. */
  readonly session: Session | SdpError | Refusal | null;
  readonly source: TransportAddress;
  readonly destination: TransportAddress;
  readonly at: number;
}

/** One dialog of a call: every To-tag makes its own (RFC 3261 12.1, forking). */
export interface Dialog {
  /** '' while the callee has told none; the first one that it tells is its own. */
  toTag: string;
  confirmed: boolean;
  agreed: Agreement | null;
  /** Whether the agreement came in a reliable message, after which other descriptions are ignored. */
  settled: boolean;
  /** Offers without an answer yet, by the side that made them. */
  readonly offers: [Offer | null, Offer | null];
  /** Candidates trickled in INFO (RFC 8840), by side and mid. */
  trickled: readonly [readonly Trickled[], readonly Trickled[]];
  /** When the ACK of its 2xx is missed; Infinity before the 2xx and after the ACK. */
  ackBy: number;
  /** The caller has acknowledged its 2xx: it knows of this dialog. */
  acknowledged: boolean;
  /** The BYE under way; null when there is none. */
  bye: Farewell | null;
  /** When a fork that lost, or a dialog whose BYE gets no answer, is given up; Infinity for the others. */
  endsAt: number;
}

/** Who hangs up, and whether the other party asked that one to do it again, with credentials. */
export interface Farewell {
  readonly side: Side;
  challenged: boolean;
}

export interface Offer {
  readonly description: Description;
  /** The transaction that carries it, null once only the answer's own request can complete it. */
  readonly transaction: Transaction;
}

export type CallState = 'calling' | 'ringing' | 'confirmed' | 'terminating' | 'ended';

export type EndReason =
  | 'bye'
  | 'bye-timeout'
  | 'cancelled'
  | 'cancel-timeout'
  | 'failed'
  | 'no-response'
  | 'ringing-timeout'
  | 'session-expired'
  | 'max-duration'
  | 'over-limit'
  | 'connection-closed'
  | 'static-idle'
  | 'registration-expired'
  | 'unlisted'
  | 'administrator';

const BY_TIME: ReadonlySet<EndReason | null> = new Set<EndReason>([
  'no-response',
  'ringing-timeout',
  'session-expired',
  'max-duration',
]);

/** Whether a call that is over for this reason is so because nothing was seen of it for too long. */
export function isByTime(reason: EndReason | null): boolean {
  return BY_TIME.has(reason);
}

/**
 * One call leg: a Call-ID with the caller's tag between two signalling addresses. The same Call-ID between
 * other addresses (the far side of a proxy) is another leg and never touches this one. Times are in ms.
 */
export interface Call {
  /** Name of this leg, 16 hexadecimal digits: see `legIdOf`. */
  readonly legId: string;
  readonly callId: string;
  readonly fromTag: string;
  /** Signalling addresses: [0] sent the first INVITE. */
  readonly parties: readonly [Address, Address];
  /**
   * Other addresses of each party: those that a party inside accepted messages from, or sent its own to, and those that the
   * party itself named as its Contact.
   */
  also: readonly [readonly Address[], readonly Address[]];
  readonly from: string;
  readonly to: string;
  readonly startedAt: number;
  state: CallState;
  endReason: EndReason | null;
  /** Final status that ended it, 0 when none did. */
  endStatus: number;
  answeredAt: number | null;
  endedAt: number | null;
  /** The INVITE that is being answered; null between attempts and once everything is over. */
  invite: Transaction | null;
  inviteCseq: number;
  dialogs: Dialog[];
  /** To-tags of dialogs that are over: a response that comes late does not bring them back. */
  pastTags: readonly string[];
  transactions: Transaction[];
  /** Oldest first. Nearly every call has none, and those have one list: it is looked at with each message. */
  strays: readonly Stray[];
  /** What was announced in its Call-ID; all legs of that have one list. */
  announced: Announcements;
  /** An ACK of a 2xx was seen: the caller's ACKs come past here. */
  acknowledges: boolean;
  cancelled: boolean;
  /** When the INVITE itself runs out (Expires, RFC 3261 13.2.1). */
  inviteExpires: number;
  /** When what is known now ends the call: no response, ringing too long, CANCEL unanswered. */
  signallingDeadline: number;
  sessionDeadline: number;
  hardDeadline: number;
  /** Last media seen, or the last time that SIP made a difference to it or showed that the call goes on. */
  mediaAt: number;
  /** Last media seen in a pinhole of the call; -Infinity before the first. */
  heardAt: number;
  /** Last sign of a party inside: a message of its own, or media that it sent. */
  ownAt: number;
  /** Last media of which nobody can tell who sent it; -Infinity before the first. */
  untoldAt: number;
  /** Only the signalling peer may send to an offered port: by configuration, or since it has rung for `timers.early-any`. */
  earlyOver: boolean;
  /** Every stream in use is on hold, so that silence is expected. Kept by `changed`. */
  held: boolean;
  /** Media, or the party inside, has been silent for too long: the rules are gone, the call is not. */
  idle: boolean;
  /** What it stands on in place of SIP; null for a call that was read. */
  readonly standing: Standing | null;
}

/**
 * The name of a leg: eight hexadecimal digits that are the same for all legs of a Call-ID (FNV-1a), and eight that
 * count the legs, so that no choice of Call-IDs makes two legs share a name.
 */
export function legIdOf(callId: string, count: number): string {
  return inOnePiece(hexadecimal(fnv1a(callId)) + hexadecimal(count));
}

/** The counting half of a name. */
export function legCount(legId: string): number {
  return Number.parseInt(legId.slice(8), 16);
}

/** Nearly every call has none of these. */
export const NO_STRAYS: readonly Stray[] = [];
export const NO_TAGS: readonly string[] = [];
const NO_OTHERS: Call['also'] = [[], []];
const NOT_TRICKLED: Dialog['trickled'] = [[], []];

/** A leg that begins with this INVITE, of which nothing has been said yet. `legId` is its name; times are in ms. */
export function newCall(
  legId: string,
  message: Pick<SipMessage, 'callId' | 'fromTag' | 'from' | 'to' | 'cseq'>,
  { source, destination, now }: Pick<Stray, 'source' | 'destination'> & { readonly now: number },
  announced: Announcements,
  hardDeadline: number,
  standing: Standing | null = null,
): Call {
  return {
    legId,
    callId: ownCopy(message.callId),
    fromTag: ownCopy(message.fromTag),
    parties: [source.address, destination.address],
    also: NO_OTHERS,
    from: ownCopy(message.from),
    to: ownCopy(message.to),
    startedAt: now,
    state: 'calling',
    endReason: null,
    endStatus: 0,
    answeredAt: null,
    endedAt: null,
    invite: null,
    inviteCseq: message.cseq,
    dialogs: [],
    pastTags: NO_TAGS,
    transactions: [],
    strays: NO_STRAYS,
    announced,
    acknowledges: false,
    cancelled: false,
    earlyOver: false,
    inviteExpires: Number.POSITIVE_INFINITY,
    signallingDeadline: Number.POSITIVE_INFINITY,
    sessionDeadline: Number.POSITIVE_INFINITY,
    hardDeadline,
    mediaAt: now,
    heardAt: Number.NEGATIVE_INFINITY,
    ownAt: now,
    untoldAt: Number.NEGATIVE_INFINITY,
    held: false,
    idle: false,
    standing,
  };
}

/** A call that stands on no SIP, from a peer of the entry with this name to a host inside. It has no age to end at. */
export function newStandingCall(
  legId: string,
  name: string,
  parties: Call['parties'],
  standing: Standing,
  now: number,
): Call {
  const [source, destination] = [
    { address: parties[0], port: 0 },
    { address: parties[1], port: 0 },
  ];
  const called = standingName(name);
  const said = { callId: `${called} ${parties[0]}`, fromTag: '', from: called, to: parties[1], cseq: 0 };
  const call = newCall(legId, said, { source, destination, now }, [], Number.POSITIVE_INFINITY, standing);
  call.state = 'confirmed';
  call.answeredAt = now;
  return call;
}

/** The same leg is tried once more, or its Call-ID used for another call. */
export function startAnew(call: Call, now: number, hardDeadline: number): void {
  call.endedAt = null;
  call.endReason = null;
  call.endStatus = 0;
  call.answeredAt = null;
  call.acknowledges = false;
  call.heardAt = Number.NEGATIVE_INFINITY;
  call.untoldAt = Number.NEGATIVE_INFINITY;
  call.ownAt = now;
  call.sessionDeadline = Number.POSITIVE_INFINITY;
  call.hardDeadline = hardDeadline;
}

export function newDialog(toTag: string): Dialog {
  return {
    toTag: ownCopy(toTag),
    confirmed: false,
    agreed: null,
    settled: false,
    offers: [null, null],
    trickled: NOT_TRICKLED,
    ackBy: Number.POSITIVE_INFINITY,
    acknowledged: false,
    bye: null,
    endsAt: Number.POSITIVE_INFINITY,
  };
}

export function otherSide(side: Side): Side {
  return side === 0 ? 1 : 0;
}

/**
 * Hold by address says that nothing is to be sent, not that the transport is gone: such a stream keeps the address
 * and ports it had, inactive.
 */
export function carryHold(next: Description, previous: Description | undefined): Description {
  if (previous === undefined) return next;
  const streams = next.session.streams.map((stream, index) => {
    const before = previous.session.streams[index];
    return isEnabled(stream) &&
      isHeldByAddress(stream) &&
      before?.connection.kind === 'address' &&
      isEnabled(before)
      ? { ...before, direction: 'inactive' as const }
      : stream;
  });
  return { ...next, session: { ...next.session, streams } };
}

/** Whether every stream in use of every dialog is held, so that silence is expected. */
export function isHeld(call: Call): boolean {
  let streams = 0;
  for (const { agreed } of call.dialogs) {
    if (agreed === null) continue;
    const mine = agreed.sides[0].session.streams;
    const theirs = agreed.sides[1].session.streams;
    for (let index = 0; index < mine.length; index++) {
      const stream = mine[index]!;
      const peer = theirs[index];
      if (peer === undefined || !isEnabled(stream) || !isEnabled(peer)) continue;
      if (stream.direction === 'sendrecv' && peer.direction === 'sendrecv') return false;
      streams++;
    }
  }
  return streams > 0;
}
