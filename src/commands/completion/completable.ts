export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What `pinholed complete` is asked for: names that only the daemon or the configuration knows. */
export const SOURCES = ['calls', 'alarms', 'peers'] as const;
export type Source = (typeof SOURCES)[number];

/** What may stand in a place: one of these words, a name, a file; null where nobody can tell. */
type Values = readonly string[] | Source | 'files' | null;

export interface CompletableOption {
  /** `--sort`, `-n`. */
  readonly names: readonly string[];
  readonly about: string;
  /** Undefined where it takes no value. */
  readonly values: Values | undefined;
  /** It may be given several times. */
  readonly many: boolean;
}

/** A subcommand as a shell is to know it. */
export interface Completable {
  readonly name: string;
  readonly about: string;
  readonly options: readonly CompletableOption[];
  /** What its words are that belong to no option. */
  readonly words: Values;
}

const WORDS: Readonly<Record<string, Values>> = { call: 'calls', alarm: 'alarms', file: 'files' };
const OPTIONS: Readonly<Record<string, Values>> = {
  '--config': 'files',
  '--config-now': 'files',
  '--dry-run': 'files',
  '--socket': 'files',
  '--html': 'files',
  '--pcap': 'files',
  '--peer': 'peers',
};

/** Reads what yargs says of a command: a line for each positional and option, unwrapped. */
export function completableOf(name: string, about: string, help: string): Completable {
  const options: CompletableOption[] = [];
  let words: Values = null;
  let heading = '';
  for (const line of help.split('\n')) {
    if (/^[A-Z][a-z]+:$/.test(line)) heading = line;
    const found = /^ +((?:-[A-Za-z], +)?--[a-z-]+) +(.*)$/.exec(line);
    if (heading === 'Options:' && found !== null) options.push(optionOf(found[1]!, found[2]!));
    const place = /^ {2}([a-z]+) {2}(.*)$/.exec(line);
    if (heading === 'Positionals:' && place !== null)
      words = choicesOf(place[2]!) ?? WORDS[place[1]!] ?? null;
  }
  return { name, about, options, words };
}

function optionOf(written: string, rest: string): CompletableOption {
  const names = written.split(/, +/);
  const choices = choicesOf(rest);
  const takesValue = choices !== null || /\[(string|number|array)\]/.test(rest);
  const about = rest.replace(/ {2,}\[.*$/, '').trim();
  return {
    ...{ names, about, many: /\[array\]/.test(rest) },
    values: takesValue ? (choices ?? OPTIONS[names.at(-1)!] ?? null) : undefined,
  };
}

function choicesOf(text: string): string[] | null {
  const listed = /\[choices: ([^\]]*)\]/.exec(text)?.[1];
  return listed === undefined ? null : listed.split(', ').map((one) => one.replaceAll('"', ''));
}
