import type { CloseResult } from '../control/protocol.ts';
import { askOptions, STATUS, show, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed close`: the pinholes of a call close at once; its signalling passes on. */
export const close = command(
  (argv) =>
    askOptions(argv).positional('call', {
      type: 'string',
      demandOption: true,
      describe: 'Its Call-ID, or its name of 16 digits or the first of them',
    }),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'close', call: args.call } as const;
      await show<CloseResult>(client, args, request, ({ closed }) =>
        closed.length === 0
          ? 'That call is over already.\n'
          : closed.map((leg) => `closed ${leg}\n`).join(''),
      );
      return STATUS.ok;
    }),
);
