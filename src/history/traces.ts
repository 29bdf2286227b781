import type { Address } from '../address/address.ts';
import type { CallState, EndReason } from '../call/call.ts';
import type {
  AudioHappening,
  Leg,
  MessageHappening,
  PacketEnds,
  RefusedHappening,
} from '../inspector/happening.ts';
import { extended, without } from '../lists.ts';
import { ownCopy } from '../own-copy.ts';
import { printable } from '../printable.ts';
import { METHODS } from '../sip/methods.ts';
import type { CallReport, FramePlace, MessageLine, RefusalReport, SpellWithoutAudio } from './call-report.ts';
import { shared } from './words.ts';

/** A line of a ladder with what tells a retransmission of it from another message. */
interface TracedMessage extends MessageLine {
  readonly identity: number;
}

export interface CallTrace extends Omit<CallReport, 'pinholes'> {
  toTags: readonly string[];
  codecs: string;
  ports: [number, number] | null;
  state: CallState;
  answeredAt: number | null;
  endedAt: number | null;
  endReason: EndReason | null;
  endStatus: number;
  messages: readonly TracedMessage[];
  messagesOmitted: number;
  readonly refusals: RefusalReport[];
  readonly withoutAudio: SpellWithoutAudio[];
}

type Sip = MessageHappening['message'];

export interface CallTraces {
  /** Takes over what a leg has become; its trace is made when it is seen first. */
  update(leg: Leg): void;
  /**
   * Puts a message into the ladder of every leg it belongs to. Returns how many lines that made. `isCopy`: its packet
   * had been seen before, at another point of its way.
   */
  message(event: MessageHappening, place: FramePlace, isCopy?: boolean): number;
  /** Whether it stands in the ladder of some leg. */
  has(event: MessageHappening): boolean;
  /** A refusal in a call. */
  refused(event: RefusedHappening, place: FramePlace): void;
  /** Audio is missed, or there again. */
  audio(event: AudioHappening): void;
  byLegId(legId: string): CallTrace | null;
  all(): readonly CallTrace[];
  forget(legId: string): void;
}

const NO_TAGS: readonly string[] = [];
const NO_LEGS: readonly CallTrace[] = [];
const NO_MESSAGES: readonly TracedMessage[] = [];
const MAX_MESSAGES = 1000;
/** Times without audio that are kept of one call. */
const MAX_SPELLS = 16;
/** How far back in a ladder a retransmission is looked for. */
const REPEAT_WINDOW = 16;

/** Every call leg of a capture with its ladder. */
export function createCallTraces(maxMessages = MAX_MESSAGES): CallTraces {
  const records = new Map<string, CallTrace>();
  const byCallId = new Map<string, readonly CallTrace[]>();

  function update(leg: Leg): void {
    const record = records.get(leg.legId) ?? begin(leg);
    record.state = shared(leg.state);
    record.answeredAt = leg.answeredAt;
    record.endedAt = leg.endedAt;
    record.endReason = leg.endReason;
    record.endStatus = leg.endStatus;
    // With its last dialog a call loses what was agreed in that.
    if (leg.codecs !== '' && leg.codecs !== record.codecs) record.codecs = ownCopy(leg.codecs);
    for (const toTag of leg.toTags) noteTag(record, toTag);
  }

  function begin({ legId, callId, fromTag, parties, from, to, state, startedAt }: Leg): CallTrace {
    // Written out: V8 keeps a description of its own, of half a kilobyte, for each object of so many spread ones.
    const record: CallTrace = {
      legId,
      callId,
      fromTag,
      toTags: NO_TAGS,
      parties,
      ports: null,
      from,
      to,
      codecs: '',
      state,
      startedAt,
      answeredAt: null,
      endedAt: null,
      endReason: null,
      endStatus: 0,
      messages: NO_MESSAGES,
      messagesOmitted: 0,
      refusals: [],
      withoutAudio: [],
    };
    records.set(legId, record);
    byCallId.set(callId, extended(byCallId.get(callId) ?? [], record));
    return record;
  }

  function message(event: MessageHappening, place: FramePlace, isCopy = false): number {
    let added = 0;
    const { message: sip, packet, transport, description, at } = event;
    const identity = identityOf(sip, packet.source, description);
    for (const record of legsOf(event)) {
      if (sip.status !== 0 && sip.fromTag === record.fromTag) noteTag(record, sip.toTag);
      const { messages } = record;
      record.ports ??= portsOf(record, packet);
      const repeated = recent(messages, identity);
      if (repeated !== undefined) {
        if (isCopy) repeated.copies++;
        else repeated.repeats++;
      } else if (messages.length === maxMessages) {
        record.messagesOmitted++;
      } else {
        const { sourcePort, destinationPort } = packet;
        record.messages = extended(messages, {
          place,
          at,
          transport: shared(transport),
          source: asParty(record, packet.source),
          sourcePort,
          destination: asParty(record, packet.destination),
          destinationPort,
          summary: shared(summaryOf(sip)),
          description: description === null ? null : ownCopy(description),
          repeats: 0,
          copies: 0,
          identity,
        });
        added++;
      }
    }
    return added;
  }

  function legsOf(event: MessageHappening): readonly CallTrace[] {
    const { legIds } = event;
    if (legIds.length === 0) return legsBeside(event);
    if (legIds.length > 1) return legIds.flatMap((legId) => records.get(legId) ?? []);
    const only = records.get(legIds[0]!);
    return only === undefined ? NO_LEGS : [only];
  }

  /** Messages that change nothing (an ACK after failure, OPTIONS within a dialog) still belong in the ladder. */
  function legsBeside({ message: sip, packet }: MessageHappening): readonly CallTrace[] {
    const leg = byCallId
      .get(sip.callId)
      ?.findLast(
        ({ fromTag, parties: [a, b] }) =>
          (fromTag === sip.fromTag || fromTag === sip.toTag) &&
          ((packet.source === a && packet.destination === b) ||
            (packet.source === b && packet.destination === a)),
      );
    return leg === undefined ? NO_LEGS : [leg];
  }

  function refused({ call, refusal, transport, at }: RefusedHappening, place: FramePlace): void {
    if (call === null) return;
    records.get(call.legId)?.refusals.push({ place, at, ...refusal, transport, why: '' });
  }

  function audio({ call, missing, since, causes, at }: AudioHappening): void {
    const spells = records.get(call.legId)?.withoutAudio;
    if (spells === undefined) return;
    const last = spells.at(-1);
    if (last !== undefined) last.until ??= at;
    if (missing.length > 0) spells.push({ missing, since, until: null, causes });
    if (spells.length > MAX_SPELLS) spells.shift();
  }

  function forget(legId: string): void {
    const record = records.get(legId);
    if (record === undefined) return;
    records.delete(legId);
    const legs = without(byCallId.get(record.callId)!, record);
    if (legs.length === 0) byCallId.delete(record.callId);
    else byCallId.set(record.callId, legs);
  }

  return {
    update,
    message,
    has: (event) => legsOf(event).length > 0,
    refused,
    audio,
    byLegId: (legId) => records.get(legId) ?? null,
    all: () => [...records.values()],
    forget,
  };
}

