import type { GroupResult } from '../../control/protocol.ts';
import { countText, plural } from '../../counted.ts';
import { ageText, shortSpanText } from './words.ts';

/** How the sharing of calls stands, whose they are, and when the store was heard, a line each. `bad` marks what is wrong. */
export function groupTexts(group: GroupResult, bad = (text: string) => text): string[] {
  const { state, why, self, others, calls, owners, waiting, lag, contact, waited, overdue } = group;
  const company = others.length === 0 ? 'nobody else is there' : `with ${others.join(', ')}`;
  const how = state === 'away' ? `${bad('the store is away')}: ${why}` : `${state}, ${company}`;
  const back = lag === null ? '' : `, written and back in ${shortSpanText(lag)}`;
  const heard = contact === null ? 'no answer yet' : `last answer ${ageText(contact)} ago`;
  const theirs = owners.filter((one) => one.name !== self && one.calls > 0);
  const whose = theirs.map((one) => `${one.name} ${countText(one.calls)}`).join(', ');
  return [
    `${self} ${how}, for ${ageText(group.for)}, ${heard}`,
    `${plural(calls.own, 'call')} of its own, ${countText(calls.others)} of others${whose === '' ? '' : ` (${whose})`}, ${waiting} not written yet${back}`,
    ...(waited > 0
      ? [`${plural(waited, 'message')} waited for the others, ${overdue} went on unconfirmed`]
      : []),
  ];
}
