import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { packages as freebsd } from '../../scripts/packaging/freebsd.ts';
import { packages as opnsense } from '../../scripts/packaging/opnsense.ts';
import { packages as pfsense } from '../../scripts/packaging/pfsense.ts';
import { packageArchive, writePackage } from '../../scripts/packaging/pkg.ts';

const folder = mkdtempSync(join(tmpdir(), 'pinholed-products-'));
after(() => rmSync(folder, { recursive: true }));

/** What `npm run build:freebsd` makes takes minutes; what stands for it here is packed in the same way. */
const executable = Buffer.from('#!/bin/sh\nexit 0\n');
const products = {
  freebsd: freebsd('amd64', executable),
  opnsense: opnsense('amd64', executable),
  pfsense: pfsense('amd64', executable),
};

for (const [product, descriptions] of Object.entries(products))
  describe(`packages for ${product}`, () => {
    for (const description of descriptions) {
      const paths = description.files.map(({ path }) => path);

      it(`${description.name}: can be written`, () => {
        assert.ok(packageArchive(description).length > 0);
      });

      it(`${description.name}: has the program, its service and its manuals, root’s alone to change`, () => {
        for (const path of ['/usr/local/bin/pinholed', '/usr/local/etc/rc.d/pinholed'])
          assert.ok(paths.includes(path), path);
        for (const { path, mode, owner = 'root' } of description.files) {
          assert.equal(mode & 0o022, 0, path);
          assert.equal(owner, 'root', path);
        }
      });

      it(`${description.name}: its scripts are shell scripts`, () => {
        for (const [when, text] of Object.entries(description.scripts ?? {})) {
          const { status, stderr } = spawnSync('sh', ['-n'], { input: text, encoding: 'utf8' });
          assert.equal(status, 0, `${when}: ${stderr}`);
          const ends = text.trimEnd().endsWith('exit 0') || when === 'pre-install';
          assert.ok(ends, `${when}: a failure would stop pkg half way`);
        }
      });

      it(`${description.name}: removed from below another root, it leaves this system's own alone`, (context) => {
        if (process.getuid?.() !== 0) return context.skip('needs root');
        const root = mkdtempSync(join(folder, 'other-'));
        const traces = ['var/db/pinholed/journal', 'var/run/pinholed.pid', 'var/run/pinholed.sock'];
        for (const trace of traces) {
          mkdirSync(join(root, trace, '..'), { recursive: true });
          writeFileSync(join(root, trace), '');
        }
        const { 'pre-deinstall': before = '', 'post-deinstall': behind = '' } = description.scripts ?? {};
        for (const text of [before, behind]) {
          const own = 'mount -t tmpfs own /var && mkdir -p /var/run && cp -R "$0"/var/db "$0"/var/run /var';
          const script = `${own} && PKG_ROOTDIR="$0" sh -c "$1" && find /var -type f | sort`;
          const ran = spawnSync('unshare', ['-m', 'sh', '-c', script, root, text], { encoding: 'utf8' });
          assert.equal(ran.stdout, traces.map((trace) => `/${trace}\n`).join(''), ran.stderr);
        }
      });

      it(`${description.name}: pkg installs and removes it, and nothing is left`, (context) => {
        const pkg = process.env['PINHOLED_PKG'];
        if (pkg === undefined) return context.skip('PINHOLED_PKG is not set');
        const path = writePackage(folder, description.name, { ...description, scripts: {} });
        const target = mkdtempSync(join(folder, 'root-'));
        const run = (...args: string[]) =>
          spawnSync(pkg, ['-r', target, '-o', 'ABI=FreeBSD:15:amd64', '-o', 'OSVERSION=1500000', ...args], {
            encoding: 'utf8',
          });
        const added = run('add', path);
        assert.equal(added.status, 0, added.stderr);
        for (const name of paths) assert.ok(existsSync(join(target, name)), name);
        const removed = run('delete', '-y', description.name);
        assert.equal(removed.status, 0, removed.stderr);
        const left = readdirSync(target, { recursive: true }).map(String);
        assert.deepEqual(
          left.filter((name) => name.startsWith('usr/local/')),
          [],
        );
      });
    }
  });
