import { type Loaded, loadConfig } from '../../config/load.ts';
import { writtenSettings } from '../../config/print.ts';
import type { Problem } from '../../config/problem.ts';
import type { Settings } from '../../config/schema.ts';
import { reloadable } from '../reloadable.ts';

/** The environment variable in which a supervisor hands its settings to the data path. */
const VARIABLE = 'PINHOLED_SETTINGS';

/** What goes into the environment of a data path that is to start with `settings`. */
export function bequeath(settings: Settings): Readonly<Record<string, string>> {
  return { [VARIABLE]: JSON.stringify(writtenSettings(settings)) };
}

/** Settings to start with, null when there are none, and what is wrong with a file that they are not from. */
interface Beginning {
  readonly settings: Settings | null;
  readonly problems: readonly Problem[];
}

/**
 * What a data path that a supervisor has started begins with: the file as it is now, but for what only a restart of
 * the supervisor changes; or, when the file cannot be used, what the supervisor had last. A crash in the middle of
 * somebody's editing must not leave calls without a daemon.
 */
export function beginWith(loaded: Loaded, environment: NodeJS.ProcessEnv = process.env): Beginning {
  const inherited = inheritedSettings(environment);
  if (!loaded.ok) return { settings: inherited, problems: loaded.problems };
  const settings = inherited === null ? loaded.settings : reloadable(inherited, loaded.settings);
  return { settings, problems: [] };
}

function inheritedSettings(environment: NodeJS.ProcessEnv): Settings | null {
  const text = environment[VARIABLE];
  if (text === undefined) return null;
  const loaded = loadConfig(text, VARIABLE);
  return loaded.ok ? loaded.settings : null;
}
