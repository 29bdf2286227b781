import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const mandoc = spawnSync('mandoc', ['-Tlint'], { input: '' });
const skip = mandoc.error ? 'needs mandoc' : false;

function page(name: string): string {
  return readFileSync(`${root}packaging/man/${name}`, 'utf8');
}

describe('manual pages', () => {
  for (const name of ['pinholed.8', 'pinholed.yaml.5']) {
    it(`${name} is clean mdoc`, { skip }, () => {
      const { stdout, stderr } = spawnSync('mandoc', ['-Tlint'], { input: page(name), encoding: 'utf8' });
      const complaints = `${stdout}${stderr}`
        .split('\n')
        .filter((line) => line !== '' && !line.includes('referenced manual not found'));
      assert.deepEqual(complaints, []);
    });
  }

  it('the example of pinholed.yaml.5 is a configuration', () => {
    const [, example] = /^A PBX at .*\n\.Bd [^\n]*\n([\s\S]*?)\.Ed$/m.exec(page('pinholed.yaml.5'))!;
    assert.ok('settings' in loadConfig(example!, 'example'));
  });

  it('pinholed.8 names every command', () => {
    const { stdout } = spawnSync(process.execPath, ['--import', 'tsx', 'src/main.ts', '--help'], {
      cwd: root,
      encoding: 'utf8',
    });
    const commands = [...stdout.matchAll(/^ {2}([a-z]+)/gm)].map(([, name]) => name!);
    assert.ok(commands.length > 10);
    const text = page('pinholed.8');
    for (const name of commands)
      assert.match(text, new RegExp(`^\\.It Cm (.* )?${name}\\b|^\\.It Cm ${name}`, 'm'));
  });
});
