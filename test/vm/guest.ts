/**
 * The FreeBSD machine between two network namespaces:
 *
 *   namespace outside 198.51.100.10 ── outside interface [FreeBSD] inside interface ── 192.0.2.10 namespace inside
 *                     2001:db8:1::10        .1 / ::1      pf            .1 / ::1      2001:db8:2::10
 *
 * It is booted from PINHOLED_VM_IMAGE, or is one that runs already, see docs/freebsd-vm.md.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import type { TestContext } from 'node:test';
import { bootMachine, command, FILES } from './qemu.ts';

export interface Guest extends Machine {
  /** Whether divert-to does nothing for IPv6, and pf has no limit of anchors: FreeBSD 14. */
  readonly before15: boolean;
}

interface Machine {
  /** Runs a line of sh(1) as root and returns what it printed. Rejects when its status is not 0. */
  run(command: string): Promise<string>;
  /** Names of its interfaces. */
  readonly interfaces: Readonly<Record<Side, string>>;
  /** Names of the namespaces on the other side of them. */
  readonly namespaces: Readonly<Record<Side, string>>;
  /** Name of one more interface outside, `tap1` in that namespace; null where none was asked for, or none can be had. */
  readonly second: string | null;
  /** Directory with what was brought along: the executable, `pinholed`. */
  readonly files: string;
  close(): Promise<void>;
}

export type Side = 'outside' | 'inside';
export const SIDES = ['outside', 'inside'] as const;

/** Skips a test of IPv6 where divert-to does nothing for it; whether it did. */
export function skipsIPv6(context: TestContext, { before15 }: Guest): boolean {
  if (!before15) return false;
  context.skip('before FreeBSD 15 divert-to does nothing for IPv6');
  return true;
}

/** Why there is no machine to test on, or false. */
export const withoutGuest: string | false =
  process.env['PINHOLED_VM_IMAGE'] === undefined && process.env['PINHOLED_VM_SHELL'] === undefined
    ? 'needs a FreeBSD machine: set PINHOLED_VM_IMAGE, see docs/freebsd-vm.md'
    : process.geteuid?.() !== 0
      ? 'needs root: it makes network namespaces'
      : false;

/** Of the machine's interfaces, where it is booted here. */
export const MACS = {
  outside: '02:00:5e:00:00:01',
  inside: '02:00:5e:00:00:02',
  second: '02:00:5e:00:00:03',
} as const;

/** Addresses of the lab; the machine under test has `gateway` on each side. */
export const ADDRESSES = {
  outside: { 4: '198.51.100.10', 6: '2001:db8:1::10', stranger: '198.51.100.66' },
  inside: { 4: '192.0.2.10', 6: '2001:db8:2::10', stranger: '192.0.2.66' },
} as const;
const GATEWAYS = {
  outside: { 4: '198.51.100.1', 6: '2001:db8:1::1' },
  inside: { 4: '192.0.2.1', 6: '2001:db8:2::1' },
} as const;

export interface GuestOptions {
  /** One more interface outside. A machine that runs already has none. */
  readonly second?: boolean;
}

export async function openGuest({ second = false }: GuestOptions = {}): Promise<Guest> {
  const shell = process.env['PINHOLED_VM_SHELL'];
  const machine = shell === undefined ? await boot(second) : await running(shell);
  await address(machine);
  return { ...machine, before15: Number.parseInt(await machine.run('uname -r'), 10) < 15 };
}

/** A machine that runs already, by a program that takes one line of sh(1) as its last argument. */
async function running(shell: string): Promise<Machine> {
  const [program, ...args] = shell.split(' ') as [string, ...string[]];
  const place = (side: Side) => {
    const given = process.env[`PINHOLED_VM_${side.toUpperCase()}`];
    const [namespace, device] = given?.split(':') ?? [];
    if (!namespace || !device)
      throw new Error(`PINHOLED_VM_${side.toUpperCase()}: expected NAMESPACE:INTERFACE`);
    return { namespace, device };
  };
  const [outside, inside] = [place('outside'), place('inside')];
  const run = (command: string, input: Buffer | null = null) =>
    runProgram(program, [...args, command], input);
  const files = process.env['PINHOLED_VM_FILES'] ?? '/root/pinholed-test';
  return {
    run,
    interfaces: { outside: outside.device, inside: inside.device },
    namespaces: { outside: outside.namespace, inside: inside.namespace },
    second: null,
    files,
    close: async () => {},
  };
}

