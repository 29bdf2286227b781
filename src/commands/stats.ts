import type { StatsResult } from '../control/protocol.ts';
import { statsText } from '../report/live/stats.ts';
import { askOptions, STATUS, show, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed stats`: counts by method and refusal, and how long packets and commits took. */
export const stats = command(askOptions, (args) =>
  withDaemon(args, async (client) => {
    await show<StatsResult>(client, args, { request: 'stats' }, (one) => statsText(one, style()));
    return STATUS.ok;
  }),
);
