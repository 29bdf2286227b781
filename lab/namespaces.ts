/** Network namespaces and the links between them, by ip(8). */
import { type ChildProcess, spawn, spawnSync } from 'node:child_process';

/** Runs a program to its end and returns what it printed. Throws what it complained of. */
export function execute(...[program = '', ...args]: readonly string[]): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.trim()}`);
  return stdout;
}

/** The words that run a program in a namespace. */
export function within(namespace: string, ...words: readonly string[]): string[] {
  return ['ip', 'netns', 'exec', namespace, ...words];
}

/** Ends every process in the namespace and removes it; nothing when there is none of that name. */
export function removeNamespace(name: string): void {
  const { stdout, status } = spawnSync('ip', ['netns', 'pids', name], { encoding: 'utf8' });
  if (status !== 0) return;
  for (const pid of stdout.split('\n').filter(Boolean)) {
    try {
      process.kill(Number(pid), 'SIGKILL');
    } catch {}
  }
  spawnSync('ip', ['netns', 'delete', name]);
}

/** A network between a host and the firewall, and the host's addresses in it; the first is where others reach it. */
export interface Net {
  /** The firewall's address. */
  readonly gateway: string;
  readonly addresses: readonly string[];
  readonly prefixLength: number;
}

export interface Link {
  /** Namespaces, both there already. */
  readonly host: string;
  readonly firewall: string;
  /** What the firewall's end is called; the host's is `eth0`. */
  readonly device: string;
  /** Tells the hardware addresses of this link from others: 1 to 9. */
  readonly number: number;
  readonly nets: readonly Net[];
}

/**
 * A veth pair from the host to the firewall, up, with addresses, default routes, and neighbours that are known, so that
 * no packet waits for ARP.
 */
export function link({ host, firewall, device, number, nets }: Link): void {
  const macs = { host: `02:00:00:00:00:${number}0`, firewall: `02:00:00:00:00:${number}1` };
  for (const namespace of [host, firewall]) {
    const keys = ['default', 'all'].map((one) => `net.ipv6.conf.${one}.accept_dad=0`);
    execute(...within(namespace, 'sysctl', '-qw', ...keys));
  }
  const onHost = (...args: readonly string[]) => execute('ip', '-n', host, ...args);
  const onFirewall = (...args: readonly string[]) => execute('ip', '-n', firewall, ...args);
  onHost(
    ...['link', 'add', 'eth0', 'address', macs.host, 'type', 'veth'],
    ...['peer', 'name', device, 'address', macs.firewall, 'netns', firewall],
  );
  for (const own of ['lo', 'eth0']) onHost('link', 'set', own, 'up');
  onFirewall('link', 'set', device, 'up');
  for (const { gateway, addresses, prefixLength } of nets) {
    onFirewall('address', 'add', `${gateway}/${prefixLength}`, 'dev', device);
    for (const own of addresses) {
      onHost('address', 'add', `${own}/${prefixLength}`, 'dev', 'eth0');
      onFirewall('neighbour', 'replace', own, 'lladdr', macs.host, 'dev', device);
    }
    onHost('neighbour', 'replace', gateway, 'lladdr', macs.firewall, 'dev', 'eth0');
    onHost('route', 'add', 'default', 'via', gateway);
  }
}

/** What ends a test that takes too long, or that somebody interrupts. */
const SIGNALS = ['SIGTERM', 'SIGINT', 'SIGHUP'] as const;

/** Has `remove` called when the process ends, by a signal as well. What is returned takes that back. */
function atExit(remove: () => void): () => void {
  const interrupted = () => process.exit(1);
  process.once('exit', remove);
  for (const signal of SIGNALS) process.once(signal, interrupted);
  return () => {
    process.off('exit', remove);
    for (const signal of SIGNALS) process.off(signal, interrupted);
  };
}

/** Resolves when the child is gone. */
export function ended(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return Promise.resolve();
  return new Promise((resolve) => child.once('exit', () => resolve()));
}

/** Namespaces of one lab, and what runs in them. */
export interface OwnNamespaces<Name extends string> {
  /** As ip-netns(8) knows it. */
  nameOf(name: Name): string;
  /** Starts a program there, with pipes for standard input, output and error. */
  start(name: Name, program: string, ...args: readonly string[]): ChildProcess;
  /** This one ends with the others. */
  keep(child: ChildProcess): void;
  /** Ends what was started, and removes the namespaces. */
  close(): Promise<void>;
}

/** Makes none yet: removes those of these names when `close` is called, and when the process ends. */
export function ownNamespaces<Name extends string>(
  prefix: string,
  names: readonly Name[],
): OwnNamespaces<Name> {
  const children: ChildProcess[] = [];
  const nameOf = (name: Name) => `${prefix}-${name}`;
  const keep = (child: ChildProcess) => void children.push(child);
  const remove = () => {
    for (const child of children) child.kill('SIGKILL');
    for (const name of names) removeNamespace(nameOf(name));
  };
  const kept = atExit(remove);
  return {
    nameOf,
    keep,
    start(name, ...words) {
      const [program = '', ...args] = within(nameOf(name), ...words);
      const child = spawn(program, args);
      keep(child);
      return child;
    },
    async close() {
      kept();
      remove();
      await Promise.all(children.map(ended));
    },
  };
}