function runProgram(program: string, args: readonly string[], input: Buffer | null): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, { stdio: [input === null ? 'ignore' : 'pipe', 'pipe', 'pipe'] });
    let output = '';
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (part: Buffer) => {
        output += part.toString('latin1');
      });
    }
    child.on('error', reject);
    child.on('close', (status) => {
      if (status === 0) resolve(output);
      else reject(new Error(`${args.at(-1)}: status ${status}:\n${output}`));
    });
    child.stdin?.end(input);
  });
}

/** Boots the image with a tap in each namespace. */
async function boot(second: boolean): Promise<Machine> {
  removeAbandoned();
  const own = process.pid;
  const namespaces = { outside: `pinvm-out-${own}`, inside: `pinvm-in-${own}` };
  for (const side of SIDES) command('ip', 'netns', 'add', namespaces[side]);
  const machine = await bootMachine({
    cards: [
      { mac: MACS.outside, tap: `pvo${own}`, namespace: namespaces.outside, device: 'tap0' },
      { mac: MACS.inside, tap: `pvi${own}`, namespace: namespaces.inside, device: 'tap0' },
      ...(second
        ? [{ mac: MACS.second, tap: `pvs${own}`, namespace: namespaces.outside, device: 'tap1' }]
        : []),
    ],
    remove: () => {
      for (const side of SIDES) command('ip', 'netns', 'del', namespaces[side]);
    },
  });
  const { run, nameOf, close } = machine;
  try {
    const interfaces = { outside: await nameOf(MACS.outside), inside: await nameOf(MACS.inside) };
    return {
      run,
      interfaces,
      namespaces,
      second: second ? await nameOf(MACS.second) : null,
      files: FILES,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

/** Namespaces of a run that was killed before it could remove them. */
function removeAbandoned(): void {
  const names = execFileSync('ip', ['netns', 'list'], { encoding: 'utf8' });
  for (const [name, pid] of names.matchAll(/^pinvm-(?:out|in)-(\d+)/gm)) {
    if (!existsSync(`/proc/${pid}`)) command('ip', 'netns', 'del', name);
  }
}

/** Gives both sides of both links their addresses, and the machine the job of a router. */
async function address({ run, interfaces, namespaces }: Machine): Promise<void> {
  for (const side of SIDES) {
    const own = ADDRESSES[side];
    const gateway = GATEWAYS[side];
    const inside = (...args: string[]) => command('ip', '-n', namespaces[side], ...args);
    for (const key of ['accept_dad', 'accept_ra']) {
      command('ip', 'netns', 'exec', namespaces[side], 'sysctl', '-qw', `net.ipv6.conf.tap0.${key}=0`);
    }
    inside('link', 'set', 'lo', 'up');
    inside('link', 'set', 'tap0', 'up');
    inside('address', 'flush', 'dev', 'tap0', 'scope', 'global');
    for (const one of [own[4], own.stranger]) inside('address', 'add', `${one}/24`, 'dev', 'tap0');
    inside('address', 'add', `${own[6]}/64`, 'dev', 'tap0', 'nodad');
    inside('route', 'replace', 'default', 'via', gateway[4]);
    inside('-6', 'route', 'replace', 'default', 'via', gateway[6]);
    const name = interfaces[side];
    await run(
      `ifconfig ${name} inet ${gateway[4]}/24 -txcsum -rxcsum -txcsum6 -rxcsum6 -tso -lro up; ` +
        `ifconfig ${name} inet6 ${gateway[6]} prefixlen 64 no_dad`,
    );
  }
  await run('sysctl net.inet.ip.forwarding=1 net.inet6.ip6.forwarding=1 >/dev/null; kldload -nq pf ipdivert');
}
