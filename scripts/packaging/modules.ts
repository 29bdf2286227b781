/** The modules that a package carries: those of package.json's `dependencies`, and koffi's natives for other systems. */
import { execFileSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);

/**
 * Folders of what `dependencies` need and this machine has, from the root, each with the modules inside it. By the
 * lock file: what was installed beside it (`npm install --no-save bun`) is none of them.
 */
export function productionModules(): string[] {
  const { packages } = json(join(root, 'package-lock.json')) as {
    readonly packages: Readonly<Record<string, { readonly dev?: boolean; readonly devOptional?: boolean }>>;
  };
  return Object.entries(packages)
    .filter(([path, { dev, devOptional }]) => path !== '' && dev !== true && devOptional !== true)
    .map(([path]) => path)
    .filter((path) => path.lastIndexOf('node_modules/') === 0 && existsSync(join(root, path)));
}

/** The same without koffi's native module, which is this machine's. */
export function portableModules(): string[] {
  return productionModules().filter((path) => !path.includes('@koromix'));
}

/** The version of koffi that is installed here; its native modules have the same. */
export function koffiVersion(): string {
  return (json(join(root, 'node_modules/koffi/package.json')) as { version: string }).version;
}

/** The folder of a package in this version: where it is installed, else from npm's registry below build. Absolute. */
export function unpacked(name: string, version: string): string {
  try {
    const manifest = require.resolve(`${name}/package.json`);
    if ((json(manifest) as { version: string }).version === version) return join(manifest, '..');
  } catch {}
  const folder = join(root, 'build/freebsd/packages', `${name.replace('/', '-')}-${version}`);
  if (existsSync(folder)) return join(folder, 'package');
  mkdirSync(folder, { recursive: true });
  execFileSync('npm', ['pack', '--silent', '--pack-destination', folder, `${name}@${version}`], {
    stdio: ['ignore', 'ignore', 'inherit'],
  });
  const archive = readdirSync(folder).find((file) => file.endsWith('.tgz'))!;
  execFileSync('tar', ['-xf', join(folder, archive), '-C', folder]);
  rmSync(join(folder, archive));
  return join(folder, 'package');
}

function json(path: string): unknown {
  return JSON.parse(readFileSync(path, 'utf8'));
}
