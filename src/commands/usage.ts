import { nearest, quote } from '../config/problem.ts';
import { completableOf } from './completion/completable.ts';

/**
 * What is wrong with a command line, in words of ours: yargs' sentence in, one line out. `help` is what --help of the
 * command says, from which its options and positional arguments are known.
 */
export function usageText(message: string, help: string): string {
  const [, unknown] = /^Unknown arguments?: (.*)$/s.exec(message) ?? [];
  if (unknown !== undefined) return unknownText(unknown.split(', '), help);
  if (message.startsWith('Not enough non-option arguments')) return `expected ${positionals(help)}`;
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

function unknownText(names: readonly string[], help: string): string {
  const known = [...help.matchAll(/--([a-z][a-z-]*)/g)].map(([, name]) => name!);
  // yargs has an option in kebab-case and once more in camelCase.
  const distinct = names.filter((name) => kebabOf(name) === name || !names.includes(kebabOf(name)));
  return distinct
    .map((name) => {
      const near = nearest(name, known);
      const advice = near === null ? '' : `, did you mean --${near}?`;
      return `unknown option or word ${quote(name)}${advice}`;
    })
    .join('; ');
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
