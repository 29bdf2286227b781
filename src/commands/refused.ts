import type { StatsResult } from '../control/protocol.ts';
import { othersCounted, type RefusedResult, refusedText } from '../report/live/refused.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command } from './command.ts';
import { limitOf } from './selecting.ts';

/** `pinholed refused`: who got no pinhole, and why. */
export const refused = command(
  (argv) =>
    askOptions(argv).option('limit', {
      type: 'string',
      requiresArg: true,
      default: '100',
      coerce: limitOf,
      describe: 'At most so many, the latest',
    }),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'refused' as const, limit: args.limit };
      const found = await gather<{ refused: readonly RefusedResult[] }, RefusedResult>(
        client,
        request,
        (part) => part.refused,
      );
      const { refusals } = await client.askOnce<StatsResult>({ request: 'stats' });
      const others = othersCounted(found, refusals);
      await print(
        args.json
          ? jsonText({ refused: found, others })
          : refusedText(found, others, Date.now() / 1000, style()),
      );
      return STATUS.ok;
    }),
);
