/**
 * Makes build/debian/pinholed_VERSION_ARCHITECTURE.deb of what `npm run build` left in dist, with the production
 * dependencies that are installed here: npm run build:deb [-- FOLDER [DIST]]. It is for the architecture of this machine,
 * since koffi's native module is. Needs dpkg-deb, which every Debian has.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  cpSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join, relative, resolve } from 'node:path';
import { gzipSync } from 'node:zlib';
import { printSample } from '../../src/config/print.ts';
import { productionModules, root } from './modules.ts';

const out = resolve(process.argv[2] ?? join(root, 'build', 'debian'));
const dist = resolve(process.argv[3] ?? join(root, 'dist'));
const ARCHITECTURES: Readonly<Record<string, string>> = { x64: 'amd64', arm64: 'arm64', arm: 'armhf' };

/** Where each file of packaging/ goes. */
const FILES = [
  ['packaging/linux/pinholed.service', 'lib/systemd/system/pinholed.service'],
  ['packaging/linux/sysusers.conf', 'usr/lib/sysusers.d/pinholed.conf'],
  ['packaging/linux/logrotate.conf', 'etc/logrotate.d/pinholed'],
  ['packaging/grafana/pinholed.json', 'usr/share/doc/pinholed/grafana.json'],
  ['README.md', 'usr/share/doc/pinholed/README.md'],
  ['LICENSE', 'usr/share/doc/pinholed/copyright'],
] as const;
const PAGES = [
  ['packaging/man/pinholed.8', 'usr/share/man/man8/pinholed.8.gz'],
  ['packaging/man/pinholed.yaml.5', 'usr/share/man/man5/pinholed.yaml.5.gz'],
] as const;
const SCRIPTS = ['postinst', 'prerm', 'postrm'];

const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string };
const architecture = ARCHITECTURES[process.arch];
if (architecture === undefined) throw new Error(`no Debian architecture is known for ${process.arch}`);
if (readFileSync(join(dist, 'src/report/page/assets.js'), 'utf8').includes('esbuild')) {
  throw new Error('dist is not whole: npm run build');
}

const stage = join(out, 'stage');
rmSync(stage, { recursive: true, force: true });
const program = 'usr/lib/pinholed';
for (const path of ['package.json', ...productionModules()]) copy(path, join(program, path));
for (const part of ['src', 'native-bindings']) copy(join(dist, part), join(program, 'dist', part));
mkdirSync(join(stage, 'usr/bin'), { recursive: true });
symlinkSync('../lib/pinholed/dist/src/main.js', join(stage, 'usr/bin/pinholed'));
for (const [from, to] of FILES) copy(from, to);
for (const [from, to] of PAGES) write(to, gzipSync(readFileSync(join(root, from)), { level: 9 }));
write('usr/share/doc/pinholed/examples/pinholed.yaml', printSample('linux'));
write('DEBIAN/conffiles', '/etc/logrotate.d/pinholed\n');
for (const script of SCRIPTS) copy(join('packaging/debian', script), join('DEBIAN', script));
const control = readFileSync(join(root, 'packaging/debian/control'), 'utf8')
  .replace('@VERSION@', version)
  .replace('@ARCHITECTURE@', architecture)
  .replace('@SIZE@', String(Math.ceil(sizeOf(stage) / 1024)));
write('DEBIAN/control', control);
openToAll(stage);

const deb = join(out, `pinholed_${version}_${architecture}.deb`);
execFileSync('dpkg-deb', ['--root-owner-group', '-Zxz', '--build', stage, deb], {
  stdio: ['ignore', 'ignore', 'inherit'],
});
rmSync(stage, { recursive: true });
console.log(relative(process.cwd(), deb));

function copy(from: string, to: string): void {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  cpSync(resolve(root, from), target, { recursive: true });
}

function write(to: string, content: string | Uint8Array): void {
  const target = join(stage, to);
  mkdirSync(dirname(target), { recursive: true });
  writeFileSync(target, content);
}

/**
 * Gives a tree the modes that an installed one has: every folder can be entered, every file read, and a file that begins
 * with `#!` run. Those of the checkout are by the umask of whoever made it, and 027 would shut user _pinholed out.
 */
function openToAll(path: string): void {
  const stat = lstatSync(path);
  if (stat.isSymbolicLink()) return;
  if (stat.isDirectory()) {
    chmodSync(path, 0o755);
    for (const name of readdirSync(path)) openToAll(join(path, name));
    return;
  }
  chmodSync(path, readFileSync(path).subarray(0, 2).toString() === '#!' ? 0o755 : 0o644);
}

function sizeOf(path: string): number {
  const { size } = statSync(path);
  if (!statSync(path).isDirectory()) return size;
  return readdirSync(path).reduce((sum, name) => sum + sizeOf(join(path, name)), size);
}
