import { answeredIn } from '../../history/traces.ts';
import type { BlockedResult } from '../live/blocked.ts';
import type { ExplainResult } from '../live/explain.ts';
import { redactParties, redactPhrase } from './message.ts';
import { redactText } from './text.ts';
import type { Tokens } from './tokens.ts';

/** Media of m= lines that say nothing of anybody. */
const MEDIA = new Set(['audio', 'video', 'image', 'application', 'message', 'text']);

/** What `explain` answers, without names, numbers and addresses: as `redactMessage` writes messages. */
export function redactExplained(leg: ExplainResult, tokens: Tokens): ExplainResult {
  const text = (words: string) => redactText(words, tokens);
  const from = redactParties(leg.from, tokens);
  const to = redactParties(leg.to, tokens);
  return {
    ...leg,
    legId: tokens.word('leg', leg.legId),
    callId: tokens.word('call', leg.callId),
    fromTag: tokens.word('tag', leg.fromTag),
    toTags: leg.toTags.map((tag) => tokens.word('tag', tag)),
    parties: [tokens.address(leg.parties[0]), tokens.address(leg.parties[1])],
    ...{ from, to },
    pinholes: leg.pinholes.map((pinhole) => ({
      ...pinhole,
      address: tokens.address(pinhole.address),
      external: pinhole.external === null ? null : tokens.address(pinhole.external),
      sources: pinhole.sources.map((source) => (source === 'any' ? source : tokens.address(source))),
      media: MEDIA.has(pinhole.media) ? pinhole.media : tokens.word('media', pinhole.media),
    })),
    refusals: leg.refusals.map((one) => ({
      ...one,
      ...{ detail: text(one.detail), why: text(one.why) },
      transport: one.transport === null ? null : redactTransport(one.transport, tokens),
    })),
    messages: leg.messages.map((one) => ({
      ...one,
      src: tokens.address(one.src),
      dst: tokens.address(one.dst),
      summary: redactSummary(one.summary),
      sdp: one.sdp === null ? null : text(one.sdp),
    })),
    ...(leg.blocked !== undefined && { blocked: leg.blocked.map((one) => redactBlocked(one, tokens)) }),
    withoutAudio: leg.withoutAudio.map((spell) => ({
      ...spell,
      causes: spell.causes.map((cause) => ({ ...cause, text: text(cause.text), advice: text(cause.advice) })),
    })),
  };
}

type RefusedTransport = NonNullable<ExplainResult['refusals'][number]['transport']>;

function redactTransport(one: RefusedTransport, tokens: Tokens): RefusedTransport {
  const { owner, address, peer } = one;
  return {
    ...one,
    ...{ owner: tokens.address(owner), peer: tokens.address(peer) },
    address: address === null ? null : tokens.address(address),
  };
}

function redactBlocked(one: BlockedResult, tokens: Tokens): BlockedResult {
  const { src, dst, legId, callId, from, to, text, advice, line } = one;
  return {
    ...one,
    ...{ src: tokens.address(src), dst: tokens.address(dst) },
    ...{ legId: tokens.word('leg', legId), callId: tokens.word('call', callId) },
    ...{ from: redactParties(from, tokens), to: redactParties(to, tokens) },
    ...{ text: redactText(text, tokens), advice: redactText(advice, tokens) },
    line: line === null ? null : redactText(line.replaceAll('[', '[ ').replaceAll(']', ' ]'), tokens),
  };
}

/** `486 Busy Here (BYE)`: a phrase of somebody's own is none. */
function redactSummary(summary: string): string {
  const status = /^[1-6][0-9]{2}(?= |$)/.exec(summary)?.[0];
  if (status === undefined) return /^(re-)?[A-Z]{1,20}$/.test(summary) ? summary : 'request';
  const method = answeredIn(summary);
  const of = method === null ? '' : ` (${method})`;
  const phrase = summary.slice(status.length, summary.length - of.length).trim();
  return `${status}${phrase === '' ? '' : ` ${redactPhrase(phrase)}`}${of}`;
}
