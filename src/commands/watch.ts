import type { WatchResult } from '../control/protocol.ts';
import { watchLine } from '../report/live/watch.ts';
import { askOptions, jsonLine, print, STATUS, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed watch`: what happens, a line each, until somebody interrupts. */
export const watch = command(askOptions, (args) =>
  withDaemon(args, async (client) => {
    for await (const { events, lost } of client.ask<WatchResult>({ request: 'watch' })) {
      const lines = events.map((event) => (args.json ? jsonLine(event) : `${watchLine(event)}\n`));
      if (lost > 0) lines.push(args.json ? jsonLine({ lost }) : `... and ${lost} more\n`);
      if (lines.length > 0) await print(lines.join(''));
    }
    return STATUS.ok;
  }),
);
