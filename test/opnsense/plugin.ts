import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

/** Below it, what is installed in /usr/local. */
export const pluginFiles = fileURLToPath(
  new URL('../../packaging/opnsense/net/pinholed/src', import.meta.url),
);

const driver = fileURLToPath(new URL('driver.php', import.meta.url));
const library = `${pluginFiles}/opnsense/mvc/app/library`;

/** A reason to skip, or false. */
export const withoutPhp = spawnSync('php', ['--version']).error !== undefined && 'there is no php';

/** What the plugin's PHP makes of `given`. Throws what PHP said when it failed, warnings and deprecations included. */
export function php<T>(given: { readonly task: string } & Readonly<Record<string, unknown>>): T {
  const { status, stdout, stderr } = spawnSync('php', ['-d', 'display_errors=stderr', driver, library], {
    input: JSON.stringify(given),
    encoding: 'utf8',
  });
  if (status !== 0 || stderr !== '') throw new Error(`php: ${stderr}${stdout}`);
  return JSON.parse(stdout) as T;
}
