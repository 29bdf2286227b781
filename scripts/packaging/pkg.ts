import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type TarMember, tarArchive } from './tar.ts';

/** FreeBSD's name of a processor, with what pkg(8) calls it in `arch`. */
export const ARCHITECTURES = { amd64: 'x86:64', arm64: 'aarch64:64' } as const;
export type Architecture = keyof typeof ARCHITECTURES;

/** What uname(1) and pkg's ABI say for it: `FreeBSD:15:aarch64`, not arm64. */
const ABI_NAMES: Readonly<Record<Architecture, string>> = { amd64: 'amd64', arm64: 'aarch64' };

export interface PackageFile {
  /** Absolute, where it is installed. */
  readonly path: string;
  readonly content: Buffer;
  readonly mode: number;
  readonly owner?: string;
  readonly group?: string;
  /** The administrator's once installed: an upgrade merges it, and a removal leaves it when it was changed. */
  readonly configuration?: boolean;
}

export interface PackageDirectory {
  readonly path: string;
  readonly mode: number;
  readonly owner?: string;
  readonly group?: string;
}

/** When a script runs: pkg-script(5), `scripts` in pkg-create(8). */
export type ScriptName =
  | 'pre-install'
  | 'post-install'
  | 'install'
  | 'pre-deinstall'
  | 'post-deinstall'
  | 'deinstall';

/** What pkg-create(8) calls the manifest, without what follows from the files. */
export interface PackageDescription {
  readonly name: string;
  /** `0.1.0`, or `0.1.0_1`: the same with a new revision of the package. No dash. */
  readonly version: string;
  /** `category/port`. */
  readonly origin: string;
  /** One line. */
  readonly comment: string;
  readonly description: string;
  readonly maintainer: string;
  readonly www: string;
  readonly categories: readonly string[];
  /** As FreeBSD's Mk/bsd.licenses.db.mk names them: `BSD2CLAUSE`. */
  readonly licenses: readonly string[];
  /** `any` for a package without machine code. */
  readonly architecture: Architecture | 'any';
  /** Major release of FreeBSD, or `*` where it runs on all that are supported. */
  readonly release: string;
  /** By package name. */
  readonly dependencies?: Readonly<Record<string, { readonly origin: string; readonly version: string }>>;
  /** Accounts that the files belong to. pkg(8) makes none: a `pre-install` script does. */
  readonly users?: readonly string[];
  readonly groups?: readonly string[];
  readonly annotations?: Readonly<Record<string, string>>;
  readonly scripts?: Readonly<Partial<Record<ScriptName, string>>>;
  /** Shown after the installation. */
  readonly message?: string;
  readonly files: readonly PackageFile[];
  /** Directories beyond those that a file needs, removed with the package when they are empty. */
  readonly directories?: readonly PackageDirectory[];
}

export type Compression = 'xz' | 'zstd' | 'none';

/**
 * Both manifests of a package, as pkg-create(8) describes them and libpkg's pkg_emit_object() writes them: JSON (which
 * is UCL), with `%` and everything past ASCII percent-encoded in texts that pkg decodes (description, scripts, paths).
 * Sums are SHA-256 in hexadecimal, marked `1$`.
 */
export function manifests(description: PackageDescription): { compact: string; whole: string } {
  const { name, origin, version, comment, maintainer, www } = description;
  const compact = {
    name,
    origin,
    version,
    comment,
    maintainer,
    www,
    abi: abi(description),
    arch: altabi(description),
    prefix: '/usr/local',
    flatsize: description.files.reduce((size, { content }) => size + content.length, 0),
    licenselogic: description.licenses.length > 1 ? 'and' : 'single',
    licenses: description.licenses,
    desc: encoded(description.description),
    ...(description.dependencies && { deps: description.dependencies }),
    categories: description.categories,
    ...(description.users && { users: description.users }),
    ...(description.groups && { groups: description.groups }),
    ...(description.annotations && { annotations: description.annotations }),
  };
  const configuration = description.files.filter((file) => file.configuration).map(({ path }) => path);
  const messages = description.message !== undefined && {
    messages: [{ message: description.message, type: 'install' }],
  };
  const whole = {
    ...compact,
    files: keyed(description.files.map((file) => [encoded(file.path), sum(file.content)])),
    ...(configuration.length > 0 && { config: configuration }),
    ...(description.directories && {
      directories: keyed(description.directories.map(({ path }) => [encoded(path), 'y'])),
    }),
    ...(description.scripts && {
      scripts: keyed(Object.entries(description.scripts).map(([when, text]) => [when, encoded(text)])),
    }),
    ...messages,
  };
  return { compact: JSON.stringify({ ...compact, ...messages }), whole: JSON.stringify(whole) };
}

