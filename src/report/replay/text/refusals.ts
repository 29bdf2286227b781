import { REFUSALS } from '../../../call/refusal.ts';
import { countText } from '../../../counted.ts';
import type { RefusalReport } from '../../../history/call-report.ts';
import type { LooseRefusal } from '../model.ts';
import { INDENT, type Paper } from './paper.ts';

export interface RefusalWriter {
  /** Refusals under a heading, each reason with what to do about it, said once in the whole text. */
  list(refusals: readonly RefusalReport[]): Generator<string>;
  loose(refusals: readonly LooseRefusal[]): Generator<string>;
}

export function createRefusalWriter({ style, frameOf, hanging }: Paper): RefusalWriter {
  const { caution, quiet } = style;
  const advised = new Set<string>();

  function* list(refusals: readonly RefusalReport[]): Generator<string> {
    if (refusals.length === 0) return;
    yield `\n${INDENT}Refused\n`;
    yield* each(refusals, () => 1);
  }

  function* each<T extends RefusalReport>(
    refusals: readonly T[],
    countOf: (one: T) => number,
  ): Generator<string> {
    for (const one of refusals) {
      const { reason, detail, place, why } = one;
      const times = countOf(one) === 1 ? '' : ` (${countText(countOf(one))} times)`;
      yield* hanging('    ', `${caution(reason)} ${quiet(frameOf(place))}${times} ${detail}`, 4);
      if (why !== '') yield* hanging('', why, 8);
    }
    yield* advise(refusals.filter(({ why }) => why === ''));
  }

  function* advise(refusals: readonly RefusalReport[]): Generator<string> {
    for (const { reason } of refusals) {
      if (advised.has(reason)) continue;
      advised.add(reason);
      yield* hanging('        ', quiet(`${reason}: ${REFUSALS[reason].advice}`), 8);
    }
  }

  return { list, loose: (all) => each(all, ({ count }) => count) };
}
