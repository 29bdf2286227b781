/**
 * Makes one self-contained FreeBSD executable for each architecture, on Linux, of what `npm run build` left in dist:
 * node --import tsx scripts/build-freebsd.mjs [amd64] [arm64].
 * Bun's compiler packs the compiled program, its dependencies, koffi's native module and Bun's FreeBSD runtime into
 * build/freebsd/pinholed-ARCH, with bytecode beside the source: a start has nothing to parse. What is not installed for
 * this machine (other systems' binaries) comes from npm.
 */
import { execFileSync } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { koffiVersion, portableModules, root, unpacked } from './packaging/modules.ts';

const out = join(root, 'build', 'freebsd');

/** By FreeBSD's name of the architecture, its name in Bun's targets and packages, and in koffi's. */
const ARCHITECTURES = {
  amd64: { target: 'bun-freebsd-x64', runtime: '@oven/bun-freebsd-x64', koffi: '@koromix/koffi-freebsd-x64' },
  arm64: {
    target: 'bun-freebsd-arm64',
    runtime: '@oven/bun-freebsd-aarch64',
    koffi: '@koromix/koffi-freebsd-arm64',
  },
};

const wanted = process.argv.slice(2);
const unknown = wanted.find((name) => !(name in ARCHITECTURES));
if (unknown !== undefined) {
  console.error(
    `build-freebsd: ${unknown} is not known: expected ${Object.keys(ARCHITECTURES).join(' or ')}`,
  );
  process.exit(2);
}

const bun = process.env['BUN'] ?? join(root, 'node_modules/.bin/bun');
if (!existsSync(bun)) {
  console.error('build-freebsd: no bun found: npm install --no-save bun, or set BUN to where it is');
  process.exit(2);
}
if (readFileSync(join(root, 'dist/src/report/page/assets.js'), 'utf8').includes('esbuild')) {
  console.error('build-freebsd: dist is not whole: npm run build');
  process.exit(2);
}
const bunVersion = run(bun, ['--version']).trim();

for (const name of wanted.length > 0 ? wanted : Object.keys(ARCHITECTURES)) build(name);

function build(name) {
  const { target, runtime, koffi } = ARCHITECTURES[name];
  const stage = join(out, `stage-${name}`);
  rmSync(stage, { recursive: true, force: true });
  for (const part of ['src', 'native-bindings'])
    cpSync(join(root, 'dist', part), join(stage, part), { recursive: true });
  for (const path of portableModules()) {
    cpSync(join(root, path), join(stage, path), { recursive: true });
  }
  const native = join(
    unpacked(koffi, koffiVersion()),
    `freebsd_${name === 'amd64' ? 'x64' : 'arm64'}`,
    'koffi.node',
  );
  writeFileSync(
    join(stage, 'node_modules/koffi/src/koffi/src/static.js'),
    `import native from ${JSON.stringify(native)};\nexport const loadStatic = () => native;\n`,
  );
  const executable = join(out, `pinholed-${name}`);
  run(
    bun,
    [
      ...['build', '--compile', '--splitting', '--format=esm', `--target=${target}`, `--root=${stage}`],
      `--compile-executable-path=${join(unpacked(runtime, bunVersion), 'bin/bun')}`,
      ...['--bytecode', '--no-compile-autoload-dotenv', '--no-compile-autoload-bunfig'],
      ...['--external=ffi-napi', '--external=ref-napi'],
      ...entries(stage),
      `--outfile=${executable}`,
    ],
    stage,
  );
  rmSync(stage, { recursive: true, force: true });
  console.log(relative(root, executable));
}

/**
 * The program, and every module that another finds by its own URL. The compiler moves code into chunks, whose URL is
 * another: in the stage each module's `import.meta.url` becomes what it would be inside the executable.
 */
function entries(stage) {
  const modules = ['src', 'native-bindings'].flatMap((part) =>
    readdirSync(join(stage, part), { recursive: true }).map((name) => join(stage, part, name)),
  );
  const found = [join(stage, 'src/main.js')];
  for (const path of modules.filter((name) => name.endsWith('.js'))) {
    const text = readFileSync(path, 'utf8');
    if (!text.includes('import.meta.url')) continue;
    found.push(...namedBy(path));
    const url = JSON.stringify(`file:///$bunfs/root/${relative(stage, path)}`);
    writeFileSync(
      path,
      text.replaceAll('import.meta.url', () => url),
    );
  }
  return [...new Set(found)];
}

/** The modules that `new URL('./name.js', import.meta.url)` in a module stands for. */
function namedBy(path) {
  const names = [
    ...readFileSync(path, 'utf8').matchAll(/new URL\([`'"](\.[^`'"]*)[`'"], import\.meta\.url\)/g),
  ];
  return names
    .map(([, name]) => join(path, '..', name.replace(/\$\{[^}]*\}/, 'js')))
    .filter((file) => file.endsWith('.js') && existsSync(file));
}

function run(program, args, cwd = root) {
  return execFileSync(program, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] });
}
