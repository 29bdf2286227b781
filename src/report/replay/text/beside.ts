import { isUsual } from '../../../call/refusal.ts';
import { countText, plural } from '../../../counted.ts';
import type { CallReport } from '../../../history/call-report.ts';
import { printable } from '../../../printable.ts';
import type { FlowReport, LooseRefusal } from '../model.ts';
import type { CallWriter } from './call.ts';
import { flowLines, flowText, kindsOf } from './flows.ts';
import { INDENT, type Paper } from './paper.ts';
import type { RefusalWriter } from './refusals.ts';

const MAX_LISTED = 50;
const MAX_OF_GROUP = 8;
const MAX_STRAYS = 20;

/** What is no call, or stands under the calls: media and messages of no call, refusals, blocked media. */
export function createBesideWriter(paper: Paper, refusals: RefusalWriter, calls: CallWriter) {
  const { style, hanging } = paper;
  const { strong, quiet, bad, width } = style;

  function* orphans(flows: readonly FlowReport[], start: number): Generator<string> {
    if (flows.length === 0) return;
    yield `\n${strong('Media of no call')}\n`;
    const groups = alike(flows);
    for (const group of groups.slice(0, MAX_LISTED)) {
      for (const flow of group.slice(0, MAX_OF_GROUP)) yield* flowLines(paper, flow, start);
      yield more(group.length - MAX_OF_GROUP, 'between these hosts');
    }
    yield more(groups.length - MAX_LISTED, 'between other hosts');
  }

  /** Messages of calls of which no INVITE was seen, or whose responses answer nothing. */
  function* strays(all: readonly CallReport[]): Generator<string> {
    if (all.length === 0) return;
    yield `\n${strong('Messages of no call that could be followed')}\n`;
    for (const one of all.slice(0, MAX_STRAYS)) {
      yield `\n${INDENT}${printable(one.callId, width - 3)}, A ${one.parties[0]}, B ${one.parties[1]}\n`;
      yield* calls.ladder(one);
    }
    yield more(all.length - MAX_STRAYS, 'dialogs');
  }

  function* refusedByCall(all: readonly CallReport[]): Generator<string> {
    for (const { callId, refusals: own } of all) {
      const news = own.filter(({ reason }) => !isUsual(reason));
      if (news.length === 0) continue;
      yield `\n${strong(`Call ${printable(callId, width - 6)}`)}\n`;
      yield* refusals.list(news);
    }
  }

  function* looseRefusals(all: readonly LooseRefusal[]): Generator<string> {
    if (all.length === 0) return;
    yield `\n${strong('Refused outside calls')}\n`;
    yield* refusals.loose(all.slice(0, MAX_LISTED));
    yield more(all.length - MAX_LISTED, 'refused');
  }

  function* blocked(flows: readonly FlowReport[]): Generator<string> {
    if (flows.length === 0) return;
    yield `\n${strong('Blocked media, and why')}\n`;
    const groups = alike(flows);
    for (const group of groups.slice(0, MAX_LISTED)) {
      yield '\n';
      for (const flow of group.slice(0, MAX_OF_GROUP)) {
        yield `${INDENT}${bad(flowText(flow))}\n`;
        yield `${INDENT}${INDENT}${kindsOf(flow)}: ${countText(flow.blocked)} of ${plural(flow.packets, 'packet')} blocked\n`;
      }
      yield more(group.length - MAX_OF_GROUP, 'between these hosts');
      const { blocks } = group[0]!;
      for (const block of blocks) {
        const which =
          blocks.length === 1
            ? ''
            : `${plural(block.packets, 'packet')} from ${paper.frameOf(block.first)} on: `;
        yield* hanging('    why', `${which}${block.text}`, 9);
        if (block.advice !== '') yield* hanging('    do', block.advice, 9);
      }
    }
    yield more(groups.length - MAX_LISTED, 'between other hosts');
  }

  function more(count: number, what: string): string {
    return count <= 0
      ? ''
      : `${INDENT}${quiet(`and ${countText(count)} more ${what}; --json has all of them`)}\n`;
  }

  return { orphans, strays, refusedByCall, looseRefusals, blocked };
}

/** Flows between the same hosts that were blocked for the same reasons belong together: RTP with its RTCP. */
function alike(flows: readonly FlowReport[]): FlowReport[][] {
  const groups = new Map<string, FlowReport[]>();
  for (const flow of flows) {
    const why = flow.blocks.map(({ reason, advice }) => `${reason} ${advice}`);
    const key = [flow.source, flow.destination, flow.callId, ...why].join('\n');
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [flow]);
    else group.push(flow);
  }
  return [...groups.values()];
}
