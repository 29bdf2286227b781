import type { CallSummary } from '../daemon/messages.ts';
import { type PassedSource, passedBy } from './calls.ts';
import { CALL_STATES, type Request, RequestError, TOP_ORDERS, type TopOrder, textOf } from './protocol.ts';

/** Which calls a client wants, and in which order. */
interface CallSelection {
  /** Null: in the order of their start, the ended ones among them. */
  readonly sort: TopOrder | null;
  readonly reverse: boolean;
  readonly limit: number;
  /** Text in the Call-ID, From, To or an address, in small or capital letters; '' for all. */
  readonly match: string;
  readonly state: (typeof CALL_STATES)[number] | null;
  /** Answered, not ended, and without media for so many seconds; null for all. */
  readonly silent: number | null;
}

/** Calls in one answer to `top`. */
export const MAX_TOP = 500;
const LONGEST_MATCH = 256;

/** Reads the fields of a request for `calls` or `top`. Throws RequestError. */
export function selectionOf(
  request: Request,
  defaults: Pick<CallSelection, 'sort' | 'limit'>,
): CallSelection {
  const { sort, reverse = false, match, state, silent } = request as Record<string, unknown>;
  if (typeof reverse !== 'boolean') throw new RequestError('bad-request', 'reverse: expected true or false');
  if (silent !== undefined && (typeof silent !== 'number' || !(silent >= 0))) {
    throw new RequestError('bad-request', 'silent: expected seconds');
  }
  return {
    sort: sort === undefined ? defaults.sort : oneOf(TOP_ORDERS, sort, 'sort'),
    reverse,
    limit: limitOf(request, defaults.limit),
    match: match === undefined ? '' : textOf(match, 'match').slice(0, LONGEST_MATCH).toLowerCase(),
    state: state === undefined ? null : oneOf(CALL_STATES, state, 'state'),
    silent: silent ?? null,
  };
}

/** At most so many are wanted: the `limit` of a request, from 1 to `most`; `usual` where it has none. Throws RequestError. */
export function limitOf(request: Request, most: number, usual = most): number {
  const { limit = usual } = request as Record<string, unknown>;
  if (typeof limit === 'number' && Number.isInteger(limit) && limit >= 1 && limit <= most) return limit;
  throw new RequestError('bad-request', `limit: expected a whole number between 1 and ${most}`);
}

function oneOf<T extends string>(known: readonly T[], value: unknown, field: string): T {
  const found = known.find((one) => one === value);
  if (found === undefined) throw new RequestError('bad-request', `${field}: expected ${known.join(', ')}`);
  return found;
}

/** The calls that are wanted, in their order; `now` in ms of the data path's clock. */
export function select(
  calls: readonly CallSummary[],
  { sort, reverse, limit, match, state, silent }: CallSelection,
  passed: PassedSource,
  now: number,
): CallSummary[] {
  const wanted = calls.filter(
    (call) =>
      (match === '' || matches(call, match)) &&
      (state === null || call.leg.state === state) &&
      (silent === null || isSilent(call, silent * 1000, now)),
  );
  const ranked = sort === null ? wanted : inOrder(wanted, sort, passed);
  return (reverse ? ranked.reverse() : ranked).slice(0, limit);
}

function inOrder(calls: readonly CallSummary[], order: TopOrder, passed: PassedSource): CallSummary[] {
  const rank: Readonly<Record<TopOrder, (call: CallSummary) => number>> = {
    age: ({ leg }) => leg.startedAt,
    idle: ({ mediaAt }) => mediaAt,
    packets: (call) => -passedBy(call, passed).packets,
  };
  return calls
    .map((call) => ({ call, rank: rank[order](call) }))
    .sort((one, other) => one.rank - other.rank)
    .map(({ call }) => call);
}

function matches({ leg: { callId, from, to, parties, legId } }: CallSummary, text: string): boolean {
  return [callId, from, to, legId, ...parties].some((one) => one.toLowerCase().includes(text));
}

function isSilent({ leg, mediaAt }: CallSummary, ms: number, now: number): boolean {
  return leg.answeredAt !== null && leg.endedAt === null && now - Math.max(mediaAt, leg.answeredAt) >= ms;
}
