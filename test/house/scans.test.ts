import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Where text of the network is read and decided on: scanned byte by byte, by functions that move in one direction. */
const SCANNED = ['sip', 'sdp', 'packet', 'call', 'policy', 'pinhole', 'inspector'];
/** Where it is told, or where the text is our own machine's. */
const TOLD_ELSEWHERE = ['checks', 'commands', 'config', 'firewall'];

/** Expressions with a quantifier without bound where text of the network may come by, each with what bounds its work. */
const BOUNDED_OTHERWISE: Readonly<Record<string, string>> = {
  '/\\x1b\\[[0-9]+m/g': 'what may be repeated is not what it begins with',
  '/\\B(?=(?:[0-9]{3})+$)/g': 'digits of a number of ours',
  '/(?<=\\d)(?=(?:\\d{3})+$)/g': 'digits of a number of ours',
  '/ +/': 'a line of /proc',
  '/[A-Z]{3,32} +[a-z]{2,32}:/': 'a line of 256 characters',
  '/^application\\s*\\/\\s*sdp\\s*(;|$)/i': 'a value of 256 characters',
  '/^multipart\\s*\\/\\s*(mixed|alternative|related)\\b/i': 'a value of 256 characters',
};

interface Found {
  readonly file: string;
  readonly expression: string;
}

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith('.ts'));
}

/** Comments, and the contents of string and template literals, blanked. */
const BESIDES =
  /\/\*[\s\S]*?\*\/|\/\/[^\n]*|'(?:[^'\\\n]|\\.)*'|"(?:[^"\\\n]|\\.)*"|`(?:[^`\\]|\\[\s\S])*`|(\/(?![*/])(?:[^/\\[\n]|\\.|\[(?:[^\]\\\n]|\\.)*\])+\/[dgimsuvy]*)/g;

/** The literals of regular expressions in a source file: a slash where a value may stand. */
function expressionsOf(file: string): Found[] {
  const text = readFileSync(join(root, file), 'utf8');
  return [...text.matchAll(BESIDES)].flatMap((match) => {
    const before = text.slice(0, match.index).trimEnd().at(-1) ?? '(';
    const isValue =
      '(,=:[!&|?{};>'.includes(before) || /\breturn$/.test(text.slice(0, match.index).trimEnd());
    return match[1] !== undefined && isValue ? [{ file, expression: match[1] }] : [];
  });
}

/** Work on n characters is at most n times what the expression itself is long: no repetition without a bound, or one, anchored. */
function isLinear(expression: string): boolean {
  const bare = expression.replaceAll(/\\./g, 'x').replaceAll(/\[[^\]]*\]/g, 'c');
  const unbounded = bare.match(/[*+]|\{\d+,\}/g)?.length ?? 0;
  return unbounded === 0 || (unbounded === 1 && bare.startsWith('/^'));
}

function inside(file: string, rooms: readonly string[]): boolean {
  return rooms.some((room) => file === `src/${room}.ts` || file.startsWith(`src/${room}/`));
}

test('the test finds expressions', () => {
  const found = expressionsOf('src/printable.ts').map(({ expression }) => expression);
  assert.equal(found.length, 1);
  assert.match(found[0]!, /^\/\[.*\]\/g$/);
});

test('no regular expression reads what comes from the wire', () => {
  const found = filesOf('src').filter((file) => inside(file, SCANNED));
  assert.ok(found.length > 20);
  assert.deepEqual(found.flatMap(expressionsOf), []);
  const others = found.filter((file) =>
    /\bRegExp\b|\.(?:match|matchAll|search)\(/.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(others, []);
});

test('expressions that are shown what came from the wire are linear', () => {
  const wrong = filesOf('src')
    .filter((file) => !inside(file, TOLD_ELSEWHERE))
    .flatMap(expressionsOf)
    .filter(({ expression }) => !isLinear(expression) && BOUNDED_OTHERWISE[expression] === undefined);
  assert.deepEqual(wrong, []);
});
