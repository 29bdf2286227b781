import { settingChanges } from '../config/reload.ts';
import { readInterfaceAddresses } from '../daemon/interface-addresses.ts';
import { reloadable } from '../daemon/reloadable.ts';
import { compare, outcomesOf } from '../learn/compare.ts';
import { comparisonJson, comparisonText } from '../learn/differences.ts';
import { JUDGED, judged } from '../learn/judge.ts';
import { seenCall } from '../learn/seen.ts';
import { askOptions, jsonText, print, STATUS, withDaemon } from './ask.ts';
import { command, exampleOf } from './command.ts';
import { configured } from './configured.ts';
import { thisMachine } from './machine.ts';
import { remembered, sinceOf } from './remembered.ts';

/** `pinholed reload --dry-run`: what the calls that the daemon remembers would have had under another configuration. */
export const reload = command(
  (argv) =>
    askOptions(argv)
      .option('dry-run', {
        type: 'string',
        requiresArg: true,
        demandOption:
          'expected --dry-run FILE; what makes the daemon read its file again is SIGHUP (service pinholed reload)',
        describe: 'The configuration to try: nothing is changed',
      })
      .option('since', {
        type: 'string',
        requiresArg: true,
        describe: 'Calls that were not over by then: 30m, 2h, 7d, or a time',
        coerce: sinceOf,
      })
      .example(
        exampleOf('pinholed reload --dry-run /etc/pinholed.yaml', 'what a reload would mean, before it'),
      )
      .epilogue('Exit status 2: some call would have lost audio.'),
  async (args) => {
    const next = configured(args.dryRun, await thisMachine());
    if (next === null) return STATUS.failed;
    return withDaemon(args, async (client) => {
      const { calls, settings } = await remembered(client, args.since ?? null);
      const changes = settingChanges(settings, next.settings);
      const seen = calls.map((report) => seenCall(report, () => 'media-host'));
      const addresses = Object.fromEntries(readInterfaceAddresses());
      const after = judged(seen, reloadable(settings, next.settings), addresses);
      const comparison = compare(outcomesOf(seen), after);
      const other = changes.filter(({ key, reload }) => reload === 'reload' && !JUDGED.has(key));
      if (args.json)
        await print(
          jsonText({ ...comparisonJson(comparison, changes), notTried: other.map(({ key }) => key) }),
        );
      else {
        await print(comparisonText(comparison, changes));
        if (other.length > 0) {
          const keys = other.map(({ key }) => key).join(', ');
          await print(
            `Not tried on these calls: ${keys}. "pinholed whatif" tries all settings, on a capture.\n`,
          );
        }
      }
      return comparison.losing.length > 0 ? STATUS.alarms : STATUS.ok;
    });
  },
);
