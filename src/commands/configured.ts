import {
  type ConfiguredMachine,
  defaultConfigPath,
  findConfig,
  formatProblem,
  type Settings,
} from '../config/load.ts';

/** The `--config` option, the same for every command that reads a configuration. */
export const configOption = {
  alias: 'c',
  type: 'string',
  requiresArg: true,
  describe: `Configuration file (default: ${defaultConfigPath()} if it is there)`,
  coerce: (given: string | readonly string[]): string => {
    if (typeof given !== 'string') throw new Error('expected --config once');
    if (given === '') throw new Error('--config: expected the name of a file, found an empty word');
    return given;
  },
} as const;

/** The `--json` option of what is written for people else. */
export const jsonOption = {
  type: 'boolean',
  default: false,
  describe: 'The same as one JSON object',
} as const;

/**
 * The settings from the file of `--config` (null: there is none, these are the defaults), or null after every
 * problem was written to stderr. With `machine`, what the file names there has to be.
 */
export function configured(
  named: string | undefined,
  machine: ConfiguredMachine | null = null,
): { readonly settings: Settings; readonly file: string | null } | null {
  const found = findConfig(named, machine);
  if (found.ok) return found;
  for (const problem of found.problems) console.error(formatProblem(problem));
  return null;
}
