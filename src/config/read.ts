import { isAlias, isMap, isScalar, isSeq, type Node, type ParsedNode, Scalar as YamlScalar } from 'yaml';
import type { Kind, ListKind, Scalar } from './kinds.ts';
import { nearest, quote, visible, withoutPassword } from './problem.ts';
import type { AnyField, RecordsKind } from './records.ts';
import { type ConfiguredMachine, placedFaults, rules } from './rules.ts';
import {
  type Entries,
  entries,
  initialValue,
  kebab,
  type Leaf,
  type SchemaNode,
  type Settings,
  settingNames,
} from './schema.ts';
import { type FaultReport, offsetOf } from './yaml.ts';

interface Reader {
  readonly report: FaultReport;
  /** Offset of each setting that the file gives, by key. */
  readonly places: Map<string, number>;
  /** Of each list, by key, which items of the file its values are: those at fault are left out. */
  readonly kept: Map<string, readonly number[]>;
}

/**
 * A document's content to settings. Every fault is reported with its place; what is missing or at fault has its
 * default in what is returned, which is to be used only if nothing was reported.
 */
export function readSettings(
  contents: ParsedNode | null,
  report: FaultReport,
  machine: ConfiguredMachine | null,
): Settings {
  /** Settings with a fault, and lists in them, as in the file. */
  const wrong = new Set<string>();
  const reader: Reader = {
    places: new Map(),
    kept: new Map(),
    report: (offset, key, message) => {
      wrong.add(key.split('[', 1)[0]!);
      if (key.includes('[')) wrong.add(key.slice(0, key.lastIndexOf('[')));
      report(offset, key, message);
    },
  };
  const settings = readSection('', entries, contents, reader) as unknown as Settings;
  for (const { keys, breach } of rules) {
    const message = keys.some((key) => wrong.has(key)) ? null : breach(settings);
    if (message === null) continue;
    const key = keys.find((candidate) => reader.places.has(candidate)) ?? keys[0];
    report(reader.places.get(key) ?? 0, key, message);
  }
  for (const { key: keptKey, beside, message } of placedFaults(settings, machine)) {
    if (beside.some((key) => wrong.has(keyInFile(key, reader.kept)))) continue;
    const key = keyInFile(keptKey, reader.kept);
    report(reader.places.get(key) ?? 0, key, message);
  }
  return settings;
}

/** `nat[0].hosts[1]` by the places of values to the same by those of the items that they are in the file. */
function keyInFile(key: string, kept: Reader['kept']): string {
  let path = '';
  for (const part of key.split('[')) {
    const end = part.indexOf(']');
    const index = Number(part.slice(0, Math.max(end, 0)));
    path += end < 0 ? part : `[${kept.get(path)?.[index] ?? index}]${part.slice(end + 1)}`;
  }
  return path;
}

/** A value in the file, null where there is none behind its key, and the place to name for it. */
interface Given {
  readonly node: Node | null;
  readonly offset: number;
}

function readNode(key: string, schemaNode: SchemaNode, given: Given, reader: Reader): unknown {
  const { node } = given;
  reader.places.set(key, given.offset);
  if (schemaNode.node === 'section') return readSection(key, schemaNode.entries, node, reader);
  const value = readLeaf(key, schemaNode, given, reader);
  return value === undefined ? initialValue(key, schemaNode) : value;
}

function readLeaf(key: string, leaf: Leaf, given: Given, reader: Reader): unknown {
  if (leaf.node === 'list') return readList(key, leaf.kind, given, reader);
  if (leaf.node === 'records') return readRecords(key, leaf.kind, given, reader);
  return readScalar(key, leaf.kind, given, reader);
}

function readSection(
  path: string,
  wanted: Entries,
  node: Node | null,
  reader: Reader,
): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  if (node !== null && !isMap(node) && !isNothing(node) && !isAlias(node)) {
    const meant = path === '' ? meantBy(node, Object.keys(wanted).map(kebab)) : '';
    reader.report(offsetOf(node), path, `expected a mapping of settings, found ${found(node)}${meant}`);
  }
  const given = readKeys(path, Object.keys(wanted).map(kebab), node, reader);
  for (const [name, schemaNode] of Object.entries(wanted)) {
    const entry = given.get(kebab(name));
    const key = join(path, kebab(name));
    values[name] =
      entry === undefined ? initialValue(key, schemaNode) : readNode(key, schemaNode, entry, reader);
  }
  return values;
}

/** `inside = 10.0.0.0/8` and `inside 10.0.0.0/8`, as other programs have it. */
function meantBy(node: Node, names: readonly string[]): string {
  const name = isScalar(node) ? /^([a-z-]+)\s*[= ]/.exec(scalarOf(node).text)?.[1] : undefined;
  return name !== undefined && names.includes(name) ? `, did you mean "${name}: ..."?` : '';
}

/** What a mapping gives, by key; nothing when `node` is none. */
function readKeys(
  path: string,
  names: readonly string[],
  node: Node | null,
  reader: Reader,
): ReadonlyMap<string, Given> {
  const given = new Map<string, Given>();
  if (!isMap<Node, Node | null>(node)) return given;
  for (const { key, value } of node.items) {
    const offset = offsetOf(key);
    const text = keyText(key);
    if (text === null) {
      if (!isAlias(key)) reader.report(offset, path, `expected the name of a setting, found ${found(key)}`);
    } else if (!names.includes(text)) {
      reader.report(offset, join(path, printable(text)), () => unknownKey(text, path, names));
    } else if (given.has(text)) {
      reader.report(offset, join(path, text), 'expected once, found a second time');
    } else {
      given.set(text, {
        node: value,
        offset: value === null || isNothing(value) ? offset : offsetOf(value),
      });
    }
  }
  return given;
}

