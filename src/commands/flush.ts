import type { FlushResult } from '../control/protocol.ts';
import { askOptions, gather, jsonText, print, STATUS, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed flush`: closes every call. */
export const flush = command(askOptions, (args) =>
  withDaemon(args, async (client) => {
    const steps = await gather<FlushResult, FlushResult>(client, { request: 'flush' }, (part) => [part]);
    const { closed, calls } = steps.at(-1) ?? { closed: 0, calls: 0 };
    await print(args.json ? jsonText({ closed, calls }) : `closed ${closed} of ${calls} calls\n`);
    return STATUS.ok;
  }),
);
