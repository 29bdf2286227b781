import { countText, plural } from '../../counted.ts';
import type { CallReport } from '../../history/call-report.ts';
import { printable } from '../../printable.ts';
import { audioHeadline, withoutAudio } from '../audio.ts';
import type { Level } from '../page/model.ts';
import { pictureOf, rowOf, verdictWithin } from '../page/pictures.ts';
import { haystackOf, TROUBLE, wordsOf } from '../page/selection.ts';
import type { Style } from '../style.ts';
import type { FlowReport, ReplayReport } from './model.ts';
import { createBesideWriter } from './text/beside.ts';
import { type CallParts, createCallWriter } from './text/call.ts';
import { createPaper, type Paper } from './text/paper.ts';
import { createRefusalWriter } from './text/refusals.ts';
import { summary } from './text/summary.ts';
import { type WholeCall, wholeCalls } from './whole.ts';

/** What is written: everything, the calls with their ladders alone, or what was refused or blocked alone. */
export type TextParts = 'all' | 'calls' | 'refused';

export interface TextChoice {
  /** Only calls in which all of these words are found: Call-ID, names, addresses, outcome. '' for all. */
  readonly filter: string;
  /** Every call in full, however many there are. */
  readonly full: boolean;
}

/** So many calls are written in full; of more, those with trouble. */
const MAX_IN_FULL = 20;
const MAX_OUTCOMES = 15;
const MAX_IN_LINES = 40;

const EVERYTHING: TextChoice = { filter: '', full: false };

/** The report for people, in pieces. Whatever comes from the network is escaped. */
export function* replayText(
  report: ReplayReport,
  parts: TextParts,
  style: Style,
  { filter, full }: TextChoice = EVERYTHING,
): Generator<string> {
  const paper = createPaper(report, style);
  const refusals = createRefusalWriter(paper);
  const unfinished = { ended: 'when the capture ends', open: 'the end of the capture' };
  const writer = createCallWriter(paper, refusals, unfinished);
  const beside = createBesideWriter(paper, refusals, writer);
  const whole = wholeCalls(report);
  const judged = whole.calls.map((one) => judge(one, report));
  const words = wordsOf(filter);
  const chosen = judged.filter(({ text }) => words.every((word) => text().includes(word)));
  yield* summary(paper, report, whole.calls.length);
  if (words.length > 0)
    yield paper.row('filter', `${countText(chosen.length)} of ${plural(judged.length, 'call')}`);
  const isFew = full || parts === 'calls' || chosen.length <= MAX_IN_FULL;
  const shown = isFew ? chosen : inTrouble(chosen, report).slice(0, MAX_IN_FULL);
  if (parts !== 'refused') {
    if (!isFew) yield* outcomes(paper, chosen, shown.length, report);
    const depth: CallParts = parts === 'calls' ? 'ladder' : 'all';
    for (const { call, flows, headline } of shown) {
      yield* writer.call(call, parts === 'calls' ? [] : flows, depth, parts === 'calls' ? '' : headline);
    }
  }
  if (parts === 'calls') return;
  if (words.length > 0) {
    yield* beside.blocked(chosen.flatMap(({ flows }) => flows.filter(isBlocked)));
    return;
  }
  if (parts === 'all') {
    yield* beside.strays(report.strays);
    yield* beside.orphans(whole.others, report.firstAt ?? 0);
  } else yield* beside.refusedByCall(report.calls);
  yield* beside.looseRefusals(report.refusals);
  yield* beside.blocked(report.media.filter(isBlocked));
}

/** One call that a daemon has seen, as `replayText` writes it. Places count the packets that the daemon received. */
export function callText(call: CallReport, style: Style): Generator<string> {
  const paper = createPaper({ files: [''] }, style);
  const refusals = createRefusalWriter(paper);
  const spell = withoutAudio(call);
  return createCallWriter(paper, refusals, { ended: 'now', open: 'now, still open' }).call(
    call,
    [],
    'live',
    spell === null ? '' : audioHeadline(spell),
  );
}

function isBlocked({ blocks }: FlowReport): boolean {
  return blocks.length > 0;
}

interface Judged extends WholeCall {
  readonly level: Level;
  readonly headline: string;
  /** What a filter looks into. */
  readonly text: () => string;
}

function judge(one: WholeCall, report: ReplayReport): Judged {
  const { call, legs, flows } = one;
  const { level, headline } = verdictWithin(one);
  return { call, legs, flows, level, headline, text: () => haystackOf(rowOf(pictureOf(one, report))) };
}

/** The worst first. That nothing was sent is no news where the capture has no media at all. */
function inTrouble(calls: readonly Judged[], { media }: ReplayReport): Judged[] {
  const levels = media.length === 0 ? TROUBLE.filter((level) => level !== 'silent') : TROUBLE;
  return levels.flatMap((level) => calls.filter((call) => call.level === level));
}

/** How many calls came to what end, and which are shown below. */
function* outcomes(
  paper: Paper,
  calls: readonly Judged[],
  shown: number,
  report: ReplayReport,
): Generator<string> {
  const { style, row, hanging } = paper;
  const trouble = new Set(inTrouble(calls, report));
  const counts = new Map<string, number>();
  for (const call of calls) {
    const what = trouble.has(call) ? NAMES[call.level] : call.headline;
    counts.set(what, (counts.get(what) ?? 0) + 1);
  }
  const sorted = [...counts].sort(([, a], [, b]) => b - a);
  yield '\n';
  for (const [what, count] of sorted.slice(0, MAX_OUTCOMES))
    yield* hanging(`  ${count}`, printable(what, 200), 10);
  const rest = sorted.slice(MAX_OUTCOMES).reduce((sum, [, count]) => sum + count, 0);
  if (rest > 0) yield row(String(rest), 'with other outcomes');
  const hidden = [...trouble].slice(shown);
  for (const { call, headline } of hidden.slice(0, MAX_IN_LINES)) {
    yield* hanging(`  ${style.strong(printable(call.callId, 40))}`, `  ${headline}`, 6);
  }
  const which =
    shown === 0 ? 'none of them in trouble' : `${shown} of ${trouble.size} in trouble shown below`;
  yield row('', style.quiet(`${which}; --full has all, --filter WORDS those that you look for`));
}

const NAMES: Readonly<Record<Level, string>> = {
  blocked: 'Media was blocked, one way or both ways.',
  partly: 'Some packets were blocked.',
  silent: 'Answered, and one side or both sent nothing.',
  passed: 'Media passed.',
  none: 'No media.',
};
