import type { CallResult, CallsResult } from '../control/protocol.ts';
import { callsInFull, callsText } from '../report/live/calls.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed calls`: every call there is, also one that ended a moment ago. */
export const calls = command(
  (argv) =>
    askOptions(argv)
      .option('verbose', {
        alias: 'v',
        type: 'boolean',
        default: false,
        describe: 'All there is to say of each',
      })
      .option('call', {
        type: 'string',
        requiresArg: true,
        describe: 'One call only: its Call-ID, or its name of 16 digits or the first of them',
      }),
  (args) =>
    withDaemon(args, async (client) => {
      const request =
        args.call === undefined
          ? { request: 'calls' as const }
          : { request: 'calls' as const, call: args.call };
      const list = await gather<CallsResult, CallResult>(client, request, (part) => part.calls);
      if (args.json) await print(jsonText({ calls: list }));
      else await print(args.verbose ? callsInFull(list, style()) : callsText(list, style()));
      return STATUS.ok;
    }),
);
