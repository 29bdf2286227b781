import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { packageFiles, withoutPhp } from './package.ts';

const files = readdirSync(packageFiles, { recursive: true })
  .map(String)
  .filter((name) => /\.(inc|php)$/.test(name))
  .sort();

describe('pfSense package: every PHP file', { skip: withoutPhp }, () => {
  it('is PHP without errors or deprecations', () => {
    const paths = files.map((name) => join(packageFiles, name));
    const script =
      'foreach (array_slice($argv, 1) as $f) { passthru("php -d error_reporting=-1 -d display_errors=1 -l " . escapeshellarg($f), $rc); if ($rc) exit(1); }';
    const { status, stdout, stderr } = spawnSync('php', ['-r', script, '--', ...paths], { encoding: 'utf8' });
    assert.equal(status, 0, stdout + stderr);
    assert.deepEqual(
      stdout.split('\n').filter((line) => line !== '' && !line.startsWith('No syntax errors')),
      [],
    );
  });

  it('is laid out as pfSense’s own files are: tabs, no blanks at the end, a line end at the end', () => {
    for (const name of files) {
      const text = readFileSync(join(packageFiles, name), 'utf8');
      assert.match(text, /^<\?php\n\/\*\n \* /, name);
      assert.match(text, /[^\n]\n$/, name);
      for (const [index, line] of text.split('\n').entries()) {
        assert.doesNotMatch(line, /[ \t]+$|^ {2,}\S|\r/, `${name}:${index + 1}`);
      }
    }
  });
});
