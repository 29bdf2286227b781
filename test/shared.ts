import { existsSync } from 'node:fs';
import { fileURLToPath } from 'node:url';

/** Directory of captures and facts that nobody here wrote; it stands beside the checkout where it is there at all. */
export const sharedDir = fileURLToPath(new URL('../../shared', import.meta.url));

/** False, or the reason to skip: for node:test's `skip` option. */
export const withoutShared: string | false = existsSync(`${sharedDir}/captures/MANIFEST.tsv`)
  ? false
  : `needs the public captures in ${sharedDir}`;
