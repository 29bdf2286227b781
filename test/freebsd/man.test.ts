import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { loadConfig } from '../../src/config/load.ts';

const root = fileURLToPath(new URL('../../', import.meta.url));
const mandoc = spawnSync('mandoc', ['-Tlint'], { input: '' });
const skip = mandoc.error ? 'needs mandoc' : false;
const groff = spawnSync('groff', ['-mdoc', '-Tascii'], { input: '' });

/** The words of a page as a formatter sets it, without overstrikes, hyphenation and line ends. */
function words(program: string, args: readonly string[], source: string): string[] {
  const { stdout } = spawnSync(program, args, { input: source, encoding: 'utf8' });
  return stdout.replace(/.\x08/g, '').match(/[A-Za-z]{4,}/g) ?? [];
}

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

  for (const name of ['pinholed.8', 'pinholed.yaml.5']) {
    it(`${name} is whole under man(1) of Linux as well`, {
      skip: skip || (groff.error ? 'needs groff' : false),
    }, () => {
      const source = page(name);
      const here = new Set(words('groff', ['-mdoc', '-Tascii', '-rLL=500n', '-rHY=0'], source));
      const there = words('mandoc', ['-Tascii', '-Owidth=500'], source);
      const lost = [...new Set(there)].filter((word) => !here.has(word) && word !== 'Debian');
      assert.ok(there.length > 300);
      assert.deepEqual(lost, []);
      const { stderr } = spawnSync('groff', ['-mdoc', '-Tascii', '-ww'], { input: source, encoding: 'utf8' });
      assert.equal(stderr, '');
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
