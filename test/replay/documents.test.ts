import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { documents } from '../../scripts/docs/main.ts';
import { REFUSALS } from '../../src/call/refusal.ts';
import { formatDuration } from '../../src/config/kinds.ts';
import { defaults, kebab } from '../../src/config/schema.ts';
import { BLOCK_REASONS } from '../../src/report/replay/block-reasons.ts';

describe('generated pages', () => {
  for (const { path, text } of documents) {
    it(`${path.slice(path.lastIndexOf('/') + 1)} is what the source says`, () => {
      assert.equal(readFileSync(path, 'utf8'), text());
    });
  }

  it('docs/timers.md has every timer with its default', () => {
    const page = readFileSync(documents[1].path, 'utf8');
    for (const [name, value] of Object.entries(defaults().timers)) {
      assert.ok(page.includes(`| \`timers.${kebab(name)}\` | ${formatDuration(value)} |`), name);
    }
  });

  it('docs/refusals.md has every refusal and every reason for blocking', () => {
    const page = readFileSync(documents[0].path, 'utf8');
    for (const name of [...Object.keys(REFUSALS), ...Object.keys(BLOCK_REASONS)]) {
      assert.ok(page.includes(`| \`${name}\` | `), name);
    }
  });
});
