/**
 * Makes what the FreeBSD port of packaging/freebsd/port is built from, so that nothing is fetched while it is built:
 * node --import tsx scripts/packaging/port.ts, after npm run build. To build/port go the distfile (the compiled
 * program, the modules that it needs, koffi's native modules for FreeBSD) and a copy of the port with its distinfo.
 */
import type { Buffer } from 'node:buffer';
import { createHash } from 'node:crypto';
import { cpSync, mkdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { join, relative } from 'node:path';
import { gzipSync } from 'node:zlib';
import { koffiVersion, portableModules, root, unpacked } from './modules.ts';
import { filesBelow, project } from './program.ts';
import { type TarMember, tarArchive } from './tar.ts';

const name = `pinholed-${project.version}-freebsd`;
const out = join(root, 'build', 'port');

/** koffi's native modules for FreeBSD. */
function natives(): TarMember[] {
  return ['koffi-freebsd-x64', 'koffi-freebsd-arm64'].flatMap((native) =>
    members(unpacked(`@koromix/${native}`, koffiVersion()), `node_modules/@koromix/${native}`),
  );
}

function members(folder: string, to: string): TarMember[] {
  if (statSync(folder).isFile()) return [member(folder, to)];
  return filesBelow(folder).map((path) => member(path, `${to}/${relative(folder, path)}`));
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
  ...[...own, ...configuration, ...portableModules()].flatMap((path) => members(join(root, path), path)),
  ...natives(),
]);
const distfile = gzipSync(archive, { level: 9 });
rmSync(out, { recursive: true, force: true });
mkdirSync(join(out, 'distfiles'), { recursive: true });
cpSync(join(root, 'packaging/freebsd/port'), out, { recursive: true });
writeFileSync(join(out, 'distfiles', `${name}.tar.gz`), distfile);
writeFileSync(join(out, 'net/pinholed/distinfo'), distinfo(`${name}.tar.gz`, distfile));
console.log(`${relative(root, out)}: ${name}.tar.gz ${(distfile.length / 1e6).toFixed(1)} MB`);
