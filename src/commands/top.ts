import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import { TOP_ORDERS, type TopOrder, type TopResult } from '../control/protocol.ts';
import { printableJson } from '../printable.ts';
import { openScreen, type Screen } from '../report/live/screen.ts';
import { topLines } from '../report/live/top.ts';
import { askOptions, explainFailure, print, STATUS, socketPath, style } from './ask.ts';
import { command } from './command.ts';

const ORDER_OF_KEY: Readonly<Record<string, TopOrder>> = { a: 'age', i: 'idle', p: 'packets' };
const QUIT = new Set(['q', 'Q', '\x03']);
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

/** Draws until somebody quits. A key that sorts anew asks anew. */
async function live(path: string, first: TopOrder, interval: number): Promise<void> {
  let sort = first;
  let quit = false;
  let latest: TopResult | null = null;
  let client: ControlClient = await connectControl(path);
  let asked = client;
  const { strong, bad } = style();
  const screen: Screen = openScreen({
    input: process.stdin,
    output: process.stdout,
    onKey(key) {
      const order = ORDER_OF_KEY[key];
      if (QUIT.has(key)) quit = true;
      else if (order === undefined || order === sort) return;
      else sort = order;
      asked.close();
    },
    onResize: draw,
  });
  for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.once(signal, stop);

  function stop(): void {
    quit = true;
    asked.close();
  }

  function draw(): void {
    const { columns, rows } = screen;
    if (latest !== null) screen.draw(topLines(latest, { sort, columns, rows, strong, bad, keys: true }));
  }

  try {
    while (!quit) {
      const order = sort;
      try {
        const request = { request: 'top', sort: order, interval, limit: MOST_CALLS } as const;
        for await (const result of client.ask<TopResult>(request)) {
          latest = result;
          draw();
          if (quit || sort !== order) break;
        }
      } catch (error) {
        const isOurs = error instanceof ControlError && error.code === 'broken' && (quit || sort !== order);
        if (!isOurs) throw error;
      }
      client.close();
      if (quit) return;
      draw();
      client = await connectControl(path);
      asked = client;
    }
  } finally {
    screen.leave();
    client.close();
    for (const signal of ['SIGTERM', 'SIGHUP'] as const) process.off(signal, stop);
  }
}
