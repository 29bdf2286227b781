/** Which calls are wanted, and in what order: the list of the page and the daemon that has more calls than it lists agree on it. */
import type { CallRow, Level } from './model.ts';
import { readable } from './text.ts';

export type FilterName = 'all' | Level | 'refusals';
export type OrderName = 'newest' | 'worst' | 'longest';

export interface RowSelection {
  readonly filter: FilterName;
  readonly order: OrderName;
  /** Words, all of which have to be found. */
  readonly search: string;
}

type Order = (one: CallRow, other: CallRow) => number;

export const EVERYTHING: RowSelection = { filter: 'all', order: 'newest', search: '' };
/** Characters of a search that count. */
const LONGEST_SEARCH = 200;

export const FILTERS: Readonly<Record<FilterName, (row: CallRow) => boolean>> = {
  all: () => true,
  blocked: ({ level }) => level === 'blocked',
  partly: ({ level }) => level === 'partly',
  silent: ({ level }) => level === 'silent',
  passed: ({ level }) => level === 'passed',
  none: (row) => row.level === 'none' && !mayCome(row),
  refusals: ({ refusals }) => refusals > 0,
};

export const ORDERS: Readonly<Record<OrderName, Order>> = {
  newest: (one, other) => other.startedAt - one.startedAt,
  worst: (one, other) => severity(one.level) - severity(other.level) || other.blocked - one.blocked,
  longest: (one, other) => lengthOf(other) - lengthOf(one) || one.startedAt - other.startedAt,
};

/** Levels of calls that somebody should look into, the worst first. */
export const TROUBLE: readonly Level[] = ['blocked', 'partly', 'silent'];
const SEVERITY: readonly Level[] = [...TROUBLE, 'none', 'passed'];

/** Whether a call goes on that may have media yet: that it gets none is told then. */
function mayCome({ answeredAt, endedAt, pinholes }: CallRow): boolean {
  return endedAt === null && (answeredAt === null || pinholes > 0);
}

function severity(level: Level): number {
  return SEVERITY.indexOf(level);
}

function lengthOf({ startedAt, endedAt }: CallRow): number {
  return endedAt === null ? Number.POSITIVE_INFINITY : endedAt - startedAt;
}

export function wordsOf(search: string): string[] {
  return search.slice(0, LONGEST_SEARCH).toLowerCase().split(' ').filter(Boolean);
}

/** What a search looks into. */
export function haystackOf({
  callId,
  from,
  to,
  parties,
  codecs,
  outcome,
  headline,
  why,
  names,
  firewall = '',
}: CallRow): string {
  const texts = [callId, from, to, ...parties, codecs, outcome, headline, why, ...names, firewall];
  return texts.map((text) => readable(text).toLowerCase()).join(' ');
}

export function isEverything({ filter, order, search }: RowSelection): boolean {
  return filter === 'all' && order === 'newest' && wordsOf(search).length === 0;
}

/** As it stands in a URL; '' for everything. */
export function writeSelection(selection: RowSelection): string {
  const search = selection.search.slice(0, LONGEST_SEARCH);
  return isEverything(selection) ? '' : String(new URLSearchParams({ ...selection, search }));
}

/** What is missing or not known selects everything. */
export function readSelection(query: string): RowSelection {
  const fields = new URLSearchParams(query);
  const [filter, order] = [fields.get('filter') ?? '', fields.get('order') ?? ''];
  return {
    filter: Object.hasOwn(FILTERS, filter) ? (filter as FilterName) : EVERYTHING.filter,
    order: Object.hasOwn(ORDERS, order) ? (order as OrderName) : EVERYTHING.order,
    search: (fields.get('search') ?? '').slice(0, LONGEST_SEARCH),
  };
}
