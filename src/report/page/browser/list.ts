import { countText, plural } from '../../../counted.ts';
import type { CallPicture, CallRow } from '../model.ts';
import {
  EVERYTHING,
  FILTERS,
  type FilterName,
  haystackOf,
  isEverything,
  ORDERS,
  type OrderName,
  type RowSelection,
  wordsOf,
  writeSelection,
} from '../selection.ts';
import { readable } from '../text.ts';
import { type Child, el, fill, svg } from './dom.ts';
import { levelGlyph } from './glyph.ts';
import { createPanel, type Panel } from './panel.ts';
import { summaryOf } from './summary.ts';
import { clock, LEVELS, span } from './words.ts';

interface CallList {
  readonly element: HTMLElement;
  /** Shows these calls from now on; those that are open stay open. `more`: where there are calls beside these. */
  update(rows: readonly CallRow[], more?: More): void;
  /** Opens a call and scrolls to it. */
  open(legId: string): void;
}

/** What a list knows that was given only a part of all calls. */
interface More {
  /** What the rows were chosen by. */
  readonly selection: RowSelection;
  /** Calls that were chosen and are not among the rows. */
  readonly omitted: number;
  /** All there are. */
  readonly calls: number;
}

/** A call that was shown at least once: those further down have nothing in the document yet. */
interface ListedCall {
  row: CallRow;
  readonly item: HTMLLIElement;
  readonly button: HTMLButtonElement;
  panel: Panel | null;
}

const FILTER_NAMES: Readonly<Record<FilterName, string>> = {
  all: 'All',
  blocked: LEVELS.blocked.filter,
  partly: LEVELS.partly.filter,
  silent: LEVELS.silent.filter,
  passed: LEVELS.passed.filter,
  none: LEVELS.none.filter,
  refusals: 'With refusals',
};
const ORDER_NAMES: Readonly<Record<OrderName, string>> = {
  newest: 'in order',
  worst: 'worst first',
  longest: 'longest first',
};

/** Rows that are made at a time; more follow when the reader comes near the end. */
const BATCH = 150;

/**
 * The calls as a list that can be searched, filtered and ordered; a click opens the picture of one. `selected` is told
 * what is wanted whenever that changes.
 */
