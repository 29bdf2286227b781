import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import type { Topology } from './topology.ts';

/** A daemon on the firewall of a topology. */
export interface Daemon {
  /** Everything it said. */
  readonly lines: readonly string[];
  /** Resolves with the first line from now on (or said already) that matches. */
  said(pattern: RegExp): Promise<string>;
  signal(signal: NodeJS.Signals): void;
  /** Ends it in good order; what was open is closed. */
  stop(): Promise<void>;
  /** Starts it anew, with the same journal. */
  restart(): Promise<void>;
  /** Ends it and removes its files. */
  close(): Promise<void>;
}

/** The tests' configuration: everybody but the stranger is inside; pinholes close with the call. */
const BASE = `
inside: [10.0.1.0/24, 10.0.2.0/24, 10.0.3.0/24, 'fd00:0:0:1::/64', 'fd00:0:0:2::/64', 'fd00:0:0:3::/64']
media-hosts: [10.0.3.10, 10.0.2.11, 'fd00:0:0:3::10', 'fd00:0:0:2::11']
caps: { calls-per-host: 100000, offers-per-second: 100000 }
`;

const RUNNING = /pinholes taken up/;

export interface DaemonOptions {
  /** YAML that replaces top-level keys of the tests' configuration. */
  readonly changes?: string;
  readonly flags?: readonly string[];
  /** What to start in place of pinholed, by its path from here. */
  readonly module?: string;
}

/** Starts pinholed with the tests' configuration. */
export async function startDaemon(
  topology: Topology,
  { changes = '', flags = ['--no-supervisor'], module = '../../src/main.ts' }: DaemonOptions = {},
): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-test-'));
  chmodSync(directory, 0o755);
  const config = join(directory, 'pinholed.yaml');
  const given = new Set([...changes.matchAll(/^([a-z-]+):/gm)].map(([, key]) => key));
  const base = [
    ...BASE.trim().split('\n'),
    'timers: { drain: 0, mux-grace: 0 }',
    'log: { level: info, rate: 100000 }',
    `control: { socket: ${join(directory, 'control.sock')} }`,
    `daemon: { user: nobody, group: nogroup, pid-file: off, journal: ${join(directory, 'journal', 'calls')} }`,
  ].filter((line) => !given.has(line.split(':', 1)[0]));
  writeFileSync(config, `${base.join('\n')}\n${changes}\n`);

  const lines: string[] = [];
  let listeners: (() => void)[] = [];
  let child: ChildProcess;

  function launch(): void {
    child = topology.start(module, ['run', '--config', config, ...flags]);
    for (const stream of [child.stdout!, child.stderr!]) {
      createInterface({ input: stream }).on('line', (line) => {
        lines.push(line);
        if (process.env['PINHOLED_TEST_VERBOSE'] !== undefined) console.error(line);
        for (const listener of listeners.splice(0)) listener();
      });
    }
    const started = child;
    started.once('exit', () => {
      for (const listener of listeners.splice(0)) listener();
    });
  }

  async function said(pattern: RegExp, from = 0): Promise<string> {
    for (;;) {
      const line = lines.slice(from).find((one) => pattern.test(one));
      if (line !== undefined) return line;
      if (child.exitCode !== null) throw new Error(`pinholed ended:\n${lines.join('\n')}`);
      await new Promise<void>((resolve) => listeners.push(resolve));
    }
  }

  function ended(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => child.once('exit', () => resolve()));
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    await ended();
  }

  launch();
  await said(RUNNING);
  return {
    lines,
    said,
    signal: (signal) => child.kill(signal),
    stop,
    async restart() {
      await ended();
      const from = lines.length;
      listeners = [];
      launch();
      await said(RUNNING, from);
    },
    async close() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}
