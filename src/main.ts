#!/usr/bin/env node
import type { Argv } from 'yargs';
import { type Command, exampleOf } from './commands/command.ts';
import type { Completable } from './commands/completion/completable.ts';
import { isDoubtful, lineFault, usageText } from './commands/usage.ts';
import { nearest, quote } from './config/problem.ts';
import { VERSION } from './version.ts';

interface CommandEntry {
  /** Name and positional arguments, as yargs has them: `replay <file..>`. */
  readonly usage: string;
  readonly about: string;
  /** A line to type, and what it is for, where the command has none of its own. */
  readonly example?: readonly [line: string, purpose: string];
  /** Imports the command, only when it is the one to run. */
  readonly load: () => Promise<Command>;
}

/** Every subcommand, under the heading it has in `pinholed --help`. */
const GROUPS: readonly { readonly heading: string; readonly commands: readonly CommandEntry[] }[] = [
  {
    heading: 'Daemon:',
    commands: [
      {
        usage: 'run',
        about: 'Run the daemon in the foreground: packets in, pinholes open, packets on',
        example: ['pinholed run --config /etc/pinholed.yaml', 'in the foreground, until Ctrl-C'],
        load: async () => (await import('./commands/run.ts')).run,
      },
    ],
  },
  {
    heading: 'The running daemon:',
    commands: [
      {
        usage: 'status',
        about: 'How it does: since when, in which mode, what it counted, and alarms',
        example: [
          'pinholed status || mail -s pinholed root',
          'in cron: status 2 means alarms, 3 that it does not run',
        ],
        load: async () => (await import('./commands/status.ts')).status,
      },
      {
        usage: 'calls [call]',
        about: 'The calls there are: state, parties, age, idle time, next timer',
        load: async () => (await import('./commands/calls.ts')).calls,
      },
      {
        usage: 'pinholes [call]',
        about: 'The pinholes that are open: from where, to where, for how long',
        load: async () => (await import('./commands/pinholes.ts')).pinholes,
      },
      {
        usage: 'stats',
        about: 'Counts by method and by refusal; how long packets and commits took',
        example: ['pinholed stats --json | jq .responses', 'responses by status code'],
        load: async () => (await import('./commands/stats.ts')).stats,
      },
      {
        usage: 'top',
        about: 'Calls on a screen that goes on',
        load: async () => (await import('./commands/top.ts')).top,
      },
      {
        usage: 'watch',
        about: 'What happens, as it happens: calls, pinholes, refusals',
        example: [
          `pinholed watch --json | jq -c 'select(.type == "refused")'`,
          'who gets no pinhole, as it happens',
        ],
        load: async () => (await import('./commands/watch.ts')).watch,
      },
      {
        usage: 'explain <call>',
        about: 'What happened in a call and why, also after its end',
        example: [
          'pinholed explain 3f2a --redact --pcap call.pcap',
          'its messages for the provider, without names and keys',
        ],
        load: async () => (await import('./commands/explain.ts')).explain,
      },
      {
        usage: 'refused',
        about: 'Who got no pinhole lately, and why',
        example: ['pinholed refused', 'the latest refusals, with what to do about each'],
        load: async () => (await import('./commands/refused.ts')).refused,
      },
      {
        usage: 'blocked [call]',
        about: 'Media that the ruleset dropped near calls, and what would let it pass (blocked.watch)',
        load: async () => (await import('./commands/blocked.ts')).blocked,
      },
      {
        usage: 'acknowledge [alarm]',
        about: 'Clear alarms that somebody has seen; they come back when it happens again',
        example: ['pinholed acknowledge packet-deaths', 'that alarm is gone until it happens again'],
        load: async () => (await import('./commands/acknowledge.ts')).acknowledge,
      },
      {
        usage: 'handover',
        about: 'Wait until the other firewalls of the group have all that this one knows',
        example: [
          'pinholed handover && service pinholed stop',
          'before maintenance: the others have all calls first',
        ],
        load: async () => (await import('./commands/handover.ts')).handover,
      },
      {
        usage: 'exposure',
        about: 'What was reachable, beside a rule that opens a whole range of ports',
        example: ['pinholed exposure --range 10000-20000', 'beside the rule that you had before'],
        load: async () => (await import('./commands/exposure.ts')).exposure,
      },
      {
        usage: 'close <call>',
        about: 'Close the pinholes of one call',
        example: ['pinholed close 3f2a', 'its media stops, its signalling goes on'],
        load: async () => (await import('./commands/close.ts')).close,
      },
      {
        usage: 'flush',
        about: 'Close the pinholes of all calls',
        example: ['pinholed flush', 'media of all calls stops'],
        load: async () => (await import('./commands/flush.ts')).flush,
      },
    ],
  },
  {
    heading: 'Captures:',
    commands: [
      {
        usage: 'replay <file..>',
        about: 'What calls in a capture announced, opened, let through and did not, and why',
        example: [
          'tcpdump -U -w - port 5060 | pinholed replay --follow -',
          'calls as they happen, without a daemon',
        ],
        load: async () => (await import('./commands/replay.ts')).replay,
      },
      {
        usage: 'learn [file..]',
        about: 'The least configuration under which these calls have audio, with a reason for each line',
        load: async () => (await import('./commands/learn.ts')).learn,
      },
      {
        usage: 'whatif <file..>',
        about: 'Which calls another configuration would have treated otherwise, and why',
        load: async () => (await import('./commands/whatif.ts')).whatif,
      },
    ],
  },
  {
    heading: 'Configuration:',
    commands: [
      {
        usage: 'check',
        about: 'Check a configuration file: every error at once',
        example: ['pinholed check && pinholed reload --dry-run /etc/pinholed.yaml', 'before a reload'],
        load: async () => (await import('./commands/check.ts')).check,
      },
      {
        usage: 'config',
        about: 'Print the settings of the configuration, or its defaults, and what each means',
        example: [
          'pinholed config --format sample > new.yaml',
          'a file to begin with, that says what each setting means',
        ],
        load: async () => (await import('./commands/config.ts')).config,
      },
      {
        usage: 'reload',
        about: 'With --dry-run FILE: what the calls of the running daemon would have had with it',
        load: async () => (await import('./commands/reload.ts')).reload,
      },
      {
        usage: 'rules',
        about: 'Print what pf.conf or nftables needs for this configuration',
        example: ['pinholed rules', 'what to put into your ruleset, and where'],
        load: async () => (await import('./commands/rules.ts')).rules,
      },
      {
        usage: 'doctor',
        about: 'Look at the system: what is as it has to be, and what to do about the rest',
        example: ['pinholed doctor', 'what is missing in the ruleset, line by line'],
        load: async () => (await import('./commands/doctor.ts')).doctor,
      },
      {
        usage: 'selftest',
        about: 'A call of its own through a copy of the rules: what passes, and where it stops',
        load: async () => (await import('./commands/selftest.ts')).selftest,
      },
      {
        usage: 'completion <shell>',
        about: 'Print a script with which a shell completes commands, options and values',
        load: async () => (await import('./commands/completion.ts')).completion(catalogue),
      },
    ],
  },
];

