#!/usr/bin/env node
import yargs from 'yargs';
import { hideBin } from 'yargs/helpers';
import type { Command } from './commands/command.ts';
import { VERSION } from './version.ts';

interface Entry {
  /** Name and positional arguments, as yargs has them: `replay <file..>`. */
  readonly usage: string;
  readonly about: string;
  /** Imports the command, only when it is the one to run. */
  readonly load: () => Promise<Command>;
}

/** Every subcommand, under the heading it has in `pinholed --help`. */
const GROUPS: readonly { readonly heading: string; readonly commands: readonly Entry[] }[] = [
  {
    heading: 'Configuration:',
    commands: [
      {
        usage: 'check',
        about: 'Check a configuration file: every error at once',
        load: async () => (await import('./commands/check.ts')).check,
      },
      {
        usage: 'config',
        about: 'Print the settings in force and what each means',
        load: async () => (await import('./commands/config.ts')).config,
      },
    ],
  },
];

/** Written here because yargs knows no headings for commands. */
function overview(): string {
  const width = Math.max(...GROUPS.flatMap(({ commands }) => commands.map(({ usage }) => usage.length)));
  const groups = GROUPS.map(({ heading, commands }) =>
    [heading, ...commands.map(({ usage, about }) => `  ${usage.padEnd(width)}  ${about}`)].join('\n'),
  );
  return [
    'Usage: pinholed COMMAND [OPTIONS]',
    ...groups,
    'Options:\n  -h, --help     Show this, or with a command what it does and its options\n  -V, --version  Show the version',
  ].join('\n\n');
}

async function main(words: readonly string[]): Promise<void> {
  if (words[0] === '--help' || words[0] === '-h') {
    console.log(overview());
    return;
  }
  const cli = yargs(words as string[])
    .scriptName('pinholed')
    .locale('en')
    .version(VERSION)
    .alias({ help: 'h', version: 'V' })
    .demandCommand(1, 'expected a command')
    .strict()
    .recommendCommands()
    .showHelpOnFail(false)
    .fail((message, error) => {
      if (error && error.name !== 'YError') throw error;
      console.error(
        `pinholed: ${message}\n"pinholed --help" lists the commands, "pinholed COMMAND --help" its options.`,
      );
      process.exit(1);
    })
    .wrap(Math.min(100, process.stdout.columns || 100));
  for (const { commands } of GROUPS) {
    for (const { usage, about, load } of commands) {
      cli.command({
        command: usage,
        describe: false,
        builder: async (argv) =>
          (await load()).options(argv).usage(`Usage: pinholed ${usage} [OPTIONS]\n\n${about}`),
        handler: async (args) => {
          process.exitCode = await (await load()).run(args);
        },
      });
    }
  }
  await cli.parseAsync();
}

process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
  process.exit();
});
await main(hideBin(process.argv));
