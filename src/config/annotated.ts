import type { Written } from './kinds.ts';
import { inline, wrap } from './print.ts';
import type { WrittenRecord } from './records.ts';
import { entries, kebab } from './schema.ts';

/** One line of a configuration: an item of a list, or the value of a setting, and why it is there. */
export interface Line {
  /** As in a file; of the first level. */
  readonly key: string;
  readonly value: Written | WrittenRecord;
  /** A sentence or two. */
  readonly why: string;
}

const WIDTH = 98;

/** A configuration in YAML whose every line has its reason above it. `head` and `foot` are paragraphs of comment. */
export function annotated(head: readonly string[], lines: readonly Line[], foot: readonly string[]): string {
  const keys = [...new Set(lines.map(({ key }) => key))];
  const settings = keys.flatMap((key) => [
    '',
    ...settingOf(
      key,
      lines.filter((line) => line.key === key),
    ),
  ]);
  const tail = foot.length === 0 ? [] : ['', ...paragraphs(foot)];
  return `${[...paragraphs(head), ...settings, ...tail].join('\n')}\n`;
}

function settingOf(key: string, lines: readonly Line[]): string[] {
  const isList = Object.entries(entries).some(
    ([name, node]) => kebab(name) === key && node.node !== 'setting',
  );
  if (!isList) return lines.flatMap(({ value, why }) => [...comment(why, ''), `${key}: ${inline(value)}`]);
  return [`${key}:`, ...lines.flatMap(({ value, why }) => [...comment(why, '  '), `  - ${inline(value)}`])];
}

function paragraphs(texts: readonly string[]): string[] {
  return texts.flatMap((text) => (text === '' ? ['#'] : comment(text, '')));
}

/** Nothing of a text ends its comment: whatever ends a line in YAML is a blank. */
function comment(text: string, indent: string): string[] {
  const safe = text.replace(/[\x00-\x1f\x7f-\x9f\u2028\u2029\ufeff]/g, ' ');
  const hanging = safe.startsWith('  ') ? '  ' : '';
  return wrap(safe.trim(), WIDTH - indent.length - hanging.length).map(
    (line) => `${indent}# ${hanging}${line}`,
  );
}