const MAX_TAGS = 64;

function noteTag(record: CallTrace, tag: string): void {
  if (tag === '' || record.toTags.includes(tag) || record.toTags.length >= MAX_TAGS) return;
  record.toTags = extended(record.toTags, ownCopy(tag));
}

/** What came from the packets' thread is a text of its own each time: of a party's address the trace has one. */
function asParty({ parties }: CallTrace, address: Address): Address {
  if (address === parties[0]) return parties[0];
  return address === parties[1] ? parties[1] : address;
}

function portsOf(
  { parties }: CallTrace,
  { source, sourcePort, destinationPort }: PacketEnds,
): [number, number] {
  return source === parties[0] ? [sourcePort, destinationPort] : [destinationPort, sourcePort];
}

function recent(messages: readonly TracedMessage[], identity: number): TracedMessage | undefined {
  const oldest = Math.max(0, messages.length - REPEAT_WINDOW);
  for (let i = messages.length - 1; i >= oldest; i--) {
    if (messages[i]!.identity === identity) return messages[i];
  }
  return undefined;
}

/** 32 bits of what is the same in a retransmission; compared with the last few messages of one call only. */
function identityOf(sip: Sip, source: string, description: string | null): number {
  let hash = 0x811c9dc5 ^ sip.status ^ (sip.cseq << 10);
  for (const part of [sip.method, sip.cseqMethod, sip.branch, sip.toTag, source, description ?? '']) {
    for (let i = 0; i < part.length; i++) hash = Math.imul(hash ^ part.charCodeAt(i), 0x01000193);
    hash = Math.imul(hash ^ 0x1f, 0x01000193);
  }
  return hash;
}

/** `INVITE`, `re-INVITE`, `200 OK`, `200 OK (BYE)`; escaped. */
export function summaryOf({ method, status, subject, cseqMethod, toTag }: Sip): string {
  if (status === 0) return method === 'INVITE' && toTag !== '' ? 're-INVITE' : printable(method, 20);
  const reason = printable(subject, 32);
  const answers = cseqMethod === 'INVITE' ? '' : ` (${printable(cseqMethod, 20)})`;
  return `${status}${reason === '' ? '' : ` ${reason}`}${answers}`;
}

/**
 * The method that a response answers, by its summary: `BYE` of `200 OK (BYE)`; null where that is an INVITE. A phrase may end
 * in brackets of its own: `486 Busy (DND)`.
 */
export function answeredIn(summary: string): string | null {
  if (!summary.endsWith(')')) return null;
  const method = summary.slice(summary.lastIndexOf('(') + 1, -1);
  return METHODS.has(method) ? method : null;
}
