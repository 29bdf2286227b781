import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { LineCounter } from 'yaml';
import { fileReason } from '../reason.ts';
import type { Problem } from './problem.ts';
import { readSettings } from './read.ts';
import type { ConfiguredMachine } from './rules.ts';
import { defaults, type Settings } from './schema.ts';
import { type FaultReport, parseYaml } from './yaml.ts';

export { formatProblem, type Problem } from './problem.ts';
export { type ConfiguredMachine, cautions } from './rules.ts';
export { defaults, type Settings } from './schema.ts';

/**
 * Settings, or everything that is wrong with a configuration, in the order of the file; then never empty, and `rest` is what
 * the file says where it is right, with defaults for what it does not; null where it could not be read at all.
 */
export type Loaded =
  | { readonly ok: true; readonly settings: Settings }
  | { readonly ok: false; readonly problems: readonly Problem[]; readonly rest: Settings | null };

const LARGEST_FILE = 256 * 1024;
const TOO_LARGE = `expected at most ${LARGEST_FILE / 1024} KiB`;
const MOST_PROBLEMS = 100;

/** Where a configuration is looked for when none is named (hier(7) on FreeBSD). */
export function defaultConfigPath(platform: NodeJS.Platform = process.platform): string {
  return platform === 'freebsd' ? '/usr/local/etc/pinholed.yaml' : '/etc/pinholed.yaml';
}

/**
 * The configuration that a command is to use: the file named, which has to be there, or else the one in its
 * usual place, or else the defaults. `file` is null for the latter. With `machine`, what it names there has to be.
 */
export function findConfig(
  named: string | undefined,
  machine: ConfiguredMachine | null = null,
): Loaded & { readonly file: string | null } {
  const file = named ?? defaultConfigPath();
  const bytes = readFile(file);
  if (named === undefined && !Buffer.isBuffer(bytes) && bytes.code === 'ENOENT') {
    return { ok: true, settings: defaults(), file: null };
  }
  return { ...loadBytes(bytes, file, machine), file };
}

/** As `loadConfig`, from a file. That it cannot be read is a problem, too, never an exception. */
export function loadConfigFile(path: string, machine: ConfiguredMachine | null = null): Loaded {
  return loadBytes(readFile(path), path, machine);
}

/**
 * A configuration in YAML 1.2 (or JSON, which is YAML) to settings, or everything that is wrong with it. What the
 * text does not mention has its default. Anchors, aliases, tags and second documents are refused. Never throws;
 * work is bounded by the size of the text, and that by 256 KiB.
 */
export function loadConfig(text: string, fileName: string, machine: ConfiguredMachine | null = null): Loaded {
  if (text.length > LARGEST_FILE) return whole(fileName, TOO_LARGE);
  const lines = new LineCounter();
  const faults: {
    readonly offset: number;
    readonly key: string;
    readonly message: string | (() => string);
  }[] = [];
  const report: FaultReport = (offset, key, message) => {
    faults.push({ offset, key, message });
  };
  const document = parseYaml(text, lines, report);
  const settings = document === null ? defaults() : readSettings(document.contents, report, machine);
  if (faults.length === 0) return { ok: true, settings };
  faults.sort((one, other) => one.offset - other.offset);
  const problems = faults.slice(0, MOST_PROBLEMS).map(({ offset, key, message }): Problem => {
    const { line, col } = lines.linePos(offset);
    const words = typeof message === 'string' ? message : message();
    return { file: fileName, at: { line, column: col }, key, message: words };
  });
  const left = faults.length - problems.length;
  return {
    ok: false,
    rest: settings,
    problems:
      left === 0
        ? problems
        : [...problems, { file: fileName, at: null, key: '', message: `and ${left} more` }],
  };
}

function whole(file: string, message: string): Loaded {
  return { ok: false, problems: [{ file, at: null, key: '', message }], rest: null };
}

function loadBytes(
  bytes: Buffer | NodeJS.ErrnoException,
  path: string,
  machine: ConfiguredMachine | null,
): Loaded {
  if (!Buffer.isBuffer(bytes)) {
    const words = bytes.code === UNTRUSTED ? 'is not used' : 'cannot be read';
    return whole(path, `${words}: ${fileReason(bytes)}`);
  }
  return bytes.length > LARGEST_FILE
    ? whole(path, TOO_LARGE)
    : loadConfig(bytes.toString('utf8'), path, machine);
}

/** At most one byte more than is allowed, so that a device or a pipe cannot fill the memory; or the error. */
function readFile(path: string): Buffer | NodeJS.ErrnoException {
  let descriptor: number | null = null;
  try {
    descriptor = openSync(path, 'r');
    const fault = ownershipFault(descriptor);
    if (fault !== null) return Object.assign(new Error(fault), { code: UNTRUSTED });
    const buffer = Buffer.alloc(LARGEST_FILE + 1);
    let length = 0;
    for (let count = -1; count !== 0 && length < buffer.length; length += count) {
      count = readSync(descriptor, buffer, length, buffer.length - length, null);
    }
    return buffer.subarray(0, length);
  } catch (error) {
    return error as NodeJS.ErrnoException;
  } finally {
    if (descriptor !== null) closeSync(descriptor);
  }
}

const UNTRUSTED = 'UNTRUSTED';

/** Why the contents of a file must not decide what is let in; null when they may. Pipes are those who wrote them. */
function ownershipFault(descriptor: number): string | null {
  const stat = fstatSync(descriptor);
  if (!stat.isFile()) return null;
  const user = process.geteuid?.() ?? 0;
  if (stat.uid !== 0 && stat.uid !== user) {
    return `expected root${user === 0 ? '' : ` or user ${user}`} to own it, found user ${stat.uid}`;
  }
  const mode = stat.mode & 0o777;
  if ((mode & 0o002) !== 0)
    return `expected nobody else to be able to write it, found mode 0${mode.toString(8)}`;
  return null;
}
