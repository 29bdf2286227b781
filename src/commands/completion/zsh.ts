import type { Completable } from './completable.ts';

function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function described(name: string, about: string): string {
  return quoted(`${name.replaceAll(':', '\\:')}:${about}`);
}

function offer(values: Completable['words']): string {
  if (values === null) return '_message value';
  if (values === 'files') return '_files';
  return typeof values === 'string' ? `_pinholed_names ${values}` : `compadd -- ${values.join(' ')}`;
}

export function zshScript(all: readonly Completable[]): string {
  const cases = all.flatMap(({ name, options, words }) => [
    `    ${name})`,
    '      case $words[CURRENT-1] in',
    ...options.flatMap(({ names, values }) =>
      values === undefined ? [] : [`        ${names.join('|')}) ${offer(values)}; return ;;`],
    ),
    '      esac',
    '      if [[ $words[CURRENT] == -* ]]; then',
    `        options=(${options.map(({ names, about }) => described(names.at(-1)!, about)).join(' ')})`,
    '        _describe option options',
    `      else ${offer(words)}; fi ;;`,
  ]);
  return `#compdef pinholed
# zsh completion of pinholed, by "pinholed completion zsh"
_pinholed_names() {
  local -a lines names
  lines=(\${(f)"$($words[1] complete $1 "$words[CURRENT]" --line="$words" 2>/dev/null)"})
  names=(\${\${lines//:/\\\\:}/$'\\t'/:})
  _describe $1 names
}
_pinholed() {
  local -a commands options
  commands=(
${all.map(({ name, about }) => `    ${described(name, about)}`).join('\n')}
  )
  if (( CURRENT == 2 )); then
    _describe command commands
    return
  fi
  case $words[2] in
${cases.join('\n')}
  esac
}
if [ "$funcstack[1]" = _pinholed ]; then _pinholed "$@"; else compdef _pinholed pinholed; fi
`;
}
