import type { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { existsSync, readdirSync, readFileSync, statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { root } from './modules.ts';
import type { Architecture, PackageDescription, PackageFile } from './pkg.ts';

/**
 * What packages of this project have in common. It has no public address yet: those here are to be set at the first
 * release, as in the Makefiles. `release`: the executable runs on every FreeBSD from 14.1 on.
 */
export const project = {
  version: (JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as { version: string }).version,
  maintainer: 'pinholed@pinholed.invalid',
  www: 'https://pinholed.invalid/',
  categories: ['net'],
  licenses: ['BSD2CLAUSE'],
  release: '*',
} as const satisfies Partial<PackageDescription>;

/** A file of the checkout as a file of a package. */
export function file(from: string, path: string, mode = 0o644): PackageFile {
  return { path, content: readFileSync(join(root, from)), mode };
}

/** Paths of all files below a folder, sorted. */
export function filesBelow(folder: string): string[] {
  return readdirSync(folder, { recursive: true, withFileTypes: true })
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name))
    .sort();
}

/**
 * Every file below a folder of the checkout, at the same place below `to`. Those that begin with `#!` may be executed.
 */
export function tree(from: string, to: string): PackageFile[] {
  const folder = join(root, from);
  return filesBelow(folder).map((path) => {
    const content = readFileSync(path);
    return {
      path: `${to}/${relative(folder, path)}`,
      content,
      mode: content.subarray(0, 2).toString() === '#!' ? 0o755 : 0o644,
    };
  });
}

/** What the executable is made of, beside npm's packages. */
const SOURCES = ['src', 'native-bindings', 'scripts/build-freebsd.mjs', 'package-lock.json'];

const executablePath = (architecture: Architecture) =>
  join(root, 'build/freebsd', `pinholed-${architecture}`);

/**
 * Has `npm run build:freebsd` make the executables that are not there, or older than their sources, all at once. Throws
 * when that fails.
 */
export function buildExecutables(architectures: readonly Architecture[]): void {
  const changed = Math.max(...SOURCES.map(changedAt));
  const due = architectures.filter((architecture) => {
    const path = executablePath(architecture);
    return !existsSync(path) || statSync(path).mtimeMs < changed;
  });
  if (due.length === 0) return;
  execFileSync('npm', ['run', 'build:freebsd', '--', ...due], {
    cwd: root,
    stdio: ['ignore', 'inherit', 'inherit'],
  });
}

/** The executable for it, which was built. */
export function builtExecutable(architecture: Architecture): Buffer {
  return readFileSync(executablePath(architecture));
}

/** When a file, or any below a folder, was changed last: ms since the epoch. */
function changedAt(name: string): number {
  const path = join(root, name);
  if (!statSync(path).isDirectory()) return statSync(path).mtimeMs;
  return Math.max(...filesBelow(path).map((file) => statSync(file).mtimeMs));
}

/** Executable, service script and manual pages. */
export function programFiles(executable: Buffer): PackageFile[] {
  return [
    { path: '/usr/local/bin/pinholed', content: executable, mode: 0o555 },
    file('packaging/freebsd/rc.d/pinholed', '/usr/local/etc/rc.d/pinholed', 0o555),
    file('packaging/man/pinholed.8', '/usr/local/share/man/man8/pinholed.8'),
    file('packaging/man/pinholed.yaml.5', '/usr/local/share/man/man5/pinholed.yaml.5'),
    file('LICENSE', '/usr/local/share/licenses/pinholed/BSD2CLAUSE'),
  ];
}

export const account = '_pinholed';

/** The account that reads packets; it owns nothing that it could change. pkg runs this with PKG_ROOTDIR set below another root. */
export const addAccount = `# The account that reads packets.
PW="/usr/sbin/pw\${PKG_ROOTDIR:+ -R \${PKG_ROOTDIR}}"
if ! \${PW} groupshow ${account} >/dev/null 2>&1; then
	\${PW} groupadd ${account}
fi
if ! \${PW} usershow ${account} >/dev/null 2>&1; then
	\${PW} useradd ${account} -g ${account} -d /nonexistent -s /usr/sbin/nologin -c "pinholed"
fi
`;

/** What a removed program leaves beside its files, below the root it was in: journal, sockets, account. Not at an upgrade. */
export const removeTraces = `if [ -n "\${PKG_UPGRADE}" ]; then
	exit 0
fi
ROOT="\${PKG_ROOTDIR%/}"
rm -rf "\${ROOT}/var/db/pinholed" "\${ROOT}/var/run/pinholed.sock" "\${ROOT}"/var/run/pinholed.pid*
PW="/usr/sbin/pw\${PKG_ROOTDIR:+ -R \${PKG_ROOTDIR}}"
if \${PW} usershow ${account} >/dev/null 2>&1; then
	\${PW} userdel ${account}
fi
if \${PW} groupshow ${account} >/dev/null 2>&1; then
	\${PW} groupdel ${account}
fi
exit 0
`;

/**
 * Ends every call of a daemon that runs, with the states of its pinholes, stops it and empties its anchors. What a daemon
 * that was stopped before has kept loses its rules; its states end by their timeouts. Removed from below another root, it is no
 * program that runs here.
 */
export const stopForGood = `if [ -n "\${PKG_UPGRADE}" ] || [ -n "\${PKG_ROOTDIR%/}" ]; then
	exit 0
fi
if /usr/local/etc/rc.d/pinholed onestatus >/dev/null 2>&1; then
	/usr/local/bin/pinholed flush >/dev/null 2>&1
	/usr/local/etc/rc.d/pinholed onestop
fi
for anchor in pinholed userrules/pinholed; do
	for shard in $(/sbin/pfctl -a "\${anchor}" -s Anchors 2>/dev/null) "\${anchor}"; do
		for kind in rules nat; do
			/sbin/pfctl -q -a "\${shard}" -F "\${kind}" 2>/dev/null
		done
	done
done
exit 0
`;