function readScalar(key: string, kind: Kind<unknown>, { node, offset }: Given, reader: Reader): unknown {
  if (isAlias(node)) return undefined;
  const reading = isScalar(node) ? kind.read(scalarOf(node)) : null;
  if (reading?.ok) return reading.value;
  const { expected } = reading ?? kind;
  reader.report(offset, key, `expected ${expected}, found ${found(node)}`);
  return undefined;
}

function readList(key: string, kind: ListKind<unknown>, given: Given, reader: Reader): unknown[] | undefined {
  const { node, offset } = given;
  if (isScalar(node) && !isNothing(node) && kind.item.read(scalarOf(node)).ok) {
    const meant = `did you mean [${visible(withoutPassword(scalarOf(node).text))}]?`;
    reader.report(offset, key, `expected ${kind.expected}, found ${found(node)}, ${meant}`);
    return undefined;
  }
  return readItems(key, kind, given, reader, (path, item) => readScalar(path, kind.item, item, reader));
}

function readRecords(
  key: string,
  kind: RecordsKind<unknown>,
  given: Given,
  reader: Reader,
): unknown[] | undefined {
  return readItems(key, { ...kind, least: 0 }, given, reader, (path, item) => {
    if (kind.short !== null && isScalar(item.node)) return readScalar(path, kind.short.kind, item, reader);
    return readRecord(path, kind.fields, item, reader);
  });
}

/** The items of a list, as far as they are right by themselves and beside each other. */
function readItems(
  key: string,
  kind: Pick<ListKind<unknown>, 'expected' | 'least' | 'most' | 'collide'>,
  { node, offset }: Given,
  reader: Reader,
  read: (path: string, item: Given) => unknown,
): unknown[] | undefined {
  if (isAlias(node)) return undefined;
  if (!isSeq<Node | null>(node)) {
    reader.report(offset, key, `expected ${kind.expected}, found ${found(node)}`);
    return undefined;
  }
  const count = node.items.length;
  if (count < kind.least || count > kind.most) {
    reader.report(offset, key, `expected ${kind.least} to ${kind.most} items, found ${count}`);
    return undefined;
  }
  const values: unknown[] = [];
  const kept: number[] = [];
  reader.kept.set(key, kept);
  for (const [index, item] of node.items.entries()) {
    const path = `${key}[${index}]`;
    const place = { node: item, offset: item === null ? offset : offsetOf(item) };
    reader.places.set(path, place.offset);
    const value = read(path, place);
    if (value === undefined) continue;
    const clash = values.map((other) => kind.collide(value, other)).find((text) => text !== null);
    if (clash === undefined) {
      values.push(value);
      kept.push(index);
    } else reader.report(place.offset, path, `expected ${clash}, found ${found(item)}`);
  }
  return values;
}

/** A mapping to its fields, null for those left out; undefined when a field is missing or at fault. */
function readRecord(
  path: string,
  fields: Readonly<Record<string, AnyField>>,
  { node, offset }: Given,
  reader: Reader,
): Record<string, unknown> | undefined {
  if (isAlias(node)) return undefined;
  const names = Object.keys(fields).map(kebab);
  if (!isMap(node)) {
    reader.report(offset, path, `expected a mapping with ${names.join(', ')}, found ${found(node)}`);
    return undefined;
  }
  const given = readKeys(path, names, node, reader);
  const values: Record<string, unknown> = {};
  let whole = true;
  for (const [name, one] of Object.entries(fields)) {
    const key = `${path}.${kebab(name)}`;
    const entry = given.get(kebab(name));
    if (entry === undefined) {
      values[name] = null;
      if (!one.required) continue;
      reader.report(offset, key, `expected ${one.kind.expected}, found nothing`);
      whole = false;
      continue;
    }
    reader.places.set(key, entry.offset);
    const value = one.many
      ? readList(key, one.kind, entry, reader)
      : readScalar(key, one.kind, entry, reader);
    if (value === undefined) whole = false;
    else values[name] = value;
  }
  return whole ? values : undefined;
}

function keyText(key: Node): string | null {
  return isScalar(key) ? scalarOf(key).text : null;
}

function scalarOf(node: YamlScalar): Scalar {
  const { value, source, type } = node;
  const plain = type === YamlScalar.PLAIN || type === undefined;
  return {
    value:
      typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean' ? value : null,
    text: plain ? (source ?? '') : String(value),
  };
}

function isNothing(node: Node): boolean {
  return isScalar(node) && node.value === null;
}

/** What stands there instead, for the end of a sentence. */
function found(node: Node | null): string {
  if (isMap(node)) return 'a mapping';
  if (isSeq(node)) return 'a list';
  if (!isScalar(node) || isNothing(node)) return 'nothing';
  const { text } = scalarOf(node);
  return node.type === YamlScalar.PLAIN ? quote(text) : `the text ${quote(text)}`;
}

function unknownKey(text: string, path: string, names: readonly string[]): string {
  const near = nearest(text, names);
  if (near !== null) return `unknown key, did you mean ${near}?`;
  const elsewhere = settingNames().find((key) => key.endsWith(`.${text}`) || (path !== '' && key === text));
  return elsewhere === undefined
    ? `unknown key, expected one of ${names.join(', ')}`
    : `unknown key here, did you mean ${elsewhere}?`;
}

function join(path: string, name: string): string {
  return path === '' ? name : `${path}.${name}`;
}

function printable(key: string): string {
  return /^[\w-]{1,40}$/.test(key) ? key : quote(key);
}
