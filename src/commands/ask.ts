import type { Argv } from 'yargs';
import { findConfig, formatProblem } from '../config/load.ts';
import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import { printableJson } from '../printable.ts';
import { terminalStyle } from '../report/style.ts';
import { writeAll } from '../report/write.ts';
import { configOption, jsonOption } from './configured.ts';

/** What every command that asks the daemon takes. */
interface AskArguments {
  readonly config: string | undefined;
  readonly socket: string | undefined;
  readonly json: boolean;
}

/** Exit statuses of the commands that ask the daemon. */
export const STATUS = { ok: 0, failed: 1, alarms: 2, notRunning: 3 } as const;

/** Declares the options that every command has which asks the daemon. */
export function askOptions<T>(argv: Argv<T>): Argv<T & AskArguments> {
  return argv
    .option('config', configOption)
    .option('socket', {
      type: 'string',
      requiresArg: true,
      coerce: socketName,
      describe: 'Path of the control socket, in place of control.socket of the configuration',
    })
    .option('json', jsonOption)
    .epilogue('Exit status: 0 well, 1 failed, 3 the daemon is not running.') as unknown as Argv<
    T & AskArguments
  >;
}

function socketName(given: string): string {
  if (given !== '') return given;
  throw new Error('--socket: expected the path of a socket, found an empty word');
}

/** Connects, lets `act` ask and closes. What cannot be asked is a line on stderr and an exit status. */
export async function withDaemon(
  args: AskArguments,
  act: (client: ControlClient) => Promise<number>,
): Promise<number> {
  const path = socketPath(args);
  if (path === null) return STATUS.failed;
  let client: ControlClient | null = null;
  try {
    client = await connectControl(path);
    return await act(client);
  } catch (error) {
    return explainFailure(error);
  } finally {
    client?.close();
  }
}

/**
 * Path of the socket. Whoever asks a daemon beside a file that was broken since it started is told so on stderr, and asks
 * all the same; null where the file cannot be read at all.
 */
export function socketPath({ socket, config }: Pick<AskArguments, 'config' | 'socket'>): string | null {
  if (socket !== undefined) return socket;
  const found = findConfig(config);
  if (found.ok) return found.settings.control.socket;
  for (const problem of found.problems) console.error(formatProblem(problem));
  return found.rest?.control.socket ?? null;
}

/** Writes why the daemon could not be asked, and answers the exit status. Throws what is another error. */
export function explainFailure(error: unknown): number {
  if (!(error instanceof ControlError)) throw error;
  console.error(`pinholed: ${error.message}`);
  return error.code === 'not-running' ? STATUS.notRunning : STATUS.failed;
}

/** Asks for one result and writes it, as JSON or as `text` makes it. */
export async function show<T>(
  client: ControlClient,
  args: AskArguments,
  request: Parameters<ControlClient['askOnce']>[0],
  text: (result: T) => string,
): Promise<T> {
  const result = await client.askOnce<T>(request);
  await print(args.json ? jsonText(result) : text(result));
  return result;
}

/** All parts of an answer in one list. */
export async function gather<Part, Item>(
  client: ControlClient,
  request: Parameters<ControlClient['ask']>[0],
  items: (part: Part) => readonly Item[],
): Promise<Item[]> {
  const all: Item[] = [];
  for await (const part of client.ask<Part>(request)) all.push(...items(part));
  return all;
}

/** One JSON object, indented. */
export function jsonText(value: unknown): string {
  return `${printableJson(JSON.stringify(value, null, 2))}\n`;
}

/** One JSON object in a line. */
export function jsonLine(value: unknown): string {
  return `${printableJson(JSON.stringify(value))}\n`;
}

/** Writes to standard output, waiting for a slow reader. */
export function print(text: string): Promise<void> {
  return writeAll(process.stdout, [text]);
}

/** Columns of the terminal; without one a table may be as wide as it is. */
export function screenColumns(): number {
  return process.stdout.isTTY ? process.stdout.columns || 80 : Number.POSITIVE_INFINITY;
}

/** The style of standard output. */
export function style() {
  return terminalStyle(process.stdout, process.env);
}