export function createCallList(
  load: (legId: string) => Promise<CallPicture>,
  selected: (selection: RowSelection) => void = () => {},
): CallList {
  const entries = new Map<string, ListedCall>();
  const haystacks = new WeakMap<CallRow, string>();
  let all: readonly CallRow[] = [];
  let more: More | null = null;
  let selection = EVERYTHING;
  let shown: readonly CallRow[] = [];
  let made = BATCH;

  const search = el('input', {
    type: 'search',
    id: 'search',
    placeholder: 'Search name, address, Call-ID …',
    'aria-label': 'Search the calls',
    autocomplete: 'off',
    spellcheck: 'false',
  });
  const chips = el('div', { class: 'chips', role: 'group', 'aria-label': 'Filter' });
  const orders = el(
    'select',
    { 'aria-label': 'Order' },
    ...Object.values(ORDER_NAMES).map((name) => el('option', {}, name)),
  );
  const count = el('p', { class: 'count', role: 'status' });
  const list = el('ol', { class: 'calls' });
  const end = el('div', { class: 'end' });
  const tools = el('div', { class: 'tools' }, search, orders, chips);
  const about = el('div', {});
  const element = el('section', { class: 'list', 'aria-label': 'Calls' }, about, tools, count, list, end);

  search.addEventListener('input', () => {
    select({ search: search.value });
  });
  orders.addEventListener('change', () => {
    select({ order: (Object.keys(ORDER_NAMES) as OrderName[])[orders.selectedIndex]! });
  });
  document.addEventListener('keydown', (event) => {
    if (event.key !== '/' || event.target instanceof HTMLInputElement) return;
    event.preventDefault();
    search.focus();
  });
  new IntersectionObserver(
    (seen) => {
      if (seen.some(({ isIntersecting }) => isIntersecting) && made < shown.length) grow(made + BATCH);
    },
    { rootMargin: '800px' },
  ).observe(end);
  addEventListener('beforeprint', () => grow(shown.length));

  function entryOf(row: CallRow): ListedCall {
    const known = entries.get(row.legId);
    if (known?.row === row) return known;
    if (known !== undefined) {
      if (written(known.row) !== written(row)) {
        known.row = row;
        known.button.replaceChildren(...rowCells(row));
      } else if (row.endedAt === null) {
        known.row = row;
        const age = known.button.querySelector('.age');
        if (age !== null) age.textContent = ageOf(row);
      }
      return known;
    }
    const button = el('button', { class: 'row', type: 'button', 'aria-expanded': 'false' });
    const entry: ListedCall = { row, item: el('li', {}, button), button, panel: null };
    button.append(...rowCells(row));
    button.addEventListener('click', () => void toggle(entry));
    entries.set(row.legId, entry);
    return entry;
  }

  function seekFor(wanted: string): void {
    search.value = wanted;
    select({ search: wanted });
  }

  function select(change: Partial<RowSelection>): void {
    selection = { ...selection, ...change };
    arrange(true);
    selected(selection);
  }

  function update(rows: readonly CallRow[], beside?: More): void {
    all = rows;
    more = beside ?? null;
    const summary = summaryOf(rows, seekFor);
    fill(about, summary === null ? [] : [summary]);
    const here = new Set(rows.map(({ legId }) => legId));
    for (const [legId, { panel }] of entries) {
      if (here.has(legId)) continue;
      panel?.close();
      entries.delete(legId);
    }
    arrange(false);
    for (const entry of entries.values()) if (entry.panel !== null) void refresh(entry);
  }

  /** Puts what is wanted into the list, in the wanted order. */
  function arrange(fromTop: boolean): void {
    const { filter, order, search } = selection;
    fill(chips, chipsOf(filter));
    const words = wordsOf(search);
    const found = all
      .filter(FILTERS[filter])
      .filter((row) => words.length === 0 || words.every((word) => searched(row).includes(word)));
    shown = order === 'newest' ? found : found.sort(ORDERS[order]);
    if (fromTop) made = BATCH;
    grow(made);
    count.textContent = more === null ? countOf(shown.length, all.length) : countAmong(more);
  }

  function searched(row: CallRow): string {
    const known = haystacks.get(row);
    if (known !== undefined) return known;
    const made = haystackOf(row);
    haystacks.set(row, made);
    return made;
  }

  function countAmong({ selection: answered, omitted, calls }: More): string {
    const isAnswered = writeSelection(answered) === writeSelection(selection);
    if (!isAnswered) return `Looking through ${plural(calls, 'call')} …`;
    if (omitted === 0) return countOf(shown.length, calls);
    if (isEverything(selection)) {
      return `The newest ${countText(shown.length)} of ${plural(calls, 'call')}; search, filters and order go through all of them`;
    }
    return `The first ${countText(shown.length)} of ${plural(shown.length + omitted, 'call')} found, among ${countText(calls)}`;
  }

  /** The filters; how many calls each lets through is known only where all calls are here. */
  function chipsOf(current: FilterName): HTMLButtonElement[] {
    return (Object.keys(FILTERS) as FilterName[]).flatMap((name) => {
      const holding = more === null ? all.filter(FILTERS[name]).length : null;
      return holding !== 0 || name === 'all' || name === current ? [chip(name, holding)] : [];
    });
  }

  function chip(name: FilterName, holding: number | null): HTMLButtonElement {
    const button = el(
      'button',
      { type: 'button', class: 'chip', 'aria-pressed': String(name === selection.filter) },
      FILTER_NAMES[name],
      holding === null ? null : el('b', {}, countText(holding)),
    );
    button.addEventListener('click', () => {
      select({ filter: name });
      chips.querySelector<HTMLElement>('[aria-pressed=true]')?.focus();
    });
    return button;
  }

  /** Makes the first rows there, touching only what is not in its place: the focus stays where it is. */
  function grow(wanted: number): void {
    made = Math.min(wanted, Math.max(BATCH, shown.length));
    const visible = shown.slice(0, made).map(entryOf);
    const keep = new Set<Element>(visible.map(({ item }) => item));
    for (const child of [...list.children]) if (!keep.has(child)) child.remove();
    for (const [index, { item }] of visible.entries()) {
      const there = list.children[index];
      if (there !== item) list.insertBefore(item, there ?? null);
    }
  }

  async function toggle(entry: ListedCall): Promise<void> {
    const { item, button, row } = entry;
    if (entry.panel !== null) {
      entry.panel.close();
      entry.panel.element.remove();
      entry.panel = null;
      button.setAttribute('aria-expanded', 'false');
      return;
    }
    button.setAttribute('aria-expanded', 'true');
    try {
      const picture = await load(row.legId);
      entry.panel ??= createPanel(picture);
      entry.panel.element.id = `picture-${row.legId}`;
      button.setAttribute('aria-controls', entry.panel.element.id);
      item.append(entry.panel.element);
      entry.panel.update(picture);
    } catch (error) {
      button.setAttribute('aria-expanded', 'false');
      count.textContent = `The call could not be shown: ${String(error)}`;
    }
  }

  async function refresh(entry: ListedCall): Promise<void> {
    try {
      entry.panel?.update(await load(entry.row.legId));
    } catch {
      // The call is over and forgotten: what was shown last stays.
    }
  }

  function open(legId: string): void {
    const index = shown.findIndex((row) => row.legId === legId);
    if (index >= made) grow(index + BATCH);
    const entry = entries.get(legId);
    if (entry === undefined) return;
    if (entry.panel === null) void toggle(entry);
    entry.item.scrollIntoView({ block: 'start' });
  }

  return { element, update, open };
}

