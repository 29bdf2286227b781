import { mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

// Part of the build: packages that every command or the daemon reads at its start become one module each, beside the compiled
// modules in the folder that is named, and these import it from there. To find, read and link a module takes Node half a
// millisecond and more: yargs is 30 of them, yaml 70, pino 30, prom-client 90.
const PACKAGES = ['yargs', 'yaml', 'pino', 'prom-client'];

const [folder] = process.argv.slice(2);
if (folder === undefined) throw new Error('expected the folder of the compiled modules');
const target = resolve(folder);
const root = fileURLToPath(new URL('..', import.meta.url));

const compiled = modulesIn(target);
for (const name of PACKAGES) {
  const file = join(target, 'packages', `${name}.js`);
  const { outputFiles, metafile } = await build({
    stdin: { contents: await reexported(name), resolveDir: root },
    bundle: true,
    platform: 'node',
    format: 'esm',
    target: 'node20',
    metafile: true,
    alias: { 'string-width': join(root, 'scripts/plain-width.ts') },
    write: false,
    minifyWhitespace: true,
    minifySyntax: true,
    absWorkingDir: root,
    outfile: file,
  });
  const required = Object.values(metafile.outputs)
    .flatMap(({ imports }) => imports)
    .flatMap(({ path, kind }) => (kind === 'require-call' ? [path] : []));
  const parts = [licences(Object.keys(metafile.inputs)), ownRequire(new Set(required)), outputFiles[0]!.text];
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, parts.join('\n'));
  for (const path of compiled) importFrom(file, name, path);
}

/** A module with every export of a package by its name: what `export *` has of CommonJS nobody knows before it runs. */
async function reexported(name: string): Promise<string> {
  const names = Object.keys((await import(name)) as object).filter((one) => one !== 'module.exports');
  return `export { ${names.join(', ')} } from ${JSON.stringify(name)};\n`;
}

/**
 * What CommonJS modules inside a bundle find Node's own with. `process` is the global: to import it makes all there is in it,
 * the stream of standard input too.
 */
function ownRequire(names: ReadonlySet<string>): string {
  if (names.size === 0) return '';
  const list = [...names].filter((name) => name !== 'process');
  const imports = list.map((name, at) => `import own${at} from 'node:${name.replace('node:', '')}';`);
  const modules = list.map((name, at) => `${JSON.stringify(name)}: own${at}`);
  return `${imports.join('\n')}\nconst require = (name) => ({ ${['process', ...modules].join(', ')} })[name];`;
}

function importFrom(file: string, name: string, path: string): void {
  const text = readFileSync(path, 'utf8');
  const beside = relative(dirname(path), file);
  const specifier = JSON.stringify(beside.startsWith('.') ? beside : `./${beside}`);
  const own = text.replace(new RegExp(`(\\bfrom |\\bimport\\()(["'])${name}\\2`, 'g'), `$1${specifier}`);
  if (own !== text) writeFileSync(path, own);
}

function modulesIn(where: string): string[] {
  return readdirSync(where, { recursive: true, encoding: 'utf8' })
    .filter((path) => path.endsWith('.js') && !path.startsWith('packages/'))
    .map((path) => join(where, path));
}

/** The licences of the packages that these files are of, as a comment: each asks to be kept with every copy. */
function licences(files: readonly string[]): string {
  const packages = new Set(
    files.flatMap((path) => /^(?:.*\/)?node_modules\/(?:@[^/]+\/)?[^/]+/.exec(path) ?? []),
  );
  const texts = [...packages].map((path) => {
    const found = readdirSync(join(root, path)).find((file) => /^licen[cs]e/i.test(file));
    if (found === undefined) throw new Error(`${path}: expected a licence`);
    const text = readFileSync(join(root, path, found), 'utf8').trim();
    return `${path.slice(path.lastIndexOf('node_modules/') + 'node_modules/'.length)}\n\n${text}`;
  });
  return `/*\n${texts.join('\n\n').replaceAll('*/', '* /')}\n*/`;
}