/** For shells, and no person. */
const UNLISTED: readonly CommandEntry[] = [
  {
    usage: 'complete <source> [beginning]',
    about: 'Names of calls, alarms or peers that begin so',
    load: async () => (await import('./commands/complete.ts')).complete,
  },
];

const LISTED: readonly CommandEntry[] = GROUPS.flatMap(({ commands }) => commands);
const ENTRIES: readonly CommandEntry[] = [...LISTED, ...UNLISTED];
const COMMAND_NAMES = ENTRIES.map(nameOf);

function nameOf({ usage }: CommandEntry): string {
  return usage.split(' ', 1)[0]!;
}

/** yargs with the options of one command, and how to use it. */
async function options({ usage, about, example, load }: CommandEntry, argv: Argv): Promise<Argv> {
  const built = (await load()).options(argv).usage(`Usage: pinholed ${usage} [OPTIONS]\n\n${about}`);
  return example === undefined ? built : built.example(exampleOf(...example));
}

/** Every command with its options, as --help shows them. */
async function catalogue(): Promise<readonly Completable[]> {
  const [{ default: yargs }, { completableOf }] = await Promise.all([
    import('yargs'),
    import('./commands/completion/completable.ts'),
  ]);
  return Promise.all(
    LISTED.map(async (entry) => completableOf(nameOf(entry), entry.about, await plainHelp(entry, yargs([])))),
  );
}

/** What --help of a command says, as it is read by us: a line for each option, in English whatever the user's language is. */
async function plainHelp(entry: CommandEntry, argv: Argv): Promise<string> {
  return (await options(entry, argv.wrap(null).locale('en'))).getHelp();
}

