import type { PinholeResult, PinholesResult } from '../control/protocol.ts';
import { pinholesText } from '../report/live/pinholes.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed pinholes`: every pinhole that is open, once each. */
export const pinholes = command(askOptions, (args) =>
  withDaemon(args, async (client) => {
    const request = { request: 'pinholes' } as const;
    const list = await gather<PinholesResult, PinholeResult>(client, request, (part) => part.pinholes);
    await print(args.json ? jsonText({ pinholes: list }) : pinholesText(list, Date.now() / 1000, style()));
    return STATUS.ok;
  }),
);
