import { type WrittenSettings, writtenSettings } from './print.ts';
import { type Entries, entries, kebab, type Reload, type Settings } from './schema.ts';

/** One setting that differs between two configurations. */
export interface SettingChange {
  /** `timers.ringing` */
  readonly key: string;
  /** Both as they are written in a file, lists in JSON. */
  readonly from: string;
  readonly to: string;
  readonly reload: Reload;
}

/**
 * What differs between the settings that a daemon runs with and those it just read, in the order of the table.
 * A change marked `restart` has no effect until one; all others hold for whatever is decided from now on, and
 * close nothing.
 */
export function settingChanges(from: Settings, to: Settings): SettingChange[] {
  return writtenChanges(writtenSettings(from), writtenSettings(to));
}

/** The same of settings as a file has them. One that only one side knows is a change, too. */
export function writtenChanges(from: WrittenSettings, to: WrittenSettings): SettingChange[] {
  return changes('', entries, from, to);
}

function changes(path: string, nodes: Entries, from: WrittenSettings, to: WrittenSettings): SettingChange[] {
  return Object.entries(nodes).flatMap(([name, node]): SettingChange[] => {
    const [key, path1] = [kebab(name), `${path}${kebab(name)}`];
    if (node.node === 'section') {
      return changes(`${path1}.`, node.entries, from[key] as WrittenSettings, to[key] as WrittenSettings);
    }
    const [before, after] = [text(from[key]), text(to[key])];
    return before === after ? [] : [{ key: path1, from: before, to: after, reload: node.reload }];
  });
}

function text(value: unknown): string {
  return typeof value === 'object' ? JSON.stringify(value) : String(value);
}
