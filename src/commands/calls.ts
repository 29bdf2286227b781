import type { CallResult, CallsResult } from '../control/protocol.ts';
import { callsInFull, callsText } from '../report/live/calls.ts';
import { askOptions, gather, jsonText, print, STATUS, screenColumns, style, withDaemon } from './ask.ts';
import { command, exampleOf } from './command.ts';
import { limitOf, selecting, selectingOptions } from './selecting.ts';

/** `pinholed calls`: every call there is, also one that ended a moment ago. */
export const calls = command(
  (argv) =>
    selectingOptions(askOptions(argv))
      .positional('call', {
        type: 'string',
        describe: 'One call only: its Call-ID or its name of 16 digits, or how one of them begins',
      })
      .option('verbose', {
        alias: 'v',
        type: 'boolean',
        default: false,
        describe: 'All there is to say of each',
      })
      .option('limit', {
        alias: 'n',
        type: 'string',
        requiresArg: true,
        coerce: limitOf,
        describe: 'At most so many',
      })
      .example(exampleOf('pinholed calls --silent 30s', 'calls that are up and have had no media for 30 s'))
      .example(exampleOf('pinholed calls -m 203.0.113.7 -v', 'all there is to say of calls with that host'))
      .example(exampleOf('pinholed calls --sort packets -n 10', 'the ten with the most media')),
  (args) =>
    withDaemon(args, async (client) => {
      const { call, limit } = args;
      const request = {
        request: 'calls' as const,
        ...selecting(args),
        ...(call !== undefined && { call }),
        ...(limit !== undefined && { limit }),
      };
      const list = await gather<CallsResult, CallResult>(client, request, (part) => part.calls);
      if (args.json) await print(jsonText({ calls: list }));
      else {
        await print(args.verbose ? callsInFull(list, style()) : callsText(list, style(), screenColumns()));
      }
      return STATUS.ok;
    }),
);
