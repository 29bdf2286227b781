import { quote } from '../config/problem.ts';
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
      coerce: rangeText,
      describe: 'Ports that such a rule would open',
    }),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'exposure', range: args.range } as const;
      await show<ExposureResult>(client, args, request, (one) => exposureText(one, style()));
      return STATUS.ok;
    }),
);

/** `10000-20000`, as the daemon reads it. Throws what is to be said of another text. */
function rangeText(text: string): string {
  const [first, last] = text
    .split('-')
    .map((port) => (/^[0-9]{1,5}$/.test(port) ? Number(port) : Number.NaN));
  if (text.split('-').length === 2 && first! >= 1 && first! <= last! && last! <= 65_535) return text;
  throw new Error(`--range: expected ports such as 10000-20000, found ${quote(text)}`);
}
