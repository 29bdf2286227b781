import { transportText } from '../../../call/description.ts';
import { countText } from '../../../counted.ts';
import type { FlowReport } from '../model.ts';
import { rtpText } from '../rtp-text.ts';
import type { Paper } from './paper.ts';

export function flowText({ source, sourcePort, destination, destinationPort }: FlowReport): string {
  return `${transportText(source, sourcePort)} -> ${transportText(destination, destinationPort)}`;
}

export function kindsOf({ kinds }: FlowReport): string {
  const names = Object.entries(kinds).sort(([, a], [, b]) => b - a);
  return names.map(([name]) => (name === 'other' ? 'other UDP' : name.toUpperCase())).join(', ');
}

/** A flow with what became of its packets, and its RTP source by source. Times count from `start`. */
export function* flowLines({ style, hanging }: Paper, flow: FlowReport, start: number): Generator<string> {
  const { good, bad, quiet } = style;
  const { passed, blocked, outbound, copies, firstAt, lastAt, packets, rtp } = flow;
  const words: string[] = [];
  if (passed > 0) words.push(good(`${countText(passed)} passed`));
  if (outbound > 0) words.push(quiet(`(${outbound} outbound)`));
  if (blocked > 0) words.push(bad(`${countText(blocked)} BLOCKED`));
  if (copies > 0) words.push(quiet(`(${copies} seen twice)`));
  const when = packets === 0 ? '' : quiet(`, ${timeText(firstAt, start)} to ${timeText(lastAt, start)}`);
  yield `    ${flowText(flow)}\n`;
  yield* hanging('', `${kindsOf(flow)}: ${words.join(' ')}${when}`, 8);
  for (const stream of rtp) yield* hanging('', quiet(rtpText(stream)), 8);
}

function timeText(at: number, start: number): string {
  return `${at < start ? '-' : '+'}${(Math.abs(at - start) / 1000).toFixed(3)}`;
}
