import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { it } from 'node:test';
import { withoutShared } from '../shared.ts';
import { captureDocument, DOCUMENT } from './document.ts';

it('docs/evidence/captures.md says what a replay finds today', { skip: withoutShared }, () => {
  assert.equal(readFileSync(DOCUMENT, 'utf8'), captureDocument());
});
