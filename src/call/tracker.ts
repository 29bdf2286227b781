import type { Address, TransportAddress } from '../address/address.ts';
import type { SdpError, Session, TrickledCandidates } from '../sdp/session.ts';
import type { SipMessage } from '../sip/message.ts';
import {
  type Call,
  callCount,
  callHash,
  carryHold,
  type Description,
  type Dialog,
  type EndReason,
  isHeld,
  newDialog,
  otherSide,
  type Transaction,
} from './call.ts';
import type { Refusal } from './refusal.ts';
import type { CloseReason, Departure, Side } from './wanted.ts';

/** All in ms. docs/timers.md says where each comes from. */
export interface CallTimers {
  readonly offer: number;
  readonly ringing: number;
  readonly mediaIdle: number;
  readonly holdIdle: number;
  readonly sessionGrace: number;
  readonly sessionFloor: number;
  readonly maxCall: number;
  readonly afterBye: number;
  readonly afterCancel: number;
  readonly drain: number;
  readonly oldPort: number;
  readonly forks: number;
  readonly muxGrace: number;
  readonly retransmissionMemory: number;
}

/** How a message came. */
export interface Arrival {
  readonly source: TransportAddress;
  readonly destination: TransportAddress;
  /** ms, of the clock that all of the inspector runs on. */
  readonly now: number;
}

/** Says no to a new call or offer by returning the refusal; null lets it be. */
export interface Admission {
  call(source: Address, destination: Address, now: number): Refusal | null;
  offer(source: Address, now: number): Refusal | null;
  /** Counts a call that is there already, whatever the bounds. */
  adopt(source: Address, destination: Address): void;
  /** The call counted by `call` is over. */
  release(source: Address, destination: Address): void;
}

/** The session description or fragment of the message at hand, read only when the tracker needs it. */
export interface Bodies {
  session(): Session | SdpError | Refusal | null;
  fragment(): readonly TrickledCandidates[] | SdpError;
}

/** What one message or one deadline did. */
export interface Outcome {
  /** The call the message belongs to; null when it belongs to none. */
  readonly call: Call | null;
  /** Not null when what the call wants may have changed: how the pinholes no longer wanted leave. */
  readonly departure: Departure | null;
  readonly refusals: readonly Refusal[];
}

export interface Tracker {
  handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[];
  /** Does what is due in this call at `now`. */
  expire(call: Call, now: number): Outcome;
  /** When `expire` is next due; Infinity never. */
  deadline(call: Call): number;
  /** Media was seen in a pinhole of this call. */
  media(call: Call, now: number): void;
  end(call: Call, reason: EndReason, now: number): Outcome;
  /** Takes up a call from a journal; false when a leg of its name is there already. */
  adopt(call: Call): boolean;
  calls(): Iterable<Call>;
  readonly size: number;
}

const NONE: readonly Outcome[] = [];
const MAX_DIALOGS = 32;
const MAX_TRANSACTIONS = 16;
const MAX_TRICKLED = 32;

/**
 * Follows INVITE dialogs (RFC 3261) and their offers and answers (RFC 3264, 6337) as a host on the path sees
 * them. Knows no ports, no policy and no clock: time comes with every call.
 */
