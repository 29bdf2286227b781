import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { fileURLToPath } from 'node:url';
import { pages } from '../../scripts/packaging/pfsense.ts';
import { project } from '../../scripts/packaging/program.ts';

const port = (name: string) =>
  readFileSync(
    fileURLToPath(new URL(`../../packaging/pfsense/net/pfSense-pkg-pinholed/${name}`, import.meta.url)),
    'utf8',
  );
const dataDir = '/usr/local/share/pfSense-pkg-pinholed';

const LOOP = /\$\{name\}/;

describe('the port of the pages for pfSense', () => {
  it('installs every file, and lists every file', () => {
    const paths = pages().map(({ path }) => path);
    const listed = port('pkg-plist')
      .split('\n')
      .filter((line) => line !== '' && !line.startsWith('@'))
      .map((line) => line.replace('%%DATADIR%%', dataDir))
      .map((line) => (line.startsWith('/') ? line : `/usr/local/${line}`));
    assert.deepEqual(listed.sort(), [...paths].sort());
    const names = /\.for name in (.+)/.exec(port('Makefile'))?.[1]?.split(' ') ?? [];
    const installed = [...port('Makefile').matchAll(/\$\{INSTALL_DATA\} \$\{FILESDIR\}(\S+) /g)]
      .map(([, path]) => path!.replace(/\$\{PREFIX\}/, '/usr/local').replace(/\$\{DATADIR\}/, dataDir))
      .flatMap((path) => (LOOP.test(path) ? names.map((name) => path.replace(LOOP, name)) : [path]));
    assert.deepEqual(installed.sort(), [...paths].sort());
  });

  it('has no .for over paths that are known only below it: make asks for them where it reads the line', () => {
    for (const name of ['Makefile', '../../../freebsd/port/net/pinholed/Makefile']) {
      const text = port(name).replaceAll(/\\\n\s*/g, '');
      for (const [, list] of text.matchAll(/^\.for \w+ in (.+)$/gm)) {
        const values = list!.replaceAll(/\$\{(\w+)\}/g, (whole, variable: string) => {
          const found = new RegExp(`^${variable}=(.*)$`, 'm').exec(text);
          return found?.[1] ?? whole;
        });
        assert.doesNotMatch(values, /\$\{/, list);
      }
    }
  });

  it('says which version it is', () => {
    const info = pages().find(({ path }) => path.endsWith('/info.xml'));
    assert.match(String(info?.content), new RegExp(`<version>${project.version}</version>`));
    for (const name of ['Makefile', '../../../freebsd/port/net/pinholed/Makefile'])
      assert.match(port(name), new RegExp(`^(PORT|DIST)VERSION=\t${project.version}$`, 'm'));
  });

  it('is registered in pfSense, and taken out of it', () => {
    for (const name of ['files/pkg-install.in', 'files/pkg-deinstall.in'])
      assert.match(port(name), /^\/usr\/local\/bin\/php -f \/etc\/rc\.packages %%PORTNAME%% \$\{2\}$/m);
  });
});
