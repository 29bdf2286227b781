import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { copyFileSync, mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { after, describe, it } from 'node:test';
import { packages as freebsd } from '../../scripts/packaging/freebsd.ts';
import { packages as opnsense } from '../../scripts/packaging/opnsense.ts';
import { packages as pfsense } from '../../scripts/packaging/pfsense.ts';
import { type PackageDescription, writePackage } from '../../scripts/packaging/pkg.ts';
import { createSystem, type System } from './system.ts';

const pkg = process.env['PINHOLED_PKG'];
const skip = pkg === undefined ? 'PINHOLED_PKG is not set' : process.getuid?.() !== 0 && 'needs root';

const folder = mkdtempSync(join(tmpdir(), 'pinholed-upgrade-'));
after(() => rmSync(folder, { recursive: true }));

const program = (version: string) =>
  Buffer.from(`#!/bin/sh\n# ${version}\necho "pinholed $*" >>/standin/log\n`);
const make = { freebsd, opnsense, pfsense };

/** What an upgrade must not touch: settings, the journal with the calls, and what another package has. */
const KEPT = {
  '/usr/local/etc/pinholed.yaml': 'mode: observe\n',
  '/var/db/pinholed/journal': 'a call\n',
  '/conf/config.xml': '<pinholed/>\n',
};

/** Puts a version into it as a user does, by the file: `pkg add`, or another command with its flags. */
function add(
  system: System,
  description: PackageDescription,
  version: string,
  ...command: readonly string[]
): void {
  const path = writePackage(folder, `${description.name}-${version}`, { ...description, version });
  copyFileSync(path, system.at(`/packages/${basename(path)}`));
  system.pkg(...(command.length > 0 ? command : ['add']), `/packages/${basename(path)}`);
}

/** Ways to put a newer version over an older one, and whether a file that only the older had is left. */
const COMMANDS = [
  [['add'], true],
  [['add', '-f'], true],
  [['install', '-U', '-y'], false],
  [['-C', '/dev/null', 'install', '-U', '-y'], false],
] as const;

const filesOf = (system: System) =>
  readdirSync(system.at('/'), { recursive: true, withFileTypes: true })
    .filter((entry) => !entry.isDirectory())
    .map((entry) => join(entry.parentPath, entry.name).slice(system.at('/').length))
    .filter((path) => !/^(standin|packages|var\/db\/pkg)\//.test(path))
    .sort();

for (const [product, packages] of Object.entries(make))
  describe(`pkg(8) with the scripts of the package for ${product}`, { skip }, () => {
    const [older] = packages('amd64', program('older'));
    const [newer] = packages('amd64', program('newer'));

    /** It with an older version in it, that runs and has settings. */
    function used(settings: Readonly<Record<string, string>> = {}): System {
      const system = createSystem(folder, pkg!);
      add(system, older!, '0.1.0');
      for (const [path, text] of Object.entries({ ...KEPT, ...settings, '/standin/running': '' }))
        system.write(path, text);
      return system;
    }

    it('a newer version, or the same again, takes the place of the old, and touches no setting and no call', () => {
      const system = used();
      const first = system.asked();
      for (const command of [['add'], ['add', '-f'], ['install', '-U', '-y', '-f']]) {
        add(system, newer!, '0.1.1', ...command);
        assert.match(system.pkg('info', older!.name), /^Version +: 0\.1\.1$/m);
        assert.deepEqual(
          system.pkg('info', '-l', older!.name).match(/^\t\S+/gm)?.length,
          newer!.files.length,
        );
        system.pkg('check', '-s', older!.name);
        assert.match(system.read('/usr/local/bin/pinholed')!, /newer/);
        for (const [path, text] of Object.entries(KEPT)) assert.equal(system.read(path), text, path);
        const asked = system.asked();
        // pfSense takes an old version out of its configuration first where pkg(8) does; the package then sees PKG_UPGRADE.
        const out = command[0] === 'install' && product === 'pfsense';
        assert.deepEqual(
          asked.filter((line) => !(out && line.endsWith(' DEINSTALL'))),
          first.filter((line) => !/^pw (user|group)add/.test(line)),
          'what is asked at every installation, and nothing of a removal',
        );
        assert.equal(asked.filter((line) => line.endsWith(' DEINSTALL')).length, out ? 1 : 0);
        assert.ok(system.read('/standin/running') !== null);
      }
    });

    it('what only the older version had is gone after pkg install, and stays after pkg add', () => {
      const gone = '/usr/local/share/pinholed-of-before';
      const last = older!.files.at(-1)!;
      const before = { ...older!, files: [...older!.files, { ...last, path: gone }] };
      for (const [command, isLeft] of COMMANDS) {
        const system = createSystem(folder, pkg!);
        add(system, before, '0.1.0');
        assert.notEqual(system.read(gone), null);
        add(system, newer!, '0.1.1', ...command);
        assert.match(system.pkg('info', older!.name), /^Version +: 0\.1\.1$/m);
        assert.equal(system.read(gone) !== null, isLeft, command.join(' '));
      }
    });

    it('removed after it, nothing is left but settings that are the administrator’s', () => {
      const fresh = createSystem(folder, pkg!);
      const before = filesOf(fresh);
      const system = used();
      add(system, newer!, '0.1.1');
      system.asked();
      system.pkg('delete', '-y', older!.name);
      const left = filesOf(system).filter((path) => !before.includes(path));
      const own = product === 'opnsense' ? [] : ['usr/local/etc/pinholed.yaml'];
      // pfSense's own functions take its file and its journal, and are a stand-in here.
      const others = product === 'pfsense' ? ['var/db/pinholed/journal'] : [];
      assert.deepEqual(left, ['conf/config.xml', ...own, ...others]);
    });
  });

describe('pkg(8) with the package for pfSense', { skip }, () => {
  it('has pfSense write it into its configuration, and out of it', () => {
    const system = createSystem(folder, pkg!);
    const [description] = pfsense('amd64', program('one'));
    add(system, description!, '0.1.0');
    const php = (line: string) => line.startsWith('php ');
    const run = 'php -f /etc/rc.packages pfSense-pkg-pinholed';
    assert.deepEqual(system.asked().filter(php), [`${run} POST-INSTALL`]);
    system.pkg('delete', '-y', description!.name);
    assert.deepEqual(system.asked().filter(php), [`${run} DEINSTALL`, `${run} POST-DEINSTALL`]);
  });
});

describe('pkg(8) with the package for OPNsense', { skip }, () => {
  it('starts the daemon anew where it is enabled, and only there', () => {
    const [description] = opnsense('amd64', program('one'));
    for (const [enabled, wanted] of [
      ['YES', ['configctl pinholed restart', 'configctl filter reload skip_alias']],
      ['NO', []],
    ] as const) {
      const system = createSystem(folder, pkg!);
      system.write('/etc/rc.conf.d/pinholed', `pinholed_enable="${enabled}"\n`);
      add(system, description!, '0.1.0');
      assert.deepEqual(
        system.asked().filter((line) => /^configctl (pinholed|filter)/.test(line)),
        wanted,
      );
    }
  });

  it('removed, it is in no configuration of the system log and has no log', () => {
    const system = createSystem(folder, pkg!);
    system.write('/usr/local/sbin/syslog-ng-ctl', '#!/bin/sh\necho "syslog-ng-ctl $*" >>/standin/log\n');
    const [description] = opnsense('amd64', program('one'));
    add(system, description!, '0.1.0');
    system.write('/var/log/pinholed/pinholed_20261127.log', 'a line\n');
    system.asked();
    system.pkg('delete', '-y', description!.name);
    const asked = system.asked().filter((line) => /^(configctl|syslog)/.test(line));
    assert.deepEqual(asked, [
      'configctl template reload OPNsense/Syslog',
      'configctl filter reload',
      'syslog-ng-ctl reload',
    ]);
    assert.deepEqual(
      filesOf(system).filter((path) => path.includes('pinholed')),
      [],
    );
  });
});
