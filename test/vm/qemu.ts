/** One FreeBSD machine that qemu runs, with a root shell on its serial console. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Console, openConsole } from './console.ts';

/** A network card of the machine, whose other end is a tap here. */
export interface Card {
  readonly mac: string;
  /** Name of the tap while the machine boots. */
  readonly tap: string;
  /** Where it goes then, and what it is called there. */
  readonly namespace: string;
  readonly device: string;
}

export interface Booted extends Pick<Console, 'run'> {
  /** Name that the machine has for the card with this hardware address. */
  nameOf(mac: string): Promise<string>;
  /** Loses power. */
  kill(): Promise<void>;
  close(): Promise<void>;
}

/** A directory with what goes along, for measurements. */
const LUGGAGE = process.env['PINHOLED_VM_LUGGAGE'];
const BOOT_WITHIN = 600_000;

/** What runs a machine of each architecture, by FreeBSD's name of it. The cards and disks of both are on a PCI bus. */
const ARCHITECTURES = {
  amd64: { program: 'qemu-system-x86_64', machine: [] },
  arm64: { program: 'qemu-system-aarch64', machine: ['-machine', 'virt'] },
} as const;

type Architecture = keyof typeof ARCHITECTURES;

/** Of the machine, by PINHOLED_VM_ARCHITECTURE or by the name of the image, as official images have it. */
export const ARCHITECTURE = architectureOf(
  process.env['PINHOLED_VM_IMAGE'] ?? '',
  process.env['PINHOLED_VM_ARCHITECTURE'],
);
const EXECUTABLE = fileURLToPath(new URL(`../../build/freebsd/pinholed-${ARCHITECTURE}`, import.meta.url));

/** Where the machine has what was brought along: the executable, `pinholed`. */
export const FILES = '/root/pinholed-test';

export interface BootOptions {
  readonly cards: readonly Card[];
  /** Called once the machine is gone, or this process ends: removes what its taps are in. */
  readonly remove: () => void;
}

function architectureOf(image: string, named: string | undefined): Architecture {
  if (named === undefined) return /-(?:arm64|aarch64)\b/.test(basename(image)) ? 'arm64' : 'amd64';
  if (Object.hasOwn(ARCHITECTURES, named)) return named as Architecture;
  throw new Error(
    `PINHOLED_VM_ARCHITECTURE: expected ${Object.keys(ARCHITECTURES).join(' or ')}, found ${named}`,
  );
}

/** Boots PINHOLED_VM_IMAGE, which stays as it is, with the executable on a second disk. */
export async function bootMachine({ cards, remove }: BootOptions): Promise<Booted> {
  const image = process.env['PINHOLED_VM_IMAGE']!;
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-vm-'));
  const luggage = join(directory, 'luggage.tar');
  execFileSync('tar', [
    '-cf',
    luggage,
    `--transform=s/^${basename(EXECUTABLE)}$/pinholed/`,
    '-C',
    join(EXECUTABLE, '..'),
    basename(EXECUTABLE),
    ...(LUGGAGE === undefined ? [] : ['-C', LUGGAGE, '.']),
  ]);
  for (const { tap } of cards) command('ip', 'tuntap', 'add', tap, 'mode', 'tap');
  const serial = join(directory, 'serial');
  const more = (process.env['PINHOLED_VM_QEMU'] ?? '').split(' ').filter((word) => word !== '');
  const { program, machine } = ARCHITECTURES[ARCHITECTURE];
  const format = image.endsWith('.qcow2') ? 'qcow2' : 'raw';
  const child = spawn(
    'setpriv',
    [
      // The machine ends with this process, however that ends.
      ...['--pdeathsig', 'KILL', process.env['PINHOLED_VM_PROGRAM'] ?? program],
      ...machine,
      ...['-m', '2048', '-smp', '2', '-cpu', 'max', '-display', 'none', '-no-reboot'],
      ...['-drive', `file=${image},format=${format},if=virtio,snapshot=on`],
      ...['-drive', `file=${luggage},format=raw,if=virtio,readonly=on`],
      ...['-chardev', `socket,id=serial,path=${serial},server=on,wait=off`, '-serial', 'chardev:serial'],
      ...cards.flatMap(({ tap, mac }) => [
        ...['-netdev', `tap,id=${tap},ifname=${tap},script=no,downscript=no`],
        ...['-device', `virtio-net-pci,netdev=${tap},mac=${mac}`],
      ]),
      ...more.map((word) => word.replaceAll('%20', ' ')),
    ],
    { stdio: ['ignore', 'inherit', 'inherit'] },
  );
  const clean = () => {
    remove();
    // Those of a machine that did not come up are here still.
    for (const { tap } of cards) spawnSync('ip', ['link', 'delete', tap], { stdio: 'ignore' });
    rmSync(directory, { recursive: true, force: true });
  };
  const forget = endWithRunner(() => {
    child.kill('SIGKILL');
    clean();
  });
  const end = async (signal: 'SIGTERM' | 'SIGKILL') => {
    forget();
    await stopped(child, signal);
    clean();
  };
  try {
    const { run } = await openConsole(serial, BOOT_WITHIN);
    for (const { tap, namespace, device } of cards) {
      command('ip', 'link', 'set', tap, 'netns', namespace);
      command('ip', '-n', namespace, 'link', 'set', tap, 'name', device);
    }
    await run(`mkdir -p ${FILES} && tar -xf /dev/vtbd1 -C ${FILES}`);
    return {
      run,
      async nameOf(mac) {
        const found = await run(
          `for i in $(ifconfig -l); do ifconfig $i | grep -q ${mac} && echo $i; done; true`,
        );
        if (found.trim() === '') throw new Error(`the machine has no interface ${mac}`);
        return found.trim();
      },
      kill: () => end('SIGKILL'),
      close: () => end('SIGTERM'),
    };
  } catch (error) {
    await end('SIGTERM');
    throw error;
  }
}

const ENDING = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;
const RUNNER_LOOK_EVERY = 500;

/** Calls `clean` when this process is told to end, or has lost the runner that started it. Returns what takes that back. */
function endWithRunner(clean: () => void): () => void {
  const runner = process.ppid;
  const end = () => {
    process.off('exit', clean);
    clean();
    process.exit(1);
  };
  const watch = setInterval(() => {
    if (process.ppid !== runner) end();
  }, RUNNER_LOOK_EVERY);
  watch.unref();
  process.on('exit', clean);
  for (const signal of ENDING) process.on(signal, end);
  return () => {
    clearInterval(watch);
    process.off('exit', clean);
    for (const signal of ENDING) process.off(signal, end);
  };
}

function stopped(child: ChildProcess, signal: 'SIGTERM' | 'SIGKILL'): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => {
    child.once('exit', () => resolve());
    child.kill(signal);
  });
}

export function command(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
