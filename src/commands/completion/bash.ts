import type { Completable } from './completable.ts';

/** The words of a script that offers what may stand here. */
function offer(values: Completable['words']): string {
  if (values === null) return ':';
  if (values === 'files') return '_pinholed_files';
  return typeof values === 'string' ? `_pinholed_names ${values}` : `_pinholed_words "${values.join(' ')}"`;
}

export function bashScript(all: readonly Completable[]): string {
  const cases = all.flatMap(({ name, options, words }) => [
    `    ${name})`,
    '      case $before in',
    ...options.flatMap(({ names, values }) =>
      values === undefined ? [] : [`        ${names.join('|')}) ${offer(values)}; return ;;`],
    ),
    '      esac',
    `      if [ "\${word#-}" != "$word" ]; then _pinholed_words "${options.map(({ names }) => names.at(-1)!).join(' ')}"`,
    `      else ${offer(words)}; fi ;;`,
  ]);
  return `# bash completion of pinholed, by "pinholed completion bash"
_pinholed_words() { mapfile -t COMPREPLY < <(compgen -W "$1" -- "$word"); }
_pinholed_files() { compopt -o filenames 2>/dev/null; mapfile -t COMPREPLY < <(compgen -f -- "$word"); }
# Names have : and @, at which bash breaks words: what stands before the last of them is there already.
_pinholed_names() {
  local whole=\${COMP_LINE:0:COMP_POINT} name
  whole=\${whole##* }
  local there=\${whole%"$word"}
  while IFS=$'\\t' read -r name _; do
    case $name in "$whole"*) COMPREPLY+=("\${name#"$there"}") ;; esac
  done < <("\${COMP_WORDS[0]}" complete "$1" "$whole" --line="$COMP_LINE" 2>/dev/null)
}
_pinholed() {
  local word=\${COMP_WORDS[COMP_CWORD]} before=\${COMP_WORDS[COMP_CWORD-1]}
  COMPREPLY=()
  case $word in :|@|=) word= ;; esac
  if [ "$COMP_CWORD" -eq 1 ]; then
    _pinholed_words "${all.map(({ name }) => name).join(' ')}"
    return
  fi
  case \${COMP_WORDS[1]} in
${cases.join('\n')}
  esac
}
complete -F _pinholed pinholed
`;
}
