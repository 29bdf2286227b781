import type { ExposureResult } from '../control/protocol.ts';
import { exposureText } from '../report/live/exposure.ts';
import { askOptions, STATUS, show, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed exposure`: what was reachable, beside a rule that opens a whole range of ports. */
export const exposure = command(
  (argv) =>
    askOptions(argv).option('range', {
      type: 'string',
      requiresArg: true,
      default: '10000-20000',
      describe: 'Ports that such a rule would open',
    }),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'exposure', range: args.range } as const;
      await show<ExposureResult>(client, args, request, (one) => exposureText(one, style()));
      return STATUS.ok;
    }),
);
