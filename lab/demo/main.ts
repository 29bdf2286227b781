/** Real calls between two networks, through pinholed and a packet filter that drops the rest. */
import type { ChildProcess } from 'node:child_process';
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { terminalStyle } from '../../src/report/style.ts';
import { type Calls, createCalls } from './calls.ts';
import { beginningOf, readDatagrams } from './capture.ts';
import { type Daemon, startDaemon } from './daemon.ts';
import { ADDRESSES, createNetwork, HOSTS, type Host, type Network, SIP_PORTS } from './network.ts';
import { between, type Captures, compareStranger, compareWay, type Way } from './result.ts';
import { type Scenario, scenarios, xml } from './scenarios.ts';
import { judge } from './table.ts';
import { type Counters, createView } from './view.ts';

const CALLS_OF_A_KIND = 4;
/** ms between two calls of a kind, and between the first calls of two kinds. */
const CALL_EVERY = 1700;
const KIND_EVERY = 300;
/** s after which sipp gives up. */
const PATIENCE = 40;
/** ms in which the last pinholes have to close after the last call. */
const CLOSING = 10_000;
const FRAME = 200;
/** Speech in A-law, which comes with sipp. */
const RECORDING = '/usr/share/sip-tester/g711a.pcap';

const style = terminalStyle(process.stdout, process.env);
const say = (text = '') => process.stdout.write(`${text}\n`);
const sleep = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

const directory = mkdtempSync(join(tmpdir(), 'pinholed-demo-'));
// The daemon gives up root and still has to reach its journal.
chmodSync(directory, 0o755);
process.once('exit', () => rmSync(directory, { recursive: true, force: true }));
for (const [signal, number] of [
  ['SIGINT', 2],
  ['SIGTERM', 15],
  ['SIGHUP', 1],
] as const) {
  process.once(signal, () => {
    if (process.stdout.isTTY) process.stdout.write('\x1b[?25h');
    process.exit(128 + number);
  });
}
try {
  process.exitCode = (await demo()) ? 0 : 1;
} catch (error) {
  console.error(`demo: ${(error as Error).message}`);
  process.exit(1);
}

async function demo(): Promise<boolean> {
  say(style.strong('pinholed inline: calls through a firewall that drops what has no pinhole'));
  const network = createNetwork();
  const tcpdumps = await Promise.all(HOSTS.map((host) => startTcpdump(network, host)));
  const stranger = startStranger(network);
  // It starts with the first call.
  let startedAt: number | null = null;
  const clock = () => {
    startedAt ??= performance.now();
    return performance.now() - startedAt;
  };
  const kinds = scenarios(cut);
  const calls = createCalls({
    clock,
    nameOf: (callId) => kinds[Number(callId.split('-')[0])]?.name ?? callId,
    onTarget: (open, address, port) => stranger.aim(open, address, port),
  });
  const view = createView({ calls, style, clock, stream: process.stdout });
  const daemon = startDaemon(network, directory, (event) => {
    calls.take(event);
    view.event(event);
  });
  await daemon.running;
  introduce(network);

  const parties = Promise.all(kinds.map((kind, index) => play(network, kind, index)));
  const over = parties.then((complete) => closing(calls).then(() => complete));
  let isOver = false;
  const complete = over.finally(() => {
    isOver = true;
  });
  while (!isOver) {
    view.draw(await readCounters(network));
    await Promise.race([sleep(FRAME), complete]);
  }
  view.draw(await readCounters(network));
  view.end();

  const flowsLeft = countFlows(network);
  const left = countElements(network);
  const targets = await finish(daemon, stranger, calls);
  const captureLoss = (await Promise.all(tcpdumps.map((stop) => stop()))).reduce(
    (sum, lost) => sum + lost,
    0,
  );
  network.remove();
  const captures: Captures = {
    client: readDatagrams(captureFile('client')),
    server: readDatagrams(captureFile('server')),
    stranger: readDatagrams(captureFile('stranger')),
  };
  const { ok, lines } = judge(
    {
      calls: {
        planned: kinds.length * CALLS_OF_A_KIND,
        complete: (await complete).reduce((sum, count) => sum + count, 0),
      },
      ways: [wayOf(captures, 'client', 'server'), wayOf(captures, 'server', 'client')],
      stranger: { ...compareStranger(captures), targets },
      pinholes: { opened: calls.opened, closed: calls.closed, left },
      flowsLeft,
      captureLoss,
      complaints: daemon.complaints,
    },
    style,
  );
  say();
  for (const line of lines) say(line);
  say();
  return ok;
}

function wayOf(captures: Captures, from: Host, to: Host): Way {
  const [one, other] = [ADDRESSES[from], ADDRESSES[to]];
  return compareWay(between(captures[from], one, other), between(captures[to], one, other));
}

function introduce({ queue }: Network): void {
  const { client, server, stranger } = ADDRESSES;
  const left = `  client ${client} ────── `;
  const under = ' '.repeat(left.length + 3);
  say();
  say(`${left}${style.good('firewall')} ────── server ${server}`);
  say(`${under}│   ${style.quiet(`NFQUEUE (${queue}) and nftables`)}`);
  say(`${under}└── stranger ${stranger} ${style.quiet('sends to every open port')}`);
  say();
}

