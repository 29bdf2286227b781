import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { configurationMarkdown } from '../../src/config/markdown.ts';
import { printSample } from '../../src/config/print.ts';
import { manPage } from './man.ts';
import { refusalsMarkdown } from './refusals.ts';
import { timersMarkdown } from './timers.ts';

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));

/** Pages that are made from tables in the source. Run as a program (`npm run docs`), this writes them. */
export const documents = [
  { path: at('docs/refusals.md'), text: refusalsMarkdown },
  { path: at('docs/timers.md'), text: timersMarkdown },
  { path: at('docs/configuration.md'), text: configurationMarkdown },
  { path: at('packaging/freebsd/pinholed.yaml.sample'), text: () => printSample('freebsd') },
  { path: at('packaging/man/pinholed.yaml.5'), text: manPage },
] as const;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text } of documents) writeFileSync(path, text());
}