function countOf(shown: number, all: number): string {
  return shown === all ? plural(all, 'call') : `${countText(shown)} of ${plural(all, 'call')}`;
}

function rowCells(row: CallRow): Child[] {
  const { startedAt, endedAt, level, headline, names, parties, codecs, firewall } = row;
  const what = codecs === '' ? '' : `, ${readable(codecs, 60)}`;
  const where = firewall === undefined ? '' : `, ${readable(firewall, 32)}`;
  return [
    levelGlyph(level),
    el(
      'span',
      { class: 'who' },
      el('b', {}, readable(names[0], 60)),
      el('span', { class: 'to' }, ' → '),
      el('b', {}, readable(names[1], 60)),
      el('small', {}, `${parties[0]} → ${parties[1]}${what}${where}`),
    ),
    el(
      'span',
      { class: 'when' },
      clock(startedAt),
      el(
        'small',
        {},
        ...(endedAt === null ? [`${row.outcome}, `] : []),
        el('span', { class: 'age' }, ageOf(row)),
      ),
    ),
    el(
      'span',
      { class: 'headline' },
      el('span', {}, headline),
      el('small', { class: 'id' }, readable(row.callId, 80)),
    ),
    /[^.]/.test(row.strips.join(''))
      ? stripOf(row)
      : el('span', { class: 'strip' }, el('small', {}, plural(row.pinholes, 'pinhole'), ...droppedNear(row))),
    svg(
      'svg',
      { class: 'arrowhead', viewBox: '0 0 12 12', 'aria-hidden': 'true' },
      svg('path', { d: 'M3 4.5l3 3 3-3' }),
    ),
  ];
}

/** How long it lasted, or has lasted so far. */
function ageOf({ startedAt, endedAt, until }: CallRow): string {
  return span(Math.max(0, (endedAt ?? until) - startedAt));
}

/** Of a live call packets are told of, but not drawn: that the ruleset dropped some near it. */
function droppedNear({ blocked }: CallRow): Child[] {
  return blocked === 0 ? [] : [el('br', {}), el('b', {}, `${countText(blocked)} dropped`)];
}

/** What a row shows, but for the time that goes on. */
function written(row: CallRow): string {
  return JSON.stringify({ ...row, until: 0 });
}

/** Two thin bands: what came for the caller, above what came for the callee. */
function stripOf({ strips }: CallRow): SVGSVGElement {
  const height = 8;
  const bands = strips.map((strip, band) => {
    const top = band * (height + 4);
    const base = svg('rect', {
      class: 'none',
      x: 0,
      y: top + height / 2 - 0.5,
      width: strip.length,
      height: 1,
    });
    const path = { p: '', b: '' };
    for (let index = 0; index < strip.length; index++) {
      const mark = strip[index]!;
      if (mark === 'p' || mark === 'x') path.p += `M${index} ${top}h1v${height / 2}h-1z`;
      if (mark === 'b' || mark === 'x') path.b += `M${index} ${top + height / 2}h1v${height / 2}h-1z`;
    }
    return [base, svg('path', { class: 'passed', d: path.p }), svg('path', { class: 'blocked', d: path.b })];
  });
  const width = Math.max(1, ...strips.map(({ length }) => length));
  return svg(
    'svg',
    {
      class: 'strip',
      viewBox: `0 0 ${width} ${strips.length * (height + 4) - 4}`,
      preserveAspectRatio: 'none',
      'aria-hidden': 'true',
    },
    ...bands.flat(),
  );
}
