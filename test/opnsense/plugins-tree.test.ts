import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { packages } from '../../scripts/packaging/opnsense.ts';
import { project } from '../../scripts/packaging/program.ts';
import { pluginFiles } from './plugin.ts';

/** A tree of opnsense/plugins; nothing of it is in this repository. */
const tree = process.env['PINHOLED_PLUGINS_SRC'];
const bmake = spawnSync('bmake', ['-V', 'MAKE_VERSION']).status === 0;
const skip = tree === undefined ? 'PINHOLED_PLUGINS_SRC is not set' : !bmake && 'there is no bmake';

describe('the plugin in a tree of opnsense/plugins', { skip }, () => {
  let folder: string;
  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'pinholed-plugins-'));
    for (const name of ['Mk', 'Scripts', 'Templates', 'Keywords', 'LICENSE'])
      cpSync(join(tree!, name), join(folder, name), { recursive: true });
    mkdirSync(join(folder, 'net'));
    cpSync(join(pluginFiles, '..'), join(folder, 'net/pinholed'), { recursive: true });
    const git = ['-c', 'user.name=x', '-c', 'user.email=x@x.invalid', '-C', folder];
    for (const words of [
      ['init', '-q'],
      ['add', '-A'],
      ['commit', '-q', '-m', 'x'],
    ])
      assert.equal(spawnSync('git', [...git, ...words]).status, 0, words.join(' '));
  });
  after(() => rmSync(folder, { recursive: true }));

  /** What a target of plugins.mk prints, in which an empty PLUGIN_DEVEL stands for a release. */
  function made(target: string): string {
    const { status, stdout, stderr } = spawnSync(
      'bmake',
      ['-C', join(folder, 'net/pinholed'), 'PLUGIN_PHP=85', 'PLUGIN_PYTHON=313', 'PLUGIN_DEVEL=', target],
      { encoding: 'utf8' },
    );
    assert.equal(status, 0, stderr + stdout);
    return stdout;
  }

  it('has the name, the version and the licence of the package that is built here', () => {
    const [package_] = packages('amd64', Buffer.from(''));
    const manifest = made('manifest');
    assert.match(manifest, new RegExp(`^name: ${package_!.name}$`, 'm'));
    assert.match(manifest, new RegExp(`^version: "${project.version}"$`, 'm'));
    assert.ok(manifest.includes(`comment: "${package_!.comment}"`), manifest);
  });

  it('lists the files of that package, but for the program, which is another port’s there', () => {
    const [package_] = packages('amd64', Buffer.from(''));
    const listed = made('plist').trim().split('\n');
    const own = package_!.files.map(({ path }) => path);
    assert.deepEqual(
      listed.filter((path) => !own.includes(path)),
      [],
    );
    assert.ok(listed.length > 30);
    assert.deepEqual(
      own.filter((path) => !listed.includes(path) && path.includes('/opnsense/')),
      [],
    );
  });
});
