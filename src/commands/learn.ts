import { learnFromCaptures, type Proposal } from '../learn/proposal.ts';
import { type Around, aroundOf, proposalText } from '../learn/words.ts';
import { jsonText, print } from './ask.ts';
import { insideOf, networkOf, reading } from './captures.ts';
import { command } from './command.ts';

/** Exit statuses of `pinholed learn`. */
const STATUS = { learned: 0, unusable: 1, incomplete: 2 } as const;

/** `pinholed learn`: the least configuration under which the calls of captures have audio, with a reason for each line. */
export const learn = command(
  (argv) =>
    argv
      .positional('file', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'pcap or pcapng, also gzip compressed; several are merged by time',
      })
      .option('inside', {
        type: 'string',
        array: true,
        nargs: 1,
        describe:
          'A network whose hosts may be learned, repeatable; without it the private side, where private and public addresses signal with each other',
        coerce: (texts: readonly string[]) => texts.map(networkOf),
      })
      .option('tunnels', {
        type: 'boolean',
        default: false,
        describe: 'Look into GRE, IP-in-IP, GTP-U, VXLAN, Geneve, L2TP and ESP without encryption',
      })
      .option('json', { type: 'boolean', default: false, describe: 'The same as one JSON object' })
      .example('pinholed learn week.pcap > /etc/pinholed.yaml', 'what the calls of a week need')
      .epilogue(
        'Exit status: 0 learned, 1 bad usage or file, 2 no call had need of anything, a call has less with it than with ' +
          'everything allowed, or a file was damaged.',
      ),
  async (args) => {
    const proposal = reading(process.argv, () => {
      const inside = args.inside ?? insideOf(args.file);
      if (inside !== null) return learnFromCaptures(args.file, inside, args.tunnels);
      console.error(
        'pinholed: whose hosts are inside is not to be seen here: name their network with --inside',
      );
      return null;
    });
    if (proposal === null) return STATUS.unusable;
    return show(proposal, args.file.join(', '), args.json);
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
        : `none of ${around.calls} calls was answered or had media`;
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
