import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';

const reporter = new URL('../reporter.mjs', import.meta.url).href;

test('a run ends with what was skipped and why, what failed, and the counts', () => {
  const folder = mkdtempSync(join(tmpdir(), 'pinholed-reporter-'));
  try {
    const file = join(folder, 'some.test.mjs');
    writeFileSync(
      file,
      `import { describe, it } from 'node:test';
       describe('a suite', { skip: 'needs a machine' }, () => it('inside it', () => {}));
       describe('another', () => {
         it('is fine', () => {});
         it('breaks', () => { throw new Error('the reason'); });
       });`,
    );
    const { NODE_TEST_CONTEXT: _, ...env } = process.env;
    const run = spawnSync(process.execPath, ['--test', `--test-reporter=${reporter}`, file], {
      encoding: 'utf8',
      env,
    });
    assert.equal(run.status, 1);
    assert.match(run.stdout, /needs a machine: 1\n/);
    assert.match(run.stdout, /FAILED [^\n]*some\.test\.mjs: breaks\n {2}Error: the reason\n/);
    assert.match(run.stdout, /\n1 passed, 1 failed, 1 skipped\n$/);
  } finally {
    rmSync(folder, { recursive: true });
  }
});
