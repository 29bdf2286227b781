import { type Entries, entries, type Settings } from '../config/schema.ts';

/** The settings of `next`, with those that take effect at a restart only as they are in `current`. */
export function reloadable(current: Settings, next: Settings): Settings {
  return merge(entries, current as unknown as Values, next as unknown as Values) as unknown as Settings;
}

type Values = { readonly [key: string]: unknown };

function merge(nodes: Entries, current: Values, next: Values): Values {
  return Object.fromEntries(
    Object.entries(nodes).map(([key, node]) => {
      if (node.node === 'section') {
        return [key, merge(node.entries, current[key] as Values, next[key] as Values)];
      }
      return [key, (node.reload === 'restart' ? current : next)[key]];
    }),
  );
}
