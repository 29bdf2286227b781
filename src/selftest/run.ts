import { spawn } from 'node:child_process';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runProgram } from '../checks/netfilter/listing.ts';
import { printJson } from '../config/print.ts';
import type { Settings } from '../config/schema.ts';
import { type ControlClient, ControlError, connectControl } from '../control/client.ts';
import { ownCommand } from '../daemon/process/own-command.ts';
import { testCall } from './call.ts';
import { SelftestError } from './error.ts';
import { startHost } from './host.ts';
import type { Machine } from './machine.ts';
import { type Choice, type Plan, planFor } from './plan.ts';
import type { Step } from './steps.ts';

export interface Selftest {
  readonly plan: Plan;
  /** The rules that were copied. */
  readonly rules: string;
  readonly steps: readonly Step[];
}

/** ms in which the daemon has to serve: a machine that is emulated, or busy, takes minutes. */
const START_WITHIN = 300_000;
const LOOK_EVERY = 100;
const STOP_WITHIN = 5000;
/** The words with which this program is a host of the copy. */
export const AS_HOST = ['selftest', '--as-host'] as const;

/** A call through a copy of this machine's rules, with these settings. Throws SelftestError where there can be none. */
export async function selftest(settings: Settings, choice: Choice): Promise<Selftest> {
  const machine = await thisMachine();
  const interfaces = machine.interfaces();
  const plan = planFor(settings, interfaces, machine.routeTo, choice);
  const copy = machine.copy(plan, interfaces, settings);
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-selftest-'));
  const endings: (() => unknown)[] = [() => rmSync(directory, { recursive: true, force: true }), copy.remove];
  const interrupted = () => {
    for (const end of endings.splice(0).reverse()) end();
    process.exit(130);
  };
  for (const signal of SIGNALS) process.once(signal, interrupted);
  try {
    const [inside, outside] = (['inside', 'outside'] as const).map((where) =>
      startHost(copy.within(where, ...ownCommand(AS_HOST))),
    ) as [ReturnType<typeof startHost>, ReturnType<typeof startHost>];
    endings.push(inside.close, outside.close);
    const daemon = await startDaemon(settings, directory, (...command) =>
      copy.within('firewall', ...command),
    );
    endings.push(daemon.close);
    const steps = await testCall(plan, inside, outside, daemon, machine.advice);
    await daemon.close();
    return { plan, rules: copy.description, steps };
  } finally {
    for (const signal of SIGNALS) process.off(signal, interrupted);
    for (const end of endings.splice(0).reverse()) end();
  }
}

/** With only its own code loaded. */
async function thisMachine(): Promise<Machine> {
  return process.platform === 'freebsd'
    ? (await import('./freebsd.ts')).freebsdMachine(runProgram)
    : (await import('./linux.ts')).linuxMachine(runProgram);
}

const SIGNALS = ['SIGINT', 'SIGTERM', 'SIGHUP'] as const;

interface CopiedDaemon extends Pick<ControlClient, 'askOnce'> {
  close(): Promise<void>;
}

/** The daemon in the copy: these settings, and files of its own. Throws SelftestError with what it said. */
async function startDaemon(
  settings: Settings,
  directory: string,
  within: (...command: readonly string[]) => readonly string[],
): Promise<CopiedDaemon> {
  const file = join(directory, 'pinholed.yaml');
  const socket = join(directory, 'sock');
  chmodSync(directory, 0o755);
  writeFileSync(file, printJson(alone(settings, socket)));
  const [program = '', ...words] = within(
    ...ownCommand(['run', '--no-supervisor', '--drop', '--config', file]),
  );
  const child = spawn(program, words, { stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr!.on('data', (chunk) => {
    said = `${said}${chunk}`.slice(-LONGEST_SAID);
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  child.once('error', () => {});
  const close = async () => {
    child.kill('SIGTERM');
    const timer = setTimeout(() => child.kill('SIGKILL'), STOP_WITHIN);
    await ended;
    clearTimeout(timer);
  };
  const until = performance.now() + START_WITHIN;
  while (child.exitCode === null && performance.now() < until) {
    if (await isServing(socket)) return { askOnce: (request) => askOnce(socket, request), close };
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY));
  }
  if (child.exitCode === null) await close();
  throw new SelftestError(`the daemon does not start in the copy: ${said.trim() || 'it said nothing'}`);
}

const LONGEST_SAID = 2000;

/** On a connection of its own: one that asks nothing for long is closed. Throws ControlError. */
async function askOnce<T>(socket: string, request: Parameters<ControlClient['askOnce']>[0]): Promise<T> {
  const client = await connectControl(socket);
  try {
    return await client.askOnce<T>(request);
  } finally {
    client.close();
  }
}

/** Whether it takes packets. */
async function isServing(socket: string): Promise<boolean> {
  try {
    await askOnce(socket, { request: 'status' });
    return true;
  } catch (error) {
    if (error instanceof ControlError) return false;
    throw error;
  }
}

/** What the test call itself takes. */
const LEAST = { streams: 2, pinholesPerCall: 16 } as const;

/** Nothing that the running daemon has, too. */
function alone(settings: Settings, socket: string): Settings {
  return {
    ...settings,
    ...{ mode: 'enforce', metrics: null, web: null },
    caps: {
      ...settings.caps,
      streams: Math.max(settings.caps.streams, LEAST.streams),
      pinholesPerCall: Math.max(settings.caps.pinholesPerCall, LEAST.pinholesPerCall),
    },
    control: { ...settings.control, socket, group: null, mode: 0o600 },
    daemon: { ...settings.daemon, pidFile: null, journal: null, chroot: null },
    log: { ...settings.log, destination: 'stderr', calls: null, level: 'info', format: 'text' },
  };
}
