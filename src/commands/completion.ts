import { command, exampleOf } from './command.ts';
import { bashScript } from './completion/bash.ts';
import { type Completable, SHELLS, type Shell } from './completion/completable.ts';
import { fishScript } from './completion/fish.ts';
import { zshScript } from './completion/zsh.ts';

const SCRIPTS: Readonly<Record<Shell, (all: readonly Completable[]) => string>> = {
  bash: bashScript,
  zsh: zshScript,
  fish: fishScript,
};

/**
 * `pinholed completion SHELL`: a script that completes commands, options and their values. `catalogue` has them all; what
 * only the daemon or the configuration knows the script asks `pinholed complete` for.
 */
export const completion = (catalogue: () => Promise<readonly Completable[]>) =>
  command(
    (argv) =>
      argv
        .positional('shell', { choices: SHELLS, demandOption: true, describe: 'The shell that reads it' })
        .example(exampleOf('pinholed completion bash > /etc/bash_completion.d/pinholed', 'for everybody'))
        .example(exampleOf('source <(pinholed completion zsh)', 'for this shell'))
        .example(
          exampleOf('pinholed completion fish > ~/.config/fish/completions/pinholed.fish', 'for one user'),
        ),
    async ({ shell }) => {
      process.stdout.write(SCRIPTS[shell](await catalogue()));
      return 0;
    },
  );
