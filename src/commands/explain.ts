import { spellLines } from '../report/audio.ts';
import { type ExplainResult, readExplained } from '../report/live/explain.ts';
import { callText } from '../report/replay/text.ts';
import { askOptions, gather, jsonText, print, STATUS, style, withDaemon } from './ask.ts';
import { command } from './command.ts';

/** `pinholed explain`: what happened in a call and why, also after its end. */
export const explain = command(
  (argv) =>
    askOptions(argv)
      .positional('call', {
        type: 'string',
        demandOption: true,
        describe: 'Its Call-ID, or its name of 16 digits or the first of them',
      })
      .option('html', {
        type: 'boolean',
        default: false,
        describe: 'The same as a page with its ladder, in one file that needs no other',
      }),
  (args) =>
    withDaemon(args, async (client) => {
      const request = { request: 'explain', call: args.call } as const;
      const legs = await gather<ExplainResult, ExplainResult>(client, request, (part) => [part]);
      if (args.json) await print(jsonText({ calls: legs }));
      else await print(args.html ? await pageOf(legs) : legs.map(legText).join(''));
      return STATUS.ok;
    }),
);

/** The page's code is loaded only for who wants it. */
async function pageOf(legs: readonly ExplainResult[]): Promise<string> {
  const [{ callHtml }, { livePicture }] = await Promise.all([
    import('../report/page/html.ts'),
    import('../report/page/pictures.ts'),
  ]);
  const now = Date.now();
  return callHtml(
    legs.map((leg) => livePicture(readExplained(leg), now)),
    now,
  );
}

function legText(leg: ExplainResult): string {
  const report = readExplained(leg);
  const text = [...callText(report, style())].join('');
  const audio = spellLines(report).map((line) => `${line}\n`);
  const notes = [
    ...(audio.length === 0 ? [] : ['\n', ...audio]),
    `\n  leg ${leg.hash}; #n counts the packets that the daemon received\n`,
  ];
  if (leg.adopted) notes.push('  taken up from the journal: what came before that start is not known\n');
  if (leg.pinholesOmitted > 0) notes.push(`  and ${leg.pinholesOmitted} later pinholes\n`);
  return text + notes.join('');
}
