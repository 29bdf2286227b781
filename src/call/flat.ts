import type { Agreement, Call, Described, Description, Dialog, Offer, Transaction } from './call.ts';
import type { Refusal } from './refusal.ts';
import type { Side } from './wanted.ts';

/** A place in one of the lists of a flat call. */
type Ref = number;

export interface FlatDescription extends Omit<Description, 'unread'> {
  readonly unread: boolean;
}

export interface FlatAgreement {
  readonly offerSide: Side;
  readonly sides: readonly [Ref, Ref];
}

export interface FlatDescribed {
  readonly description: Ref | null;
  readonly refusals: readonly Refusal[];
}

export interface FlatTransaction extends Omit<Transaction, 'offer' | 'replaced' | 'waiting'> {
  readonly offer: Ref | null;
  readonly replaced: FlatAgreement | null;
  readonly waiting: FlatDescribed | null;
}

export interface FlatOffer {
  readonly description: Ref;
  readonly transaction: Ref;
}

export interface FlatDialog extends Omit<Dialog, 'agreed' | 'offers'> {
  readonly agreed: FlatAgreement | null;
  readonly offers: readonly [FlatOffer | null, FlatOffer | null];
}

/**
 * A call in which nothing stands twice: what several of its parts hold is in a list, and they name its place there. So
 * written and read again, they hold one and the same still.
 */
export interface FlatCall extends Omit<Call, 'invite' | 'transactions' | 'dialogs'> {
  readonly descriptions: readonly FlatDescription[];
  /** Those that the call remembers come first; others are only what an offer is of. */
  readonly transactions: readonly FlatTransaction[];
  readonly remembered: number;
  readonly invite: Ref | null;
  readonly dialogs: readonly FlatDialog[];
}

export function flatten(call: Call): FlatCall {
  const descriptions = createIndex<Description>();
  const transactions = createIndex<Transaction>();
  for (const one of call.transactions) transactions.refOf(one);
  const remembered = transactions.items.length;
  const invite = call.invite === null ? null : transactions.refOf(call.invite);

  const agreement = ({ offerSide, sides }: Agreement): FlatAgreement => ({
    offerSide,
    sides: [descriptions.refOf(sides[0]), descriptions.refOf(sides[1])],
  });
  const offer = ({ description, transaction }: Offer): FlatOffer => ({
    description: descriptions.refOf(description),
    transaction: transactions.refOf(transaction),
  });
  const described = ({ description, refusals }: Described): FlatDescribed => ({
    description: mapped(description, descriptions.refOf),
    refusals,
  });

  const dialogs = call.dialogs.map((dialog) => ({
    ...dialog,
    agreed: mapped(dialog.agreed, agreement),
    offers: [mapped(dialog.offers[0], offer), mapped(dialog.offers[1], offer)] as const,
  }));
  const flat = transactions.items.map((one) => ({
    ...one,
    offer: mapped(one.offer, descriptions.refOf),
    replaced: mapped(one.replaced, agreement),
    waiting: mapped(one.waiting, described),
  }));
  // Named one by one: behind a spread V8 makes a hidden class for each object, in ten times the time.
  return {
    legId: call.legId,
    callId: call.callId,
    fromTag: call.fromTag,
    parties: call.parties,
    also: call.also,
    from: call.from,
    to: call.to,
    startedAt: call.startedAt,
    state: call.state,
    endReason: call.endReason,
    endStatus: call.endStatus,
    answeredAt: call.answeredAt,
    endedAt: call.endedAt,
    invite,
    inviteCseq: call.inviteCseq,
    descriptions: descriptions.items.map(({ session, owner, unread }) => ({
      session,
      owner,
      unread: unread === true,
    })),
    dialogs,
    pastTags: call.pastTags,
    transactions: flat,
    remembered,
    strays: call.strays,
    announced: call.announced,
    acknowledges: call.acknowledges,
    cancelled: call.cancelled,
    inviteExpires: call.inviteExpires,
    signallingDeadline: call.signallingDeadline,
    sessionDeadline: call.sessionDeadline,
    hardDeadline: call.hardDeadline,
    mediaAt: call.mediaAt,
    heardAt: call.heardAt,
    ownAt: call.ownAt,
    untoldAt: call.untoldAt,
    earlyOver: call.earlyOver,
    held: call.held,
    idle: call.idle,
    standing: call.standing,
  };
}

/** Null when a place is named that is not there. */
export function unflatten(flat: FlatCall): Call | null {
  const { descriptions: flatDescriptions, remembered, ...rest } = flat;
  if (remembered > flat.transactions.length) return null;
  let isWhole = true;
  const at = <T>(list: readonly T[], ref: Ref): T => {
    if (list[ref] === undefined) isWhole = false;
    return list[ref] as T;
  };
  const descriptions = flatDescriptions.map(
    ({ session, owner, unread }): Description => (unread ? { session, owner, unread } : { session, owner }),
  );
  const description = (ref: Ref): Description => at(descriptions, ref);
  const agreement = ({ offerSide, sides }: FlatAgreement): Agreement => ({
    offerSide,
    sides: [description(sides[0]), description(sides[1])],
    words: null,
  });
  const described = (one: FlatDescribed): Described => ({
    description: mapped(one.description, description),
    refusals: one.refusals,
  });
  const transactions = flat.transactions.map(
    (one): Transaction => ({
      ...one,
      offer: mapped(one.offer, description),
      replaced: mapped(one.replaced, agreement),
      waiting: mapped(one.waiting, described),
    }),
  );
  const transaction = (ref: Ref): Transaction => at(transactions, ref);
  const offer = (one: FlatOffer): Offer => ({
    description: description(one.description),
    transaction: transaction(one.transaction),
  });
  const call: Call = {
    ...rest,
    transactions: transactions.slice(0, remembered),
    invite: mapped(flat.invite, transaction),
    dialogs: flat.dialogs.map((dialog) => ({
      ...dialog,
      agreed: mapped(dialog.agreed, agreement),
      offers: [mapped(dialog.offers[0], offer), mapped(dialog.offers[1], offer)],
    })),
  };
  return isWhole ? call : null;
}

function mapped<One, Other>(value: One | null, to: (value: One) => Other): Other | null {
  return value === null ? null : to(value);
}

/** Numbers things, the same one each time with the same number. There are few: a map would be slower. */
function createIndex<T>() {
  const items: T[] = [];
  return {
    items,
    refOf(item: T): Ref {
      const known = items.indexOf(item);
      return known >= 0 ? known : items.push(item) - 1;
    },
  };
}
