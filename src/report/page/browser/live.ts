import { countText, plural } from '../../../counted.ts';
import type { CallPicture, Level, LiveSnapshot, ShownLatency } from '../model.ts';
import { EVERYTHING, type RowSelection, writeSelection } from '../selection.ts';
import { readable } from '../text.ts';
import { el, svg } from './dom.ts';
import { levelGlyph } from './glyph.ts';
import { createCallList } from './list.ts';
import { date, span } from './words.ts';

/** How often the daemon is asked, in ms, and how many answers the small curves remember. */
const EVERY = 2000;
const REMEMBERED = 150;
/** Answers that a small curve has room for from the start. */
const ROOM = 30;
/** An answer that takes longer is none, in ms. */
const PATIENCE = 10_000;
const NO_BREAK = '\u00a0';
/** ms after the last key until a search is asked for. */
const TYPING = 300;

/** The page of a running daemon, which keeps itself up to date. */
export function showLive(root: HTMLElement): void {
  const head = el('header', { class: 'top' });
  const list = createCallList(
    (legId) => ask<CallPicture>(`/call.json?legId=${encodeURIComponent(legId)}`),
    seek,
  );
  root.append(head, list.element);
  const history: LiveSnapshot[] = [];
  let failedAt: number | null = null;
  let selection = EVERYTHING;
  /** The daemon has more calls than it lists: it has to choose. */
  let isPart = false;
  let next = 0;
  let polls = 0;

  /** What was asked before the last question is not shown any more. */
  async function poll(): Promise<void> {
    clearTimeout(next);
    const [mine, wanted] = [++polls, isPart ? selection : EVERYTHING];
    const query = writeSelection(wanted);
    try {
      const snapshot = await ask<LiveSnapshot>(query === '' ? '/live.json' : `/live.json?${query}`);
      if (mine !== polls) return;
      take(snapshot, wanted);
    } catch {
      if (mine !== polls) return;
      failedAt ??= Date.now() / 1000;
    }
    head.replaceChildren(...headOf(history, failedAt));
    next = setTimeout(() => void poll(), EVERY);
  }

  function take(snapshot: LiveSnapshot, wanted: RowSelection): void {
    const last = history.at(-1);
    if (last !== undefined && last.startedAt !== snapshot.startedAt) history.length = 0;
    history.push(snapshot);
    if (history.length > REMEMBERED) history.shift();
    failedAt = null;
    const { rows, rowsOmitted: omitted, remembered: calls } = snapshot;
    isPart = rows.length < calls;
    list.update(rows, isPart ? { selection: wanted, omitted, calls } : undefined);
  }

  function seek(wanted: RowSelection): void {
    selection = wanted;
    if (!isPart) return;
    polls++;
    clearTimeout(next);
    next = setTimeout(() => void poll(), TYPING);
  }

  void poll();
}

async function ask<T>(path: string): Promise<T> {
  const response = await fetch(path, { cache: 'no-store', signal: AbortSignal.timeout(PATIENCE) });
  if (!response.ok)
    throw new Error(response.status === 404 ? 'it is forgotten' : `status ${response.status}`);
  return (await response.json()) as T;
}

function headOf(history: readonly LiveSnapshot[], failedAt: number | null): HTMLElement[] {
  const now = history.at(-1);
  const brand = el('p', { class: 'brand' }, el('i', { class: 'logo' }), 'pinholed', el('span', {}, ' live'));
  const lost =
    failedAt === null
      ? []
      : [
          el(
            'p',
            { class: 'note bad', role: 'alert' },
            `No answer from the daemon since ${date(failedAt)} UTC.`,
          ),
        ];
  if (now === undefined) return [brand, ...lost];
  const [level, state] =
    failedAt === null ? stateOf(now) : (['blocked', 'The daemon does not answer.'] as const);
  return [
    brand,
    ...lost,
    el('h1', {}, levelGlyph(level), el('span', {}, state)),
    el(
      'p',
      { class: 'source' },
      el('b', {}, `up ${span(now.at - now.startedAt)}`),
      ` · ${[`since ${date(now.startedAt)} UTC`, readable(now.platform), readable(now.mode), `version ${now.version}`].join(' · ')}`,
    ),
    ...(now.staticMedia.length === 0
      ? []
      : [
          el(
            'p',
            { class: 'source' },
            `static-media: ${now.staticMedia.map((one) => readable(one)).join(' · ')}`,
          ),
        ]),
    ...(now.group.length === 0
      ? []
      : [el('p', { class: 'source' }, `shared: ${now.group.map((one) => readable(one)).join(' · ')}`)]),
    ...now.alarms.map(({ severity, text, advice, since }) =>
      el(
        'p',
        { class: `alarm ${severity}` },
        levelGlyph(severity === 'critical' ? 'blocked' : 'partly'),
        el('span', {}, el('b', {}, readable(text)), ` since ${date(since)} UTC. ${readable(advice)}`),
      ),
    ),
    figures(history, now),
  ];
}

