import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { type ControlClient, connectControl } from '../src/control/client.ts';
import type { StatusResult } from '../src/control/protocol.ts';
import { typescript } from './actors.ts';
import { eventually } from './kernel.ts';
import type { Topology } from './topology.ts';

/** A daemon on the firewall of a topology. */
export interface Daemon {
  /** Path of its configuration. */
  readonly config: string;
  /** Everything it said. */
  readonly lines: readonly string[];
  /** Connects to its control socket. */
  control(): Promise<ControlClient>;
  /** How it says that it stands. */
  status(): Promise<StatusResult>;
  /** Resolves once the log has so many matches of a pattern with the flag `g`. */
  said(pattern: RegExp, times?: number): Promise<void>;
  pid(): number;
  /** Process id of the data path, under a supervisor. */
  dataPathPid(): number;
  /** Resolves when the process has ended. */
  ended(): Promise<void>;
  signal(signal: NodeJS.Signals): void;
  /** Stops every thread of it where it is, until `thaw`. */
  freeze(): Promise<void>;
  thaw(): void;
  /** Ends it in good order; what was open is closed. */
  stop(): Promise<void>;
  /** Starts it anew once it has ended, with the same files. */
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

const RUNNING = /pinholes taken up/g;
/** ms; only waited for when a test fails. */
const SPEAKS_WITHIN = 30_000;

export interface DaemonOptions {
  /** YAML that replaces top-level keys of the tests' configuration. */
  readonly changes?: string;
  readonly flags?: readonly string[];
  /** What to say about a stop: tests look for what is left after one. */
  readonly onStop?: readonly string[];
  /** What to start in place of pinholed, by its path from here. */
  readonly module?: string;
  /** Words before the command, such as taskset(1)'s. */
  readonly pinned?: readonly string[];
}

/** Starts pinholed with the tests' configuration. */
export async function startDaemon(
  topology: Pick<Topology, 'start'>,
  {
    changes = '',
    flags = ['--no-supervisor'],
    onStop = ['--drop'],
    module = '../src/main.ts',
    pinned = [],
  }: DaemonOptions = {},
): Promise<Daemon> {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-test-'));
  chmodSync(directory, 0o755);
  const config = join(directory, 'pinholed.yaml');
  const socket = join(directory, 'control.sock');
  const given = new Set([...changes.matchAll(/^([a-z-]+):/gm)].map(([, key]) => key));
  const base = [
    ...BASE.trim().split('\n'),
    'timers: { drain: 0, mux-grace: 0 }',
    'log: { level: info, rate: 100000 }',
    `control: { socket: ${socket} }`,
    `daemon: { user: nobody, group: nogroup, pid-file: off, journal: ${join(directory, 'journal', 'calls')} }`,
  ].filter((line) => !given.has(line.split(':', 1)[0]));
  writeFileSync(config, `${base.join('\n')}\n${changes}\n`);

  const [prefix, ...words] = [...pinned, ...typescript(module)] as [string, ...string[]];
  const lines: string[] = [];
  const listeners: (() => void)[] = [];
  let child: ChildProcess;

  function launch(): void {
    child = topology.start(prefix, ...words, 'run', '--config', config, ...onStop, ...flags);
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

  async function said(pattern: RegExp, times = 1): Promise<void> {
    const until = performance.now() + SPEAKS_WITHIN;
    while ((lines.join('\n').match(pattern)?.length ?? 0) < times) {
      if (child.exitCode !== null || performance.now() > until) {
        throw new Error(`pinholed did not say ${pattern}:\n${lines.join('\n')}`);
      }
      await new Promise<void>((resolve) => {
        listeners.push(resolve);
        setTimeout(resolve, SPEAKS_WITHIN).unref();
      });
    }
  }

  function ended(): Promise<void> {
    if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
    return new Promise((resolve) => child.once('exit', () => resolve()));
  }

  async function stop(): Promise<void> {
    child.kill('SIGTERM');
    child.kill('SIGCONT');
    await ended();
  }

  const control = () => connectControl(socket);

  async function status(): Promise<StatusResult> {
    const client = await control();
    try {
      return await client.askOnce<StatusResult>({ request: 'status' });
    } finally {
      client.close();
    }
  }

  let starts = 0;
  async function start(): Promise<void> {
    launch();
    await said(RUNNING, ++starts);
  }

  await start().catch((error) => {
    rmSync(directory, { recursive: true, force: true });
    throw error;
  });
  return {
    config,
    lines,
    control,
    status,
    said,
    ended,
    pid: () => child.pid!,
    dataPathPid: () => supervisedChild(child.pid!),
    signal: (signal) => child.kill(signal),
    async freeze() {
      child.kill('SIGSTOP');
      await eventually(
        () => threadStates(child.pid!),
        (states) => states.every((state) => state === 'T'),
      );
    },
    thaw: () => child.kill('SIGCONT'),
    stop,
    async restart() {
      await ended();
      await start();
    },
    async close() {
      await stop();
      rmSync(directory, { recursive: true, force: true });
    },
  };
}

/** The state letters of proc(5) of a process' threads. */
function threadStates(pid: number): string[] {
  return readdirSync(`/proc/${pid}/task`).map(
    (task) => /\) (\w)/.exec(readFileSync(`/proc/${pid}/task/${task}/stat`, 'utf8'))?.[1] ?? '',
  );
}

/** The child of a supervisor that reads packets. */
function supervisedChild(supervisor: number): number {
  const children = readFileSync(`/proc/${supervisor}/task/${supervisor}/children`, 'utf8').trim().split(' ');
  const found = children.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('--supervised'));
  if (found === undefined) throw new Error('no data path');
  return Number(found);
}