/** One kind of call on both sides, the callee's first; resolves with the calls that both saw to their end. */
async function play(network: Network, { name, caller, callee }: Scenario, index: number): Promise<number> {
  // The odd ones go the other way.
  const [from, to]: readonly [Host, Host] = index % 2 === 0 ? ['client', 'server'] : ['server', 'client'];
  const port = SIP_PORTS.first + index;
  const party = (host: Host, role: string, steps: readonly string[], args: readonly string[]) => {
    const file = join(directory, `${role}-${index}.xml`);
    writeFileSync(file, xml(name, steps));
    const child = network.start(
      host,
      'sipp',
      [
        ...['-sf', file, '-i', ADDRESSES[host], '-mi', ADDRESSES[host], '-p', `${port}`, '-nostdin'],
        ...['-mp', `${20_000 + 2000 * index}`, '-m', `${CALLS_OF_A_KIND}`, '-timeout', `${PATIENCE}`],
        ...['-timeout_error', '-trace_err', '-error_file', `${file}.err`, ...args],
      ],
      { stdio: 'ignore', cwd: directory },
    );
    return new Promise<number | null>((resolve) => child.once('exit', resolve));
  };
  await sleep(index * KIND_EVERY);
  const answered = party(to, 'callee', callee, []);
  await sleep(500);
  const called = party(from, 'caller', caller, [
    ...[`${ADDRESSES[to]}:${port}`, '-r', '1', '-rp', `${CALL_EVERY}`, '-cid_str', `${index}-%u@%s`],
  ]);
  const statuses = await Promise.all([called, answered]);
  if (statuses.every((status) => status === 0)) return CALLS_OF_A_KIND;
  for (const role of ['caller', 'callee']) say(readError(join(directory, `${role}-${index}.xml.err`)));
  return 0;
}

function readError(file: string): string {
  try {
    return readFileSync(file, 'utf8').split('\n').slice(0, 12).join('\n');
  } catch {
    return '';
  }
}

/** Waits until nothing is open, or for too long. */
async function closing(calls: Calls): Promise<void> {
  const until = performance.now() + CLOSING;
  while (calls.open > 0 && performance.now() < until) await sleep(50);
  // What is closed is taken out of connection tracking off the path of packets, a moment later.
  await sleep(500);
}

async function finish(daemon: Daemon, stranger: Stranger, calls: Calls): Promise<number> {
  await stranger.stop();
  await daemon.stop();
  return calls.targets.size;
}

interface Stranger {
  aim(open: boolean, address: string, port: number): void;
  stop(): Promise<void>;
}

function startStranger(network: Network): Stranger {
  const program = fileURLToPath(new URL('spray.ts', import.meta.url));
  const child = network.start('stranger', process.execPath, ['--import', 'tsx', program], {
    stdio: ['pipe', 'ignore', 'inherit'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  return {
    aim: (open, address, port) => child.stdin!.write(`${open ? '+' : '-'} ${address} ${port}\n`),
    stop() {
      child.stdin!.end();
      return ended;
    },
  };
}

function captureFile(host: Host): string {
  return join(directory, `${host}.pcap`);
}

/** Captures UDP on a host's device; resolves when it does, with what ends it and gives the packets it lost. */
async function startTcpdump(network: Network, host: Host): Promise<() => Promise<number>> {
  const args = ['-i', 'eth0', '-nU', '-Z', 'root', '-B', '16384', '--immediate-mode'];
  const child = network.start(host, 'tcpdump', [...args, '-w', captureFile(host), 'udp'], {
    stdio: ['ignore', 'ignore', 'pipe'],
  });
  const ended = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  let lost = 0;
  await new Promise<void>((resolve, reject) => {
    void ended.then(() => reject(new Error(`tcpdump ended on ${host}`)));
    createInterface({ input: child.stderr! }).on('line', (line) => {
      if (line.includes('listening on')) resolve();
      if (line.includes('dropped by')) lost += Number.parseInt(line, 10);
    });
  });
  return async () => {
    child.kill('SIGINT');
    await ended;
    return lost;
  };
}

/** The named counters of the administrator's ruleset, read without waiting for it. */
async function readCounters(network: Network): Promise<Counters> {
  const { nftables } = JSON.parse(
    await output(network, ['-j', 'list', 'counters', 'table', 'inet', 'filter']),
  ) as {
    nftables: { counter?: { name: keyof Counters; packets: number } }[];
  };
  const counters = { sip: 0, media: 0, dropped: 0 };
  for (const { counter } of nftables) if (counter !== undefined) counters[counter.name] = counter.packets;
  return counters;
}

async function output(network: Network, args: readonly string[]): Promise<string> {
  const child: ChildProcess = network.start('firewall', 'nft', args, {
    stdio: ['ignore', 'pipe', 'inherit'],
  });
  let text = '';
  child.stdout!.on('data', (part) => {
    text += part;
  });
  await new Promise((resolve) => child.once('close', resolve));
  return text;
}

/** Elements that are left in the daemon's sets. */
function countElements(network: Network): number {
  const { nftables } = JSON.parse(
    network.run('firewall', 'nft', '-j', 'list', 'table', 'inet', 'pinholed'),
  ) as {
    nftables: { set?: { elem?: unknown[] } }[];
  };
  return nftables.reduce((sum, { set }) => sum + (set?.elem?.length ?? 0), 0);
}

/** Connections that are tracked and are not SIP. */
function countFlows(network: Network): number {
  return network
    .run('firewall', 'conntrack', '-L', '-p', 'udp')
    .split('\n')
    .filter((line) => line.startsWith('udp') && !isSipFlow(line)).length;
}

function isSipFlow(line: string): boolean {
  return [...line.matchAll(/port=([0-9]+)/g)].some(
    ([, port]) => Number(port) >= SIP_PORTS.first && Number(port) <= SIP_PORTS.last,
  );
}

/** The beginning of the recording, as long as is asked for. */
function cut(ms: number): string {
  const file = join(directory, `speech-${ms}.pcap`);
  writeFileSync(file, beginningOf(readFileSync(RECORDING), ms));
  return file;
}
