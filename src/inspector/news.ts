import type { Refusal } from '../call/refusal.ts';

/** What was refused that is of no call. */
export interface Notice {
  readonly refusal: Refusal;
  /** False where the same was said within the last minute. */
  readonly isNews: boolean;
}

/** ms between two tellings of the same: who causes it can cause it as often as they like. */
const SAY_AGAIN = 60_000;
const MOST_SAID = 1024;

/** Whether something is to be told at `now` (ms): true the first time, and when a minute has passed since it was told. */
export function createNews(): (what: string, now: number) => boolean {
  const said = new Map<string, number>();
  return (what, now) => {
    const isNews = now - (said.get(what) ?? Number.NEGATIVE_INFINITY) >= SAY_AGAIN;
    if (isNews && said.size >= MOST_SAID) said.clear();
    if (isNews) said.set(what, now);
    return isNews;
  };
}
