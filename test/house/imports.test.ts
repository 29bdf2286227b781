import assert from 'node:assert/strict';
import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { LEAVES, ROOMS, type Room } from './rooms.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));

const read = (path: string) => readFileSync(join(root, path), 'utf8');

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith('.ts'));
}

const FILES = [...filesOf('native-bindings'), ...filesOf('src')];

/** What a file imports: paths from the root for its own kind, the names of npm packages. */
function importsOf(file: string): { readonly paths: string[]; readonly packages: string[] } {
  const paths: string[] = [];
  const packages: string[] = [];
  const statements = /^(?:(?:import|export)\b[^'"`;]*?from |import )'([^']+)';|\bimport\('([^']+)'\)/gm;
  for (const [, quoted, called] of read(file).matchAll(statements)) {
    const target = (quoted ?? called)!;
    if (target.startsWith('.')) paths.push(normalize(join(dirname(file), target)));
    else if (!target.startsWith('node:')) packages.push(packageOf(target));
  }
  return { paths, packages };
}

function packageOf(target: string): string {
  return target
    .split('/')
    .slice(0, target.startsWith('@') ? 2 : 1)
    .join('/');
}

function isIn(path: string, room: string): boolean {
  return path === room || path.startsWith(`${room}/`);
}

function roomOf(file: string): Room | null {
  const fitting = ROOMS.filter(({ path }) => isIn(file, path));
  fitting.sort((a, b) => b.path.length - a.path.length);
  return fitting[0] ?? null;
}

test('the files that CONTRIBUTING names to begin with are there', () => {
  const page = read('CONTRIBUTING.md');
  const table = page.slice(page.indexOf('Where to begin'), page.indexOf('Beside the program'));
  const rows = table.split('\n- ').slice(1);
  const named = rows.flatMap((row) => {
    const [room, ...names] = [...row.matchAll(/`([^`]+)`/g)].map(([, name]) => name!);
    return names.map((name) => normalize(join('src', room!, name)));
  });
  assert.ok(named.length > 20);
  assert.deepEqual(
    named.filter((name) => !existsSync(join(root, name))),
    [],
  );
});

test('every file of the program has a room', () => {
  assert.deepEqual(
    FILES.filter((file) => roomOf(file) === null),
    [],
  );
});

test('nothing imports against the order of the rooms', () => {
  const wrong: string[] = [];
  for (const file of FILES) {
    const room = roomOf(file)!;
    for (const target of importsOf(file).paths) {
      if (![room.path, ...room.imports, ...LEAVES].some((one) => isIn(target, one)))
        wrong.push(`${file} imports ${target}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('a room uses the npm packages that are its own and no other', () => {
  const wrong: string[] = [];
  for (const file of FILES) {
    const { packages = [] } = roomOf(file)!;
    for (const name of importsOf(file).packages) {
      if (!packages.includes(name)) wrong.push(`${file} imports ${name}`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('a room imports from those before it in the table', () => {
  const wrong: string[] = [];
  for (const [at, { path, imports }] of ROOMS.entries()) {
    const before = ROOMS.slice(0, at).map((room) => room.path);
    for (const one of imports) if (!before.includes(one)) wrong.push(`${path} names ${one}`);
  }
  assert.deepEqual(wrong, []);
});

/** The rows of CONTRIBUTING's table: the rooms that share one, and what its last column says. */
function rowsOfContributing(): { readonly paths: readonly string[]; readonly imports: string }[] {
  const lines = read('CONTRIBUTING.md')
    .split('\n')
    .filter((line) => line.startsWith('| `') && line.split('|').length === 5);
  return lines.map((line) => {
    const [, names, , imports] = line.split('|');
    const paths = [...names!.matchAll(/`([^`]+?)\/?`/g)].map(([, name]) => name!);
    return { paths, imports: imports!.trim() };
  });
}

test('CONTRIBUTING.md has a row for every room, and none for another', () => {
  const rows = rowsOfContributing().flatMap(({ paths }) => paths);
  const rooms = ROOMS.map(({ path }) => path).filter((path) => path !== 'src/main.ts');
  assert.deepEqual(rows.toSorted(), rooms.toSorted());
});

test('the last column of CONTRIBUTING.md names what a room imports, but for what those named import themselves', () => {
  const byPath = new Map(ROOMS.map((room) => [room.path, room]));
  const pathOf = (name: string) => (byPath.has(name) ? name : `src/${name}`);
  const below = (path: string): string[] => [
    path,
    ...(byPath.get(path)?.imports ?? []).filter((one) => one !== path).flatMap(below),
  ];
  const wrong: string[] = [];
  for (const { paths, imports: column } of rowsOfContributing()) {
    if (/^(any|(all|the) above)$/.test(column)) continue;
    const named = column === '-' ? [] : column.split(', ').map(pathOf);
    const reached = new Set(named.flatMap(below));
    for (const path of paths) {
      const { imports } = byPath.get(path)!;
      for (const one of named) if (!imports.includes(one)) wrong.push(`${path} does not import ${one}`);
      for (const one of imports) if (!reached.has(one)) wrong.push(`${path} imports ${one}, too`);
    }
  }
  assert.deepEqual(wrong, []);
});

test('no room but the capture reader and the commands reads files, no room above the daemon opens sockets', () => {
  const pure = ['src/packet', 'src/sip', 'src/sdp', 'src/call', 'src/policy', 'src/pinhole', 'src/address'];
  const wrong = FILES.filter((file) =>
    [...pure, 'src/inspector', 'src/inspector.ts'].some((room) => isIn(file, room)),
  ).filter((file) =>
    /from 'node:(fs|net|dgram|child_process|timers|worker_threads)|Date\.now|performance\.now|hrtime/.test(
      read(file),
    ),
  );
  assert.deepEqual(wrong, []);
});
