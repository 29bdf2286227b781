import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { describe, it } from 'node:test';
import { typescript } from '../../lab/actors.ts';

function script(shell: string): string {
  const [program, ...words] = typescript('../src/main.ts');
  const { status, stdout } = spawnSync(program, [...words, 'completion', shell], { encoding: 'utf8' });
  assert.equal(status, 0);
  return stdout;
}

/** What bash offers for the last of these words. */
function offered(completion: string, ...words: readonly string[]): string[] {
  const line = `${completion}
COMP_WORDS=(${words.map((word) => `'${word}'`).join(' ')}); COMP_CWORD=${words.length - 1}
_pinholed; printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { status, stdout, stderr } = spawnSync('bash', ['-euc', line], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return stdout.split('\n').filter((word) => word !== '');
}

describe('completion', () => {
  const bash = script('bash');

  it('has commands, and the options of each', () => {
    assert.deepEqual(offered(bash, 'pinholed', 'do'), ['doctor']);
    assert.deepEqual(offered(bash, 'pinholed', 'replay', '--in'), ['--inside']);
    assert.deepEqual(offered(bash, 'pinholed', 'check', '--in'), []);
  });

  it('has files where no option is begun', () => {
    assert.deepEqual(offered(bash, 'pinholed', 'replay', 'package.js'), ['package.json']);
  });

  it('names the same commands for zsh', () => {
    const zsh = script('zsh');
    for (const command of offered(bash, 'pinholed', '')) assert.ok(zsh.includes(`'${command}:`), command);
  });
});
