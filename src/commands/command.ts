import type { ArgumentsCamelCase, Argv } from 'yargs';

/** One subcommand as main.ts runs it. */
export interface Command {
  /** Declares options and positional arguments; unknown ones are refused. */
  readonly options: (argv: Argv) => Argv;
  /** Does it, and answers the exit status. What people should know about a failure it has written to stderr. */
  readonly run: (args: ArgumentsCamelCase) => number | Promise<number>;
}

/** A line to type, and above it what it is for: in columns beside each other neither fits 80. */
export function exampleOf(line: string, purpose: string): [string, string][] {
  return [
    [`# ${purpose}`, ''],
    [line, ''],
  ];
}

/** A subcommand whose `run` sees the types of the options that it declares. */
export function command<T>(
  options: (argv: Argv) => Argv<T>,
  run: (args: ArgumentsCamelCase<T>) => number | Promise<number>,
): Command {
  return { options, run: (args) => run(args as ArgumentsCamelCase<T>) };
}
