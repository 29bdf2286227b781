/**
 * How much of the code can be broken without a test that sees it: `node --import tsx scripts/mutation.ts`.
 * Each mutant is one small change to the syntax tree of one file of src/, made in a copy of the tree, against which
 * the tests of its room are run. Not part of the tests: a run takes hours, or minutes with --sample.
 *
 *   --rooms sip,sdp    rooms of src/ (default: all that decide about a packet)
 *   --sample 200       so many mutants of all, drawn evenly (default: all)
 *   --seed 1           which ones
 *   --at call/call.ts:12,sdp/read.ts   those of this line, or of this file, alone
 *   --jobs 2           at a time
 *   --out FILE         the results as JSON; those that are in there already are not run again
 */
import { spawn } from 'node:child_process';
import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { type Node, type SourceFile, SyntaxKind } from 'typescript/unstable/ast';
import { API } from 'typescript/unstable/sync';

interface Mutant {
  readonly file: string;
  /** UTF-16 units of the file. */
  readonly start: number;
  readonly end: number;
  readonly by: string;
}

type Fate = 'killed' | 'survived' | 'timeout';

const root = fileURLToPath(new URL('..', import.meta.url));
/** Directories of test/ that hold a room, those that find most first. */
const TESTS: Readonly<Record<string, readonly string[]>> = {
  packet: ['packet', 'inspector', 'call'],
  sip: ['sip', 'inspector', 'call'],
  sdp: ['sdp', 'call', 'inspector'],
  call: ['call', 'policy', 'inspector', 'pinhole'],
  pinhole: ['pinhole', 'call', 'inspector', 'policy'],
  policy: ['policy', 'call', 'inspector'],
};
/** What takes an operator's place. */
const OPERATORS: Readonly<Record<string, string>> = {
  '<': '<=',
  '<=': '<',
  '>': '>=',
  '>=': '>',
  '===': '!==',
  '!==': '===',
  '&&': '||',
  '||': '&&',
  '+': '-',
  '-': '+',
};
/** Tests of chance and of work done: minutes each time, and another result each time. */
const LEFT_OUT = /\/(properties|work|repeats|collections|fingerprint)\.test\.ts$/;
/** A mutant that takes so many times as long as the tests do otherwise goes round in circles. */
const PATIENCE = 6;

function mutantsOf(file: string, source: SourceFile): Mutant[] {
  const found: Mutant[] = [];
  const text = source.text;
  const add = (node: Node, by: string) => {
    found.push({ file, start: node.getStart(source), end: node.end, by });
  };
  const visit = (node: Node): void => {
    const children: Node[] = [];
    node.forEachChild((child) => {
      children.push(child);
    });
    const [first, second] = children;
    switch (node.kind) {
      case SyntaxKind.ImportDeclaration:
      case SyntaxKind.InterfaceDeclaration:
      case SyntaxKind.TypeAliasDeclaration:
      case SyntaxKind.TypeReference:
      case SyntaxKind.TypeLiteral:
      case SyntaxKind.UnionType:
      case SyntaxKind.TupleType:
      case SyntaxKind.LiteralType:
      // What is told to people is not what is decided.
      case SyntaxKind.TemplateExpression:
        return;
      case SyntaxKind.IfStatement:
      case SyntaxKind.ConditionalExpression:
        add(first!, 'true');
        add(first!, 'false');
        break;
      case SyntaxKind.BinaryExpression: {
        const by = OPERATORS[text.slice(second!.getStart(source), second!.end)];
        if (by !== undefined) add(second!, by);
        if (second!.kind === SyntaxKind.QuestionQuestionToken) add(node, `(${textOf(first!)})`);
        break;
      }
      case SyntaxKind.PrefixUnaryExpression:
        if (text[node.getStart(source)] === '!') add(node, `(${textOf(first!)})`);
        break;
      case SyntaxKind.TrueKeyword:
        add(node, 'false');
        break;
      case SyntaxKind.FalseKeyword:
        add(node, 'true');
        break;
      case SyntaxKind.NumericLiteral:
        add(node, `(${textOf(node)} + 1)`);
        break;
      case SyntaxKind.ExpressionStatement:
        add(node, ';');
        break;
      case SyntaxKind.PropertyAccessExpression:
        if (textOf(node) === 'Math.min') add(node, 'Math.max');
        if (textOf(node) === 'Math.max') add(node, 'Math.min');
        break;
    }
    for (const child of children) visit(child);
  };
  const textOf = (node: Node) => text.slice(node.getStart(source), node.end);
  visit(source);
  return found;
}

