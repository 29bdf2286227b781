/**
 * The rooms of the house with their lines, the longest functions and the files that went, of now and of a commit before:
 * node --import tsx scripts/house.ts COMMIT. Files are counted as they are committed; lines of functions by Biome, which
 * counts neither blank lines nor comments.
 */
import { execFileSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { ROOMS } from '../test/house/rooms.ts';

const root = fileURLToPath(new URL('..', import.meta.url));
const PROGRAM = ['src', 'native-bindings'];
const LONGEST = 12;
/** Functions of fewer lines are not listed. */
const FROM = 60;

interface Count {
  files: number;
  lines: number;
}

interface LongFunction {
  readonly lines: number;
  readonly path: string;
  readonly head: string;
}

interface House {
  readonly rooms: ReadonlyMap<string, Count>;
  readonly functions: readonly LongFunction[];
}

function git(...args: readonly string[]): Buffer {
  return execFileSync('git', args, { cwd: root, maxBuffer: 1 << 28 });
}

/** What lies in no room of today is in one of its own: the folder below `src`. */
function roomOf(path: string): string {
  const fitting = ROOMS.map((room) => room.path).filter(
    (room) => path === room || path.startsWith(`${room}/`),
  );
  fitting.sort((a, b) => b.length - a.length);
  return fitting[0] ?? path.split('/').slice(0, 2).join('/');
}

function measure(commit: string): House {
  const directory = mkdtempSync(join(tmpdir(), 'house-'));
  try {
    execFileSync('tar', ['-x', '-C', directory], { input: git('archive', commit, ...PROGRAM) });
    const rooms = new Map<string, Count>();
    for (const part of PROGRAM) {
      for (const name of readdirSync(join(directory, part), { recursive: true, encoding: 'utf8' })) {
        const path = join(part, name);
        if (!/\.(ts|css)$/.test(path)) continue;
        const count = rooms.get(roomOf(path)) ?? { files: 0, lines: 0 };
        rooms.set(roomOf(path), count);
        count.files++;
        count.lines += readFileSync(join(directory, path), 'utf8').split('\n').length - 1;
      }
    }
    return { rooms, functions: longFunctions(directory) };
  } finally {
    rmSync(directory, { recursive: true });
  }
}

interface Diagnostic {
  readonly message: string;
  readonly location: { readonly path: string; readonly start: { readonly line: number } };
}

function longFunctions(directory: string): LongFunction[] {
  const configuration = join(directory, 'lint');
  mkdirSync(configuration);
  const rule = { level: 'error', options: { maxLines: FROM } };
  const complexity = { noExcessiveLinesPerFunction: rule };
  writeFileSync(
    join(configuration, 'biome.json'),
    JSON.stringify({ linter: { rules: { recommended: false, complexity } } }),
  );
  const biome = join(root, 'node_modules/.bin/biome');
  const options = [`--config-path=${configuration}`, '--max-diagnostics=none', '--reporter=json'];
  const { diagnostics } = JSON.parse(complaints(biome, ['lint', ...options, ...PROGRAM], directory)) as {
    readonly diagnostics: readonly Diagnostic[];
  };
  return diagnostics
    .map(({ message, location: { path, start } }) => ({
      lines: Number(/\((\d+)\)/.exec(message)?.[1]),
      path,
      head: readFileSync(join(directory, path), 'utf8').split('\n')[start.line - 1]!.trim(),
    }))
    .sort((a, b) => b.lines - a.lines);
}

/** Biome ends with 1 where it found something. */
function complaints(program: string, args: readonly string[], cwd: string): string {
  try {
    return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'ignore'] });
  } catch (error) {
    return (error as { readonly stdout: string }).stdout;
  }
}

function nameOf({ head }: LongFunction): string {
  return /function\*? (\w+)/.exec(head)?.[1] ?? /(\w+)\s*[(:=]/.exec(head)?.[1] ?? head;
}

function* report(before: House, now: House): Generator<string> {
  yield '| room | files | lines | files now | lines now |\n|---|--:|--:|--:|--:|';
  const names = new Set([...ROOMS.map(({ path }) => path), ...before.rooms.keys()]);
  const all = { before: { files: 0, lines: 0 }, now: { files: 0, lines: 0 } };
  for (const name of names) {
    const [then, here] = [before.rooms.get(name), now.rooms.get(name)];
    if (then === undefined && here === undefined) continue;
    for (const [sum, one] of [
      [all.before, then],
      [all.now, here],
    ] as const) {
      sum.files += one?.files ?? 0;
      sum.lines += one?.lines ?? 0;
    }
    const cells = [then?.files, then?.lines, here?.files, here?.lines].map((value) => value ?? '-');
    yield `| \`${name}\` | ${cells.join(' | ')} |`;
  }
  yield `| all | ${all.before.files} | ${all.before.lines} | ${all.now.files} | ${all.now.lines} |\n`;
  yield '| lines | longest functions before | lines | now |\n|--:|---|--:|---|';
  for (let index = 0; index < LONGEST; index++) {
    const [then, here] = [before.functions[index], now.functions[index]];
    const cell = (one: LongFunction | undefined) =>
      one === undefined ? '- | -' : `${one.lines} | \`${nameOf(one)}\`, ${one.path}`;
    yield `| ${cell(then)} | ${cell(here)} |`;
  }
  const over = (house: House, most: number) => house.functions.filter(({ lines }) => lines > most).length;
  yield `\nOver 200 lines: ${over(before, 200)}, now ${over(now, 200)}; over 150: ${over(before, 150)}, now ${over(now, 150)}; over 100: ${over(before, 100)}, now ${over(now, 100)}.`;
}

const [, , commit = 'HEAD~1'] = process.argv;
for (const line of report(measure(commit), measure('HEAD'))) console.log(line);
const gone = git('diff', '-M40%', '-l0', '--diff-filter=D', '--name-only', commit, 'HEAD', '--', ...PROGRAM);
console.log(`\nFiles that went, and are not found under another name:\n\n${gone.toString()}`);
