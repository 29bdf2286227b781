import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** The files of the pfSense package, as they lie below `/`. */
export const packageFiles = fileURLToPath(
  new URL('../../packaging/pfsense/net/pfSense-pkg-pinholed/files', import.meta.url),
);

/** False, or the reason to skip: for node:test's `skip` option. */
export const withoutPhp: string | false = spawnSync('php', ['-v']).status === 0 ? false : 'needs php-cli';

/** A tree as pfSense keeps it in config.xml: empty elements are ''. */
export type Tree = { readonly [key: string]: string | Tree | readonly Tree[] };

export interface Case {
  /** What the form has stored. */
  readonly form?: Tree;
  readonly interfaces?: Tree;
  readonly rules?: readonly Tree[];
  /** Further sections of the configuration. */
  readonly more?: Tree;
  /** What the stand-in answers for the machine: see standin.php. */
  readonly machine?: Readonly<Record<string, unknown>>;
}

export interface Made {
  readonly nat: string;
  readonly pfearly: string;
  readonly filter: string;
  /** `pfearly` once more. */
  readonly again: string;
  /** What is made for types that pfSense does not ask for. */
  readonly other: string;
  readonly negateTracker: number;
  readonly yaml: string;
  /** The field of the form that each line of `yaml` comes from. */
  readonly fields: readonly (string | null)[];
  /** What the daemon reads beside it: path and text, null for what there is to be none of. */
  readonly secrets: Readonly<Record<string, string | null>>;
  /** What the form itself finds wrong, the daemon's check having nothing to say: field and message. */
  readonly faults: readonly (readonly [field: string, message: string])[];
  /** What may be set in the daemon’s words. */
  readonly more: readonly string[];
}

const LAN: Tree = { lan: { if: 'igb1', descr: 'LAN', enable: '', ipaddr: '192.168.1.1', subnet: '24' } };
const WAN: Tree = { wan: { if: 'igb0', descr: 'WAN', enable: '', ipaddr: '203.0.113.2', subnet: '24' } };

/** Config.xml of a firewall with WAN and LAN, as far as the package reads it. */
export function configOf({ form, interfaces, rules, more }: Case): Tree {
  return {
    system: { ipv6allow: '' },
    interfaces: interfaces ?? { ...WAN, ...LAN },
    filter: { rule: rules ?? [] },
    installedpackages: { pinholed: { config: [{ enable: 'on', ...form }] } },
    ...more,
  };
}

/** What the package makes of each, in one run of PHP. Throws with what PHP wrote when it stumbled. */
export function make(cases: readonly Case[]): Made[] {
  const input = JSON.stringify(cases.map((one) => ({ config: configOf(one), machine: one.machine ?? {} })));
  return php<Made[]>(['driver.php'], input);
}

/** Runs a file of this folder; its answer is JSON. */
export function php<T>(args: readonly string[], input: string): T {
  const [file = '', ...rest] = args;
  const path = fileURLToPath(new URL(file, import.meta.url));
  const { status, stdout, stderr } = spawnSync('php', ['-d', 'display_errors=stderr', path, ...rest], {
    input,
    encoding: 'utf8',
    maxBuffer: 64 * 1024 * 1024,
  });
  if (status !== 0) throw new Error(`php ${file}: ${stderr}${stdout}`);
  return JSON.parse(stdout) as T;
}
