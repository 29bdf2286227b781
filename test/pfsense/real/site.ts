import { spawn } from 'node:child_process';
import { chmodSync, mkdirSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Root } from './root.ts';

const checkout = fileURLToPath(new URL('../../..', import.meta.url));

export interface Site {
  /** `http://127.0.0.1:PORT` */
  readonly address: string;
  close(): Promise<void>;
}

/** In place of the login and of what checks forms: everybody is the administrator, and every form is good. */
const LOGIN = `<?php
global $user_settings, $config, $allowedpages;
require_once('priv.inc');
$allowedpages = ['*'];
$_SESSION = ['Logged_In' => 'True', 'Username' => 'admin'];
`;
const CSRF =
  '<?php\nfunction csrf_conf($key, $value) {}\nfunction csrf_check($fatal = true) { return true; }\n';

/** What pfSense calls the program of the daemon: here that of the checkout, on a machine without the firewall's interfaces. */
const PROGRAM = `#!/bin/sh
unset NODE_OPTIONS NODE_EXTRA_CA_CERTS
cd /pinholed || exit 1
[ "$1" = check ] || exec node --import tsx src/main.ts "$@"
found=$(node --import tsx src/main.ts "$@" 2>&1)
case $? in
0) exit 0 ;;
esac
found=$(echo "$found" | grep -v 'expected an interface of this machine')
[ -z "$found" ] || { echo "$found"; exit 1; }
`;

/** The root's pages on a port of this machine, the program of the checkout being installed there. */
export async function openSite(root: Root): Promise<Site> {
  const at = (path: string) => join(root.directory, path);
  writeFileSync(at('etc/inc/authgui.inc'), LOGIN);
  writeFileSync(at('usr/local/www/csrf/csrf-magic.php'), CSRF);
  mkdirSync(at('pinholed'), { recursive: true });
  mkdirSync(at('usr/local/bin'), { recursive: true });
  writeFileSync(at('usr/local/bin/pinholed'), PROGRAM);
  chmodSync(at('usr/local/bin/pinholed'), 0o755);
  const port = await freePort();
  const [program, ...args] = root.command(['-S', `127.0.0.1:${port}`, '-t', '/usr/local/www'], {
    [checkout]: '/pinholed',
  });
  const server = spawn(program, args, {
    stdio: 'ignore',
    env: { ...process.env, PHP_CLI_SERVER_WORKERS: '4' },
    detached: true,
  });
  const exited = new Promise<void>((resolve) => server.once('exit', () => resolve()));
  const address = `http://127.0.0.1:${port}`;
  for (let answers = false; !answers; ) {
    if (server.exitCode !== null) throw new Error('the web server of PHP ended');
    answers = await fetch(`${address}/robots.txt`).then(
      () => true,
      () => false,
    );
  }
  return {
    address,
    async close() {
      process.kill(-server.pid!, 'SIGKILL');
      await exited;
    },
  };
}

async function freePort(): Promise<number> {
  const probe = createServer();
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve));
  const address = probe.address();
  await new Promise((resolve) => probe.close(resolve));
  if (address === null || typeof address === 'string') throw new Error('no port');
  return address.port;
}
