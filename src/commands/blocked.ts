import { type BlockedResult, blockedText } from '../report/live/blocked.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command, exampleOf } from './command.ts';

/** `pinholed blocked`: media that the ruleset dropped near calls, and what would let it pass. */
export const blocked = command(
  (argv) =>
    askOptions(argv)
      .positional('call', {
        type: 'string',
        describe: 'Of one call only: its Call-ID or its name of 16 digits, or how one of them begins',
      })
      .example(
        exampleOf('pinholed blocked', 'who sends to a call and does not get through, and what would let it'),
      ),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'blocked' as const, ...(args.call !== undefined && { call: args.call }) };
      const found = await gather<{ blocked: readonly BlockedResult[] }, BlockedResult>(
        client,
        request,
        (part) => part.blocked,
      );
      await print(args.json ? jsonText({ blocked: found }) : blockedText(found, Date.now() / 1000, style()));
      return STATUS.ok;
    }),
);
