import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../../', import.meta.url));

/** Rooms in the order in which data walks through them; each may import from those named. */
const ROOMS: Readonly<Record<string, readonly string[]>> = {
  'native-bindings': [],
  'src/address': [],
  'src/packet': [],
  'src/sip': [],
  'src/sdp': [],
  'src/call': ['src/sip', 'src/sdp'],
  'src/policy': ['src/call'],
  'src/pinhole': ['src/policy', 'src/call'],
  'src/inspector': ['src/packet', 'src/sip', 'src/sdp', 'src/call', 'src/policy', 'src/pinhole'],
  'src/inspector.ts': [
    'src/inspector',
    'src/packet',
    'src/sip',
    'src/sdp',
    'src/call',
    'src/policy',
    'src/pinhole',
  ],
  'src/intercept': ['native-bindings', 'src/packet'],
  'src/firewall': ['native-bindings', 'src/policy', 'src/pinhole'],
  'src/config': [],
};

/** Leaves that every room may use. */
const LEAVES = ['src/address', 'src/finding.ts', 'src/printable.ts', 'src/scan.ts', 'src/version.ts'];

function filesOf(folder: string): string[] {
  return readdirSync(join(root, folder), { recursive: true })
    .map((name) => join(folder, String(name)))
    .filter((path) => path.endsWith('.ts'));
}

/** Relative imports of a file, as paths from the root. */
function importsOf(file: string): string[] {
  const text = readFileSync(join(root, file), 'utf8');
  const found = [...text.matchAll(/(?:from|import\()\s*'(\.[^']+)'/g)];
  return found.map((match) => normalize(join(dirname(file), match[1]!)));
}

function inside(path: string, room: string): boolean {
  return path === room || path.startsWith(`${room}/`);
}

test('nothing imports against the order of the rooms', () => {
  const wrong: string[] = [];
  for (const [room, allowed] of Object.entries(ROOMS)) {
    const files = room.endsWith('.ts') ? [room] : filesOf(room);
    for (const file of files) {
      for (const target of importsOf(file)) {
        const fine = [room, ...allowed, ...LEAVES].some((one) => inside(target, one));
        if (!fine) wrong.push(`${file} imports ${target}`);
      }
    }
  }
  assert.deepEqual(wrong, []);
});

test('only native-bindings knows FFI', () => {
  const wrong = filesOf('src').filter((file) =>
    /from '(koffi|ffi-napi|ref-napi)'/.test(readFileSync(join(root, file), 'utf8')),
  );
  assert.deepEqual(wrong, []);
});

test('no room but the capture reader and the commands reads files, no room above the daemon opens sockets', () => {
  const pure = ['src/packet', 'src/sip', 'src/sdp', 'src/call', 'src/policy', 'src/pinhole', 'src/address'];
  const wrong = [...pure.flatMap(filesOf), 'src/inspector.ts'].filter((file) =>
    /from 'node:(fs|net|dgram|child_process|timers|worker_threads)|Date\.now|performance\.now|hrtime/.test(
      readFileSync(join(root, file), 'utf8'),
    ),
  );
  assert.deepEqual(wrong, []);
});
