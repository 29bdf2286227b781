import { nearest, quote, visible } from '../config/problem.ts';
import { type CompletableOption, completableOf } from './completion/completable.ts';

/**
 * What is wrong with a command line, in words of ours: yargs' sentence in, one line out. `help` is what --help of the
 * command says, from which its options and positional arguments are known.
 */
export function usageText(message: string, help: string): string {
  const [, unknown] = /^Unknown arguments?: (.*)$/s.exec(message) ?? [];
  if (unknown !== undefined) return unknownText(unknown.split(', '), help);
  if (message.startsWith('Not enough non-option arguments')) return `expected ${positionals(help)}`;
  const [, missing, instead] = /^Missing required arguments?: (\S+)(?:\n(.*))?$/.exec(message) ?? [];
  if (missing !== undefined)
    return instead ?? `expected ${option(missing)} ${valueName(option(missing), help)}`;
  const [, incomplete] = /^Not enough arguments following: (.*)$/s.exec(message) ?? [];
  if (incomplete !== undefined) return `${option(incomplete)}: expected a value after it`;
  const [, name, given, choices] = /Argument: (\S+), Given: (.*), Choices: (.*)$/s.exec(message) ?? [];
  if (name !== undefined) {
    return `${named(name, help)}: expected ${oneOf(choices!.replaceAll('"', '').split(', '))}, found ${given}`;
  }
  const [, one, other] = /^Arguments (\S+) and (\S+) are mutually exclusive$/.exec(message) ?? [];
  if (one !== undefined) return `expected ${option(one)} or ${option(other!)}, found both`;
  return message;
}

/**
 * What is wrong with the words behind a command that yargs takes for something else: `-config` for five options of a letter each,
 * `--json=maybe` for false, an option given twice for a list. Null where nothing is.
 */
export function lineFault(words: readonly string[], help: string): string | null {
  const { options } = completableOf('', '', help);
  const given = new Set<CompletableOption>();
  for (const word of words) {
    if (word === '--') return null;
    const [name = '', ...value] = word.split('=');
    const declared = options.find(({ names }) => names.includes(name));
    if (declared === undefined) {
      if (!SINGLE_DASH.test(name)) continue;
      const near = nearest(name.slice(1), optionsIn(help));
      return `unknown option ${quote(name)}${near === null ? '' : `, did you mean --${near}?`}`;
    }
    const isFlag = declared.values === undefined;
    if (isFlag && value.length > 0 && !FLAG_VALUES.has(value.join('=')))
      return `${name}: expected no value, found ${quote(value.join('='))}`;
    if (given.has(declared) && !isFlag && !declared.many) return `expected ${declared.names.at(-1)} once`;
    given.add(declared);
  }
  return null;
}

/**
 * Whether `lineFault` is worth the help that it asks for: an option is there twice, or may be, under its letter and its name; or one is
 * written in a way of its own.
 */
export function isDoubtful(words: readonly string[]): boolean {
  const options = words.filter((word) => word.startsWith('-'));
  const mayBeTwice = new Set(options).size < options.length || options.some(({ length }) => length === 2);
  return (
    (options.length > 1 && mayBeTwice) || options.some((word) => word.includes('=') || SINGLE_DASH.test(word))
  );
}

const SINGLE_DASH = /^-[a-z][a-z-]/;
const FLAG_VALUES: ReadonlySet<string> = new Set(['true', 'false']);

function optionsIn(help: string): string[] {
  return [...help.matchAll(/--([a-z][a-z-]*)/g)].map(([, name]) => name!);
}

function valueName(name: string, help: string): string {
  const { options } = completableOf('', '', help);
  return options.find(({ names }) => names.includes(name))?.values === 'files' ? 'FILE' : 'VALUE';
}

function unknownText(names: readonly string[], help: string): string {
  const known = optionsIn(help);
  // yargs has an option in kebab-case and once more in camelCase.
  const distinct = names.filter((name) => kebabOf(name) === name || !names.includes(kebabOf(name)));
  return distinct
    .map((name) => {
      const near = nearest(name, known);
      const meant =
        near !== null ? `--${near}` : isFile(name) && known.includes('config') ? `--config ${name}` : null;
      return `unknown option or word ${quote(name)}${meant === null ? '' : `, did you mean ${visible(meant)}?`}`;
    })
    .join('; ');
}

function isFile(word: string): boolean {
  return word.includes('/') || /\.(?:ya?ml|json|conf)$/.test(word);
}

/** `<file..>` of the usage line as `FILE...`, and what it may be where that is one of a few words. */
function positionals(help: string): string {
  const found = [...(help.split('\n', 1)[0] ?? '').matchAll(/<([a-z]+)(\.\.)?>/g)];
  if (found.length === 0) return 'a command';
  const names = found.map(([, name, many]) => name!.toUpperCase() + (many === undefined ? '' : '...'));
  const { words } = completableOf('', '', help);
  return `${names.join(' ')}${Array.isArray(words) && found.length === 1 ? `: ${oneOf(words)}` : ''}`;
}

/** `bash, zsh or fish`. */
function oneOf(words: readonly string[]): string {
  return words.join(', ').replace(/, ([^,]*)$/, ' or $1');
}

/** An option, or a positional argument of the usage line: `--sort`, `SHELL`. */
function named(name: string, help: string): string {
  const [usage = ''] = help.split('\n', 1);
  return [`<${name}>`, `[${name}]`].some((one) => usage.includes(one)) ? name.toUpperCase() : option(name);
}

function option(name: string): string {
  if (name.length === 1) return `-${name}`;
  return `--${kebabOf(name)}`;
}

function kebabOf(name: string): string {
  return name.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}
