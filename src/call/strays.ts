import type { Address } from '../address/address.ts';
import type { SipMessage } from '../sip/message.ts';
import { type Call, type Dialog, otherSide, type Stray, type Transaction } from './call.ts';
import type { Context } from './context.ts';
import type { Arrival, Incoming } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import { addAddress, dialogTag, isParty } from './transactions.ts';
import type { Side } from './wanted.ts';

/** Strays of one call that wait at a time; the one that came first goes. */
const MOST_STRAYS = 8;
const NO_BYTES = Buffer.alloc(0);

/**
 * A response, or an ACK, with everything right but the address it came from: another node of a trunk, or a stranger.
 * Nobody answers those, so that it waits until the party inside goes on with it. The same one again is no other.
 */
export function holdStray(call: Call, { message, arrival, bodies }: Incoming): void {
  const { strays } = call;
  const { source, destination, now } = arrival;
  if (strays.some((one) => one.source.address === source.address && isSame(one.message, message))) return;
  const sdp = message.sdp.kind === 'sdp' ? { kind: 'sdp' as const, bytes: NO_BYTES } : message.sdp;
  const session = message.sdp.kind === 'sdp' ? bodies.session() : null;
  const { asksForTls: _said, ...kept } = message;
  const stray = { message: { ...kept, sdp }, session, source, destination, at: now };
  call.strays = [...strays.slice(Math.max(0, strays.length - MOST_STRAYS + 1)), stray];
}

function isSame(one: SipMessage, other: SipMessage): boolean {
  return (
    one.method === other.method &&
    one.status === other.status &&
    one.branch === other.branch &&
    one.toTag === other.toTag &&
    one.fromTag === other.fromTag &&
    one.rseq === other.rseq
  );
}

/** Takes out those whose sender has become the party's, as they would come now. */
export function takeAccepted(context: Context, call: Call, now: number): Incoming[] {
  const accepted = call.strays.filter(({ message, source }) => {
    const side = senderOf(call, message);
    return side !== null && isParty(context, call, side, source.address);
  });
  if (accepted.length === 0) return [];
  call.strays = call.strays.filter((one) => !accepted.includes(one));
  return accepted.map(({ message, session, source, destination }) => ({
    message,
    arrival: { source, destination, now },
    bodies: { session: () => session, fragment: () => [] },
  }));
}

/** The side that sent it, by the caller's tag: whoever answers a request has its own tag in To. */
function senderOf({ fromTag }: Call, message: SipMessage): Side | null {
  const own = message.status === 0 ? message.fromTag : message.toTag;
  const other = message.status === 0 ? message.toTag : message.fromTag;
  if (own === fromTag) return 0;
  return other === fromTag ? 1 : null;
}

/**
 * The party inside sends a request in a dialog that only a stray response has told it of, sends it to where the stray
 * came from, or acknowledges a final response that came from nowhere else: what it took from there counts (RFC 3261
 * 17.1.3 knows no source address).
 */
export function acknowledge(context: Context, call: Call, message: SipMessage, arrival: Arrival): void {
  const { source, destination } = arrival;
  if (call.strays.length === 0 || !context.admission.isInside(source.address)) return;
  for (const side of [0, 1] as const) {
    const own = side === 0 ? message.fromTag : message.toTag;
    if (own !== call.fromTag || !isParty(context, call, side, source.address)) continue;
    const tag = side === 0 ? message.toTag : message.fromTag;
    const dialog = call.dialogs.find(({ toTag }) => toTag === tag);
    for (const stray of call.strays) {
      const answered = answeredByStray(call, stray.message, stray.destination.address);
      if (answered?.side !== side || dialogTag(answered, stray.message) !== tag) continue;
      const goesOn =
        message.method === 'ACK'
          ? acknowledges(message, answered, stray, dialog)
          : dialog === undefined || destination.address === stray.source.address;
      if (goesOn) addAddress(call, otherSide(side), stray.source.address);
    }
  }
}

/** Whether this ACK can only be for that response. */
function acknowledges(
  { cseq, branch }: SipMessage,
  answered: Transaction,
  { message: { status } }: Stray,
  dialog: Dialog | undefined,
): boolean {
  if (answered.method !== 'INVITE' || answered.cseq !== cseq || status < 200) return false;
  if (answered.final !== 0 && dialog !== undefined) return false;
  return status < 300 || branch === answered.branch;
}

/** The request that a response to `requester` answers, wherever it came from. */
export function answeredByStray(
  { transactions, fromTag }: Call,
  message: SipMessage,
  requester: Address,
): Transaction | undefined {
  return transactions.find(
    (one) =>
      one.branch === message.branch &&
      one.method === message.cseqMethod &&
      one.cseq === message.cseq &&
      (one.side === 0 ? message.fromTag : message.toTag) === fromTag &&
      one.source === requester,
  );
}

/** Why a message that nobody went on with counted for nothing. */
export function heldRefusal({ message, source }: Stray): Refusal {
  const { status, method, cseqMethod } = message;
  const what = status === 0 ? method : `${status} to ${cseqMethod}`;
  const how = status === 0 ? '' : ', and was never acknowledged';
  return {
    reason: 'wrong-dialog',
    detail: `${what} from ${source.address}, which is not the party's address${how}`,
  };
}
