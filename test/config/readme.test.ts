import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, it } from 'node:test';

const root = new URL('../../', import.meta.url);

describe('the list of documents in README.md', () => {
  it('has each of docs/ once', () => {
    const rows = readFileSync(new URL('README.md', root), 'utf8').matchAll(
      /^\| \[(docs\/[^\]]+)\]\(\1\) \|/gm,
    );
    const documents = readdirSync(new URL('docs/', root), { recursive: true, encoding: 'utf8' });
    assert.deepEqual(
      [...rows].map(([, path]) => path).sort(),
      documents.flatMap((name) => (name.endsWith('.md') ? [`docs/${name}`] : [])).sort(),
    );
  });
});
