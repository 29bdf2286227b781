import type { Address } from '../address/address.ts';
import { appended, extended, without } from '../lists.ts';
import { ownCopy, sharedWords } from '../own-copy.ts';
import type { SipMessage } from '../sip/message.ts';
import { METHODS } from '../sip/methods.ts';
import { type Call, type Description, type Dialog, newDialog, otherSide, type Transaction } from './call.ts';
import type { Context } from './context.ts';
import type { Arrival } from './outcome.ts';
import type { Refusal } from './refusal.ts';
import type { Side } from './wanted.ts';

const MAX_DIALOGS = 32;
const MAX_TRANSACTIONS = 16;
/** Requests whose answers open or close something: they are not forgotten for the sake of others. */
const NEGOTIATING: ReadonlySet<string> = new Set(['INVITE', 'UPDATE', 'PRACK', 'BYE']);

const NO_DIALOGS: readonly Dialog[] = [];

const methodWord = sharedWords(METHODS);

/** Remembers a request, and forgets those that were answered too long ago to be retransmitted. */
export function addTransaction(
  { timers }: Context,
  call: Call,
  message: SipMessage,
  { source, destination, now }: Arrival,
  side: Side,
  offer: Description | null,
): Transaction {
  const transaction: Transaction = {
    method: methodWord(message.method),
    branch: ownCopy(message.branch),
    cseq: message.cseq,
    side,
    source: source.address,
    destination: destination.address,
    toTag: ownCopy(message.toTag),
    startedAt: now,
    offer,
    offered: message.sdp.kind === 'sdp' || message.sdp.kind === 'unusable',
    replaced: null,
    waiting: null,
    final: 0,
  };
  const kept =
    call.transactions.length === 0 ? call.transactions : keptOf(call, now - timers().retransmissionMemory);
  call.transactions = extended(kept, transaction);
  return transaction;
}

/** Those that may be answered, or were begun after `oldest` ms, with room for one more. */
function keptOf({ transactions, invite }: Call, oldest: number): readonly Transaction[] {
  const isKept = (one: Transaction) => one === invite || one.final === 0 || one.startedAt > oldest;
  const kept = transactions.every(isKept) ? transactions : transactions.filter(isKept);
  if (kept.length < MAX_TRANSACTIONS) return kept;
  const plain = kept.find((one) => one !== invite && !NEGOTIATING.has(one.method));
  return without(kept, plain ?? kept[kept[0] === invite ? 1 : 0]!);
}

/** Whether this request of this side was seen before (RFC 3261 17.2.3). */
export function isRetransmission(call: Call, message: SipMessage, side: Side): boolean {
  for (const one of call.transactions) {
    const isSame =
      one.cseq === message.cseq &&
      one.side === side &&
      one.method === message.method &&
      one.branch === message.branch;
    if (isSame) return true;
  }
  return false;
}

/**
 * The request that a response answers (RFC 3261 17.1.3): branch, CSeq and method, going back between the same two
 * hosts, with the caller's tag where it belongs.
 */
export function answeredTransaction(
  context: Context,
  call: Call,
  message: SipMessage,
  { source, destination }: Arrival,
): Transaction | undefined {
  for (const one of call.transactions) {
    const isAnswered =
      one.cseq === message.cseq &&
      one.method === message.cseqMethod &&
      one.branch === message.branch &&
      one.source === destination.address &&
      (one.side === 0 ? message.fromTag : message.toTag) === call.fromTag &&
      (one.destination === source.address || isParty(context, call, otherSide(one.side), source.address));
    if (isAnswered) return one;
  }
  return undefined;
}

/** Why a request from another address than the party's counts for nothing. */
export function strayRefusal({ method, source }: Transaction, what: string): Refusal {
  return {
    reason: 'wrong-dialog',
    detail: `${method} from ${source}, which is not the party's address, ${what}`,
  };
}

const MOST_ADDRESSES = 8;

/** Whether the address is one of this party: all those of a named peer are. */
export function isParty(
  { admission }: Context,
  { parties, also }: Call,
  side: Side,
  address: Address,
): boolean {
  return (
    parties[side] === address || also[side].includes(address) || admission.isSamePeer(parties[side], address)
  );
}

/** From now on the address is the party's, too. The one learnt first goes when there are many. */
export function addAddress(call: Call, side: Side, address: Address): void {
  const { also } = call;
  if (also[side].includes(address)) return;
  const more = [...also[side].slice(-MOST_ADDRESSES + 1), address];
  call.also = side === 0 ? [more, also[1]] : [also[0], more];
}

/** The dialog with this To-tag, made when it is new (RFC 3261 12.1.2); null when it is over or one too many. */
export function findOrAddDialog(call: Call, toTag: string): Dialog | null {
  const known = call.dialogs.find((dialog) => dialog.toTag === toTag);
  if (known !== undefined) return known;
  if (call.dialogs.length >= MAX_DIALOGS || call.pastTags.includes(toTag)) return null;
  const dialog = newDialog(toTag);
  call.dialogs = extended(call.dialogs, dialog);
  return dialog;
}

/** Takes dialogs out for good. */
export function dropDialogs(call: Call, isOver: (dialog: Dialog) => boolean): readonly Dialog[] {
  let over: Dialog[] | null = null;
  let left: Dialog[] | null = null;
  let tags = call.pastTags;
  for (const dialog of call.dialogs) {
    if (isOver(dialog)) {
      over = appended(over, dialog);
      tags = extended(tags, dialog.toTag);
    } else {
      left = appended(left, dialog);
    }
  }
  call.dialogs = left ?? [];
  call.pastTags = tags.length > MAX_DIALOGS ? tags.slice(-MAX_DIALOGS) : tags;
  return over ?? NO_DIALOGS;
}

/** The callee's tag, which names the dialog: in the request's To when the caller sent it, else in its From. */
export function dialogTag(transaction: Transaction, response: SipMessage): string {
  return transaction.side === 0 ? response.toTag : response.fromTag;
}
