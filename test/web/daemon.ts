import { type ChildProcess, spawn } from 'node:child_process';
import { createSocket } from 'node:dgram';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Pinhole } from '../../src/pinhole/pinhole.ts';

const program = fileURLToPath(new URL('../control/process.ts', import.meta.url));
/** ms; only waited for when a test fails. */
const PATIENCE = 20_000;

/** A daemon with everything it serves, over the platform made of files. */
export interface Daemon {
  readonly child: ChildProcess;
  readonly exit: Promise<number | null>;
  readonly stderr: () => string;
  /** Resolves once stderr matches. */
  said(pattern: RegExp): Promise<void>;
  /** Sends packets, each until it has come back. */
  pass(...packets: readonly Buffer[]): Promise<void>;
  /** The pinholes that are open. */
  rules(): Pinhole[];
  /** What the packet filter has counted in every open pinhole. */
  count(packets: number): void;
  /** Writes another `web` into the configuration and has it read again. */
  reload(web: string): void;
  /** Ends it and removes its files. */
  close(): Promise<void>;
}

export function startDaemon(web: string): Daemon {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-web-'));
  const file = (name: string) => join(directory, name);
  const configure = (address: string) =>
    writeFileSync(
      file('config'),
      [
        'inside: [10.0.0.0/8]',
        `control: { socket: ${file('control.sock')} }`,
        `daemon: { pid-file: off, journal: ${file('journal')}, user: nobody, group: nogroup }`,
        'timers: { drain: 0 }',
        `web: ${address}`,
      ].join('\n'),
    );
  configure(web);
  const child = spawn(process.execPath, ['--import', 'tsx', program, file('config')], {
    stdio: ['ignore', 'inherit', 'pipe'],
    env: { ...process.env, PINHOLED_TEST_DIRECTORY: directory },
  });
  let text = '';
  child.stderr!.on('data', (chunk) => {
    text += chunk;
  });
  const exit = new Promise<number | null>((resolve) => child.once('exit', resolve));
  const rules = () => JSON.parse(readFileSync(file('rules'), 'utf8')) as Pinhole[];
  const said = (pattern: RegExp) =>
    until(
      () => {
        if (child.exitCode !== null && !pattern.test(text)) throw new Error(`it ended, having said: ${text}`);
        return pattern.test(text);
      },
      () => text,
    );
  return {
    child,
    exit,
    stderr: () => text,
    said,
    rules,
    async pass(...packets) {
      await until(() => existsSync(file('port')));
      const port = Number(readFileSync(file('port'), 'utf8'));
      const socket = createSocket('udp4');
      for (const packet of packets) {
        let isBack = false;
        socket.once('message', () => {
          isBack = true;
        });
        const send = () => socket.send(packet, port, '127.0.0.1');
        send();
        const again = setInterval(send, 500);
        await until(
          () => isBack,
          () => text,
        ).finally(() => clearInterval(again));
      }
      socket.close();
    },
    count: (packets) =>
      writeFileSync(
        file('traffic'),
        JSON.stringify(rules().map(({ id }) => [id, { packets, bytes: packets * 172 }])),
      ),
    reload(address) {
      configure(address);
      child.kill('SIGHUP');
    },
    async close() {
      child.kill('SIGKILL');
      await exit;
      rmSync(directory, { recursive: true });
    },
  };
}

/** Asks again and again; gives up after what even a very busy machine does not need. */
export async function until(
  condition: () => boolean | Promise<boolean>,
  seen: () => string = () => '',
): Promise<void> {
  const giveUpAt = performance.now() + PATIENCE;
  while (!(await condition())) {
    if (performance.now() > giveUpAt) throw new Error(`it did not happen; seen was: ${seen()}`);
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
}

/** A port of the loopback that nothing listens on, and what holds it until it is let go. */
export async function takePort(): Promise<{ readonly port: number; free(): Promise<void> }> {
  const server = createServer();
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return { port: address.port, free: () => new Promise((resolve) => server.close(() => resolve())) };
}
