import type { Cause } from '../cause.ts';
import type { BlockedSpell, UdpFlow } from '../flows.ts';
import type { Block } from '../model.ts';
import { explainClosed } from './closed.ts';
import type { Explanation, Knowledge } from './knowledge.ts';
import { explainSource } from './source.ts';
import { explainUnannounced } from './unannounced.ts';
import { explainNotOpened, explainRefused } from './unopened.ts';

/** Why these packets were blocked, in a sentence for the one who wonders why there is no audio. */
export function explain(flow: UdpFlow, spell: BlockedSpell, known: Knowledge): Block {
  const { first, firstAt, packets } = spell;
  const { reason, text, advice } = explainCause(flow, spell, spell.cause, known);
  const notes = `${outboundNote(flow, spell, known)}${laterNote(flow, spell, known)}`;
  return { reason, first, firstAt, packets, text: text + notes, advice };
}

/** The first packets were blocked, and then it passed. */
function laterNote({ firstPassed }: UdpFlow, { firstAt }: BlockedSpell, { frame }: Knowledge): string {
  if (firstPassed === null || firstPassed.at < firstAt) return '';
  const how = firstPassed.by === 'state' ? ' as the way back of the other direction, by its state' : '';
  return ` From ${frame(firstPassed.place)} on it passes${how}.`;
}

function explainCause(flow: UdpFlow, spell: BlockedSpell, cause: Cause, known: Knowledge): Explanation {
  if (flow.source === flow.destination) {
    return {
      reason: 'same-host',
      text: `${flow.source} sends to itself, which crosses no firewall.`,
      advice: '',
    };
  }
  switch (cause.kind) {
    case 'wrong-source':
      return explainSource(flow, spell, cause.pinholes, cause.agreed, known);
    case 'closed':
      return explainClosed(flow, spell, cause.pinhole, known);
    case 'refused':
      return explainRefused(flow, spell, cause, known);
    case 'not-opened':
      return explainNotOpened(flow, cause.announcement, spell, known);
    case 'unannounced':
      return explainUnannounced(flow, spell, known);
  }
}

/** Without a pinhole a packet may still pass in real life: by the state that an outgoing packet made. */
function outboundNote(flow: UdpFlow, { firstAt }: BlockedSpell, { reverse, frame }: Knowledge): string {
  const back = reverse(flow);
  if (back === null || back.outbound === 0 || back.firstAt > firstAt) return '';
  return ` The host inside had sent to it first (${frame(back.first)}), so a rule of yours that keeps state on the way out would let it in.`;
}
