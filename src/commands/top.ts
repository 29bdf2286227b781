import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import { TOP_ORDERS, type TopOrder, type TopResult } from '../control/protocol.ts';
import { printableJson } from '../printable.ts';
import { openScreen, type Screen } from '../report/live/screen.ts';
import { TOP_HEAD, topLines } from '../report/live/top.ts';
import { askOptions, explainFailure, print, STATUS, socketPath, style } from './ask.ts';
import { command } from './command.ts';

const ORDER_OF_KEY: Readonly<Record<string, TopOrder>> = { a: 'age', i: 'idle', p: 'packets' };
const QUIT: ReadonlySet<string> = new Set(['q', 'Q']);
const SCROLL: Readonly<Record<string, number>> = {
  ...{ j: 1, down: 1, k: -1, up: -1 },
  ...{ ' ': 1, 'page down': 1, b: -1, 'page up': -1 },
};
const PAGES: ReadonlySet<string> = new Set([' ', 'b', 'page down', 'page up']);
const LONGEST_FILTER = 64;
/** Calls asked for: more than fit on a screen are not looked at. */
const MOST_CALLS = 200;

/** `pinholed top`: the calls there are, again and again; once where there is no terminal. */
export const top = command(
  (argv) =>
    askOptions(argv)
      .option('sort', { choices: TOP_ORDERS, default: 'age' as const, describe: 'What comes first' })
      .option('interval', { type: 'number', default: 1, describe: 'Seconds between two pictures, 0.5 to 60' })
      .option('once', { type: 'boolean', default: false, describe: 'One picture, and no keys' }),
  async (args) => {
    const path = socketPath(args);
    if (path === null) return STATUS.failed;
    const { sort, interval } = args;
    const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    try {
      if (args.json || args.once || !isTerminal) await showOnce(path, sort, args.json);
      else await live(path, sort, interval);
      return STATUS.ok;
    } catch (error) {
      return explainFailure(error);
    }
  },
);

async function showOnce(path: string, sort: TopOrder, json: boolean): Promise<void> {
  const client = await connectControl(path);
  try {
    for await (const result of client.ask<TopResult>({ request: 'top', sort, limit: MOST_CALLS })) {
      const { strong, bad } = style();
      const view = {
        sort,
        columns: Number.POSITIVE_INFINITY,
        rows: result.top.length + 5,
        strong,
        bad,
        keys: false,
      };
      await print(
        json ? `${printableJson(JSON.stringify(result))}\n` : `${topLines(result, view).join('\n')}\n`,
      );
      return;
    }
  } finally {
    client.close();
  }
}

/** What a person sees and asks for. */
interface Look {
  sort: TopOrder;
  reverse: boolean;
  match: string;
  typing: boolean;
  above: number;
  help: boolean;
}

type Effect = 'quit' | 'ask' | 'draw' | 'none';

/** What a key does to the look; `room` is how many calls fit, `calls` how many there are. */
export function press(look: Look, key: string, room: number, calls: number): Effect {
  if (key === '\x03') return 'quit';
  if (look.typing) return type(look, key);
  const order = ORDER_OF_KEY[key];
  const scroll = SCROLL[key];
  if (QUIT.has(key)) return 'quit';
  if (order !== undefined) {
    if (order === look.sort) return 'none';
    look.sort = order;
    return 'ask';
  }
  if (scroll !== undefined) {
    const last = Math.max(0, calls - room);
    look.above = Math.min(
      last,
      Math.max(0, look.above + scroll * (PAGES.has(key) ? Math.max(1, room - 1) : 1)),
    );
    return 'draw';
  }
  if (key === 'r') {
    look.reverse = !look.reverse;
    return 'ask';
  }
  if (key === '/') look.typing = true;
  else if (key === 'h' || key === '?') look.help = !look.help;
  else if (key === 'escape' && look.match !== '') return filter(look, '');
  else return 'none';
  return 'draw';
}

function type(look: Look, key: string): Effect {
  if (key === '\r' || key === '\n') {
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
  return 'ask';
}

/** Draws until somebody quits. What needs other calls asks anew. */
async function live(path: string, first: TopOrder, interval: number): Promise<void> {
  const look: Look = { sort: first, reverse: false, match: '', typing: false, above: 0, help: false };
  let quit = false;
  let stale = false;
  let latest: TopResult | null = null;
  let client: ControlClient = await connectControl(path);
  const { strong, bad } = style();
  const screen: Screen = openScreen({
    input: process.stdin,
    output: process.stdout,
    onKey(key) {
      const effect = press(look, key, Math.max(1, screen.rows - TOP_HEAD), latest?.top.length ?? 0);
      if (effect === 'quit') stop();
      else if (effect !== 'none') draw();
      if (effect !== 'ask') return;
      stale = true;
      client.close();
    },
    onResize: draw,
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);

  function stop(): void {
    quit = true;
    client.close();
  }

  function draw(): void {
    const { columns, rows } = screen;
    if (latest !== null) screen.draw(topLines(latest, { ...look, columns, rows, strong, bad, keys: true }));
  }

  try {
    while (!quit) {
      stale = false;
      const { sort, reverse, match } = look;
      try {
        const request = { request: 'top', sort, reverse, interval, limit: MOST_CALLS } as const;
        for await (const result of client.ask<TopResult>(match === '' ? request : { ...request, match })) {
          latest = result;
          draw();
          if (quit || stale) break;
        }
      } catch (error) {
        if (!(error instanceof ControlError && error.code === 'broken' && (quit || stale))) throw error;
      }
      client.close();
      if (quit) return;
      client = await connectControl(path);
    }
  } finally {
    screen.leave();
    client.close();
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
}
