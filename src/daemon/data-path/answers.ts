import type { Call } from '../../call/call.ts';
import { type NextTimer, nextTimer } from '../../call/expiry.ts';
import type { Settings } from '../../config/schema.ts';
import { legOf } from '../../inspector/happening.ts';
import type { Inspector } from '../../inspector.ts';
import type { Held } from '../../pinhole/table.ts';
import {
  type Answers,
  type CallEntry,
  type CallSummary,
  type DataPathCounters,
  type DataPathStatus,
  MOST_PER_SLICE,
  type Question,
} from '../messages.ts';
import type { DataPathEnds } from '../platform/platform.ts';
import type { Arrivals } from './arrivals.ts';
import type { DataPathDeps } from './deps.ts';
import type { FilterKeeper } from './filter-keeper.ts';
import type { Passage } from './passage.ts';
import { createSlices } from './slices.ts';

interface AnswersDeps {
  readonly inspector: Inspector;
  readonly ends: Pick<DataPathEnds, 'interceptor'>;
  readonly mirror: DataPathDeps['mirror'];
  readonly arrivals: Pick<Arrivals, 'counters'>;
  readonly filter: Pick<FilterKeeper, 'all' | 'times' | 'exposure' | 'missing'>;
  readonly passage: Pick<Passage, 'times' | 'fidelity'>;
  readonly counters: Readonly<DataPathCounters>;
  readonly settings: () => Settings;
  /** ms of a clock that never runs backwards. */
  readonly clock: () => number;
  /** How a call is, written down. */
  readonly entryOf: (legId: string) => CallEntry;
  /** Ends a call on the administrator's word. */
  readonly end: (call: Call) => void;
}

/** Answers what the control thread asks, from what the inspector knows. */
export function createAnswers(deps: AnswersDeps) {
  const { ends, arrivals, mirror, inspector, filter, passage, counters, settings, clock, entryOf, end } =
    deps;
  const calls = createSlices(() => inspector.calls());
  const pinholes = createSlices(() => filter.all());
  const records = createSlices(() => inspector.calls());

  function status(): DataPathStatus {
    const { calls: underWay, pinholes: open } = inspector.sizes();
    const { unreadable, methods, responses, refusals, ...stats } = inspector.stats;
    return {
      counters: { ...counters },
      inspector: {
        ...stats,
        messages: { ...stats.messages },
        heard: structuredClone(stats.heard),
        unreadable: Object.fromEntries(unreadable),
        methods: Object.fromEntries(methods),
        responses: Object.fromEntries(responses),
        refusals: Object.fromEntries(refusals),
      },
      inspection: passage.times.read(),
      commit: filter.times.read(),
      fidelity: passage.fidelity(),
      exposure: filter.exposure.read(clock()),
      calls: underWay,
      withoutAudio: inspector.withoutAudio,
      staticMedia: inspector.staticMedia(),
      pinholes: open,
      missing: filter.missing(),
      platform: {
        ...ends.interceptor.counters(),
        ...mirror?.counters(),
        ...(settings().holdEncrypted !== null && arrivals.counters()),
      },
    };
  }

  function summary(call: Call): CallSummary {
    const held = inspector.held(call.legId);
    const timer = firstOf(nextTimer(settings().timers, call), held);
    return {
      leg: legOf(call),
      mediaAt: call.mediaAt,
      nextTimer: timer,
      pinholes: held,
      noAudio: inspector.missingAudio(call),
    };
  }

  function endCall(legId: string): boolean {
    const call = inspector.call(legId);
    if (call === null || call.state === 'ended') return false;
    end(call);
    return true;
  }

  return (question: Question): Answers[keyof Answers] => {
    if (question.type === 'status') return status();
    if (question.type === 'end') return endCall(question.legId);
    const limit = Math.min(question.limit, MOST_PER_SLICE);
    if (question.type === 'pinholes') return pinholes.take(question.cursor, limit);
    if (question.type === 'records') {
      const slice = records.take(question.cursor, limit);
      return slice === null
        ? null
        : { items: slice.items.map(({ legId }) => entryOf(legId)), cursor: slice.cursor };
    }
    const slice = calls.take(question.cursor, limit);
    return slice === null ? null : { items: slice.items.map(summary), cursor: slice.cursor };
  };
}

/** The timer of the call, or that of a pinhole which closes before. */
function firstOf(timer: NextTimer | null, pinholes: readonly Held[]): NextTimer | null {
  let first = timer;
  for (const { until, reason } of pinholes) {
    if (reason !== null && until < (first?.at ?? Number.POSITIVE_INFINITY))
      first = { name: reason, at: until };
  }
  return first;
}
