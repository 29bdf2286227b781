import { quote } from '../config/problem.ts';
import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import type { CallResult, TopOrder, TopResult } from '../control/protocol.ts';
import { printableJson } from '../printable.ts';
import type { ExplainResult } from '../report/live/explain.ts';
import { explainText } from '../report/live/explain-text.ts';
import { openScreen, type Screen } from '../report/live/screen.ts';
import { mostAbove, openedLines, scrolledTo, TOP_HEAD, topLines } from '../report/live/top.ts';
import {
  askOptions,
  explainFailure,
  gather,
  print,
  STATUS,
  screenColumns,
  socketPath,
  style,
} from './ask.ts';
import { command, exampleOf } from './command.ts';
import { secondsOf, selecting, selectingOptions } from './selecting.ts';
import { type Look, press } from './top/keys.ts';

/** Calls asked for, as many as may be; a filter finds the others. */
const MOST_CALLS = 500;

type Chosen = ReturnType<typeof selecting> & { readonly sort: TopOrder };

/** `pinholed top`: the calls there are, again and again; once where there is no terminal. */
export const top = command(
  (argv) =>
    selectingOptions(askOptions(argv))
      .default('sort', 'age' as const)
      .option('interval', {
        type: 'string',
        requiresArg: true,
        default: '1',
        coerce: intervalOf,
        describe: 'Seconds between two pictures, 0.5 to 60',
      })
      .option('once', { type: 'boolean', default: false, describe: 'One picture, and no keys' })
      .example(exampleOf('pinholed top', 'h shows the keys: sort, filter, scroll, open a call'))
      .example(exampleOf('pinholed top --once --sort packets', 'one picture, for a script')),
  async (args) => {
    const path = socketPath(args);
    if (path === null) return STATUS.failed;
    const chosen = { ...selecting(args), sort: args.sort };
    const isTerminal = process.stdin.isTTY && process.stdout.isTTY;
    try {
      if (args.json || args.once || !isTerminal) await showOnce(path, chosen, args.json);
      else await live(path, chosen, args.interval);
      return STATUS.ok;
    } catch (error) {
      return explainFailure(error);
    }
  },
);

function intervalOf(text: string): number {
  const seconds = secondsOf('interval')(text);
  if (seconds >= 0.5 && seconds <= 60) return seconds;
  throw new Error(`--interval: expected seconds between 0.5 and 60, found ${quote(text)}`);
}

async function showOnce(path: string, chosen: Chosen, json: boolean): Promise<void> {
  const client = await connectControl(path);
  try {
    for await (const result of client.ask<TopResult>({ request: 'top', ...chosen, limit: MOST_CALLS })) {
      const { strong, bad } = style();
      const { sort, reverse = false, match = '' } = chosen;
      const rows = result.top.length + TOP_HEAD;
      const view = { sort, reverse, match, columns: screenColumns(), rows, strong, bad, keys: false };
      await print(
        json ? `${printableJson(JSON.stringify(result))}\n` : `${topLines(result, view).join('\n')}\n`,
      );
      return;
    }
  } finally {
    client.close();
  }
}

const REVERSED = (text: string) => `\x1b[7m${text}\x1b[27m`;

/** What `explain` says of a call, asked on a connection of its own; what cannot be had is said in its place. */
async function explained(path: string, call: string): Promise<string> {
  let client: ControlClient | null = null;
  try {
    client = await connectControl(path);
    const legs = await gather<ExplainResult, ExplainResult>(client, { request: 'explain', call }, (leg) => [
      leg,
    ]);
    return legs.map((leg) => explainText(leg, Date.now() / 1000, style())).join('');
  } catch (error) {
    if (!(error instanceof ControlError)) throw error;
    return error.message;
  } finally {
    client?.close();
  }
}

/** Draws until somebody quits. What needs other calls asks anew. */
async function live(path: string, chosen: Chosen, interval: number): Promise<void> {
  const { sort, reverse = false, match = '', ...others } = chosen;
  const look: Look = {
    ...{ sort, reverse, match, typing: false, above: 0, selected: 0, help: false, opened: null },
  };
  let quit = false;
  let stale = false;
  let latest: TopResult | null = null;
  let selected: CallResult | null = null;
  let text = '';
  let client: ControlClient = await connectControl(path);
  const { strong, bad } = style();
  const screen: Screen = openScreen({
    input: process.stdin,
    output: process.stdout,
    onKey(key) {
      const { columns, rows } = screen;
      const before = look.opened;
      const room = before === null ? Math.max(1, rows - TOP_HEAD) : Math.max(1, rows - 1);
      const most = mostAbove(text, { columns, rows });
      const effect = press(look, key, { room, calls: latest?.top ?? [], most });
      if (look.opened !== before) {
        text = '';
        void refresh();
      }
      selected = latest?.top[look.selected] ?? null;
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
    if (look.opened !== null) {
      look.opened.above = Math.min(look.opened.above, mostAbove(text, { columns, rows }));
      screen.draw(openedLines(text, { columns, rows, above: look.opened.above }));
    } else if (latest !== null) {
      look.above = scrolledTo(look.selected, look.above, rows - TOP_HEAD, latest.top.length);
      const view = { ...look, columns, rows, strong, bad, keys: true, mark: REVERSED };
      screen.draw(topLines(latest, view));
    }
  }

  /** Asks for the call that is open, whichever that is when the answer comes. */
  async function refresh(): Promise<void> {
    const wanted = look.opened?.legId;
    if (wanted === undefined) return;
    const answer = await explained(path, wanted);
    if (look.opened?.legId !== wanted) return;
    text = answer;
    draw();
  }

  /** The selection stays on its call, wherever that is in the list now. */
  function take(result: TopResult): void {
    latest = result;
    const name = selected?.legId;
    const at = result.top.findIndex(({ legId }) => legId === name);
    look.selected = at >= 0 ? at : Math.max(0, Math.min(look.selected, result.top.length - 1));
    selected = result.top[look.selected] ?? null;
  }

  try {
    while (!quit) {
      stale = false;
      const request = { request: 'top', ...others, interval, limit: MOST_CALLS } as const;
      const now = { sort: look.sort, reverse: look.reverse, ...(look.match !== '' && { match: look.match }) };
      try {
        for await (const result of client.ask<TopResult>({ ...request, ...now })) {
          take(result);
          draw();
          await refresh();
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
