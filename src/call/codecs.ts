import { printable } from '../printable.ts';
import { agreedCodecs } from '../sdp/codecs.ts';
import type { Stream } from '../sdp/session.ts';
import type { Agreement, Call } from './call.ts';
import { otherSide } from './call.ts';
import { isEnabled, transportClass } from './transport.ts';

/**
 * What the parties have agreed to send, stream by stream: `audio PCMU, telephone-event`, `audio opus; video VP8`; '' while
 * nothing is agreed, or of nothing it can be told. Where several codecs are agreed on, all: which of them is sent is said
 * by the media alone. Of several dialogs it is the one that is confirmed, else the latest that agreed.
 */
export function codecsText({ dialogs }: Pick<Call, 'dialogs'>): string {
  let agreement: Agreement | null = null;
  for (const { agreed, confirmed } of dialogs) {
    if (agreed === null) continue;
    agreement = agreed;
    if (confirmed) break;
  }
  if (agreement === null) return '';
  agreement.words ??= textOf(agreement);
  return agreement.words;
}

function textOf({ offerSide, sides }: Agreement): string {
  const offered = sides[offerSide].session.streams;
  const answered = sides[otherSide(offerSide)].session.streams;
  let text = '';
  for (let index = 0; index < offered.length; index++) {
    const answer = answered[index];
    if (answer === undefined || !isEnabled(answer)) continue;
    const names = namesOf(offered[index]!, answer);
    if (names === '') continue;
    text += `${text === '' ? '' : '; '}${printable(answer.media, 16)} ${names}`;
  }
  return text;
}

function namesOf(offer: Stream, answer: Stream): string {
  if (transportClass(answer.proto) === 'udptl') return 'T.38';
  return offer.codecs.length === 0 || answer.codecs.length === 0 ? '' : commonTo(offer.codecs, answer.codecs);
}

/** Phones that say the same in every call share their lists: so it is worked out once for each two of them. */
const known = new WeakMap<readonly string[], WeakMap<readonly string[], string>>();

function commonTo(offer: readonly string[], answer: readonly string[]): string {
  let answers = known.get(offer);
  if (answers === undefined) {
    answers = new WeakMap();
    known.set(offer, answers);
  }
  let text = answers.get(answer);
  if (text === undefined) {
    text = agreedCodecs(offer, answer).join(', ') || 'with no codec in common';
    answers.set(answer, text);
  }
  return text;
}
