/** From a time in seconds to a place in pixels, and back. */
export interface TimeScale {
  /** Pixels from the first moment to the last. */
  readonly width: number;
  readonly start: number;
  readonly end: number;
  x(time: number): number;
  time(x: number): number;
  /** Parts that are drawn wider than their time, because messages stand close together there. */
  readonly stretched: readonly (readonly [from: number, to: number])[];
  readonly ticks: readonly Tick[];
}

interface Tick {
  readonly x: number;
  readonly label: string;
}

/** The widest part of the picture that bursts of messages may take. */
const MAX_STRETCHED = 0.55;
const TICK_ROOM = 64;

/**
 * A scale from `start` to `end` that is proportional to time, except that neighbours among `moments` keep `gap`
 * pixels: a call is set up within milliseconds and then lasts for minutes. It is wider than `width` when there are
 * too many moments for it.
 */
export function timeScale(
  moments: readonly number[],
  start: number,
  end: number,
  width: number,
  gap: number,
): TimeScale {
  const inner = moments.filter((at) => at > start && at < end).sort((a, b) => a - b);
  const times = [start, ...inner, end > start ? end : start + 1];
  const spans = times.slice(1).map((at, index) => at - times[index]!);
  const least = spans.map((_, index) => (index === spans.length - 1 ? gap / 2 : gap));
  const needed = least.reduce((sum, one) => sum + one, 0);
  const whole = Math.max(width, needed / MAX_STRETCHED);
  const widths = shareOut(spans, least, whole);
  const places = [0];
  for (const one of widths) places.push(places.at(-1)! + one);

  function x(time: number): number {
    const index = segment(times, time);
    const share = (time - times[index]!) / (spans[index]! || 1);
    return places[index]! + Math.min(1, Math.max(0, share)) * widths[index]!;
  }

  function time(place: number): number {
    const index = segment(places, place);
    const share = (place - places[index]!) / (widths[index]! || 1);
    return times[index]! + Math.min(1, Math.max(0, share)) * spans[index]!;
  }

  const rate = Math.min(...spans.map((span, index) => (span > 0 ? widths[index]! / span : Infinity)));
  const stretched: [number, number][] = [];
  for (const [index, span] of spans.entries()) {
    if (widths[index]! <= span * rate * 1.01) continue;
    const last = stretched.at(-1);
    if (last !== undefined && last[1] === places[index]!) last[1] = places[index + 1]!;
    else stretched.push([places[index]!, places[index + 1]!]);
  }
  return {
    ...{ width: places.at(-1)!, start, end: times.at(-1)!, x, time, stretched },
    ticks: ticksOf(start, times.at(-1)!, rate, x),
  };
}

/** Each span its share of `whole` in proportion, but at least what it needs. */
function shareOut(spans: readonly number[], least: readonly number[], whole: number): number[] {
  const fixed = spans.map(() => false);
  for (;;) {
    let room = whole;
    let time = 0;
    for (const [index, span] of spans.entries()) {
      if (fixed[index]) room -= least[index]!;
      else time += span;
    }
    const rate = time === 0 ? 0 : room / time;
    const tight = spans.findIndex((span, index) => !fixed[index] && span * rate < least[index]!);
    if (tight < 0) return spans.map((span, index) => (fixed[index] ? least[index]! : span * rate));
    for (const [index, span] of spans.entries()) if (span * rate < least[index]!) fixed[index] = true;
  }
}

/** The last part that begins at or before `value`. */
function segment(bounds: readonly number[], value: number): number {
  let low = 0;
  let high = bounds.length - 2;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (bounds[middle]! <= value) low = middle;
    else high = middle - 1;
  }
  return low;
}

const STEPS = [
  ...[0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30],
  ...[60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400],
];

function ticksOf(start: number, end: number, rate: number, x: (time: number) => number): Tick[] {
  const step = STEPS.find((one) => one * rate >= TICK_ROOM) ?? STEPS.at(-1)!;
  const ticks: Tick[] = [{ x: 0, label: '0' }];
  const count = Math.min(1000, Math.floor((end - start) / step));
  for (let index = 1; index <= count; index++) {
    const place = x(start + index * step);
    if (place - ticks.at(-1)!.x < TICK_ROOM * 0.75) continue;
    ticks.push({ x: place, label: tickLabel(index * step, step) });
  }
  return ticks;
}

function tickLabel(seconds: number, step: number): string {
  if (step < 1) return `${seconds.toFixed(step < 0.01 ? 3 : step < 0.1 ? 2 : 1)} s`;
  if (seconds < 60) return `${Math.round(seconds)} s`;
  const minutes = Math.floor(seconds / 60);
  const rest = String(Math.round(seconds % 60)).padStart(2, '0');
  if (minutes < 60) return `${minutes}:${rest}`;
  return `${Math.floor(minutes / 60)}:${String(minutes % 60).padStart(2, '0')}:${rest}`;
}
