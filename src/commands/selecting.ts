import type { Argv } from 'yargs';
import { quote } from '../config/problem.ts';
import { CALL_STATES, type Request, TOP_ORDERS } from '../control/protocol.ts';

const UNITS: Readonly<Record<string, number>> = { '': 1, s: 1, m: 60, h: 3600, d: 86_400 };

/** `--silent`, for yargs' `coerce`: `5`, `5s`, `2m`, `1h`; seconds. Throws what is to be said of another text. */
export function secondsOf(option: string): (text: string) => number {
  return (text) => {
    const [, number, unit = ''] = /^([0-9]{1,9}(?:\.[0-9]{1,3})?)([smhd])?$/.exec(text) ?? [];
    if (number !== undefined) return Number(number) * UNITS[unit]!;
    throw new Error(`--${option}: expected seconds, or a time such as 30s or 2m, found ${quote(text)}`);
  };
}

/** `--limit`, for yargs' `coerce`: how many at most. Throws what is to be said of what is no such number. */
export function limitOf(text: string): number {
  if (/^[1-9][0-9]{0,8}$/.test(text)) return Number(text);
  throw new Error(`--limit: expected a whole number from 1 on, found ${quote(text)}`);
}

/** `--match`, as every command has it that can choose among calls. */
export const matchOption = {
  alias: 'm',
  type: 'string',
  requiresArg: true,
  describe: 'Those of calls with this text in Call-ID, From, To or an address',
} as const;

/** Declares what chooses among calls: the same for every command that lists some. */
export function selectingOptions<T>(argv: Argv<T>) {
  return argv
    .option('match', matchOption)
    .option('state', { choices: CALL_STATES, requiresArg: true, describe: 'Those in this state' })
    .option('silent', {
      type: 'string',
      requiresArg: true,
      coerce: secondsOf('silent'),
      describe: 'Answered ones without media for so long: 5, 30s, 2m',
    })
    .option('sort', { choices: TOP_ORDERS, requiresArg: true, describe: 'What comes first' })
    .option('reverse', { alias: 'r', type: 'boolean', default: false, describe: 'The last first' });
}

type Selecting = Pick<
  Extract<Request, { request: 'calls' }>,
  'match' | 'state' | 'silent' | 'sort' | 'reverse'
>;

/** What was chosen by these options, as a request has it. */
export function selecting({
  match,
  state,
  silent,
  sort,
  reverse,
}: {
  readonly match: string | undefined;
  readonly state: Selecting['state'] | undefined;
  readonly silent: number | undefined;
  readonly sort: Selecting['sort'] | undefined;
  readonly reverse: boolean;
}): Selecting {
  return {
    reverse,
    ...(match !== undefined && match !== '' && { match }),
    ...(state !== undefined && { state }),
    ...(silent !== undefined && { silent }),
    ...(sort !== undefined && { sort }),
  };
}
