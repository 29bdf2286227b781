import { spawnSync } from 'node:child_process';
import {
  appendFileSync,
  chmodSync,
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  realpathSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { packageFiles, withoutPhp } from '../package.ts';

const here = (name: string) => fileURLToPath(new URL(name, import.meta.url));

/** Trees of pfSense's source, `:` between them: nothing of them is in this repository. */
export const sources = (process.env['PINHOLED_PFSENSE_SRC'] ?? '').split(':').filter((path) => path !== '');

/** False, or the reason to skip: for node:test's `skip` option. */
export const withoutSource: string | false =
  withoutPhp ||
  (sources.length === 0
    ? "needs a tree of pfSense's source in PINHOLED_PFSENSE_SRC"
    : process.geteuid?.() === 0
      ? false
      : 'needs root');

/** A directory that pfSense's own PHP takes for `/`, with the package in it. */
export interface Root {
  readonly directory: string;
  /** 2.8.0-DEVELOPMENT */
  readonly version: string;
  /** The text in place of config.xml; `{{NAME}}` of the one in this folder is replaced. */
  configure(changes: Readonly<Record<string, string>>): void;
  /** A reload of the ruleset: rules.debug, and what pfSense rejected of the package. Throws what PHP complained of. */
  reload(): { readonly rules: string; readonly rejected: string | null };
  /** Runs PHP code with pfSense's functions loaded; what it prints. Throws. */
  run(code: string): string;
  /** The command that runs PHP with these arguments in the root; `more` are folders to be seen there, by where they are. */
  command(
    args: readonly string[],
    more?: Readonly<Record<string, string>>,
  ): readonly [program: string, ...args: string[]];
  remove(): void;
}

const INTERFACES = {
  igb0: ['203.0.113.2', 24],
  igb1: ['192.168.1.1', 24],
  igb2: ['198.51.100.2', 24],
  'igb1.20': ['192.168.20.1', 24],
} as const;

/** The programs that pfSense calls while it makes rules; what they were asked is in /standin/log. */
const PROGRAM = `#!/bin/sh
echo "\${0##*/} $*" >> /standin/log
case "\${0##*/} $*" in
*osreldate*) echo "kern.osreldate=\${PINHOLED_OSRELDATE:-1500029}" ;;
*) ;;
esac
exit 0
`;

/** Of the daemon. */
export const GROUP = 64_999;

const INCLUDE_PATH =
  '.:/etc/inc:/usr/local/pfSense/include:/usr/local/pfSense/include/www:/usr/local/www:/usr/local/captiveportal:' +
  '/usr/local/pkg:/usr/local/www/classes:/usr/local/www/classes/Form:/usr/local/share/pear:/usr/local/share/openssl_x509_crl/';

/** What of this machine PHP needs; bound over the root for one command alone. */
const BOUND = [
  '/lib',
  '/lib64',
  '/bin',
  '/usr/bin',
  '/usr/sbin',
  '/usr/lib',
  '/usr/share/zoneinfo',
  '/etc/alternatives',
  '/etc/php',
  '/dev',
];

export function createRoot(source: string): Root {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-pfsense-'));
  const at = (path: string) => join(directory, path);
  cpSync(join(source, 'src/etc'), at('etc'), { recursive: true, verbatimSymlinks: true });
  cpSync(join(source, 'src/usr/local'), at('usr/local'), { recursive: true, verbatimSymlinks: true });
  for (const path of [
    'cf/conf',
    'tmp',
    'var/run',
    'var/etc/syslog.d',
    'var/db',
    'var/log',
    'var/tmp',
    'sbin',
    'standin',
    'proc',
  ]) {
    mkdirSync(at(path), { recursive: true });
  }
  for (const path of [
    'usr/local/pkg',
    'usr/local/etc/rc.d',
    'usr/local/share',
    ...BOUND.filter(existsSync),
  ]) {
    mkdirSync(at(path), { recursive: true });
  }
  symlinkSync('cf/conf', at('conf'));
  cpSync(packageFiles, directory, { recursive: true });
  for (const name of ['PEAR', 'Net/IPv6', 'Auth/RADIUS', 'Crypt/CHAP', 'XML/RPC2/Client']) {
    mkdirSync(at(join('usr/local/share/pear', name, '..')), { recursive: true });
    writeFileSync(at(`usr/local/share/pear/${name}.php`), '<?php\n');
  }
  cpSync(here('prepend.php'), at('standin/prepend.php'));
  writeFileSync(
    at('standin/interfaces.json'),
    JSON.stringify(
      Object.fromEntries(
        Object.entries(INTERFACES).map(([name, [ipaddr, subnetbits]]) => [
          name,
          { ipaddr, subnetbits, status: 'up', addrs: [{ addr: ipaddr, subnetbits }] },
        ]),
      ),
    ),
  );
  writeFileSync(at('sbin/standin'), PROGRAM);
  chmodSync(at('sbin/standin'), 0o755);
  for (const name of ['pfctl', 'sysctl', 'ifconfig', 'kldload', 'kldstat', 'route', 'dmesg']) {
    symlinkSync('standin', at(`sbin/${name}`));
  }
  // What the package makes with pw(8).
  appendFileSync(at('etc/group'), `_pinholed:*:${GROUP}:\n`);
  makeOlder(directory);

  function command(
    args: readonly string[],
    more: Readonly<Record<string, string>> = {},
  ): [string, ...string[]] {
    const shared = BOUND.filter((path) => existsSync(path)).map((path) => [realpathSync(path), path]);
    const binds = [...shared, ...Object.entries(more)].map(([from, to]) => `mount --bind ${from} "$0${to}"`);
    const php = realpathSync('/usr/bin/php');
    const options = ['-d', 'auto_prepend_file=/standin/prepend.php', '-d', `include_path=${INCLUDE_PATH}`];
    const script = `${binds.join(' && ')} && exec chroot "$0" ${php} "$@"`;
    return ['unshare', '--mount', 'sh', '-c', script, directory, ...options, ...args];
  }

  function run(code: string): string {
    const loaded = ['config', 'functions', 'filter', 'captiveportal', 'shaper', 'pkg-utils', 'service-utils'];
    const file = 'standin/run.php';
    writeFileSync(
      at(file),
      `<?php\n${loaded.map((name) => `require_once('${name}.inc');\n`).join('')}${code}\n`,
    );
    const [program, ...args] = command([`/${file}`]);
    const { status, stdout, stderr } = spawnSync(program, args, { encoding: 'utf8', maxBuffer: 1 << 26 });
    if (status !== 0 || /Fatal error/.test(stdout + stderr)) throw new Error(`${stdout}${stderr}`);
    return stdout;
  }

  return {
    directory,
    version: readFileSync(at('etc/version'), 'utf8').trim(),
    configure(changes) {
      const text = readFileSync(here('config.xml'), 'utf8').replace(
        /\{\{(\w+)\}\}/g,
        (_, name: string) => changes[name] ?? '',
      );
      writeFileSync(at('cf/conf/config.xml'), text);
      rmSync(at('tmp/config.cache'), { force: true });
    },
    reload() {
      for (const name of ['rules.debug', 'rules.packages.pinholed'])
        rmSync(at(`tmp/${name}`), { force: true });
      run('filter_configure_sync();');
      const rejected = at('tmp/rules.packages.pinholed');
      return {
        rules: readFileSync(at('tmp/rules.debug'), 'utf8'),
        rejected: existsSync(rejected) ? readFileSync(rejected, 'utf8') : null,
      };
    },
    run,
    command,
    remove: () => rmSync(directory, { recursive: true, force: true }),
  };
}

/** PHP before 8.3 does not read pfSense 2.8: see before83.php. */
function makeOlder(directory: string): void {
  const version = spawnSync('php', ['-r', 'echo PHP_VERSION_ID;'], { encoding: 'utf8' }).stdout;
  if (Number(version) >= 80300) return;
  const files = ['etc/inc', 'usr/local/www', 'usr/local/pfSense'].flatMap((folder) =>
    readdirSync(join(directory, folder), { recursive: true })
      .map((name) => join(directory, folder, String(name)))
      .filter((name) => /\.(inc|php)$/.test(name)),
  );
  const { status, stderr } = spawnSync('php', [here('before83.php'), ...files], { encoding: 'utf8' });
  if (status !== 0) throw new Error(stderr);
}