function filesUnder(directory: string): string[] {
  return readdirSync(directory, { withFileTypes: true, recursive: true })
    .filter((entry) => entry.isFile() && entry.name.endsWith('.ts'))
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/** So many of all, the same for the same seed: a multiplicative generator (Park and Miller) shuffles. */
function drawn<T>(all: readonly T[], count: number, seed: number): T[] {
  const items = [...all];
  let state = seed;
  for (let at = items.length - 1; at > 0; at--) {
    state = (state * 48271) % 2147483647;
    const other = state % (at + 1);
    [items[at], items[other]] = [items[other]!, items[at]!];
  }
  return items.slice(0, count);
}

function isMeant({ file, start }: Mutant): boolean {
  return places.some((place) => {
    const [name, line] = place.split(':');
    if (file !== `src/${name}`) return false;
    return line === undefined || lineAt(readFileSync(join(root, file), 'utf8'), start) === Number(line);
  });
}

function lineAt(text: string, index: number): number {
  return text.slice(0, index).split('\n').length;
}

/** The tests in one process, which is ended at the first that fails. */
function run(tree: string, tests: readonly string[], longest: number): Promise<Fate> {
  const program = tests.map((file) => `await import(${JSON.stringify(file)});`).join('\n');
  const words = ['--import', 'tsx', '--test-reporter', 'tap', '--input-type', 'module', '-e', program];
  return new Promise((resolve) => {
    const child = spawn(process.execPath, words, {
      cwd: tree,
      stdio: ['ignore', 'pipe', 'ignore'],
      env: { ...process.env, TMPDIR: tree },
    });
    let fate: Fate = 'survived';
    const end = (why: Fate) => {
      fate = why;
      child.kill('SIGKILL');
    };
    const timer = setTimeout(() => end('timeout'), longest);
    let rest = '';
    child.stdout.setEncoding('utf8').on('data', (chunk: string) => {
      const lines = `${rest}${chunk}`.split('\n');
      rest = lines.pop()!;
      if (lines.some((line) => /^ *not ok /.test(line))) end('killed');
    });
    child.on('close', (code) => {
      clearTimeout(timer);
      resolve(fate === 'survived' && code !== 0 ? 'killed' : fate);
    });
  });
}

const { values } = parseArgs({
  options: {
    rooms: { type: 'string', default: Object.keys(TESTS).join(',') },
    sample: { type: 'string', default: '1000000' },
    seed: { type: 'string', default: '1' },
    at: { type: 'string', default: '' },
    jobs: { type: 'string', default: '1' },
    out: { type: 'string', default: 'mutation.json' },
  },
});

const api = new API({ cwd: root });
const [project] = api.updateSnapshot({ openProject: join(root, 'tsconfig.json') }).getProjects();
const all = values.rooms.split(',').flatMap((room) =>
  filesUnder(join(root, 'src', room)).flatMap((path) => {
    const source = project!.program.getSourceFile(path);
    return source === undefined ? [] : mutantsOf(path.slice(root.length), source);
  }),
);
api.close();
const places = values.at.split(',').filter((place) => place !== '');
const meant = places.length === 0 ? all : all.filter(isMeant);
const chosen = drawn(meant, Number(values.sample), Number(values.seed));
console.log(`${chosen.length} of ${all.length} mutants`);

const parent = mkdtempSync(join(tmpdir(), 'mutation-'));
process.on('exit', () => rmSync(parent, { recursive: true, force: true }));
if (existsSync(join(root, '..', 'shared'))) symlinkSync(join(root, '..', 'shared'), join(parent, 'shared'));

function copyTree(name: string): string {
  const tree = join(parent, name);
  mkdirSync(tree);
  for (const part of [
    'src',
    'test',
    'native-bindings',
    'docs',
    'lab',
    'packaging',
    'package.json',
    'tsconfig.json',
  ]) {
    cpSync(join(root, part), join(tree, part), { recursive: true });
  }
  symlinkSync(join(root, 'node_modules'), join(tree, 'node_modules'));
  return tree;
}

function testsOf(tree: string, room: string): string[] {
  return TESTS[room]!.flatMap((directory) => {
    const path = join(tree, 'test', directory);
    return existsSync(path) ? filesUnder(path) : [];
  }).filter((file) => file.endsWith('.test.ts') && !LEFT_OUT.test(file));
}

const results: (Mutant & { fate: Fate; line: number; was: string })[] = existsSync(values.out)
  ? JSON.parse(readFileSync(values.out, 'utf8'))
  : [];
const longest = new Map<string, number>();
const trees = Array.from({ length: Number(values.jobs) }, (_, index) => copyTree(`tree-${index}`));
for (const room of new Set(chosen.map(({ file }) => file.split('/')[1]!))) {
  const began = Date.now();
  const fate = await run(trees[0]!, testsOf(trees[0]!, room), 600_000);
  const took = Date.now() - began;
  if (fate !== 'survived') throw new Error(`the tests of ${room} fail as it is: ${fate}`);
  longest.set(room, PATIENCE * took);
  console.log(`${room}: the tests take ${(took / 1000).toFixed(1)} s`);
}

async function tryOut(tree: string, { file, start, end, by }: Mutant): Promise<void> {
  const room = file.split('/')[1]!;
  const text = readFileSync(join(root, file), 'utf8');
  const path = join(tree, file);
  writeFileSync(path, text.slice(0, start) + by + text.slice(end));
  const fate = await run(tree, testsOf(tree, room), longest.get(room)!);
  writeFileSync(path, text);
  const line = lineAt(text, start);
  const was = text.slice(start, end);
  results.push({ file, start, end, by, fate, line, was });
  writeFileSync(values.out, `${JSON.stringify(results, null, 1)}\n`);
  if (fate === 'survived') console.log(`${file}:${line}: ${was} -> ${by}`);
}

const left = chosen.filter(
  ({ file, start, by }) => !results.some((one) => one.file === file && one.start === start && one.by === by),
);
await Promise.all(
  trees.map(async (tree) => {
    for (let next = left.shift(); next !== undefined; next = left.shift()) await tryOut(tree, next);
  }),
);
const survived = results.filter(({ fate }) => fate === 'survived').length;
const score = (100 * (results.length - survived)) / results.length;
console.log(`${results.length} mutants, ${survived} survived: ${score.toFixed(1)} % killed`);
