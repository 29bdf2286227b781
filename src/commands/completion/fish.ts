import type { Completable } from './completable.ts';

function quoted(text: string): string {
  return `'${text.replaceAll('\\', '\\\\').replaceAll("'", "\\'")}'`;
}

/** Arguments of complete(1) that offer what may stand here; without -f files are offered. */
function offer(values: Completable['words']): string {
  if (values === 'files') return '-F';
  if (values === null) return '-f';
  if (typeof values === 'string') return `-f -k -a '(__pinholed_names ${values})'`;
  return `-f -a ${quoted(values.join(' '))}`;
}

export function fishScript(all: readonly Completable[]): string {
  const lines = all.flatMap(({ name, about, options, words }) => {
    const within = `-n '__fish_seen_subcommand_from ${name}'`;
    return [
      `complete -c pinholed -n __fish_use_subcommand -f -a ${name} -d ${quoted(about)}`,
      `complete -c pinholed ${within} ${offer(words)}`,
      ...options.map(({ names, about: purpose, values }) => {
        const short = names.length > 1 ? ` -s ${names[0]!.slice(1)}` : '';
        const value = values === undefined ? '' : ` -r ${offer(values)}`;
        return `complete -c pinholed ${within}${short} -l ${names.at(-1)!.slice(2)}${value} -d ${quoted(purpose)}`;
      }),
    ];
  });
  return `# fish completion of pinholed, by "pinholed completion fish"
function __pinholed_names
  set -l word (commandline -ct)
  set -l line (commandline)
  pinholed complete $argv[1] "$word" --line="$line" 2>/dev/null
end
complete -c pinholed -f
${lines.join('\n')}
`;
}
