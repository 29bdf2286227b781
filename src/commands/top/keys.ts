import type { CallResult, TopOrder } from '../../control/protocol.ts';
import { scrolledTo } from '../../report/live/top.ts';

/** What a person sees and asks for. */
export interface Look {
  sort: TopOrder;
  reverse: boolean;
  match: string;
  typing: boolean;
  /** Calls above the first that is shown. */
  above: number;
  /** The call that Enter opens, counted from 0. */
  selected: number;
  help: boolean;
  /** The call that is shown in place of the list, and the lines above the first that is shown. */
  opened: { readonly legId: string; above: number } | null;
}

/** What there is to move in. */
interface Room {
  /** Calls, or lines of a call, that fit. */
  readonly room: number;
  readonly calls: readonly Pick<CallResult, 'legId'>[];
  /** Lines that an open call can be scrolled by. */
  readonly most: number;
}

type Effect = 'quit' | 'ask' | 'draw' | 'none';

const ORDER_OF_KEY: Readonly<Record<string, TopOrder>> = { a: 'age', i: 'idle', p: 'packets' };
const QUIT: ReadonlySet<string> = new Set(['q', 'Q']);
const ENTER: ReadonlySet<string> = new Set(['\r', '\n']);
const LEAVES: ReadonlySet<string> = new Set(['q', 'Q', 'escape', 'left', '\r', '\n']);
const LONGEST_FILTER = 64;

/** How far a key moves, in lines; null where it does not. */
function stepOf(key: string, room: number): number | null {
  const page = Math.max(1, room - 1);
  const steps: Readonly<Record<string, number>> = {
    ...{ j: 1, down: 1, k: -1, up: -1, ' ': page, 'page down': page, b: -page, 'page up': -page },
    ...{ g: Number.NEGATIVE_INFINITY, home: Number.NEGATIVE_INFINITY },
    ...{ G: Number.POSITIVE_INFINITY, end: Number.POSITIVE_INFINITY },
  };
  return steps[key] ?? null;
}

function within(value: number, most: number): number {
  return Math.min(Math.max(0, most), Math.max(0, value));
}

/** What a key does to the look. */
export function press(look: Look, key: string, { room, calls, most }: Room): Effect {
  if (key === '\x03') return 'quit';
  if (look.typing) return type(look, key);
  const step = stepOf(key, room);
  if (look.opened !== null) {
    if (step !== null) look.opened.above = within(look.opened.above + step, most);
    else if (LEAVES.has(key)) look.opened = null;
    else return 'none';
    return 'draw';
  }
  if (step !== null) {
    look.selected = within(look.selected + step, calls.length - 1);
    look.above = scrolledTo(look.selected, look.above, room, calls.length);
    return 'draw';
  }
  const order = ORDER_OF_KEY[key];
  if (QUIT.has(key)) return 'quit';
  if (order !== undefined) {
    if (order === look.sort) return 'none';
    look.sort = order;
    return 'ask';
  }
  if (key === 'r') {
    look.reverse = !look.reverse;
    return 'ask';
  }
  if (ENTER.has(key)) {
    const legId = calls[look.selected]?.legId;
    if (legId === undefined) return 'none';
    look.opened = { legId, above: 0 };
  } else if (key === '/') look.typing = true;
  else if (key === 'h' || key === '?') look.help = !look.help;
  else if (key === 'escape' && look.match !== '') return filter(look, '');
  else return 'none';
  return 'draw';
}

function type(look: Look, key: string): Effect {
  if (ENTER.has(key)) {
    look.typing = false;
    return 'draw';
  }
  if (key === 'escape') {
    look.typing = false;
    return filter(look, '');
  }
  if (key === '\x7f' || key === '\b') return filter(look, look.match.slice(0, -1));
  if (key.length > 1 || key < ' ' || look.match.length >= LONGEST_FILTER) return 'none';
  return filter(look, look.match + key);
}

function filter(look: Look, match: string): Effect {
  look.match = match;
  look.above = 0;
  look.selected = 0;
  return 'ask';
}