export function createTracker(timers: () => CallTimers, admission: Admission): Tracker {
  const byCallId = new Map<string, Call[]>();
  let size = 0;
  let nextCount = 1;

  function handle(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    if (message.status !== 0) return onResponse(message, arrival, bodies);
    switch (message.method) {
      case 'INVITE':
        return message.toTag === ''
          ? onInvite(message, arrival, bodies)
          : inDialog(message, arrival, bodies, onOffer);
      case 'ACK':
        return inDialog(message, arrival, bodies, onAck);
      case 'PRACK':
      case 'UPDATE':
        return inDialog(message, arrival, bodies, onOffer);
      case 'BYE':
        return inDialog(message, arrival, bodies, onBye);
      case 'CANCEL':
        return onCancel(message, arrival);
      case 'INFO':
        return message.sdp.kind === 'sdpfrag' ? inDialog(message, arrival, bodies, onTrickle) : NONE;
      default:
        return NONE;
    }
  }

  // --- requests -----------------------------------------------------------------------------------------

  function onInvite(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const { source, destination, now } = arrival;
    const legs = byCallId.get(message.callId);
    const known = legs?.find(
      (call) =>
        call.fromTag === message.fromTag &&
        call.parties[0] === source.address &&
        call.parties[1] === destination.address,
    );
    if (known !== undefined) return onRepeatedInvite(known, message, arrival, bodies);
    const refused = admission.call(source.address, destination.address, now);
    if (refused !== null) return [{ call: null, departure: null, refusals: [refused] }];
    const call: Call = {
      hash: callHash(message.callId, nextCount++),
      callId: message.callId,
      fromTag: message.fromTag,
      parties: [source.address, destination.address],
      from: message.from,
      to: message.to,
      startedAt: now,
      state: 'calling',
      endReason: null,
      endStatus: 0,
      answeredAt: null,
      endedAt: null,
      invite: null,
      inviteCseq: message.cseq,
      dialogs: [],
      transactions: [],
      cancelled: false,
      inviteExpires: Number.POSITIVE_INFINITY,
      signallingDeadline: Number.POSITIVE_INFINITY,
      sessionDeadline: Number.POSITIVE_INFINITY,
      hardDeadline: timers().maxCall > 0 ? now + timers().maxCall : Number.POSITIVE_INFINITY,
      mediaAt: now,
      idle: false,
    };
    remember(call);
    return [startAttempt(call, message, arrival, bodies, 'new-attempt')];
  }

  /** Same Call-ID, tag and addresses again: a retransmission, or a new attempt after 401, 407 or 3xx. */
  function onRepeatedInvite(
    call: Call,
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): readonly Outcome[] {
    const repeated = call.transactions.some(
      (one) => one.method === 'INVITE' && one.branch === message.branch,
    );
    if (repeated || message.cseq <= call.inviteCseq || call.state === 'confirmed') {
      return [{ call, departure: null, refusals: [] }];
    }
    if (call.state === 'ended') {
      const { source, destination, now } = arrival;
      const refused = admission.call(source.address, destination.address, now);
      if (refused !== null) return [{ call, departure: null, refusals: [refused] }];
      call.endedAt = null;
      call.endReason = null;
      call.endStatus = 0;
    }
    return [startAttempt(call, message, arrival, bodies, 'new-attempt')];
  }

  function startAttempt(
    call: Call,
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
    reason: CloseReason,
  ): Outcome {
    call.state = 'calling';
    call.inviteCseq = message.cseq;
    call.dialogs = [];
    call.idle = false;
    call.mediaAt = arrival.now;
    call.signallingDeadline = arrival.now + timers().offer;
    call.cancelled = false;
    call.inviteExpires =
      message.expires === null
        ? Number.POSITIVE_INFINITY
        : arrival.now + message.expires * 1000 + timers().offer;
    const { description, refusals } = describe(message, arrival, bodies, true);
    call.invite = addTransaction(call, message, arrival, 0, description);
    return { call, departure: leaving(reason, 0, 0), refusals };
  }

  type DialogHandler = (
    match: { call: Call; side: Side; dialog: Dialog },
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ) => Outcome;

  /**
   * Finds the dialogs an in-dialog request belongs to: Call-ID, both tags, and a sender that is the party whose
   * tag it uses. A leg with exactly these two addresses is the one; without it (the request bypasses a proxy
   * that the INVITE took) every leg of the dialog that starts at the sender or ends at the receiver is meant.
   */
  function inDialog(
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
    handler: DialogHandler,
  ): readonly Outcome[] {
    const legs = byCallId.get(message.callId);
    if (legs === undefined) return NONE;
    const matches: { call: Call; side: Side; dialog: Dialog; starts: boolean; ends: boolean }[] = [];
    let known = false;
    for (const call of legs) {
      for (const side of [0, 1] as const) {
        const localTag = side === 0 ? message.fromTag : message.toTag;
        const remoteTag = side === 0 ? message.toTag : message.fromTag;
        if (localTag !== call.fromTag) continue;
        const dialog = call.dialogs.find((one) => one.toTag === remoteTag);
        if (dialog === undefined) {
          // What follows the end of a dialog: the ACK of a failed INVITE, a retransmitted BYE.
          known ||= message.method === 'ACK' || call.state === 'ended';
          continue;
        }
        const starts = call.parties[side] === arrival.source.address;
        const ends = call.parties[otherSide(side)] === arrival.destination.address;
        if (starts || ends) matches.push({ call, side, dialog, starts, ends });
      }
    }
    const exact = matches.filter((match) => match.starts && match.ends);
    const chosen = exact.length > 0 ? exact : matches.some((match) => match.starts) ? matches : [];
    if (chosen.length > 0) return chosen.map((match) => handler(match, message, arrival, bodies));
    if (known) return NONE;
    const detail = `${message.method} from ${arrival.source.address} has not the tags or the sender of a known dialog`;
    return [{ call: legs[0]!, departure: null, refusals: [{ reason: 'wrong-dialog', detail }] }];
  }

  /** re-INVITE, UPDATE, PRACK: an offer, or (in PRACK) the answer to the offer of a reliable 1xx. */
  function onOffer(
    { call, side, dialog }: Parameters<DialogHandler>[0],
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    if (findTransaction(call, message, side) !== undefined) return { call, departure: null, refusals: [] };
    const theirs = dialog.offers[otherSide(side)];
    const answers = message.method === 'PRACK' && theirs !== null;
    const { description, refusals } = describe(message, arrival, bodies, !answers);
    if (answers && description !== null) {
      addTransaction(call, message, arrival, side, null);
      return agree(
        call,
        dialog,
        theirs.description,
        otherSide(side),
        description,
        true,
        arrival.now,
        refusals,
      );
    }
    const transaction = addTransaction(call, message, arrival, side, description);
    if (description === null) return { call, departure: null, refusals };
    const agreed = dialog.agreed?.sides[side];
    if (agreed !== undefined && description.session.streams.length < agreed.session.streams.length) {
      transaction.offer = null;
      const detail = `the offer has ${description.session.streams.length} m= lines, ${agreed.session.streams.length} are agreed`;
      return { call, departure: null, refusals: [...refusals, { reason: 'fewer-streams', detail }] };
    }
    transaction.offer = carryHold(description, agreed);
    dialog.offers[side] = { description: transaction.offer, transaction };
    revive(call, arrival.now);
    return { call, departure: leaving('offer-refused', 0, 0), refusals };
  }

  function onAck(
    { call, side, dialog }: Parameters<DialogHandler>[0],
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    const offer = dialog.offers[otherSide(side)];
    if (offer === null || offer.transaction.method !== 'INVITE' || offer.transaction.cseq !== message.cseq) {
      return { call, departure: null, refusals: [] };
    }
    const { description, refusals } = describe(message, arrival, bodies, false);
    if (description === null) return { call, departure: null, refusals };
    return agree(call, dialog, offer.description, otherSide(side), description, true, arrival.now, refusals);
  }

  function onBye(
    { call, side, dialog }: Parameters<DialogHandler>[0],
    message: SipMessage,
    arrival: Arrival,
  ): Outcome {
    if (findTransaction(call, message, side) === undefined) {
      addTransaction(call, message, arrival, side, null);
      dialog.endsAt = Math.min(dialog.endsAt, arrival.now + timers().afterBye);
      if (call.dialogs.length === 1 && call.state !== 'ended') call.state = 'terminating';
    }
    return { call, departure: null, refusals: [] };
  }

  /** CANCEL only marks (RFC 3261 9.1): the INVITE's own final response decides. */
  function onCancel(message: SipMessage, arrival: Arrival): readonly Outcome[] {
    for (const call of byCallId.get(message.callId) ?? []) {
      const invite = call.invite;
      const cancels =
        invite !== null &&
        invite.branch === message.branch &&
        invite.cseq === message.cseq &&
        invite.source === arrival.source.address &&
        invite.destination === arrival.destination.address;
      if (!cancels) continue;
      if (call.state === 'calling' || call.state === 'ringing') {
        call.cancelled = true;
        call.signallingDeadline = Math.min(call.signallingDeadline, arrival.now + timers().afterCancel);
      }
      return [{ call, departure: null, refusals: [] }];
    }
    return NONE;
  }

  function onTrickle(
    { call, side, dialog }: Parameters<DialogHandler>[0],
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    if (findTransaction(call, message, side) !== undefined) return { call, departure: null, refusals: [] };
    addTransaction(call, message, arrival, side, null);
    const fragment = bodies.fragment();
    if ('error' in fragment) {
      const refusal: Refusal = { reason: 'malformed-sdp', detail: fragment.detail };
      return { call, departure: null, refusals: [refusal] };
    }
    const list = dialog.trickled[side];
    const found = fragment.flatMap(({ mid, candidates }) =>
      candidates.map((candidate) => ({ mid, candidate })),
    );
    list.push(...found.slice(0, MAX_TRICKLED - list.length));
    return { call, departure: leaving('unused-candidate', 0, 0), refusals: [] };
  }

  // --- responses ----------------------------------------------------------------------------------------

  function onResponse(message: SipMessage, arrival: Arrival, bodies: Bodies): readonly Outcome[] {
    const method = message.cseqMethod;
    if (method !== 'INVITE' && method !== 'PRACK' && method !== 'UPDATE' && method !== 'BYE') return NONE;
    const outcomes: Outcome[] = [];
    for (const call of byCallId.get(message.callId) ?? []) {
      const transaction = call.transactions.find(
        (one) =>
          one.branch === message.branch &&
          one.method === method &&
          one.cseq === message.cseq &&
          (one.side === 0 ? message.fromTag : message.toTag) === call.fromTag &&
          one.destination === arrival.source.address &&
          one.source === arrival.destination.address,
      );
      if (transaction !== undefined) outcomes.push(onAnswered(call, transaction, message, arrival, bodies));
    }
    if (outcomes.length > 0) return outcomes;
    if (message.sdp.kind === 'none') return NONE;
    const detail = `${message.status} to ${method} from ${arrival.source.address} with a session description`;
    const call = byCallId.get(message.callId)?.[0] ?? null;
    return [{ call, departure: null, refusals: [{ reason: 'response-without-request', detail }] }];
  }

  function onAnswered(
    call: Call,
    transaction: Transaction,
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    if (transaction.method === 'BYE') return onByeResponse(call, transaction, message, arrival.now);
    if (transaction === call.invite) return onInviteResponse(call, transaction, message, arrival, bodies);
    const dialog = call.dialogs.find((one) => one.toTag === dialogTag(transaction, message));
    if (dialog === undefined || call.state === 'ended') return { call, departure: null, refusals: [] };
    if (message.status >= 200) {
      const repeated = transaction.final !== 0;
      transaction.final = message.status;
      if (repeated) return { call, departure: null, refusals: [] };
    }
    if (message.status >= 300) {
      dropOffer(dialog, transaction);
      if (transaction.replaced !== null) dialog.agreed = transaction.replaced;
      return { call, departure: leaving('offer-refused', 0, 0), refusals: [] };
    }
    if (message.status >= 200 && transaction.method !== 'PRACK') refreshSession(call, message, arrival.now);
    return takeDescription(call, dialog, transaction, message, arrival, bodies);
  }

  function onInviteResponse(
    call: Call,
    invite: Transaction,
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    const { now } = arrival;
    const nothing: Outcome = { call, departure: null, refusals: [] };
    if (call.state === 'ended') return nothing;
    if (message.status >= 300) {
      if (invite.final !== 0) return nothing;
      invite.final = message.status;
      call.invite = null;
      call.dialogs = call.dialogs.filter((dialog) => dialog.confirmed);
      if (call.dialogs.length > 0) return { call, departure: leaving('losing-fork', 0, 0), refusals: [] };
      call.endStatus = message.status;
      return end(call, message.status === 487 ? 'cancelled' : 'failed', now);
    }
    if (message.status < 200) {
      if (call.state === 'calling' || call.state === 'ringing') {
        call.state = 'ringing';
        const latest = now + (call.cancelled ? timers().afterCancel : timers().ringing);
        call.signallingDeadline = Math.min(latest, call.inviteExpires);
      }
      // RFC 3261 12.1: 100 makes no dialog, even if it has a tag.
      if (message.toTag === '' || message.status === 100) return nothing;
    }
    const forks = call.dialogs.length;
    const dialog = findOrAddDialog(call, message.toTag);
    if (dialog === null) return nothing;
    let departure = forks > 0 && call.dialogs.length > forks ? leaving('answered', 0, 0) : null;
    if (message.status >= 200) {
      const repeated = dialog.confirmed;
      confirm(call, dialog, message, now);
      if (repeated) return nothing;
      departure = leaving('losing-fork', 0, 0);
    }
    const taken = takeDescription(call, dialog, invite, message, arrival, bodies);
    return taken.departure === null ? { ...taken, departure } : taken;
  }

  function confirm(call: Call, dialog: Dialog, message: SipMessage, now: number): void {
    if (call.invite !== null) call.invite.final ||= message.status;
    if (!dialog.confirmed) {
      dialog.confirmed = true;
      dialog.endsAt = Number.POSITIVE_INFINITY;
      for (const fork of call.dialogs) {
        if (!fork.confirmed) fork.endsAt = Math.min(fork.endsAt, now + timers().forks);
      }
    }
    if (call.state !== 'terminating') call.state = 'confirmed';
    call.answeredAt ??= now;
    call.signallingDeadline = Number.POSITIVE_INFINITY;
    refreshSession(call, message, now);
  }

  /** The description in a 1xx or 2xx: the answer to the request's offer, or the offer when it had none. */
  function takeDescription(
    call: Call,
    dialog: Dialog,
    transaction: Transaction,
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
  ): Outcome {
    const { now } = arrival;
    const nothing: Outcome = { call, departure: null, refusals: [] };
    if (message.sdp.kind === 'none') return nothing;
    const initial = transaction === call.invite;
    if (initial && dialog.settled) return nothing;
    const { description, refusals } = describe(message, arrival, bodies, false);
    if (description === null) return { call, departure: null, refusals };
    const final = message.status >= 200 || message.rseq !== null;
    const answerer = otherSide(transaction.side);
    if (transaction.offer !== null) {
      if (!initial && message.status < 200) transaction.replaced ??= dialog.agreed;
      return agree(call, dialog, transaction.offer, transaction.side, description, final, now, refusals);
    }
    if (transaction.method !== 'INVITE') {
      const detail = `${message.status} to ${transaction.method} has a session description, the request had none`;
      return { call, departure: null, refusals: [...refusals, { reason: 'unexpected-answer', detail }] };
    }
    const agreed = dialog.agreed?.sides[answerer];
    const carried = carryHold(description, agreed);
    dialog.offers[answerer] = { description: carried, transaction };
    revive(call, now);
    return { call, departure: leaving('offer-refused', 0, 0), refusals };
  }

  function onByeResponse(call: Call, transaction: Transaction, message: SipMessage, now: number): Outcome {
    const nothing: Outcome = { call, departure: null, refusals: [] };
    if (message.status < 200 || transaction.final !== 0) return nothing;
    transaction.final = message.status;
    const tag = dialogTag(transaction, message);
    if (message.status === 401 || message.status === 407) {
      for (const dialog of call.dialogs) if (dialog.toTag === tag) dialog.endsAt = Number.POSITIVE_INFINITY;
      if (call.state === 'terminating') call.state = 'confirmed';
      return nothing;
    }
    call.dialogs = call.dialogs.filter((dialog) => dialog.toTag !== tag);
    if (isOver(call)) return end(call, 'bye', now);
    return { call, departure: leaving('bye', timers().drain, timers().drain), refusals: [] };
  }

  // --- offer/answer -------------------------------------------------------------------------------------

  function describe(
    message: SipMessage,
    arrival: Arrival,
    bodies: Bodies,
    isOffer: boolean,
  ): { description: Description | null; refusals: Refusal[] } {
    if (message.sdp.kind === 'none' || message.sdp.kind === 'sdpfrag')
      return { description: null, refusals: [] };
    const owner = arrival.source.address;
    const refused = isOffer ? admission.offer(owner, arrival.now) : null;
    if (refused !== null) return { description: null, refusals: [refused] };
    const session = bodies.session();
    if (session === null) return { description: null, refusals: [] };
    if ('reason' in session) return { description: null, refusals: [session] };
    if ('error' in session) {
      const reason = session.error === 'sdp-too-large' ? 'message-too-large' : session.error;
      return { description: null, refusals: [{ reason, detail: session.detail }] };
    }
    const refusals: Refusal[] = [];
    if (session.streamsDropped > 0) {
      const detail = `${session.streams.length + session.streamsDropped} m= lines, the first ${session.streams.length} count`;
      refusals.push({ reason: 'too-many-streams', detail });
    }
    const candidates = session.streams.reduce((sum, stream) => sum + stream.candidatesDropped, 0);
    if (candidates > 0)
      refusals.push({ reason: 'too-many-streams', detail: `${candidates} candidates over the cap` });
    return { description: { session, owner }, refusals };
  }

  function agree(
    call: Call,
    dialog: Dialog,
    offer: Description,
    offerSide: Side,
    answer: Description,
    final: boolean,
    now: number,
    refusals: Refusal[],
  ): Outcome {
    const before = dialog.agreed;
    const answerer = otherSide(offerSide);
    const carried = carryHold(answer, before?.sides[answerer]);
    const missing = offer.session.streams.length - carried.session.streams.length;
    if (missing > 0) {
      const detail = `the answer has ${carried.session.streams.length} m= lines, the offer ${offer.session.streams.length}`;
      refusals.push({ reason: 'fewer-streams', detail });
      if (before !== null) {
        dialog.offers[offerSide] = null;
        return { call, departure: leaving('offer-refused', 0, 0), refusals };
      }
    }
    dialog.agreed =
      offerSide === 0 ? { offerSide, sides: [offer, carried] } : { offerSide, sides: [carried, offer] };
    dialog.settled ||= final;
    dialog.offers[offerSide] = null;
    revive(call, now);
    const { oldPort, muxGrace } = timers();
    const departure =
      before === null ? leaving('answered', muxGrace, muxGrace) : leaving('moved', oldPort, 0);
    return { call, departure, refusals };
  }

  function dropOffer(dialog: Dialog, transaction: Transaction): void {
    for (const side of [0, 1] as const) {
      if (dialog.offers[side]?.transaction === transaction) dialog.offers[side] = null;
    }
  }

  /** New life for a call whose rules went for silence. */
  function revive(call: Call, now: number): void {
    call.idle = false;
    call.mediaAt = now;
  }

  // --- lookups ------------------------------------------------------------------------------------------

  function addTransaction(
    call: Call,
    message: SipMessage,
    arrival: Arrival,
    side: Side,
    offer: Description | null,
  ): Transaction {
    const transaction: Transaction = {
      method: message.method,
      branch: message.branch,
      cseq: message.cseq,
      side,
      source: arrival.source.address,
      destination: arrival.destination.address,
      toTag: message.toTag,
      startedAt: arrival.now,
      offer,
      replaced: null,
      final: 0,
    };
    const oldest = arrival.now - timers().retransmissionMemory;
    const kept = call.transactions.filter(
      (one) => one === call.invite || one.final === 0 || one.startedAt > oldest,
    );
    if (kept.length >= MAX_TRANSACTIONS) kept.splice(kept[0] === call.invite ? 1 : 0, 1);
    kept.push(transaction);
    call.transactions = kept;
    return transaction;
  }

  function findTransaction(call: Call, message: SipMessage, side: Side): Transaction | undefined {
    return call.transactions.find(
      (one) =>
        one.branch === message.branch &&
        one.method === message.method &&
        one.cseq === message.cseq &&
        one.side === side,
    );
  }

  function findOrAddDialog(call: Call, toTag: string): Dialog | null {
    const known = call.dialogs.find((dialog) => dialog.toTag === toTag);
    if (known !== undefined) return known;
    if (call.dialogs.length >= MAX_DIALOGS) return null;
    const dialog = newDialog(toTag);
    call.dialogs.push(dialog);
    return dialog;
  }

  // --- time ---------------------------------------------------------------------------------------------

  /** RFC 4028: each 2xx to INVITE or UPDATE says anew how long the session lives without another. */
  function refreshSession(call: Call, message: SipMessage, now: number): void {
    const { sessionFloor, sessionGrace, maxCall } = timers();
    if (message.sessionExpires === null) {
      call.sessionDeadline = Number.POSITIVE_INFINITY;
      return;
    }
    const asked = Math.max(message.sessionExpires * 1000, sessionFloor);
    call.sessionDeadline = now + Math.min(asked, maxCall > 0 ? maxCall : asked) + sessionGrace;
  }

  function idleDeadline(call: Call): number {
    if (call.idle || call.state === 'ended') return Number.POSITIVE_INFINITY;
    if (!call.dialogs.some((dialog) => dialog.agreed !== null)) return Number.POSITIVE_INFINITY;
    return call.mediaAt + (isHeld(call) ? timers().holdIdle : timers().mediaIdle);
  }

  function deadline(call: Call): number {
    if (call.state === 'ended') return call.endedAt! + timers().retransmissionMemory;
    let at = Math.min(call.signallingDeadline, call.sessionDeadline, call.hardDeadline, idleDeadline(call));
    for (const dialog of call.dialogs) at = Math.min(at, dialog.endsAt);
    return at;
  }

  function expire(call: Call, now: number): Outcome {
    const nothing: Outcome = { call, departure: null, refusals: [] };
    if (call.state === 'ended') {
      if (now >= deadline(call)) forget(call);
      return nothing;
    }
    if (now >= call.hardDeadline) return end(call, 'max-duration', now);
    if (now >= call.sessionDeadline) return end(call, 'session-expired', now);
    if (now >= call.signallingDeadline) {
      if (call.cancelled) return end(call, 'cancel-timeout', now);
      if (call.state === 'calling') return end(call, 'no-response', now);
      return end(call, 'ringing-timeout', now);
    }
    const over = call.dialogs.filter((dialog) => now >= dialog.endsAt);
    if (over.length > 0) {
      call.dialogs = call.dialogs.filter((dialog) => now < dialog.endsAt);
      if (isOver(call)) return end(call, 'bye-timeout', now);
      const reason = over.some((dialog) => dialog.confirmed) ? 'bye-timeout' : 'losing-fork';
      return { call, departure: leaving(reason, 0, 0), refusals: [] };
    }
    if (now >= idleDeadline(call)) {
      const reason = isHeld(call) ? 'hold-idle' : 'media-idle';
      call.idle = true;
      return { call, departure: leaving(reason, 0, 0), refusals: [] };
    }
    return nothing;
  }

  function end(call: Call, reason: EndReason, now: number): Outcome {
    if (call.state === 'ended') return { call, departure: null, refusals: [] };
    call.state = 'ended';
    call.endReason = reason;
    call.endedAt = now;
    call.invite = null;
    admission.release(call.parties[0], call.parties[1]);
    const linger = reason === 'bye' || reason === 'failed' || reason === 'cancelled' ? timers().drain : 0;
    const closeReason =
      reason === 'failed' ? 'call-failed' : reason === 'cancel-timeout' ? 'cancelled' : reason;
    return { call, departure: leaving(closeReason, linger, linger), refusals: [] };
  }

  function adopt(call: Call): boolean {
    const legs = byCallId.get(call.callId);
    if (legs?.some((leg) => leg.hash === call.hash)) return false;
    remember(call);
    nextCount = Math.max(nextCount, callCount(call.hash) + 1);
    if (call.state !== 'ended') admission.adopt(call.parties[0], call.parties[1]);
    return true;
  }

  function remember(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined) byCallId.set(call.callId, [call]);
    else legs.push(call);
    size++;
  }

  function forget(call: Call): void {
    const legs = byCallId.get(call.callId);
    if (legs === undefined || !legs.includes(call)) return;
    size--;
    if (legs.length === 1) byCallId.delete(call.callId);
    else legs.splice(legs.indexOf(call), 1);
  }

  function* calls(): Iterable<Call> {
    for (const legs of byCallId.values()) yield* legs;
  }

  function media(call: Call, now: number): void {
    call.mediaAt = now;
  }

  return {
    handle,
    expire,
    deadline,
    media,
    end,
    adopt,
    calls,
    get size() {
      return size;
    },
  };
}

/** Nobody talks any more: forks that lost do not count, forks that still ring do. */
function isOver({ dialogs, invite }: Call): boolean {
  const answered = invite === null || invite.final !== 0;
  return answered ? !dialogs.some((dialog) => dialog.confirmed) : dialogs.length === 0;
}

function leaving(reason: CloseReason, movedLinger: number, goneLinger: number): Departure {
  return { reason, movedLinger, goneLinger };
}

/** The callee's tag, which names the dialog: in the request's To when the caller sent it, else in its From. */
function dialogTag(transaction: Transaction, response: SipMessage): string {
  return transaction.side === 0 ? response.toTag : response.fromTag;
}