/** The worst that is true now, and what else is wrong. */
function stateOf({ alarms, calls, withoutAudio }: LiveSnapshot): readonly [Level, string] {
  const parts = [
    ...(alarms.length === 0 ? [] : [plural(alarms.length, 'alarm')]),
    ...(withoutAudio === 0
      ? []
      : [`${countText(withoutAudio)} of ${plural(calls, 'call')} without audio one way or both ways`]),
  ];
  if (parts.length === 0) return ['passed', 'Running, no alarms.'];
  const isCritical = alarms.some(({ severity }) => severity === 'critical');
  return [isCritical ? 'blocked' : 'partly', `Running, with ${parts.join(', ')}.`];
}

function figures(history: readonly LiveSnapshot[], now: LiveSnapshot): HTMLElement {
  const gauge = (name: string, pick: (one: LiveSnapshot) => number) =>
    figure(name, countText(pick(now)), history.map(pick));
  const rate = (name: string, pick: (one: LiveSnapshot) => number) => {
    const rates = ratesOf(history, pick);
    return figure(name, perSecond(rates.at(-1) ?? 0), rates);
  };
  return el(
    'dl',
    { class: 'stats live' },
    gauge('Calls', ({ calls }) => calls),
    gauge('Pinholes', ({ pinholes }) => pinholes),
    rate('SIP messages / s', ({ counters }) => counters.messages),
    rate('Media packets / s', ({ counters }) => counters.media),
    rate('Refusals / s', ({ counters }) => counters.refusals),
    latency(
      'Inspection',
      now.latency.inspection,
      history.map((one) => one.latency.inspection?.p99 ?? 0),
    ),
    latency(
      'Commit',
      now.latency.commit,
      history.map((one) => one.latency.commit?.p99 ?? 0),
    ),
  );
}

/** Growth per second between each two answers. */
function ratesOf(history: readonly LiveSnapshot[], pick: (one: LiveSnapshot) => number): number[] {
  return history.slice(1).map((one, index) => {
    const before = history[index]!;
    return Math.max(0, pick(one) - pick(before)) / Math.max(0.001, one.at - before.at);
  });
}

function perSecond(rate: number): string {
  return rate === 0 ? '0' : rate < 10 ? rate.toFixed(1) : countText(Math.round(rate));
}

function latency(name: string, quantiles: ShownLatency | null, curve: readonly number[]): HTMLElement {
  const value = quantiles === null ? '–' : microseconds(quantiles.p50);
  const more =
    quantiles === null
      ? ''
      : [`p99 ${microseconds(quantiles.p99)}`, `max ${microseconds(quantiles.max)}`]
          .map((one) => one.replaceAll(' ', NO_BREAK))
          .join(' · ');
  return figure(name, value, curve, more);
}

function microseconds(value: number): string {
  return value < 1000 ? `${Math.round(value)} µs` : `${(value / 1000).toFixed(value < 10_000 ? 1 : 0)} ms`;
}

function figure(name: string, value: string, curve: readonly number[], more = ''): HTMLElement {
  return el(
    'div',
    {},
    el('dt', {}, name),
    el('dd', {}, value, more === '' ? null : el('small', {}, more)),
    sparkline(curve),
  );
}

function sparkline(values: readonly number[]): SVGSVGElement {
  const top = Math.max(1e-9, ...values);
  const room = Math.max(ROOM, values.length) - 1;
  const left = room + 1 - values.length;
  const points = values.map((value, index) => `${left + index} ${(23 - (value / top) * 22).toFixed(1)}`);
  const line = points.length < 2 ? '' : `M${points.join('L')}`;
  return svg(
    'svg',
    { class: 'spark', viewBox: `0 0 ${room} 24`, preserveAspectRatio: 'none', 'aria-hidden': 'true' },
    svg('path', { class: 'area', d: line === '' ? '' : `${line}V24H${left}Z` }),
    svg('path', { class: 'line', d: line }),
  );
}
