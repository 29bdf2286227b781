import type { ListedPinhole, PinholesResult } from '../control/protocol.ts';
import { pinholesText } from '../report/live/pinholes.ts';
import { askOptions, gather, jsonText, print, STATUS, screenColumns, style, withDaemon } from './ask.ts';
import { command, exampleOf } from './command.ts';
import { matchOption } from './selecting.ts';

/** `pinholed pinholes`: every pinhole that is open, once each. */
export const pinholes = command(
  (argv) =>
    askOptions(argv)
      .positional('call', {
        type: 'string',
        describe: 'Of one call only: its Call-ID or its name of 16 digits, or how one of them begins',
      })
      .option('match', matchOption)
      .example(exampleOf('pinholed pinholes -m 200', 'those of calls of extension 200')),
  (args) =>
    withDaemon(args, async (client) => {
      const { call, match } = args;
      const request = {
        request: 'pinholes' as const,
        ...(call !== undefined && { call }),
        ...(match !== undefined && { match }),
      };
      const list = await gather<PinholesResult, ListedPinhole>(client, request, (part) => part.pinholes);
      const text = () => pinholesText(list, Date.now() / 1000, style(), screenColumns());
      await print(args.json ? jsonText({ pinholes: list }) : text());
      return STATUS.ok;
    }),
);
