import { spawnSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readFileSync,
  realpathSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';

/** A directory that commands take for `/`, with FreeBSD's pkg(8) in it and stand-ins that write down what packages ask of a system. */
export interface System {
  at(path: string): string;
  write(path: string, text: string): void;
  read(path: string): string | null;
  /** Runs pkg in it, and the scripts of packages with it. Throws what it printed when it fails. */
  pkg(...args: readonly string[]): string;
  /** What was asked of the system since the last time, each line a program with its arguments. */
  asked(): string[];
}

/** Of this machine; bound into it for one command alone. */
const BOUND = ['/usr/bin', '/usr/lib', '/usr/lib64', '/dev'];
const LINKS = { bin: 'usr/bin', lib: 'usr/lib', lib64: 'usr/lib64' };

const WRITES_DOWN = `#!/bin/sh\necho "\${0##*/} $*" >>/standin/log\n`;

/** pw(8): accounts are files of /standin. */
const PW = `${WRITES_DOWN}case "$1" in
*show) [ -e "/standin/$1-$2" ] ;;
*add) : >"/standin/\${1%add}show-$2" ;;
*del) rm "/standin/\${1%del}show-$2" ;;
esac
`;

/** rc.subr(8) as far as the service script needs it: the daemon runs while /standin/running is there. */
const RC = `load_rc_config() { :; }
run_rc_command() {
	echo "rc.d $1" >>/standin/log
	if [ "$1" = onestop ]; then rm -f /standin/running; else [ -e /standin/running ]; fi
}
`;

/** @param pkg FreeBSD's pkg(8), built for this machine */
export function createSystem(folder: string, pkg: string): System {
  const root = mkdtempSync(join(folder, 'system-'));
  const at = (path: string) => join(root, path);
  function write(path: string, text: string): void {
    mkdirSync(join(at(path), '..'), { recursive: true });
    writeFileSync(at(path), text);
    if (text.startsWith('#!')) chmodSync(at(path), 0o755);
  }
  const bound = BOUND.filter((path) => existsSync(path));
  for (const path of [...bound, '/tmp', '/var/run', '/var/db', '/proc', '/packages'])
    mkdirSync(at(path), { recursive: true });
  for (const [name, target] of Object.entries(LINKS)) symlinkSync(target, at(name));
  for (const path of ['/sbin/pfctl', '/usr/sbin/service', '/usr/local/bin/php', '/usr/local/sbin/configctl'])
    write(path, WRITES_DOWN);
  for (const path of ['/usr/local/etc/rc.d/configd', '/usr/local/etc/rc.configure_plugins'])
    write(path, WRITES_DOWN);
  write('/usr/sbin/pw', PW);
  write('/etc/rc.subr', RC);
  write('/standin/pkg', '');
  write('/etc/passwd', 'root:x:0:0::/root:/bin/sh\nnobody:x:65534:65534::/nonexistent:/usr/sbin/nologin\n');
  write('/etc/group', 'wheel:x:0:\nnobody:x:65534:\n');
  const binds = [...bound.map((path) => [realpathSync(path), path]), [pkg, '/standin/pkg']].map(
    ([from, to]) => `mount --bind ${from} "$0${to}"`,
  );
  const script = `${binds.join(' && ')} && exec chroot "$0" "$@"`;
  return {
    at,
    write,
    read: (path) => (existsSync(at(path)) ? readFileSync(at(path), 'utf8') : null),
    pkg(...args) {
      const { status, stdout, stderr } = spawnSync(
        'unshare',
        [
          ...['--mount', 'sh', '-c', script, root, '/standin/pkg'],
          ...['-o', 'ABI=FreeBSD:15:amd64', '-o', 'OSVERSION=1500000', ...args],
        ],
        {
          encoding: 'utf8',
          env: { PATH: '/sbin:/bin:/usr/sbin:/usr/bin:/usr/local/sbin:/usr/local/bin' },
        },
      );
      if (status !== 0) throw new Error(`pkg ${args.join(' ')}: ${stdout}${stderr}`);
      return stdout;
    },
    asked() {
      const lines = existsSync(at('/standin/log')) ? readFileSync(at('/standin/log'), 'utf8') : '';
      writeFileSync(at('/standin/log'), '');
      return lines.split('\n').filter((line) => line !== '');
    },
  };
}
