import { readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { buildSync } from 'esbuild';

interface PageAssets {
  /** The page's code as one classic script. */
  readonly script: string;
  readonly style: string;
}

/** From source, code and style are made on the spot. `npm run build` puts their text into this module's place. */
export const assets: PageAssets = {
  script: bundled('browser/main.ts'),
  style: readFileSync(new URL('browser/page.css', import.meta.url), 'utf8'),
};

function bundled(entry: string): string {
  const { outputFiles } = buildSync({
    entryPoints: [fileURLToPath(new URL(entry, import.meta.url))],
    bundle: true,
    write: false,
    format: 'iife',
    target: 'es2022',
    charset: 'utf8',
    legalComments: 'none',
    tsconfigRaw: {},
  });
  return outputFiles[0]!.text;
}
