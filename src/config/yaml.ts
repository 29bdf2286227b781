import { Composer, type CST, type Document, isAlias, type LineCounter, type Node, Parser, visit } from 'yaml';
import { quote, visible, withoutPassword } from './problem.ts';

/**
 * Tells of one thing wrong at an offset (UTF-16 units) of the text; `key` is '' when no key is meant. A message that
 * takes work is a function: of very many faults only the first ones are shown.
 */
export type FaultReport = (offset: number, key: string, message: string | (() => string)) => void;

/** The schema needs 3; the composer recurses, so this keeps hostile nesting away from the stack. */
const DEEPEST_NESTING = 32;

/**
 * The one document of a YAML 1.2 text (or JSON, which is YAML), every fault of it reported. Null when there is
 * nothing in it worth reading on. Never throws.
 */
export function parseYaml(text: string, lines: LineCounter, report: FaultReport): Document.Parsed | null {
  const tokens = [...new Parser(lines.addNewLine).parse(text)];
  const undecodable = text.indexOf('\ufffd');
  if (undecodable >= 0) {
    const isWide = text.includes('\0');
    report(undecodable, '', `expected UTF-8, found ${isWide ? 'UTF-16, or no text' : 'bytes that are not'}`);
    if (isWide) return null;
  }
  for (const token of tokens) {
    const tooDeep = firstBelow(DEEPEST_NESTING, token);
    if (tooDeep === null) continue;
    report(tooDeep.offset, '', `expected at most ${DEEPEST_NESTING} levels of nesting`);
    return null;
  }
  const composer = new Composer({ version: '1.2', uniqueKeys: false, merge: false });
  const [document, second] = [...composer.compose(tokens, true, text.length)];
  if (document === undefined) return null;
  for (const { code, pos, message } of [...document.errors, ...document.warnings]) {
    if (code !== 'TAG_RESOLVE_FAILED') report(pos[0], '', sentence(message));
  }
  if (second !== undefined) report(second.range[0], '', 'expected one document, found a second one');
  refuseExtras(document, report);
  return document;
}

/** A message of the YAML reader as ours begin; it may hold pieces of the text. */
function sentence(message: string): string {
  const masked = message.includes('://') ? withoutPassword(message) : message;
  return visible(`${masked.slice(0, 1).toLowerCase()}${masked.slice(1, 200)}`);
}

/** The first node nested deeper than `depth`, found without recursion; null when there is none. */
function firstBelow(depth: number, token: CST.Token): CST.Token | null {
  const waiting: [token: CST.Token, depth: number][] = [[token, 0]];
  for (let next = waiting.pop(); next !== undefined; next = waiting.pop()) {
    const [current, at] = next;
    if (at > depth) return current;
    for (const child of childrenOf(current)) waiting.push([child, at + 1]);
  }
  return null;
}

function childrenOf(token: CST.Token): CST.Token[] {
  if (token.type === 'document') return token.value === undefined ? [] : [token.value];
  if (!('items' in token)) return [];
  return token.items.flatMap(({ key, value }) => [key, value].filter((child) => child != null));
}

/** Refuses what YAML has and a configuration of a few settings does not need: each is one more way to misread it. */
function refuseExtras(document: Document.Parsed, report: FaultReport): void {
  const { version, explicit } = document.directives.yaml;
  if (explicit === true && version !== '1.2') report(0, '', `expected YAML 1.2, found %YAML ${version}`);
  visit(document, {
    Node: (_, node) => {
      if (isAlias(node)) {
        report(offsetOf(node), '', `expected the value itself, found the alias ${quote(node.source)}`);
        return;
      }
      if (node.anchor) {
        report(offsetOf(node), '', `expected the value alone, found the anchor ${quote(node.anchor)}`);
      }
      if (node.tag) report(offsetOf(node), '', `expected the value alone, found the tag ${quote(node.tag)}`);
    },
  });
}

/** Where a node begins in the text. */
export function offsetOf(node: Node): number {
  return node.range?.[0] ?? 0;
}
