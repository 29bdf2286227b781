import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import {
  type Compression,
  manifests,
  type PackageDescription,
  packageArchive,
  writePackage,
} from '../../scripts/packaging/pkg.ts';

const folder = mkdtempSync(join(tmpdir(), 'pinholed-pkg-'));
after(() => rmSync(folder, { recursive: true }));

const deep = `/usr/local/share/${'folder/'.repeat(14)}a-file-in-it.txt`;

const sample: PackageDescription = {
  name: 'sample',
  version: '1.2.3_4',
  origin: 'net/sample',
  comment: 'A package for tests',
  description: 'Opens 100% of nothing.\nGrüße',
  maintainer: 'nobody@example.org',
  www: 'https://example.org/',
  categories: ['net'],
  licenses: ['BSD2CLAUSE'],
  architecture: 'arm64',
  release: '*',
  users: ['_sample'],
  groups: ['_sample'],
  annotations: { made: 'here' },
  scripts: { 'post-install': 'echo "100%41 done"\nexit 0\n', 'pre-deinstall': 'exit 0\n' },
  message: 'Read this.',
  files: [
    { path: '/usr/local/bin/sample', content: Buffer.from('#!/bin/sh\nexit 0\n'), mode: 0o555 },
    {
      path: '/usr/local/etc/sample 100%.conf',
      content: Buffer.from('a: 1\n'),
      mode: 0o640,
      group: 'daemon',
      configuration: true,
    },
    { path: deep, content: Buffer.alloc(513, 'x'), mode: 0o644 },
    { path: '/usr/local/share/empty', content: Buffer.alloc(0), mode: 0o644 },
  ],
  directories: [{ path: '/var/db/sample', mode: 0o700, owner: 'daemon' }],
};

/** What libpkg's url_decode() makes of a text: `%` with two hexadecimal digits is a byte. */
function decoded(text: string): string {
  const bytes = text.replace(/%([0-9a-fA-F]{2})/g, (_, hex: string) =>
    String.fromCharCode(Number.parseInt(hex, 16)),
  );
  return Buffer.from(bytes, 'latin1').toString();
}

describe('a package as an archive', () => {
  for (const [compression, flag] of [
    ['none', []],
    ['xz', ['--xz']],
    ['zstd', ['--zstd']],
  ] as const satisfies readonly (readonly [Compression, readonly string[]])[]) {
    test(`tar reads it: ${compression}`, (context) => {
      if (compression === 'zstd' && spawnSync('zstd', ['--version']).error) return context.skip('no zstd(1)');
      const path = writePackage(folder, `sample-${compression}`, sample, compression);
      const listed = execFileSync('tar', ['-tvPf', path, ...flag, '--full-time', '--utc'], {
        encoding: 'utf8',
      });
      const { compact, whole } = manifests(sample);
      const rows = listed.trimEnd().split('\n');
      assert.deepEqual(
        rows.map((row) => row.replace(/^(\S+) (\S+) +(\d+) 1970-01-01 00:00:00 /, '$1 $2 $3 ')),
        [
          `-rw-r--r-- root/wheel ${Buffer.byteLength(compact)} +COMPACT_MANIFEST`,
          `-rw-r--r-- root/wheel ${Buffer.byteLength(whole)} +MANIFEST`,
          '-r-xr-xr-x root/wheel 17 /usr/local/bin/sample',
          '-rw-r----- root/daemon 5 /usr/local/etc/sample 100%.conf',
          `-rw-r--r-- root/wheel 513 ${deep}`,
          '-rw-r--r-- root/wheel 0 /usr/local/share/empty',
          'drwx------ daemon/wheel 0 /var/db/sample/',
        ],
      );
    });
  }

  test('the sums are those of the files', () => {
    const path = writePackage(folder, 'sums', sample, 'none');
    const target = mkdtempSync(join(folder, 'sums-'));
    execFileSync('tar', ['-xf', path, '-C', target, '--no-same-owner'], {
      stdio: ['ignore', 'ignore', 'ignore'],
    });
    const { files } = JSON.parse(readFileSync(join(target, '+MANIFEST'), 'utf8')) as {
      files: Record<string, string>;
    };
    assert.equal(Object.keys(files).length, sample.files.length);
    for (const [name, sum] of Object.entries(files)) {
      const [seen] = execFileSync('sha256sum', ['--', join(target, decoded(name))], { encoding: 'utf8' })
        .replace(/^\\/, '')
        .split(' ');
      assert.equal(sum, `1$${seen}`, name);
    }
  });

  test('the same description gives the same bytes', () => {
    assert.ok(packageArchive(sample).equals(packageArchive(structuredCloned(sample))));
  });

  test('a description that pkg would misread is refused', () => {
    const [file] = sample.files;
    for (const [wrong, message] of [
      [{ name: 'a b' }, /not a name/],
      [{ version: '1.0-2' }, /not a version/],
      [{ origin: 'sample' }, /not an origin/],
      [{ comment: 'a\nb' }, /one line/],
      [{ files: [file!, file!] }, /twice/],
      [{ files: [{ ...file!, path: 'usr/local/bin/x' }] }, /not an absolute path/],
      [{ files: [{ ...file!, path: '/usr/local/../etc/x' }] }, /not an absolute path/],
      [{ files: [{ ...file!, path: `/${'x'.repeat(101)}` }] }, /no place/],
    ] as const)
      assert.throws(() => packageArchive({ ...sample, ...wrong }), message);
  });
});

