/**
 * Makes what the FreeBSD port of packaging/freebsd/port is built from, so that nothing is fetched while it is built:
 * node --import tsx scripts/packaging/port.ts, after npm run build. To build/port go the distfile (the compiled
 * program, the modules that it needs, koffi's native modules for FreeBSD) and a copy of the port with its distinfo.
 */
import type { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import {
  cpSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { project, root } from './program.ts';
import { type TarMember, tarArchive } from './tar.ts';

const name = `pinholed-${project.version}-freebsd`;
const out = join(root, 'build', 'port');

/** Folders of what package.json's `dependencies` need, from the root; native modules of other systems left out. */
function modules(): string[] {
  const listed = execFileSync('npm', ['ls', '--omit=dev', '--all', '--parseable'], {
    cwd: root,
    encoding: 'utf8',
  });
  return listed
    .split('\n')
    .map((line) => relative(root, line))
    .filter((path) => path.startsWith('node_modules/') && !path.includes('@koromix'));
}

/** koffi's native modules, from npm's registry. */
function natives(): TarMember[] {
  const { version } = JSON.parse(readFileSync(join(root, 'node_modules/koffi/package.json'), 'utf8')) as {
    version: string;
  };
  const folder = mkdtempSync(join(tmpdir(), 'pinholed-port-'));
  try {
    return ['koffi-freebsd-x64', 'koffi-freebsd-arm64'].flatMap((native) => {
      const spec = `@koromix/${native}@${version}`;
      execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, spec], { cwd: folder });
      const archive = readdirSync(folder).find((file) => file.includes(native) && file.endsWith('.tgz'))!;
      const unpacked = join(folder, native);
      mkdirSync(unpacked);
      execFileSync('tar', ['-xf', join(folder, archive), '-C', unpacked]);
      return members(join(unpacked, 'package'), `node_modules/@koromix/${native}`);
    });
  } finally {
    rmSync(folder, { recursive: true });
  }
}

function members(folder: string, to: string): TarMember[] {
  if (statSync(folder).isFile()) return [member(folder, to)];
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort()
    .map((path) => member(path, `${to}/${relative(folder, path)}`));
}

function member(path: string, to: string): TarMember {
  return {
    path: `${name}/${to}`,
    content: readFileSync(path),
    mode: 0o644,
    owner: 'root',
    group: 'wheel',
    modified: 0,
  };
}

/** As bsd.port.mk's makesum writes it. */
function distinfo(file: string, content: Buffer): string {
  const sum = createHash('sha256').update(content).digest('hex');
  return `TIMESTAMP = 0\nSHA256 (${file}) = ${sum}\nSIZE (${file}) = ${content.length}\n`;
}

const own = [
  'dist/src',
  'dist/native-bindings',
  'package.json',
  'LICENSE',
  'packaging/freebsd/rc.d',
  'packaging/man',
];
const configuration = ['packaging/freebsd/newsyslog.conf.d', 'packaging/freebsd/pinholed.yaml.sample'];
const archive = tarArchive([
  ...[...own, ...configuration, ...modules()].flatMap((path) => members(join(root, path), path)),
  ...natives(),
]);
const distfile = gzipSync(archive, { level: 9 });
rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'distfiles'), { recursive: true });
cpSync(join(root, 'packaging/freebsd/port'), out, { recursive: true });
writeFileSync(join(out, 'distfiles', `${name}.tar.gz`), distfile);
writeFileSync(join(out, 'net/pinholed/distinfo'), distinfo(`${name}.tar.gz`, distfile));
console.log(`${relative(root, out)}: ${name}.tar.gz ${(distfile.length / 1e6).toFixed(1)} MB`);
