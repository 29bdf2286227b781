import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { createClient } from '@redis/client';
import { ended } from '../../lab/namespaces.ts';
import type { Whereabouts } from '../../src/daemon/peers/primary.ts';

/** A store of the real kind, on loopback. */
export interface Server {
  readonly port: number;
  /** Of the process that was started last. */
  readonly pid: number | undefined;
  /** The authority of its certificate, where it has one; a path. */
  readonly ca: string;
  /** What it answers to a command, as text; lists are flattened. */
  command(...words: readonly string[]): Promise<string>;
  stop(): Promise<void>;
  start(): Promise<void>;
  close(): Promise<void>;
}

const PROGRAM = ['valkey-server', 'redis-server'].find((name) => spawnSync(name, ['--version']).status === 0);

/** What a test that needs a store is skipped for; false where one can be started. */
export const withoutStore =
  PROGRAM === undefined ? 'neither valkey-server nor redis-server is installed' : false;

export interface ServerOptions {
  readonly password?: string;
  readonly tls?: boolean;
  /** What it listens on; loopback by itself. With any other it needs a password. */
  readonly address?: string;
  /** Further words of its command line. */
  readonly more?: readonly string[];
  /** It is a Sentinel; what it is told to do, a line each. */
  readonly sentinel?: readonly string[];
  /** Starts a program where the server is to run. */
  readonly run?: (program: string, ...args: readonly string[]) => ChildProcess;
}

export const NO_TLS = { ca: null, certificate: null, key: null, serverName: null };

/** What reaches a server on loopback that has no password. */
export function where(...ports: readonly number[]): Whereabouts {
  const urls = ports.map((port) => `redis://127.0.0.1:${port}`);
  return { urls, sentinel: null, password: null, tls: NO_TLS };
}

/** Starts a server that keeps nothing on disk. */
export async function startServer({
  password,
  tls = false,
  address = '127.0.0.1',
  more = [],
  sentinel,
  run = spawned,
}: ServerOptions = {}): Promise<Server> {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-store-'));
  const port = await freePort();
  const config: string[] = [];
  if (sentinel !== undefined) {
    config.push(join(directory, 'sentinel.conf'), '--sentinel');
    writeFileSync(config[0]!, sentinel.map((line) => `sentinel ${line}\n`).join(''));
  }
  const ca = join(directory, 'ca.pem');
  const words = [...config, '--bind', address, '--dir', directory, ...more];
  if (sentinel === undefined) words.push('--save', '');
  if (password !== undefined) words.push('--requirepass', password);
  if (tls) {
    certify(directory);
    words.push(
      '--port',
      '0',
      '--tls-port',
      String(port),
      '--tls-auth-clients',
      'no',
      '--tls-ca-cert-file',
      ca,
    );
    words.push(
      '--tls-cert-file',
      join(directory, 'store.pem'),
      '--tls-key-file',
      join(directory, 'store.key'),
    );
  } else {
    words.push('--port', String(port));
  }
  let child: ChildProcess | undefined;

  async function start(): Promise<void> {
    const started = run(PROGRAM!, ...words);
    child = started;
    await new Promise<void>((resolve, reject) => {
      started.once('exit', (code) => reject(new Error(`${PROGRAM} ended with ${code}`)));
      createInterface({ input: started.stdout! }).on('line', (line) => {
        if (/Ready to accept connections|Sentinel ID is/.test(line)) resolve();
      });
    });
  }

  async function stop(): Promise<void> {
    child?.kill('SIGKILL');
    if (child !== undefined) await ended(child);
  }

  async function command(...given: readonly string[]): Promise<string> {
    const client = createClient({
      ...{ url: `redis://127.0.0.1:${port}`, RESP: 2 as const },
      ...(password !== undefined && { password }),
    });
    client.on('error', () => {});
    await client.connect();
    try {
      return [await client.sendCommand(given)].flat(3).join(' ');
    } finally {
      client.destroy();
    }
  }

  await start();
  return {
    port,
    get pid() {
      return child?.pid;
    },
    ca,
    command,
    start,
    stop,
    async close() {
      await stop();
      rmSync(directory, { recursive: true });
    },
  };
}

/** Asks again and again, for at most a minute, until it is as wanted. */
export async function until(look: () => Promise<string>, wanted: RegExp): Promise<void> {
  for (const last = performance.now() + 60_000; ; ) {
    const found = await look();
    if (wanted.test(found)) return;
    if (performance.now() > last) throw new Error(`still ${found}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

function spawned(program: string, ...args: readonly string[]): ChildProcess {
  return spawn(program, args, { stdio: ['ignore', 'pipe', 'inherit'] });
}

function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const { port } = server.address() as { readonly port: number };
      server.close(() => resolve(port));
    });
  });
}

/** An authority, and a certificate of its for 127.0.0.1. */
function certify(directory: string): void {
  const openssl = (...words: readonly string[]) =>
    execFileSync('openssl', words, { cwd: directory, stdio: 'ignore' });
  const key = ['-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes'];
  openssl(
    'req',
    '-x509',
    ...key,
    '-keyout',
    'ca.key',
    '-out',
    'ca.pem',
    '-subj',
    '/CN=test authority',
    '-days',
    '2',
  );
  openssl('req', ...key, '-keyout', 'store.key', '-out', 'store.csr', '-subj', '/CN=store');
  openssl(
    ...[
      'req',
      '-x509',
      '-in',
      'store.csr',
      '-CA',
      'ca.pem',
      '-CAkey',
      'ca.key',
      '-days',
      '2',
      '-out',
      'store.pem',
    ],
    ...['-addext', 'subjectAltName=IP:127.0.0.1', '-key', 'store.key'],
  );
}