/** `-h`, `--help`, and whatever yargs may take for it. */
function mayAskForHelp(word: string): boolean {
  return word.startsWith('-') && word.includes('h');
}

/** Columns that a help takes at most. */
const COLUMNS = Math.min(100, process.stdout.columns || 80);

/** `engines` of package.json. */
const OLDEST_NODE = 20;

/** The name of the errors that yargs throws itself, some of them past its `fail`; it keeps their class to itself. */
const USAGE_ERROR = 'YError';

function usageError(message: string): Error {
  return Object.assign(new Error(message), { name: USAGE_ERROR });
}

const NO_COMMAND = 'expected a command';

/** `--status` for `status`, `-v` for `--version`. */
function meantBy(option: string): string {
  const plain = option.replace(/^-+/, '').toLowerCase();
  const near = plain === 'v' ? '--version' : nearest(plain, [...LISTED.map(nameOf), '--version', '--help']);
  return near === null ? '' : `, did you mean ${near}?`;
}

function refuse(message: string): void {
  console.error(`pinholed: ${message}`);
  console.error('"pinholed --help" lists the commands, "pinholed COMMAND --help" the options of one.');
  process.exitCode = 1;
}

/** `help` and `help COMMAND` as others have them. */
function withoutHelp(words: readonly string[]): readonly string[] {
  return words[0] === 'help' ? [...words.slice(1, 2), '--help'] : words;
}

async function main(given: readonly string[]): Promise<void> {
  const words = withoutHelp(given);
  if (words[0] === '--help' || words[0] === '-h') {
    const { overview } = await import('./commands/overview.ts');
    console.log(overview(GROUPS, COLUMNS));
    return;
  }
  const [name] = words;
  if (name !== undefined && !name.startsWith('-') && !COMMAND_NAMES.includes(name)) {
    const near = nearest(name, LISTED.map(nameOf));
    refuse(`unknown command ${quote(name)}${near === null ? '' : `, did you mean ${near}?`}`);
    return;
  }
  const { default: yargs } = await import('yargs');
  const listed = LISTED.find((entry) => nameOf(entry) === name);
  const fault =
    listed !== undefined && isDoubtful(words)
      ? lineFault(words.slice(1), await plainHelp(listed, yargs([])))
      : null;
  if (fault !== null) {
    refuse(fault);
    return;
  }
  const named = ENTRIES.filter((entry) => nameOf(entry) === name);
  // Of a command that it finds by its name yargs lays out the help, asked for or not; of the only one there is it does not.
  const isPlain = named.length > 0 && !words.some(mayAskForHelp);
  const cli = yargs((isPlain ? words.slice(1) : words) as string[])
    .scriptName('pinholed')
    .locale('en')
    .version(VERSION)
    .alias({ help: 'h', version: 'V' })
    .demandCommand(1, NO_COMMAND)
    .strict()
    .showHelpOnFail(false)
    .fail((message, error) => {
      throw error ?? usageError(message);
    })
    .wrap(COLUMNS);
  for (const entry of named.length > 0 ? named : ENTRIES) {
    cli.command({
      command: isPlain ? entry.usage.replace(nameOf(entry), '$0') : entry.usage,
      describe: false,
      builder: (argv) => options(entry, argv),
      handler: async (args) => {
        process.exitCode = await (await entry.load()).run(args);
      },
    });
  }
  try {
    await cli.parseAsync();
  } catch (error) {
    if (!(error instanceof Error && error.name === USAGE_ERROR)) throw error;
    const entry = ENTRIES.find((one) => nameOf(one) === name);
    const help = entry === undefined ? '' : await plainHelp(entry, yargs([]));
    const isNoCommand = entry === undefined && name !== undefined && error.message === NO_COMMAND;
    refuse(
      isNoCommand ? `${NO_COMMAND}, found ${quote(name)}${meantBy(name)}` : usageText(error.message, help),
    );
  }
}

/** Why this runtime will not do, before anything is loaded that it could not read. */
function runtimeFault(): string | null {
  const [major] = process.versions.node.split('.');
  if (Number(major) >= OLDEST_NODE) return null;
  return `expected Node.js ${OLDEST_NODE} or newer, found ${process.versions.node} (${process.execPath})`;
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
const tooOld = runtimeFault();
if (tooOld === null) await main(process.argv.slice(2));
else {
  console.error(`pinholed: ${tooOld}`);
  process.exitCode = 1;
}
