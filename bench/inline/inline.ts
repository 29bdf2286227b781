/**
 * What the way through the firewall costs a SIP message: without inspection, with nf_conntrack_sip, with the least
 * program that an NFQUEUE can have, and with pinholed. Needs root, Linux and a C compiler; makes network namespaces.
 * The firewall's program has one core, the load another. Nothing is favoured but what the daemon does for itself
 * (daemon.priority).
 *
 *   npm run build && node --import tsx bench/inline/inline.ts [none|helper|floor|pinholed|nat|mirrored|many ...] [--main=PATH]
 *
 * `many`: pinholed beside 100,000 calls. `--main`: compiled code of another version.
 */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { cpus, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { startDaemon } from '../../lab/daemon.ts';
import { externalAddress, natRules } from '../../lab/nat.ts';
import { ADMINISTRATOR, createTopology, queueRules, type Topology } from '../../lab/topology.ts';
import { mainOption } from '../arguments.ts';

const HELPER = `
table inet helper {
  ct helper sip { type "sip" protocol udp; l3proto ip; }
  chain prerouting {
    type filter hook prerouting priority filter;
    udp dport 5060 ct helper set "sip"
  }
}`;

/** On the stranger's link, and nobody's: a card there takes no frame for it. */
const COLLECTOR = '10.0.4.99';

/** A core for each. */
const FIREWALL_CORE = ['taskset', '-c', '0'];
const LOAD_CORE = ['taskset', '-c', '1'];
const words = process.argv.slice(2);
const wanted = words.filter((word) => !word.startsWith('--'));
const main = mainOption(words);

const directory = mkdtempSync(join(tmpdir(), 'pinholed-bench-'));
const compiled = (name: string): string => {
  const program = join(directory, name);
  const source = fileURLToPath(new URL(`${name}.c`, import.meta.url));
  execFileSync('cc', ['-O2', '-Wall', '-Wextra', '-o', program, source], { stdio: 'inherit' });
  return program;
};
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
const load = compiled('load');
const floor = compiled('floor');

interface Result {
  readonly seconds: number;
  readonly messages: number;
  readonly lost: number;
  /** Of each kind of message that arrived p50, p99, p99.9 and the worst, in ns. */
  readonly kinds: Readonly<Record<string, readonly [number, number, number, number]>>;
}

interface Started {
  readonly topology: Topology;
  readonly close: () => Promise<void>;
  /** What the client announces and is reached at, in place of its own address. */
  readonly announced?: string;
}

interface Way {
  readonly name: string;
  /** Calls beside which it is measured as well. */
  readonly beside?: number;
  /** Whether it is measured with no other calls. */
  readonly alone?: boolean;
  readonly start: () => Promise<Started>;
}

const ways: Readonly<Record<string, Way>> = {
  none: {
    name: 'no inspection',
    start: () => plain((firewall) => void firewall('nft', ADMINISTRATOR)),
  },
  helper: {
    name: 'nf_conntrack_sip',
    start: () =>
      plain((firewall) => {
        firewall('nft', ADMINISTRATOR.replace('established', 'established,related'));
        firewall('nft', HELPER);
      }),
  },
  floor: {
    name: 'minimal C program',
    start: async () => {
      const { topology, close } = await plain(queueRules);
      const [command, ...words] = FIREWALL_CORE;
      const child = topology.start(command!, ...words, floor, '0');
      await new Promise((resolve) => child.stdout!.once('data', resolve));
      return { topology, close };
    },
  },
  pinholed: {
    name: 'pinholed',
    beside: 10_000,
    start: () => withDaemon(''),
  },
  many: {
    name: 'pinholed',
    beside: 100_000,
    alone: false,
    start: () => withDaemon(''),
  },
  mirrored: {
    name: 'pinholed, everything that is inspected mirrored by HEP to a host that does not listen',
    start: () =>
      withDaemon(`hep: { send: ${COLLECTOR}:9060 }\n`, {
        rules(run) {
          queueRules(run);
          const route = run('ip', 'route', 'get', COLLECTOR);
          const device = / dev (\S+)/.exec(route)![1]!;
          run('ip', 'neigh', 'add', COLLECTOR, 'lladdr', '02:00:00:00:00:99', 'dev', device);
        },
      }),
  },
  nat: {
    name: 'pinholed, the client behind an external address: each pinhole brings its translation',
    start: () =>
      withDaemon(`nat: [{external: ${externalAddress(4)}, hosts: [10.0.1.10]}]\n`, {
        rules: natRules,
        announced: externalAddress(4),
      }),
  },
};

/** Log and timers of the defaults, where tests have their own; a supervisor as well, which sets the data path's options. */
const AS_IT_COMES = 'log: {}\ntimers: {}\n';

async function withDaemon(
  settings: string,
  { rules = queueRules, announced }: { rules?: typeof queueRules; announced?: string } = {},
): Promise<Started> {
  const topology = await createTopology({ rules });
  const caps = 'caps: { calls: 1000000, calls-per-host: 1000000, offers-per-second: 100000 }';
  const inside = announced === undefined ? '' : 'inside: [10.0.1.0/24]\n';
  const daemon = await startDaemon(topology, {
    module: main ?? '../dist/src/main.js',
    pinned: FIREWALL_CORE,
    flags: [],
    changes: `${AS_IT_COMES}${inside}${settings}${caps}`,
  });
  const close = async () => {
    await daemon.close();
    await topology.close();
  };
  return { topology, close, ...(announced !== undefined && { announced }) };
}

async function plain(rules: (firewall: Topology['firewall']) => void): Promise<Started> {
  const topology = await createTopology({ rules });
  return { topology, close: topology.close };
}

let calls = 0;

function run(
  { topology, announced }: Started,
  mode: string,
  count: number,
  pace: string,
  first?: number,
): Result {
  const [command, ...words] = LOAD_CORE;
  const from = first ?? calls;
  if (first === undefined) calls += count;
  const ends = [topology.namespaceOf('client'), topology.namespaceOf('server')];
  const external = announced === undefined ? [] : [announced];
  const args = [...words, load, ...ends, mode, String(count), pace, String(from), ...external];
  return JSON.parse(execFileSync(command!, args, { encoding: 'utf8' })) as Result;
}

function micro(nanoseconds: number): string {
  return (nanoseconds / 1000).toFixed(1);
}

/** Of several runs the one that was disturbed least. */
function quietest(kind: string, runs: readonly Result[]): Result {
  const middle = ({ kinds }: Result) => kinds[kind]?.[0] ?? Number.POSITIVE_INFINITY;
  return [...runs].sort((a, b) => middle(a) - middle(b))[0]!;
}

function report(what: string, { kinds, lost }: Result, only: readonly string[]): void {
  for (const kind of only) {
    const times = kinds[kind];
    if (times === undefined) {
      console.log(`    ${`${kind}, ${what}`.padEnd(34)} none arrived`);
      continue;
    }
    const [p50, p99, p999, worst] = times;
    const high = `p99 ${micro(p99).padStart(8)}  p99.9 ${micro(p999).padStart(8)}`;
    const text = `p50 ${micro(p50).padStart(7)}  ${high}  max ${micro(worst).padStart(9)} µs`;
    console.log(`    ${`${kind}, ${what}`.padEnd(34)} ${text}${lost > 0 ? `  LOST ${lost}` : ''}`);
  }
}

const CALL = ['INVITE', '200 INVITE'];

function measure(started: Started): void {
  const rounds = [0, 1, 2];
  const repeat = (mode: string, count: number, pace: string) =>
    rounds.map(() => run(started, mode, count, pace));
  run(started, 'options', 3000, 'one');
  run(started, 'calls', 3000, 'one');
  report('one at a time', quietest('OPTIONS', repeat('options', 10_000, 'one')), ['OPTIONS']);
  report('500/s', quietest('OPTIONS', repeat('options', 1000, '500')), ['OPTIONS']);
  report('one call at a time', quietest('INVITE', repeat('calls', 2000, 'one')), CALL);
  report('200 calls/s', quietest('INVITE', repeat('calls', 2000, '200')), CALL);
  fastest('OPTIONS', repeat('options', 40_000, 'w64'), 1);
  fastest('calls', repeat('calls', 6000, 'w32'), 5);
}

function fastest(what: string, runs: readonly Result[], perCall: number): void {
  const best = [...runs].sort((a, b) => b.messages / b.seconds - a.messages / a.seconds)[0]!;
  const rate = Math.round(best.messages / best.seconds);
  const each = perCall === 1 ? '' : `, ${Math.round(rate / perCall)} calls/s`;
  console.log(`    ${`${what}, as fast as it goes`.padEnd(34)} ${rate} messages/s${each}, lost ${best.lost}`);
}

console.log(`${cpus()[0]!.model}, ${cpus().length} cores, Node ${process.version}`);
for (const [key, way] of Object.entries(ways)) {
  if (wanted.length > 0 ? !wanted.includes(key) : key === 'many') continue;
  const started = await way.start();
  try {
    console.log(`\n${way.name}`);
    if (way.alone !== false) measure(started);
    if (way.beside !== undefined) besideOthers(started, way.beside);
  } finally {
    await started.close();
  }
}

function besideOthers(started: Started, many: number): void {
  const first = calls;
  const { seconds, lost } = run(started, 'setup', many, 'w32');
  console.log(`  ${many} calls set up in ${seconds.toFixed(1)} s, lost ${lost}; beside them`);
  measure(started);
  const down = run(started, 'teardown', many, 'w32', first);
  console.log(`  torn down in ${down.seconds.toFixed(1)} s, lost ${down.lost}`);
}
