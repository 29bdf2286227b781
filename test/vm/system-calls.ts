/**
 * Not a test: the system calls that the daemon makes on the FreeBSD machine for a message and for a call, counted by
 * truss(1), which no emulation changes: `node --import tsx test/vm/system-calls.ts`. The calls of the thread that carries
 * packets, and of all others together, less what both make in as much time when nothing passes.
 */
import { expect, type Step, send, udp } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { startDaemon } from './daemon.ts';
import { withoutGuest } from './guest.ts';
import { type Agent, describeMedia, type Lab, openLab } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

if (withoutGuest !== false) {
  console.error(withoutGuest);
  process.exit(1);
}

const ROUNDS = Number(process.env['PINHOLED_VM_ROUNDS'] ?? 20);

/** Who sends what, in order; the other has to receive it. */
type Script = readonly (readonly [from: 'caller' | 'callee', message: string])[];
interface Parties {
  readonly caller: Agent;
  readonly callee: Agent;
}

let serial = 0;

const scripts: Readonly<Record<string, (parties: Parties) => Script>> = {
  'OPTIONS and its 200'() {
    const given = { callId: `counted-${++serial}@example.com` };
    return [
      ['caller', sip('OPTIONS', given)],
      ['callee', sip('200 OPTIONS', { ...given, to: 'b' })],
    ];
  },
  'a call: INVITE, 200, ACK, BYE, 200'({ caller, callee }) {
    const given = { callId: `counted-${++serial}@example.com` };
    const dialog = { ...given, to: 'b' };
    return [
      ['caller', sip('INVITE', { ...given, body: describeMedia(caller.media) })],
      ['callee', sip('200 INVITE', { ...dialog, body: describeMedia(callee.media) })],
      ['caller', sip('ACK', dialog)],
      ['caller', sip('BYE', { ...dialog, cseq: 2 })],
      ['callee', sip('200 BYE', { ...dialog, cseq: 2 })],
    ];
  },
};

async function perform(parties: Parties, script: Script): Promise<void> {
  for (const [from, message] of script) {
    const [one, other] =
      from === 'caller' ? (['caller', 'callee'] as const) : (['callee', 'caller'] as const);
    const waits = parties[other].actor.run([expect('sip', message)]);
    await parties[one].actor.run([send('sip', parties[other].sip, message)]);
    await waits;
  }
}

/** By thread and name, and how many seconds of the machine's it took. */
interface Counted {
  readonly threads: ReadonlyMap<string, ReadonlyMap<string, number>>;
  readonly seconds: number;
}

async function counted({ guest }: Lab, pid: string, action: () => Promise<unknown>): Promise<Counted> {
  const { run } = guest;
  const file = `${guest.files}/truss`;
  const now = async () => Number(await run('date +%s'));
  await run(`truss -H -o ${file} -p ${pid} & echo $! > ${file}.pid; sleep 2`);
  const before = await now();
  await action();
  // What is written after the release of the last packet: 2 ms of quiet, and the journal.
  await run('sleep 2');
  const seconds = (await now()) - before;
  await run(`kill -INT $(cat ${file}.pid); while kill -0 $(cat ${file}.pid) 2>/dev/null; do sleep 0.2; done`);
  const lines = await run(
    `sed -nE -e 's/^ *([0-9]+): ioctl\\([0-9]+,([A-Za-z0-9_]+).*/\\1 ioctl:\\2/p' -e t -e 's/^ *([0-9]+): ([a-z_0-9]+)\\(.*/\\1 \\2/p' ${file} | sort | uniq -c`,
  );
  const threads = new Map<string, Map<string, number>>();
  for (const line of lines.trim().split('\n')) {
    const [count, thread, name] = line.trim().split(/\s+/) as [string, string, string];
    const calls = threads.get(thread) ?? new Map<string, number>();
    threads.set(thread, calls.set(name, Number(count)));
  }
  return { threads, seconds };
}

/** Calls of these threads in each round, less those of the time without packets. */
function perRound(busy: Counted, idle: Counted, isWanted: (thread: string) => boolean): [string, number][] {
  const sums = new Map<string, number>();
  const add = ({ threads }: Counted, factor: number) => {
    for (const [thread, calls] of threads) {
      if (!isWanted(thread)) continue;
      for (const [name, count] of calls) sums.set(name, (sums.get(name) ?? 0) + count * factor);
    }
  };
  add(busy, 1 / ROUNDS);
  add(idle, -busy.seconds / idle.seconds / ROUNDS);
  return [...sums].filter(([, count]) => Math.abs(count) >= 0.05).sort((a, b) => b[1] - a[1]);
}

function print(busy: Counted, idle: Counted): void {
  const received = (thread: string) => busy.threads.get(thread)?.get('recvfrom') ?? 0;
  const [packets] = [...busy.threads.keys()].sort((a, b) => received(b) - received(a));
  for (const [who, isWanted] of [
    ['the thread of packets', (thread: string) => thread === packets],
    ['all others', (thread: string) => thread !== packets],
  ] as const) {
    const calls = perRound(busy, idle, isWanted);
    const sum = calls.reduce((total, [, count]) => total + count, 0);
    const each = calls.map(([name, count]) => `${name} ${count.toFixed(1)}`);
    console.log(`| ${who} | ${sum.toFixed(1)} | ${each.join(', ')} |`);
  }
}

const lab = await openLab();
try {
  await startDaemon(lab.guest, CONFIG, ruleset(lab.guest), '--no-supervisor');
  const pid = (await lab.guest.run(`pgrep -f '^${lab.guest.files}/pinholed run'`)).trim();
  const parties = lab.agents();
  const socket = ({ sip }: Agent): Step => udp('sip', sip);
  await parties.caller.actor.run([socket(parties.caller)]);
  await parties.callee.actor.run([socket(parties.callee)]);
  const idle = await counted(lab, pid, () => lab.guest.run('sleep 30'));
  for (const [name, make] of Object.entries(scripts)) {
    const rounds = async () => {
      for (let round = 0; round < ROUNDS; round++) await perform(parties, make(parties));
    };
    await rounds();
    const busy = await counted(lab, pid, rounds);
    console.log(`\n| ${name} | system calls | each |\n|---|--:|---|`);
    print(busy, idle);
  }
  await lab.guest.run(`kill ${pid}`);
} finally {
  await lab.close();
}
process.exit(0);
