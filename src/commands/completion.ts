import { command } from './command.ts';

/** A subcommand as a shell is to know it. */
export interface Completable {
  readonly name: string;
  readonly about: string;
  /** `--config`, `--json`. */
  readonly options: readonly string[];
}

const SHELLS = ['bash', 'zsh'] as const;

/** `pinholed completion SHELL`: a script that completes commands, options and file names. `catalogue` has them all. */
export const completion = (catalogue: () => Promise<readonly Completable[]>) =>
  command(
    (argv) =>
      argv
        .positional('shell', { choices: SHELLS, demandOption: true, describe: 'The shell that reads it' })
        .example('pinholed completion bash > /etc/bash_completion.d/pinholed', 'for everybody')
        .example('source <(pinholed completion zsh)', 'for this shell'),
    async ({ shell }) => {
      const all = await catalogue();
      process.stdout.write(shell === 'bash' ? bashScript(all) : zshScript(all));
      return 0;
    },
  );

function bashScript(all: readonly Completable[]): string {
  return `# bash completion of pinholed, by "pinholed completion bash"
_pinholed() {
  local word=\${COMP_WORDS[COMP_CWORD]} words=
  if [ "$COMP_CWORD" -eq 1 ]; then
    words="${all.map(({ name }) => name).join(' ')}"
  else
    case \${COMP_WORDS[1]} in
${all.map(({ name, options }) => `      ${name}) words="${options.join(' ')}" ;;`).join('\n')}
    esac
  fi
  if [ "$COMP_CWORD" -gt 1 ] && [ "\${word#-}" = "$word" ]; then
    mapfile -t COMPREPLY < <(compgen -f -- "$word")
  else
    mapfile -t COMPREPLY < <(compgen -W "$words" -- "$word")
  fi
}
complete -o filenames -F _pinholed pinholed
`;
}

function zshScript(all: readonly Completable[]): string {
  const quoted = (text: string) => `'${text.replaceAll("'", "'\\''")}'`;
  const commands = all.map(({ name, about }) => `    ${quoted(`${name}:${about.replaceAll(':', '\\:')}`)}`);
  const cases = all.map(({ name, options }) => `    ${name}) words_of_command=(${options.join(' ')}) ;;`);
  return `#compdef pinholed
# zsh completion of pinholed, by "pinholed completion zsh"
_pinholed() {
  local -a commands words_of_command
  commands=(
${commands.join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
  esac
  if [[ $words[CURRENT] == -* ]]; then
    compadd -- $words_of_command
  else
    _files
  fi
}
if [ "$funcstack[1]" = _pinholed ]; then _pinholed "$@"; else compdef _pinholed pinholed; fi
`;
}
