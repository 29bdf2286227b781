/**
 * Makes installable packages on Linux; the executable in them is built first where it has to be (build:freebsd):
 * node --import tsx scripts/packaging/build.ts freebsd|opnsense|pfsense [amd64] [arm64] [--zstd]
 * They go to build/packages/PRODUCT/NAME-VERSION-ARCHITECTURE.pkg.
 */
import type { Buffer } from 'node:buffer';
import { statSync } from 'node:fs';
import { join, relative } from 'node:path';
import { packages as freebsd } from './freebsd.ts';
import { root } from './modules.ts';
import { packages as opnsense } from './opnsense.ts';
import { packages as pfsense } from './pfsense.ts';
import { ARCHITECTURES, type Architecture, type PackageDescription, writePackage } from './pkg.ts';
import { buildExecutables, builtExecutable } from './program.ts';

/** What is made for each product, for one architecture. */
const products: Readonly<
  Record<string, (architecture: Architecture, executable: Buffer) => PackageDescription[]>
> = {
  freebsd,
  opnsense,
  pfsense,
};

const words = process.argv.slice(2);
const product = words[0] ?? '';
const make = products[product];
const rest = words.slice(1).filter((word) => word !== '--zstd');
const isArchitecture = (word: string): word is Architecture => Object.hasOwn(ARCHITECTURES, word);
const wrong = make === undefined ? product : rest.find((word) => !isArchitecture(word));

if (make === undefined || wrong !== undefined) {
  const known = [...Object.keys(products), ...Object.keys(ARCHITECTURES)].join(', ');
  console.error(`packaging: ${wrong || 'nothing'} is not known: expected some of ${known}`);
  process.exitCode = 2;
} else {
  const named = rest.filter(isArchitecture);
  const wanted = named.length > 0 ? named : (Object.keys(ARCHITECTURES) as Architecture[]);
  const compression = words.includes('--zstd') ? 'zstd' : 'xz';
  for (const architecture of areBuilt(wanted) ? wanted : []) {
    for (const description of make(architecture, builtExecutable(architecture))) {
      const ending = description.architecture === 'any' ? '' : `-${architecture}`;
      const path = writePackage(
        join(root, 'build', 'packages', product),
        `${description.name}-${description.version}${ending}`,
        description,
        compression,
      );
      console.log(`${relative(root, path)}  ${(statSync(path).size / 1e6).toFixed(1)} MB`);
    }
  }
}

/** Whether there are executables for them, built where they had to be; if not, the exit status is set, and it was said why. */
function areBuilt(architectures: readonly Architecture[]): boolean {
  try {
    buildExecutables(architectures);
    return true;
  } catch {
    console.error(`packaging: no executable for ${architectures.join(', ')}: npm run build:freebsd failed`);
    process.exitCode = 1;
    return false;
  }
}
