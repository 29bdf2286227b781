import { settingChanges } from '../config/reload.ts';
import { replayed } from '../learn/captures.ts';
import { compare, outcomesIn } from '../learn/compare.ts';
import { comparisonJson, comparisonText } from '../learn/differences.ts';
import type { ReplayReport } from '../report/replay/model.ts';
import { jsonText, print } from './ask.ts';
import { atHome, reading, tunnelsOption } from './captures.ts';
import { command, exampleOf } from './command.ts';
import { configOption, configured, jsonOption } from './configured.ts';

/** Exit statuses of `pinholed whatif`. */
const STATUS = { none: 0, unusable: 1, losing: 2, damaged: 3 } as const;

/** `pinholed whatif`: which calls of captures another configuration would have treated otherwise. */
export const whatif = command(
  (argv) =>
    argv
      .positional('file', {
        type: 'string',
        array: true,
        demandOption: true,
        describe: 'pcap or pcapng, also gzip compressed; several are merged by time',
      })
      .option('config', { ...configOption, demandOption: true, describe: 'The configuration to try' })
      .option('config-now', {
        ...configOption,
        alias: undefined,
        describe: `The one to compare it with. ${configOption.describe}`,
        coerce: undefined,
      })
      .option('tunnels', tunnelsOption)
      .option('json', jsonOption)
      .example(
        exampleOf(
          'pinholed whatif --config new.yaml week.pcap',
          'beside the configuration in its usual place',
        ),
      )
      .epilogue(
        'Exit status: 0 no call would have lost audio, 1 bad usage, configuration or file, 2 some would have, 3 none, but a ' +
          'file was damaged.',
      ),
  async (args) => {
    const next = configured(args.config);
    const now = configured(args.configNow);
    if (next === null || now === null) return STATUS.unusable;
    const found = reading(process.argv, () => ({
      before: replayed(args.file, atHome(now.settings), args.tunnels),
      after: replayed(args.file, atHome(next.settings), args.tunnels),
    }));
    if (found === null) return STATUS.unusable;
    const changes = settingChanges(now.settings, next.settings);
    const comparison = compare(outcomesIn(found.before), outcomesIn(found.after));
    if (args.json) await print(jsonText(comparisonJson(comparison, changes)));
    else await print(comparisonText(comparison, changes));
    for (const line of unread(found.after)) console.error(`pinholed: ${line}`);
    if (comparison.losing.length > 0) return STATUS.losing;
    return found.after.damage.length > 0 ? STATUS.damaged : STATUS.none;
  },
);

function unread({ damage, notes }: ReplayReport): string[] {
  return [...damage.map(({ message }) => message), ...notes];
}
