import { CALL_STATES, type CallResult, type CallsResult, TOP_ORDERS } from '../control/protocol.ts';
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
        describe: 'One call only: its Call-ID or its name of 16 digits, or how one of them begins',
      })
      .option('match', {
        type: 'string',
        requiresArg: true,
        describe: 'Those with this text in Call-ID, From, To or an address',
      })
      .option('state', { choices: CALL_STATES, requiresArg: true, describe: 'Those in this state' })
      .option('silent', {
        type: 'number',
        requiresArg: true,
        describe: 'Answered ones without media for so many seconds',
      })
      .option('sort', { choices: TOP_ORDERS, requiresArg: true, describe: 'What comes first' })
      .option('reverse', { alias: 'r', type: 'boolean', default: false, describe: 'The last first' })
      .option('limit', { type: 'number', requiresArg: true, describe: 'At most so many' }),
  (args) =>
    withDaemon(args, async (client) => {
      const { call, match, state, silent, sort, reverse, limit } = args;
      const request = {
        request: 'calls' as const,
        reverse,
        ...(call !== undefined && { call }),
        ...(match !== undefined && { match }),
        ...(state !== undefined && { state }),
        ...(silent !== undefined && { silent }),
        ...(sort !== undefined && { sort }),
        ...(limit !== undefined && { limit }),
      };
      const list = await gather<CallsResult, CallResult>(client, request, (part) => part.calls);
      if (args.json) await print(jsonText({ calls: list }));
      else await print(args.verbose ? callsInFull(list, style()) : callsText(list, style()));
      return STATUS.ok;
    }),
);
