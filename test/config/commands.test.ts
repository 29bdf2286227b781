import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../../src/version.ts';

const main = fileURLToPath(new URL('../../src/main.ts', import.meta.url));
const directory = mkdtempSync(join(tmpdir(), 'pinholed-'));

function pinholed(...words: string[]) {
  const { status, stdout, stderr } = spawnSync(process.execPath, ['--import', 'tsx', main, ...words], {
    encoding: 'utf8',
    env: { ...process.env, LANG: 'de_DE.UTF-8' },
  });
  return { status, stdout, stderr };
}

function fileWith(name: string, text: string): string {
  const path = join(directory, name);
  writeFileSync(path, text);
  return path;
}

describe('pinholed check', () => {
  it('accepts a good file', () => {
    const path = fileWith('good.yaml', 'inside: [192.0.2.0/24]\n');
    assert.deepEqual(pinholed('check', '--config', path), { status: 0, stdout: `${path}: ok\n`, stderr: '' });
  });

  it('names every problem of a bad one', () => {
    const path = fileWith('bad.yaml', 'insid: [192.0.2.0/24]\nice: 1\n');
    assert.deepEqual(pinholed('check', '-c', path), {
      status: 1,
      stdout: '',
      stderr: `${path}:1:1: insid: unknown key, did you mean inside?\n${path}:2:6: ice: expected true or false, found "1"\n`,
    });
  });

  it('cautions where a good file opens wide', () => {
    const { status, stderr } = pinholed('check', '-c', fileWith('wide.yaml', 'media-source: any\n'));
    assert.equal(status, 0);
    assert.match(stderr, /wide\.yaml: caution: media-source: any lets everybody send/);
  });

  it('fails on a file that was named and is not there', () => {
    const { status, stderr } = pinholed('check', '-c', join(directory, 'none.yaml'));
    assert.equal(status, 1);
    assert.match(stderr, /none\.yaml: cannot be read: there is no such file/);
  });
});

describe('pinholed config', () => {
  it('prints the settings in force, as a file that check accepts', () => {
    const path = fileWith('some.yaml', 'timers: {ringing: 61}\n');
    const { status, stdout } = pinholed('config', '--print', '--config', path);
    assert.equal(status, 0);
    assert.match(stdout, /^ {2}ringing: 61s$/m);
    assert.equal(pinholed('check', '-c', fileWith('printed.yaml', stdout)).status, 0);
  });

  it('prints JSON', () => {
    const { stdout } = pinholed(
      'config',
      '--print',
      '--format',
      'json',
      '-c',
      fileWith('e.yaml', 'ice: false'),
    );
    assert.equal(JSON.parse(stdout).ice, false);
  });
});

