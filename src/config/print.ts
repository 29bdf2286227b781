import { stringify } from 'yaml';
import type { Written } from './kinds.ts';
import { type AnyField, type WrittenRecord, writtenItem } from './records.ts';
import {
  defaults,
  type Entries,
  entries,
  initialOn,
  kebab,
  type Leaf,
  type SchemaNode,
  type Settings,
} from './schema.ts';

/** Settings as a file has them: kebab-case keys, each value in its canonical notation. */
export interface WrittenSettings {
  readonly [key: string]: WrittenValue | WrittenSettings;
}

/** One value as a file has it. */
type WrittenValue = Written | readonly (Written | WrittenRecord)[];

/** Settings back to what a file would hold. Loading it gives the same settings. */
export function writtenSettings(settings: Settings): WrittenSettings {
  return written(entries, settings as unknown as Values);
}

type Values = { readonly [name: string]: unknown };

function written(nodes: Entries, values: Values): WrittenSettings {
  return Object.fromEntries(
    Object.entries(nodes).map(([name, node]) => [
      kebab(name),
      node.node === 'section'
        ? written(node.entries, values[name] as Values)
        : writtenValue(node, values[name]),
    ]),
  );
}

/** One value as a file would hold it. */
export function writtenValue(node: Leaf, value: unknown): WrittenValue {
  if (node.node === 'records') {
    return (value as readonly unknown[]).map((item) => writtenItem(node.kind, item, kebab));
  }
  return node.node === 'list'
    ? (value as readonly unknown[]).map((item) => node.kind.item.write(item))
    : node.kind.write(value);
}

/** A default for a sentence: `10.0.0.0/8, fc00::/7`; '' for an empty list. */
export function defaultText(node: Leaf, system: NodeJS.Platform): string {
  return node.node === 'setting' ? String(initialOn(node.initial, system)) : node.initial.join(', ');
}

/** The defaults of both systems, for a document: `\`/a\``, or `\`/a\`, on Linux \`/b\``; `none` for an empty list. */
export function defaultPhrase(node: Leaf): string {
  const [freebsd, linux] = [defaultText(node, 'freebsd'), defaultText(node, 'linux')];
  if (freebsd === '') return 'none';
  return freebsd === linux ? `\`${freebsd}\`` : `\`${freebsd}\`, on Linux \`${linux}\``;
}

/** All settings as YAML, with what each means, what it may be and its default as comments. */
export function printConfig(settings: Settings, system = process.platform): string {
  return section(writtenSettings(settings), entries, '', { prefix: '', system }).join('\n').trimStart();
}

/** All settings as JSON, which loads just as well. */
export function printJson(settings: Settings): string {
  return `${JSON.stringify(writtenSettings(settings), null, 2)}\n`;
}

const SAMPLE_HEAD = `# Configuration of pinholed(8); pinholed.yaml(5) describes it, "pinholed check" checks it.
#
# Every setting is shown with its default. To change one, remove the # before it, and the one before the name of
# its section. At least look at "inside" (add your public addresses) and "media-ports".
`;

/** A file to start from: every setting there, commented out, at its default. */
export function printSample(system = process.platform): string {
  const style = { prefix: '#', system } as const;
  return `${SAMPLE_HEAD}${section(writtenSettings(defaults(system)), entries, '', style).join('\n')}`;
}

interface Style {
  /** What begins each line of a setting. */
  readonly prefix: '' | '#';
  /** Whose defaults are told. */
  readonly system: NodeJS.Platform;
}

function section(values: WrittenSettings, nodes: Entries, indent: string, style: Style): string[] {
  const { prefix, system } = style;
  const lines: string[] = [];
  for (const [name, node] of Object.entries(nodes)) {
    const key = kebab(name);
    lines.push('', ...comment(node, indent, system));
    if (node.node === 'section') {
      const inner = section(values[key] as WrittenSettings, node.entries, `${indent}  `, style);
      lines.push(`${prefix}${indent}${key}:`, ...inner.slice(0, -1));
    } else {
      lines.push(`${prefix}${indent}${key}: ${inline(values[key] as WrittenValue)}`);
    }
  }
  return [...lines, ''];
}

/** A value in one line of YAML. */
export function inline(value: WrittenValue | WrittenRecord): string {
  return stringify(value, { collectionStyle: 'flow', flowCollectionPadding: false, lineWidth: 0 }).trimEnd();
}

function comment(node: SchemaNode, indent: string, system: NodeJS.Platform): string[] {
  const paragraphs = [node.about.replaceAll('`', '')];
  if (node.node !== 'section') {
    const restart = node.reload === 'restart' ? '; a change needs a restart' : '';
    if (node.node === 'records') paragraphs.push(fieldsText(node.kind.fields));
    paragraphs.push(
      `Expected: ${node.kind.expected}; default: ${defaultText(node, system) || 'none'}${restart}.`,
    );
  }
  return paragraphs.flatMap((text) => wrap(text, 100 - indent.length)).map((line) => `${indent}# ${line}`);
}

/** `A mapping has name, networks; it may have calls, media-source.` */
function fieldsText(fields: Readonly<Record<string, AnyField>>): string {
  const names = (isRequired: boolean) =>
    Object.entries(fields)
      .filter(([, { required }]) => required === isRequired)
      .map(([name]) => kebab(name))
      .join(', ');
  return `A mapping has ${names(true)}; it may have ${names(false)}.`;
}

/** A text in lines of at most `width`, but for words that are longer. */
export function wrap(text: string, width: number): string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(' ')) {
    if (line !== '' && line.length + 1 + word.length > width) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
