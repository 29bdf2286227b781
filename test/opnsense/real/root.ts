import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { pluginFiles } from '../plugin.ts';

/** A tree of opnsense/core, 26.1.1 or later (26.1 loses the anchors of every plugin); nothing of it is in this repository. */
export const core = process.env['PINHOLED_OPNSENSE_SRC'];
const here = fileURLToPath(new URL('.', import.meta.url));

/** False, or the reason to skip: for node:test's `skip` option. */
export const withoutCore: string | false = reason();

function reason(): string | false {
  if (core === undefined) return 'PINHOLED_OPNSENSE_SRC is not set';
  if (process.getuid?.() !== 0) return 'needs root';
  if (spawnSync('php', ['-r', 'exit((int)!class_exists("SimpleXMLElement"));']).status !== 0)
    return 'there is no php-xml';
  return false;
}

/** The config.xml of the tests: LAN, two uplinks, a VLAN, and the plugin enabled as it is installed. */
export const usualConfig = readFileSync(new URL('config.xml', import.meta.url), 'utf8');

/** It with other values in the plugin's form. */
export function having(fields: Readonly<Record<string, string>>, config = usualConfig): string {
  return Object.entries(fields).reduce(
    (text, [key, value]) =>
      text.replace(new RegExp(`(<pinholed .*<${key}>)[^<]*`), (_, before) => before + value),
    config,
  );
}

/** Runs php with these arguments where OPNsense's tree and the plugin are installed; what it prints. Throws. */
export function run(config: string, args: readonly string[], plugin = pluginFiles): string {
  const { status, stdout, stderr } = spawnSync(
    'unshare',
    ['-m', 'sh', `${here}root.sh`, core!, plugin, here, ...args],
    { input: config, encoding: 'utf8', maxBuffer: 2 ** 26 },
  );
  if (status !== 0) throw new Error(`${stderr}${stdout}`);
  return stdout;
}

/** The ruleset that OPNsense makes for a configuration, without comments and empty lines. */
export function rulesetOf(config: string, plugin = pluginFiles): string[] {
  return run(config, ['/mnt/keep/ruleset.php'], plugin)
    .split('\n')
    .map((line) => line.replace(/#.*/, '').trim())
    .filter((line) => line !== '');
}

/** The daemon's configuration as the plugin writes it. */
export const configurationOf = (config: string): string => run(config, ['/mnt/keep/written.php']);