describe('pinholed', () => {
  it('has the version of the package', () => {
    const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
    assert.equal(VERSION, JSON.parse(text).version);
    assert.equal(pinholed('--version').stdout, `${VERSION}\n`);
  });

  it('shows with every command a line to type', () => {
    const { stdout } = pinholed('completion', 'bash');
    const names = /^ {4}_pinholed_words "([^"]+)"$/m.exec(stdout)![1]!.split(' ');
    assert.ok(names.length > 20);
    for (const name of names) {
      const help = pinholed(name, '--help').stdout;
      assert.match(help, new RegExp(`^Examples:\\n(.*\\n)*.*pinholed ${name}\\b`, 'm'), name);
    }
  });

  it('takes an option that may be given several times as often as it is given, and a flag twice', () => {
    const twice = pinholed('replay', '--inside', '10.0.0.0/8', '--inside', '192.0.2.0/24', 'none.pcap');
    assert.match(twice.stderr, /^pinholed: none\.pcap: cannot be read: there is no such file\n$/);
    const gone = join(directory, 'none');
    const flag = pinholed('status', '--json', '--json=true', '--socket', gone);
    assert.deepEqual([flag.status, flag.stderr.includes('there is no such socket')], [3, true]);
  });

  it('has "help" and "help COMMAND", too', () => {
    assert.equal(pinholed('help').stdout, pinholed('--help').stdout);
    assert.equal(pinholed('help', 'status').stdout, pinholed('status', '--help').stdout);
  });

  it('lists its commands under headings', () => {
    const { status, stdout } = pinholed('--help');
    assert.equal(status, 0);
    assert.match(stdout, /^Configuration:\n {2}check +\S/m);
  });

  for (const [words, message] of [
    [[], 'expected a command'],
    [['chekc'], 'unknown command "chekc", did you mean check?'],
    [['check', '--confg', 'x'], 'unknown option or word "confg", did you mean --config?'],
    [['check', '-c', 'a', '-c', 'b'], 'expected --config once'],
    [['check', '-c'], '-c: expected a value after it'],
    [['check', '-config', 'x'], 'unknown option "-config", did you mean --config?'],
    [['check', '/etc/p.yaml'], 'unknown option or word "/etc/p.yaml", did you mean --config /etc/p.yaml?'],
    [['check', '--config='], '--config: expected the name of a file, found an empty word'],
    [['config', '--format'], '--format: expected a value after it'],
    [['--status'], 'expected a command, found "--status", did you mean status?'],
    [['-v'], 'expected a command, found "-v", did you mean --version?'],
    [['help', 'statsu'], 'unknown command "statsu", did you mean status?'],
    [['status', '--json=maybe'], '--json: expected no value, found "maybe"'],
    [['status', '--socket', ''], '--socket: expected the path of a socket, found an empty word'],
    [['calls', '--sort', 'age', '--sort', 'idle'], 'expected --sort once'],
    [['calls', '-n', '1', '--limit', '2'], 'expected --limit once'],
    [['whatif', 'x'], 'expected --config FILE'],
    [
      ['reload', 'x'],
      'expected --dry-run FILE; what makes the daemon read its file again is SIGHUP (service pinholed reload)',
    ],
    [['refused', '--limit', 'abc'], '--limit: expected a whole number from 1 on, found "abc"'],
    [['top', '--interval', '90'], '--interval: expected seconds between 0.5 and 60, found "90"'],
    [
      ['exposure', '--range', '20000-10000'],
      '--range: expected ports such as 10000-20000, found "20000-10000"',
    ],
    [['config', 'extra'], 'unknown option or word "extra"'],
    [['config', 'EXTRA'], 'unknown option or word "EXTRA"'],
    [['config', '--forMat', 'yaml'], 'unknown option or word "forMat", did you mean --format?'],
    [['config', '--format', 'xml'], '--format: expected yaml, json, sample, markdown or mdoc, found "xml"'],
    [['replay'], 'expected FILE...'],
    [['explain'], 'expected CALL'],
    [['run', '--keep', '--drop'], 'expected --drop or --keep, found both'],
    [['completion'], 'expected SHELL: bash, zsh or fish'],
    [['completion', 'csh'], 'SHELL: expected bash, zsh or fish, found "csh"'],
    [['calls', '--limit', 'abc'], '--limit: expected a whole number from 1 on, found "abc"'],
    [['calls', '-n', '0'], '--limit: expected a whole number from 1 on, found "0"'],
    [['calls', '--silent', '3x'], '--silent: expected seconds, or a time such as 30s or 2m, found "3x"'],
    [
      ['replay', 'x', '--from', 'yesterday'],
      '--from: expected a time such as 2026-07-01T12:00:00Z, 1782900000.5 or +90, found "yesterday"',
    ],
  ] as const) {
    it(`refuses "${['pinholed', ...words].join(' ')}" in one clear line`, () => {
      const { status, stdout, stderr } = pinholed(...words);
      assert.equal(status, 1);
      assert.equal(stdout, '');
      assert.equal(stderr.split('\n')[0], `pinholed: ${message}`);
      assert.doesNotMatch(stderr, /^ +at /m);
    });
  }
});
