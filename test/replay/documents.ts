import { writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { refusalsMarkdown } from '../../src/report/refusals-markdown.ts';
import { timersMarkdown } from '../../src/report/timers-markdown.ts';

/** Pages of docs/ that are made from tables in the source. Run as a program, this writes them. */
export const documents = [
  { path: fileURLToPath(new URL('../../docs/refusals.md', import.meta.url)), text: refusalsMarkdown },
  { path: fileURLToPath(new URL('../../docs/timers.md', import.meta.url)), text: timersMarkdown },
] as const;

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  for (const { path, text } of documents) writeFileSync(path, text());
}
