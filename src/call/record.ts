import { address, port, ports, transportAddress } from '../address/shape.ts';
import { candidate, session, sessionOrError } from '../sdp/shape.ts';
import {
  either,
  flag,
  hexadecimal,
  integer,
  isFields,
  list,
  nameOf,
  object,
  only,
  orNull,
  pair,
  past,
  type Shape,
  ShapeError,
  text,
  time,
} from '../shape.ts';
import { message, status, WORD } from '../sip/shape.ts';
import type { Announced } from './announced.ts';
import type { Call, CallState, EndReason, Farewell, Stray } from './call.ts';
import {
  type FlatAgreement,
  type FlatCall,
  type FlatDescribed,
  type FlatDescription,
  type FlatDialog,
  type FlatOffer,
  type FlatTransaction,
  flatten,
  unflatten,
} from './flat.ts';
import { REFUSALS, type Refusal } from './refusal.ts';
import { type HeldConnection, type HeldRegistration, MOST_HELD_UP, type Standing } from './standing.ts';
import type { Trickled } from './transport.ts';
import type { Side } from './wanted.ts';

/** More than a call can have of anything. */
const MANY = 1024;
const CSEQ = integer(0, 0xffff_ffff);
const REF = integer(0, MANY);

const STATES: Readonly<Record<CallState, true>> = {
  calling: true,
  ringing: true,
  confirmed: true,
  terminating: true,
  ended: true,
};

const END_REASONS: Readonly<Record<EndReason, true>> = {
  bye: true,
  'bye-timeout': true,
  cancelled: true,
  'cancel-timeout': true,
  failed: true,
  'no-response': true,
  'ringing-timeout': true,
  'session-expired': true,
  'max-duration': true,
  'over-limit': true,
  'connection-closed': true,
  'static-idle': true,
  'registration-expired': true,
  unlisted: true,
  administrator: true,
};

const side: Shape<Side> = {
  isPlain: true,
  write: (value) => value,
  read: (value, at, moment) => (value === 0 ? 0 : only(1).read(value, at, moment)),
};

const refusal = object<Refusal>({ reason: nameOf(REFUSALS), detail: text(4096) });
const addresses = list(address, MANY);

const description = object<FlatDescription>({ session, owner: address, unread: flag });
const agreement = object<FlatAgreement>({ offerSide: side, sides: pair(REF) });

const transaction = object<FlatTransaction>({
  method: WORD,
  branch: WORD,
  cseq: CSEQ,
  side,
  source: address,
  destination: address,
  toTag: WORD,
  startedAt: past,
  offer: orNull(REF),
  offered: flag,
  replaced: orNull(agreement),
  waiting: orNull(object<FlatDescribed>({ description: orNull(REF), refusals: list(refusal, MANY) })),
  final: status,
});

const trickled = list(object<Trickled>({ mid: text(4096), candidate }), MANY);

const dialog = object<FlatDialog>({
  toTag: WORD,
  confirmed: flag,
  agreed: orNull(agreement),
  settled: flag,
  offers: pair(orNull(object<FlatOffer>({ description: REF, transaction: REF }))),
  trickled: pair(trickled),
  ackBy: time,
  acknowledged: flag,
  bye: orNull(object<Farewell>({ side, challenged: flag })),
  endsAt: time,
});

const stray = object<Stray>({
  message,
  session: orNull(either('reason', refusal, sessionOrError)),
  source: transportAddress,
  destination: transportAddress,
  at: past,
});

const standing = object<Standing>({
  entry: WORD,
  connections: list(
    object<HeldConnection>({
      peerPort: port,
      host: address,
      hostPort: port,
      seenAt: past,
      awaits: orNull(CSEQ),
    }),
    MOST_HELD_UP,
  ),
  registrations: list(object<HeldRegistration>({ callId: WORD, until: time }), MOST_HELD_UP),
});

const flatCall = object<FlatCall>({
  legId: hexadecimal(16),
  callId: WORD,
  fromTag: WORD,
  parties: pair(address),
  also: pair(addresses),
  from: WORD,
  to: WORD,
  startedAt: past,
  state: nameOf(STATES),
  endReason: orNull(nameOf(END_REASONS)),
  endStatus: status,
  answeredAt: orNull(past),
  endedAt: orNull(past),
  invite: orNull(REF),
  inviteCseq: CSEQ,
  descriptions: list(description, MANY),
  dialogs: list(dialog, MANY),
  pastTags: list(WORD, MANY),
  transactions: list(transaction, MANY),
  remembered: REF,
  strays: list(stray, MANY),
  announced: list(object<Announced>({ address, ports, outside: flag }), MANY),
  acknowledges: flag,
  cancelled: flag,
  inviteExpires: time,
  signallingDeadline: time,
  sessionDeadline: time,
  hardDeadline: time,
  mediaAt: past,
  heardAt: past,
  ownAt: past,
  untoldAt: past,
  earlyOver: flag,
  held: flag,
  idle: flag,
  standing: orNull(standing),
});

/** A call, with all that its messages have said. */
export const callShape: Shape<Call> = {
  isPlain: false,
  write: (call, moment) => flatCall.write(flatten(call), moment),
  read(value, at, moment) {
    const flat = flatCall.read(value, at, moment);
    const call = unflatten(flat);
    if (call === null) throw new ShapeError(`expected only what is there to be named in ${at}`);
    if ((call.state === 'ended') !== (call.endedAt !== null && call.endReason !== null)) {
      throw new ShapeError(`expected an end where the call is over, at ${at}`);
    }
    return call;
  },
};

/**
 * A call of a version 1 record as version 2 has it: the leg's id was its `hash`, and a dialog said whether an answer was
 * there that could not be read, which makes no difference any more. Whatever else it is stays for `callShape` to refuse.
 */
export function fromVersion1(call: unknown): unknown {
  if (!isFields(call)) return call;
  const { hash, dialogs, ...rest } = call;
  return { ...rest, legId: hash, dialogs: Array.isArray(dialogs) ? dialogs.map(withoutUnread) : dialogs };
}

/** A call of version 2 as version 3 has it: no call stood on anything but SIP. */
export function fromVersion2(call: unknown): unknown {
  return isFields(call) ? { standing: null, ...call } : call;
}

/** A call of version 3 as version 4 has it: no stream said which codecs it has. */
export function fromVersion3(call: unknown): unknown {
  if (!isFields(call)) return call;
  const { descriptions, strays } = call;
  return {
    ...call,
    descriptions: Array.isArray(descriptions) ? descriptions.map(withoutCodecs) : descriptions,
    strays: Array.isArray(strays) ? strays.map(withoutCodecs) : strays,
  };
}

/** Of what has a session: its streams. */
function withoutCodecs(holder: unknown): unknown {
  if (!isFields(holder) || !isFields(holder['session'])) return holder;
  const { streams } = holder['session'];
  if (!Array.isArray(streams)) return holder;
  const added = streams.map((stream) => (isFields(stream) ? { codecs: [], ...stream } : stream));
  return { ...holder, session: { ...holder['session'], streams: added } };
}

function withoutUnread(dialog: unknown): unknown {
  if (!isFields(dialog)) return dialog;
  const { unread: _, ...rest } = dialog;
  return rest;
}
