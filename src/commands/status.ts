import type { StatusResult } from '../control/protocol.ts';
import { statusText } from '../report/live/status.ts';
import { VERSION } from '../version.ts';
import { askOptions, STATUS, show, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed status`: exit status 2 when there are alarms. */
export const status = command(
  (argv) => askOptions(argv).epilogue('Exit status 2: it runs, but there are alarms.'),
  (args) =>
    withDaemon(args, async (client) => {
      const result = await show<StatusResult>(client, args, { request: 'status' }, (one) =>
        statusText(one, VERSION, style()),
      );
      return result.alarms.length > 0 ? STATUS.alarms : STATUS.ok;
    }),
);
