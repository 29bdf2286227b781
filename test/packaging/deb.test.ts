import assert from 'node:assert/strict';
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { VERSION } from '../../src/version.ts';

const root = fileURLToPath(new URL('../..', import.meta.url));
const isDebian = spawnSync('dpkg-deb', ['--version']).status === 0;
const hasAnalyze = spawnSync('systemd-analyze', ['--version']).status === 0;

describe('the package for Debian', { skip: isDebian ? false : 'needs dpkg-deb' }, () => {
  let folder: string;
  let tree: string;
  const installed = (path: string) => join(tree, path);
  const run = (...args: readonly string[]) =>
    spawnSync(installed('usr/bin/pinholed'), args, { encoding: 'utf8', cwd: folder });

  before(() => {
    folder = mkdtempSync(join(tmpdir(), 'pinholed-deb-'));
    tree = join(folder, 'tree');
    const dist = join(folder, 'dist');
    // As root's shell has it on a hardened machine.
    const umask = process.umask(0o027);
    const node = (...args: readonly string[]) =>
      execFileSync(process.execPath, args, { cwd: root, stdio: ['ignore', 'ignore', 'inherit'] });
    node('node_modules/typescript/bin/tsc', '-p', 'tsconfig.build.json', '--outDir', dist);
    node('--import', 'tsx', 'scripts/freeze-page.ts', join(dist, 'src/report/page/assets.js'));
    node('--import', 'tsx', 'scripts/freeze-packages.ts', join(dist, 'src'));
    node('--import', 'tsx', 'scripts/packaging/build-deb.ts', folder, dist);
    process.umask(umask);
    const [deb] = readdirSync(folder).filter((name) => name.endsWith('.deb'));
    execFileSync('dpkg-deb', ['-x', join(folder, deb!), tree]);
    execFileSync('dpkg-deb', ['-e', join(folder, deb!), join(tree, 'DEBIAN')]);
  });

  after(() => rmSync(folder, { recursive: true, force: true }));

  it('has a program that runs from where it is installed', () => {
    const told = run('--version');
    assert.deepEqual([told.status, told.stdout, told.stderr], [0, `${VERSION}\n`, '']);
    const config = join(folder, 'pinholed.yaml');
    writeFileSync(config, 'inside: [192.0.2.0/24]\nmedia-ports: [10000-20000]\n');
    assert.equal(run('check', '--config', config).status, 0);
    const [capture] = readdirSync(join(root, 'pcaps')).filter((name) => /\.pcap(ng)?$/.test(name));
    const { status, stdout } = run('replay', '--html', 'report.html', join(root, 'pcaps', capture!));
    assert.equal(status, 0, stdout);
    assert.ok(statSync(join(folder, 'report.html')).size > 0);
  });

  it('reads packages that every start needs from one module each, which says whose they are', () => {
    const moved = ['yargs', 'yaml', 'pino', 'prom-client'].map((name) => [
      installed(`usr/lib/pinholed/node_modules/${name}`),
      join(folder, name),
    ]);
    for (const [here, away] of moved) renameSync(here!, away!);
    try {
      const config = join(folder, 'one.yaml');
      writeFileSync(config, 'inside: 192.0.2.0/24\nsip-ports: [5060\n');
      const told = run('check', '--config', config);
      assert.deepEqual([told.status, told.stdout], [1, '']);
      assert.match(told.stderr, /one\.yaml:\d+/);
      for (const name of ['daemon/log/log', 'control/metrics']) {
        const module = installed(`usr/lib/pinholed/dist/src/${name}.js`);
        const loaded = spawnSync(process.execPath, [module], { encoding: 'utf8' });
        assert.deepEqual([loaded.status, loaded.stderr], [0, ''], name);
      }
    } finally {
      for (const [here, away] of moved) renameSync(away!, here!);
    }
    const licences = ['yargs', 'yaml', 'pino', 'prom-client'].map(
      (name) =>
        readFileSync(installed(`usr/lib/pinholed/dist/src/packages/${name}.js`), 'utf8').split('*/', 1)[0]!,
    );
    assert.match(licences[0]!, /^yargs-parser\n[\s\S]*^yargs\n/m);
    assert.match(licences[1]!, /^yaml\n\nCopyright Eemeli Aro/m);
    assert.match(licences[2]!, /^pino\n[\s\S]*^sonic-boom\n|^sonic-boom\n[\s\S]*^pino\n/m);
    assert.match(licences[3]!, /^prom-client\n/m);
  });

  it('lays out help as yargs does with all of its packages', () => {
    const source = (...args: readonly string[]) =>
      spawnSync(process.execPath, ['--import', 'tsx', 'src/main.ts', ...args], {
        encoding: 'utf8',
        cwd: root,
      });
    for (const name of ['status', 'replay', 'selftest', 'completion']) {
      const [help, wanted] = [run(name, '--help'), source(name, '--help')];
      assert.deepEqual([help.status, help.stdout], [0, wanted.stdout], name);
      // What the program measures by the characters of a text.
      assert.match(help.stdout, /^[\n -~]+$/, name);
    }
  });

  it('can be read and run by every user, whatever the umask of who made it', () => {
    const [deb] = readdirSync(folder).filter((name) => name.endsWith('.deb'));
    const listing = execFileSync('dpkg-deb', ['-c', join(folder, deb!)], { encoding: 'utf8' });
    const modes = listing
      .trimEnd()
      .split('\n')
      .map((line) => line.split(/\s+/, 2));
    assert.deepEqual(
      modes.filter(([mode, owner]) => !/^(d|-|l)rw.r..r../.test(mode!) || owner !== 'root/root'),
      [],
    );
    assert.deepEqual(
      modes.filter(([mode]) => mode!.startsWith('d') && mode !== 'drwxr-xr-x'),
      [],
    );
    for (const path of ['usr/bin/pinholed', 'usr/lib/pinholed/dist/src/main.js']) {
      assert.equal(statSync(installed(path)).mode & 0o777, 0o755, path);
    }
  });

  it('has the sample, which means the defaults of Linux, and pages that man reads', () => {
    const sample = installed('usr/share/doc/pinholed/examples/pinholed.yaml');
    assert.equal(run('check', '--config', sample).status, 0);
    assert.match(readFileSync(sample, 'utf8'), /# {2}journal: \/var\/lib\/pinholed\/journal/);
    for (const page of ['man8/pinholed.8.gz', 'man5/pinholed.yaml.5.gz']) {
      assert.ok(statSync(installed(`usr/share/man/${page}`)).isFile());
    }
  });

  it('names no user but the one of the unit, and makes it before anything is started', () => {
    const unit = readFileSync(installed('lib/systemd/system/pinholed.service'), 'utf8');
    const [, user] = /^User=(.*)$/m.exec(unit)!;
    assert.match(
      readFileSync(installed('usr/lib/sysusers.d/pinholed.conf'), 'utf8'),
      new RegExp(`^u ${user} `, 'm'),
    );
    const [, exec] = /^ExecStart=(\S+)/m.exec(unit)!;
    assert.ok(statSync(installed(exec!)).isFile(), 'the path of the unit exists');
  });

  it('has scripts that sh takes', () => {
    for (const script of ['postinst', 'prerm', 'postrm']) {
      execFileSync('sh', ['-n', installed(`DEBIAN/${script}`)]);
      assert.equal(statSync(installed(`DEBIAN/${script}`)).mode & 0o111, 0o111);
    }
  });

  it('has a unit that gives no more than it needs', {
    skip: hasAnalyze ? false : 'needs systemd-analyze',
  }, () => {
    const unit = installed('lib/systemd/system/pinholed.service');
    const options = ['security', '--offline=true', '--threshold=20', '--no-pager', unit];
    const { status, stdout, stderr } = spawnSync('systemd-analyze', options, { encoding: 'utf8' });
    assert.equal(status, 0, `expected an exposure of at most 2.0:\n${stdout}${stderr}`);
  });
});
