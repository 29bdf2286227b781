import { defaultPhrase } from './print.ts';
import type { AnyField } from './records.ts';
import { type Entries, entries, kebab, type SchemaNode } from './schema.ts';

/** The settings as a list in mdoc(7), sections as lists inside it: the middle part of pinholed.yaml(5). */
export function configurationMdoc(): string {
  return `${list(entries).join('\n')}\n`;
}

function list(nodes: Entries): string[] {
  const items = Object.entries(nodes).flatMap(([name, node]) => [`.It Ic ${kebab(name)}`, ...describe(node)]);
  return ['.Bl -tag -width Ds', ...items, '.El'];
}

function describe(node: SchemaNode): string[] {
  if (node.node === 'section') return [...prose(node.about), ...list(node.entries)];
  const restart = node.reload === 'restart' ? ' A change needs a restart.' : '';
  const shape = `Expected: ${node.kind.expected}; default: ${defaultPhrase(node)}.${restart}`;
  const fields = node.node === 'records' ? fieldList(node.kind.fields) : [];
  return [...prose(node.about), ...prose(shape), ...fields];
}

function fieldList(fields: Readonly<Record<string, AnyField>>): string[] {
  const items = Object.entries(fields).flatMap(([name, { kind, about, required }]) => [
    `.It Ic ${kebab(name)}`,
    ...prose(about),
    ...prose(`Expected: ${kind.expected}${required ? '; required' : ''}.`),
  ]);
  return ['A mapping may hold:', '.Bl -tag -width Ds', ...items, '.El'];
}

const WIDTH = 78;

/** Text to mdoc: sentences on lines of their own, `literal` as Ql, page(8) as Xr, FreeBSD as Fx. */
function prose(text: string): string[] {
  const lines: string[] = [];
  let line = '';
  const flush = () => {
    if (line !== '') lines.push(line.startsWith("'") || line.startsWith('.') ? `\\&${line}` : line);
    line = '';
  };
  for (const [word] of text.matchAll(/\(?`[^`]*`[.,;:)]*|[^ ]+/g)) {
    const macro = asMacro(word);
    if (macro !== null || line.length + 1 + word.length > WIDTH) flush();
    if (macro !== null) lines.push(macro);
    else line = line === '' ? escaped(word) : `${line} ${escaped(word)}`;
    if (word.endsWith('.')) flush();
  }
  flush();
  return lines;
}

/** The word as a macro line, its punctuation as arguments of their own; null when it is just text. */
function asMacro(word: string): string | null {
  const [, open, body, close] = /^(\(?)(.*?)([.,;:)]*)$/.exec(word)!;
  const page = /^([a-z.-]+)\(([1-9])$/.exec(body!);
  if (page !== null) return ['.Xr', page[1], page[2], ...close!.slice(1)].join(' ');
  if (body === 'FreeBSD') return ['.Fx', ...open!, ...close!].join(' ');
  if (body!.startsWith('`')) return ['.Ql', ...open!, argument(body!.slice(1, -1)), ...close!].join(' ');
  return null;
}

/** One macro argument; \& keeps a word from being taken for a macro or for punctuation. */
function argument(text: string): string {
  const word = /^[A-Z][a-z0-9]{1,2}$|^[^a-z0-9]/.test(text) ? `\\&${escaped(text)}` : escaped(text);
  return word.includes(' ') ? `"${word.replaceAll('"', '""')}"` : word;
}

function escaped(text: string): string {
  return text.replaceAll('\\', '\\e');
}
