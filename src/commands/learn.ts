import { learnFromCaptures, learnFromHistory, type Proposal } from '../learn/proposal.ts';
import { type Around, aroundOf, proposalText } from '../learn/words.ts';
import { askOptions, jsonText, print, withDaemon } from './ask.ts';
import { insideOf, networkOf, reading, tunnelsOption } from './captures.ts';
import { command, exampleOf } from './command.ts';
import { remembered, sinceOf } from './remembered.ts';

/** Exit statuses of `pinholed learn`. */
const STATUS = { learned: 0, unusable: 1, incomplete: 2 } as const;

/** `pinholed learn`: the least configuration under which calls have audio, those of captures or of the running daemon. */
export const learn = command(
  (argv) =>
    askOptions(argv)
      .positional('file', {
        type: 'string',
        array: true,
        describe:
          'pcap or pcapng, also gzip compressed; several are merged by time. Without one: the calls that the running daemon remembers',
      })
      .option('since', {
        type: 'string',
        requiresArg: true,
        describe: 'Of the daemon: calls that were not over by then: 30m, 2h, 7d, or a time',
        coerce: sinceOf,
      })
      .option('inside', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'A network whose hosts may be learned, repeatable; without it the private side, where private and public addresses signal with each other',
        coerce: (texts: readonly string[]) => texts.map(networkOf),
      })
      .option('tunnels', tunnelsOption)
      .example(exampleOf('pinholed learn week.pcap > /etc/pinholed.yaml', 'what the calls of a week need'))
      .example(exampleOf('pinholed learn --since 7d', 'what a week of calls needed that the daemon has seen'))
      .epilogue(
        'Exit status 2: no call had need of anything, a call has less with it than with everything allowed, or a file was ' +
          'damaged.',
      ),
  async (args) => {
    const files = args.file ?? [];
    if (files.length === 0 && !process.argv.includes('-')) {
      return withDaemon(args, async (client) => {
        const { calls, settings } = await remembered(client, args.since ?? null);
        return show(learnFromHistory(calls, settings), 'the running daemon', args.json);
      });
    }
    if (args.since !== undefined) {
      console.error('pinholed: expected --since or captures, found both');
      return STATUS.unusable;
    }
    const proposal = reading(process.argv, () => {
      const inside = args.inside ?? insideOf(files);
      if (inside !== null) return learnFromCaptures(files, inside, args.tunnels);
      console.error(
        'pinholed: whose hosts are inside is not to be seen here: name their network with --inside',
      );
      return null;
    });
    if (proposal === null) return STATUS.unusable;
    return show(proposal, files.join(', '), args.json);
  },
);

async function show(proposal: Proposal, from: string, asJson: boolean): Promise<number> {
  const around = aroundOf(proposal);
  const { settings, comparison, after } = proposal;
  for (const { message } of after?.damage ?? []) console.error(`pinholed: ${message}`);
  if (asJson) await print(jsonText(jsonOf(proposal, around)));
  else if (settings !== null) await print(proposalText(proposal, around, from));
  if (settings === null) {
    const calls =
      around.calls === 0
        ? 'there is no call in it'
        : `none of ${around.calls} calls had media for a host inside, or agreed on any that a configuration could allow`;
    console.error(`pinholed: nothing to learn: ${calls}`);
    for (const { text } of around.refused) console.error(`pinholed: ${text}`);
    return STATUS.incomplete;
  }
  const isWhole = (comparison?.losing.length ?? 0) === 0 && (after?.damage.length ?? 0) === 0;
  return isWhole ? STATUS.learned : STATUS.incomplete;
}

function jsonOf({ lines, comparison }: Proposal, around: Around) {
  const losing = comparison?.losing.map(({ report, lines: lost }) => ({ callId: report.callId, lost }));
  return { lines, tried: comparison !== null, losing: losing ?? [], ...around };
}
