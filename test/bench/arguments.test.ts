import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { wholeNumber } from '../../bench/arguments.ts';

describe('numbers behind the name of a benchmark', () => {
  it('are whole, from the least on that makes sense', () => {
    const read = (text?: string) => wholeNumber('CALLS', text, { least: 2, fallback: 32 });
    assert.deepEqual([read(), read('2'), read('400')], [32, 2, 400]);
    for (const text of ['', '1', '-3', '2.5', '1e3', 'many']) {
      assert.throws(() => read(text), {
        message: `CALLS: expected a whole number from 2 on, found ${JSON.stringify(text)}`,
      });
    }
  });

  it('are refused before anything is measured', () => {
    const program = fileURLToPath(new URL('../../bench/group-simulated.ts', import.meta.url));
    for (const [words, said] of [
      [['1'], /FIREWALLS: expected a whole number from 2 on, found "1"/],
      [['4', '0'], /CALLS: expected a whole number from 1 on, found "0"/],
    ] as const) {
      const { status, stderr } = spawnSync(process.execPath, ['--import', 'tsx', program, ...words]);
      assert.equal(status, 1);
      assert.match(String(stderr), said);
    }
  });
});
