import assert from 'node:assert/strict';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { withoutChromium } from './chromium.ts';
import { takeScreenshots } from './screenshots.ts';

test('the pictures of docs/ can be made again, each less than 200 kB', {
  skip: withoutChromium,
}, async () => {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-screenshots-'));
  try {
    const names = await takeScreenshots(directory);
    assert.deepEqual(names, ['report-one-way-audio.png', 'report-dark.png', 'report-phone.png']);
    for (const name of names) {
      const png = readFileSync(join(directory, name));
      assert.equal(png.toString('latin1', 1, 4), 'PNG');
      assert.equal(png.readUInt32BE(16), name === 'report-phone.png' ? 390 : 1180);
      assert.ok(png.length < 200_000);
    }
  } finally {
    rmSync(directory, { recursive: true });
  }
});