describe('the manifests', () => {
  const whole = JSON.parse(manifests(sample).whole) as Record<string, unknown>;
  const compact = JSON.parse(manifests(sample).compact) as Record<string, unknown>;

  test('texts come out of pkg as they went in', () => {
    const { scripts } = whole as { scripts: Record<string, string> };
    assert.equal(decoded(String(whole['desc'])), sample.description);
    assert.equal(decoded(scripts['post-install']!), sample.scripts!['post-install']);
    assert.match(JSON.stringify(whole), /^[\x20-\x7e]*$/, 'ASCII alone');
  });

  test('the compact one has everything but what is in the archive', () => {
    const { files, config, directories, scripts, ...rest } = whole;
    assert.deepEqual(compact, rest);
    assert.deepEqual(config, ['/usr/local/etc/sample 100%.conf']);
    assert.deepEqual(directories, { '/var/db/sample': 'y' });
    assert.deepEqual(Object.keys(scripts as object), ['post-install', 'pre-deinstall']);
    assert.equal((files as Record<string, string>)['/usr/local/etc/sample 100%25.conf']?.length, 2 + 64);
  });

  test('architectures as FreeBSD names them', () => {
    const names = (['amd64', 'arm64', 'any'] as const).map((architecture) => {
      const { abi, arch } = JSON.parse(manifests({ ...sample, architecture, release: '15' }).compact);
      return [abi, arch];
    });
    assert.deepEqual(names, [
      ['FreeBSD:15:amd64', 'freebsd:15:x86:64'],
      ['FreeBSD:15:aarch64', 'freebsd:15:aarch64:64'],
      ['FreeBSD:15:*', 'freebsd:15:*'],
    ]);
  });
});

/** FreeBSD's pkg(8) itself, built for this machine: PINHOLED_PKG names its executable. */
describe('pkg(8)', { skip: process.env['PINHOLED_PKG'] === undefined && 'PINHOLED_PKG is not set' }, () => {
  const pkg = (root: string, abi: string, ...args: string[]) =>
    spawnSync(
      process.env['PINHOLED_PKG']!,
      ['-r', root, '-o', `ABI=${abi}`, '-o', 'OSVERSION=1500000', ...args],
      { encoding: 'utf8' },
    );

  test('shows, installs, checks and removes it', () => {
    const path = writePackage(folder, 'real', { ...sample, scripts: {} });
    const root = mkdtempSync(join(folder, 'root-'));
    const info = pkg(root, 'FreeBSD:15:aarch64', 'info', '-F', path);
    assert.match(info.stdout, /^Name +: sample\nVersion +: 1\.2\.3_4$/m, info.stderr);
    assert.match(info.stdout, /Grüße/);
    const added = pkg(root, 'FreeBSD:15:aarch64', 'add', path);
    assert.equal(added.status, 0, added.stderr + added.stdout);
    assert.match(added.stdout, /Read this\./);
    for (const file of sample.files) assert.deepEqual(readFileSync(join(root, file.path)), file.content);
    assert.ok(existsSync(join(root, '/var/db/sample')));
    const checked = pkg(root, 'FreeBSD:15:aarch64', 'check', '-s', 'sample');
    assert.equal(checked.status, 0, checked.stderr + checked.stdout);
    const removed = pkg(root, 'FreeBSD:15:aarch64', 'delete', '-y', 'sample');
    assert.equal(removed.status, 0, removed.stderr + removed.stdout);
    for (const file of sample.files) assert.ok(!existsSync(join(root, file.path)), file.path);
    assert.ok(!existsSync(join(root, '/var/db/sample')));
  });

  test('every release of the right processor, and no other', () => {
    const path = writePackage(folder, 'where', { ...sample, scripts: {} }, 'zstd');
    for (const [abi, right] of [
      ['FreeBSD:14:aarch64', true],
      ['FreeBSD:16:aarch64', true],
      ['FreeBSD:15:amd64', false],
    ] as const) {
      const added = pkg(mkdtempSync(join(folder, 'root-')), abi, 'add', path);
      assert.equal(added.status === 0, right, abi + added.stderr);
    }
  });
});

function structuredCloned(description: PackageDescription): PackageDescription {
  return {
    ...description,
    files: description.files.map((file) => ({ ...file, content: Buffer.from(file.content) })),
  };
}
