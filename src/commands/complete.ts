import { statSync } from 'node:fs';
import { defaultConfigPath, findConfig } from '../config/load.ts';
import { ControlError, connectControl } from '../control/client.ts';
import type { CallResult, CallsResult, StatusResult } from '../control/protocol.ts';
import { whoText } from '../report/live/call-table.ts';
import { gather, print, STATUS, socketPath } from './ask.ts';
import { command } from './command.ts';
import { SOURCES, type Source } from './completion/completable.ts';

/** Names that are offered at most. */
const MOST = 200;
/** ms. Somebody waits at a line half typed. */
const DEADLINE = 1000;
/** A shell puts what is offered into a command line: what would mean something there is not offered. */
const PLAIN = /^[A-Za-z0-9@._:+~-]{1,128}$/;

/** `pinholed complete SOURCE [BEGINNING]`: for shells: names that begin so, one a line, and behind a tab what they are. */
export const complete = command(
  (argv) =>
    argv
      .positional('source', { choices: SOURCES, demandOption: true, describe: 'Names of what' })
      .positional('beginning', { type: 'string', default: '', describe: 'How they begin' })
      .option('line', { type: 'string', requiresArg: true, default: '', describe: 'The line that is typed' }),
  async ({ source, beginning, line }) => {
    const args = { config: valueIn(line, ['--config', '-c']), socket: valueIn(line, ['--socket']) };
    try {
      const names = source === 'peers' ? peers(args.config) : await asked(args, source, beginning);
      const found = names.filter(([name]) => name.startsWith(beginning) && PLAIN.test(name));
      await print(
        found
          .slice(0, MOST)
          .map(([name, about]) => `${name}\t${about}\n`)
          .join(''),
      );
      return STATUS.ok;
    } catch (error) {
      // Nobody reads it while typing.
      if (error instanceof ControlError) return STATUS.failed;
      throw error;
    }
  },
);

/** What an option has in a line that is typed, split at blanks. */
function valueIn(line: string, names: readonly string[]): string | undefined {
  const words = line.split(/ +/);
  for (const [index, word] of words.entries()) {
    if (names.includes(word)) return words[index + 1];
    const name = names.find((one) => word.startsWith(`${one}=`));
    if (name !== undefined) return word.slice(name.length + 1);
  }
  return undefined;
}

type Named = readonly [name: string, about: string];

function peers(config: string | undefined): Named[] {
  if (!isReadAtOnce(config)) return [];
  const found = findConfig(config);
  if (!found.ok) return [];
  return found.settings.peers.flatMap(({ name, networks }) =>
    name === null ? [] : [[name, networks.map(({ text }) => text).join(', ')] as const],
  );
}

async function asked(
  args: Parameters<typeof socketPath>[0],
  source: Exclude<Source, 'peers'>,
  beginning: string,
): Promise<Named[]> {
  const path = args.socket !== undefined || isReadAtOnce(args.config) ? socketPath(args) : null;
  if (path === null) return [];
  const client = await connectControl(path, DEADLINE, AbortSignal.timeout(DEADLINE));
  try {
    if (source === 'alarms') {
      const { alarms } = await client.askOnce<StatusResult>({ request: 'status' });
      return alarms.map(({ name, text }) => [name, text]);
    }
    const request = { request: 'calls' as const, ...(beginning !== '' && { match: beginning }) };
    const calls = await gather<CallsResult, CallResult>(client, request, (part) => part.calls);
    return calls.flatMap((call) => namesOf(call, beginning));
  } finally {
    client.close();
  }
}

/** False for a pipe, whose end may never come, and a terminal: reading them stops everything, the deadline with it. */
function isReadAtOnce(config = defaultConfigPath()): boolean {
  return statSync(config, { throwIfNoEntry: false })?.isFile() ?? true;
}

/** Its Call-ID is offered to who has begun to type one. */
function namesOf(call: CallResult, beginning: string): Named[] {
  const about = `${whoText(call)}, ${call.state}`;
  return [[call.legId, about], ...(beginning === '' ? [] : [[call.callId, about] as const])];
}