/**
 * The package as an archive, not yet compressed: `+COMPACT_MANIFEST`, `+MANIFEST`, then files and directories under
 * their absolute paths. The same description gives the same bytes. `modified` is in seconds since the epoch.
 * Throws a RangeError for a description that pkg would misread.
 */
export function packageArchive(description: PackageDescription, modified = 0): Buffer {
  refuse(description);
  const { compact, whole } = manifests(description);
  const metadata = [
    ['+COMPACT_MANIFEST', compact],
    ['+MANIFEST', whole],
  ] as const;
  const root = { owner: 'root', group: 'wheel', modified };
  const members: TarMember[] = [
    ...metadata.map(([path, text]) => ({ ...root, path, content: Buffer.from(text), mode: 0o644 })),
    ...description.files.map((file) => ({ ...root, ...owners(file), ...file })),
    ...(description.directories ?? []).map((directory) => ({
      ...root,
      ...owners(directory),
      path: directory.path,
      mode: directory.mode,
      content: null,
    })),
  ];
  return tarArchive(members);
}

/** pkg 1.2x reads all of them (libarchive's filters). Needs xz(1) or zstd(1). */
export function compressed(archive: Buffer, compression: Compression): Buffer {
  if (compression === 'none') return archive;
  const [program, flags] = COMPRESSORS[compression];
  return execFileSync(program, flags, { input: archive, maxBuffer: 2 ** 30 });
}

/** One thread, so that the result is the same on every machine. */
const COMPRESSORS = {
  xz: ['xz', ['-9e', '-T1', '-c']],
  zstd: ['zstd', ['-q', '-19', '-T1', '-c']],
} as const;

/** Writes the package to `folder` under `name` (`.pkg` is added) and returns the path. */
export function writePackage(
  folder: string,
  name: string,
  description: PackageDescription,
  compression: Compression = 'xz',
): string {
  const modified = Number(process.env['SOURCE_DATE_EPOCH'] ?? 0);
  const path = join(folder, `${name}.pkg`);
  const archive = compressed(packageArchive(description, modified), compression);
  mkdirSync(folder, { recursive: true });
  writeFileSync(path, archive);
  return path;
}

function abi({ architecture, release }: PackageDescription): string {
  return `FreeBSD:${release}:${architecture === 'any' ? '*' : ABI_NAMES[architecture]}`;
}

function altabi({ architecture, release }: PackageDescription): string {
  return `freebsd:${release}:${architecture === 'any' ? '*' : ARCHITECTURES[architecture]}`;
}

function owners({ owner = 'root', group = 'wheel' }: { owner?: string; group?: string }) {
  return { owner, group };
}

function sum(content: Buffer): string {
  return `1$${createHash('sha256').update(content).digest('hex')}`;
}

function keyed(pairs: readonly (readonly [string, string])[]): Record<string, string> {
  return Object.fromEntries(pairs);
}

function encoded(text: string): string {
  return Buffer.from(text)
    .toString('latin1')
    .replace(/[%\x80-\xff]/g, (byte) => `%${byte.charCodeAt(0).toString(16).padStart(2, '0')}`);
}

function refuse({ name, version, origin, comment, files, directories = [] }: PackageDescription): void {
  const wrong = (what: string): never => {
    throw new RangeError(`package ${name}: ${what}`);
  };
  if (!/^[A-Za-z0-9._+-]+$/.test(name)) wrong('not a name');
  if (!/^[0-9A-Za-z][0-9A-Za-z._,]*$/.test(version)) wrong(`not a version: ${version}`);
  if (!/^[a-z0-9-]+\/[A-Za-z0-9._+-]+$/.test(origin)) wrong(`not an origin: ${origin}`);
  if (comment.includes('\n')) wrong('a comment has one line');
  const seen = new Set<string>();
  for (const { path } of [...files, ...directories]) {
    if (!path.startsWith('/') || path.split('/').some((part, at) => at > 0 && /^(|\.|\.\.)$/.test(part)))
      wrong(`not an absolute path: ${path}`);
    if (seen.has(path)) wrong(`twice: ${path}`);
    seen.add(path);
  }
}
