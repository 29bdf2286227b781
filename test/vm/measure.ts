/**
 * What the daemon costs on FreeBSD, beside a C program that only puts packets back and beside no divert at all:
 * `node --import tsx test/vm/measure.ts`, with a machine as docs/freebsd-vm.md says. It needs cc(1) in the machine, or
 * a compiled divert-echo.c among its files, and Bun with the sources for the part about pf's rules.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { sdp, sip } from '../scene.ts';
import { loadRuleset, startDaemon } from './daemon.ts';
import type { Question } from './echo.ts';
import { ADDRESSES, type Guest, openGuest, withoutGuest } from './guest.ts';
import { CONFIG, ruleset } from './ruleset.ts';

if (withoutGuest !== false) {
  console.error(withoutGuest);
  process.exit(1);
}

const ROUNDS = Number(process.env['PINHOLED_VM_ROUNDS'] ?? 400);
/** Messages of each kind before any is counted: until then the compiler of the JavaScript is at work. */
const WARM = 1000;
/** The same of each block: the first makes the state. */
const FIRST = 10;
const BLOCKS = 10;
const DAEMON_PORT = 8668;
const ECHO_PORT = 8669;
const KEEPALIVE = '\r\n\r\n';
const from = ADDRESSES.outside[4];
const to = ADDRESSES.inside[4];
const children: ChildProcess[] = [];

function launch(namespace: string, args: readonly string[]): Promise<ChildProcess> {
  const module = fileURLToPath(new URL('./echo.ts', import.meta.url));
  const child = spawn(
    'ip',
    ['netns', 'exec', namespace, process.execPath, '--import', 'tsx', module, ...args],
    {
      stdio: ['pipe', 'pipe', 'inherit'],
    },
  );
  children.push(child);
  return new Promise((resolve) => child.stdout!.once('data', () => resolve(child)));
}

/** Round trips in µs from outside to inside and back. */
async function ask(child: ChildProcess, question: Question): Promise<number[]> {
  const lines = createInterface({ input: child.stdout! });
  const answer = new Promise<string>((resolve) => lines.once('line', resolve));
  child.stdin!.write(`${JSON.stringify(question)}\n`);
  const times = JSON.parse(await answer) as number[];
  lines.close();
  return times;
}

function median(times: readonly number[]): number {
  const came = times.filter((time) => time >= 0).sort((a, b) => a - b);
  if (came.length < times.length * 0.99)
    throw new Error(`${times.length - came.length} of ${times.length} are lost`);
  return came[came.length >> 1]!;
}

let serial = 0;
const padding = [`X-Padding: ${'x'.repeat(300)}`];
const payloads = {
  'no SIP (4 bytes)': () => KEEPALIVE,
  'SIP without SDP (700 bytes)': () =>
    sip('OPTIONS', { callId: `m${++serial}@example.com`, headers: padding }),
  'INVITE that opens pinholes': () =>
    sip('INVITE', {
      callId: `m${++serial}@example.com`,
      body: sdp(from, [20_000 + ((serial * 2) % 20_000)]),
    }),
} as const;

/** Rulesets by what SIP goes through; the programs run all the time, each on a divert port of its own. */
function modes(guest: Guest) {
  const daemon = ruleset(guest);
  return {
    'no divert': daemon.replaceAll(` divert-to ${DAEMON_PORT}`, ''),
    'C program': daemon.replaceAll(`divert-to ${DAEMON_PORT}`, `divert-to ${ECHO_PORT}`),
    daemon,
  } as const;
}

async function startEcho({ run, files }: Guest): Promise<void> {
  const source = readFileSync(new URL('./divert-echo.c', import.meta.url), 'utf8');
  await run(
    `test -x ${files}/divert-echo || { cat > ${files}/divert-echo.c <<'END-OF-FILE'\n${source}\nEND-OF-FILE\n` +
      `cc -O2 -o ${files}/divert-echo ${files}/divert-echo.c; }`,
  );
  await run(
    `nohup ${files}/divert-echo ${ECHO_PORT} >/dev/null 2>&1 & echo $! > ${files}/divert-echo.pid; sleep 1`,
  );
}

/** Block by block in turn, so that whatever else the host does meets all of them alike. */
async function signalling(guest: Guest): Promise<void> {
  const server = await launch(guest.namespaces.inside, ['serve', to, '5060', JSON.stringify(KEEPALIVE)]);
  const client = await launch(guest.namespaces.outside, ['ask']);
  const config = CONFIG.replace(', rate: 100000', '').replace('caps: {', 'caps: { calls: 100000,');
  const daemon = await startDaemon(guest, config, ruleset(guest));
  await startEcho(guest);
  const times = new Map<string, number[]>();

  async function run(mode: string, rules: string, rounds: number, keep: boolean): Promise<void> {
    await loadRuleset(guest, rules);
    await guest.run('pfctl -q -F states');
    for (const [name, payload] of Object.entries(payloads)) {
      const messages = Array.from({ length: FIRST + rounds }, payload);
      const came = await ask(client, { from, to, port: 5060, fresh: false, messages });
      if (!keep) continue;
      const key = `${name} ${mode}`;
      times.set(key, [...(times.get(key) ?? []), ...came.slice(FIRST)]);
    }
  }

  const all = Object.entries(modes(guest));
  for (const [mode, rules] of all) await run(mode, rules, WARM, false);
  for (let block = 0; block < BLOCKS; block++) {
    for (const [mode, rules] of all) await run(mode, rules, Math.ceil(ROUNDS / BLOCKS), true);
  }
  await guest.run(`kill $(cat ${guest.files}/divert-echo.pid)`);
  await daemon.stop();
  server.kill();
  client.kill();

  console.log(
    '| one packet, and 4 bytes back: p50 in µs | no divert | C program | daemon | added: daemon to C |',
  );
  console.log('|---|--:|--:|--:|--:|');
  for (const name of Object.keys(payloads)) {
    const [none, c, own] = all.map(([mode]) => median(times.get(`${name} ${mode}`)!)) as [
      number,
      number,
      number,
    ];
    const cells = [none, c, own].map((time) => time.toFixed(0));
    console.log(`| ${name} | ${cells.join(' | ')} | ${((own - none) / (c - none)).toFixed(2)} |`);
  }
}

/** Rules and the first packet of a flow, with other pinholes open. */
async function rules(guest: Guest): Promise<void> {
  const program = process.env['PINHOLED_VM_LOADER'];
  if (program === undefined) {
    console.log(
      'PINHOLED_VM_LOADER is not set: how load-rules.ts is run in the machine, such as "bun /root/src/test/vm/load-rules.ts"',
    );
    return;
  }
  await loadRuleset(guest, ruleset(guest));
  const server = await launch(guest.namespaces.inside, ['serve', to, '30000']);
  const client = await launch(guest.namespaces.outside, ['ask']);
  console.log(
    '| pinholes open | commit of a call, ms | its removal, ms | first packet of a flow and its answer, µs |',
  );
  console.log('|--:|--:|--:|--:|');
  for (const count of [0, 1000, 10_000]) {
    const line = (await guest.run(`${program} ${count}`)).trim().split('\n').at(-1)!;
    const { open, close } = JSON.parse(line) as { open: number; close: number };
    await guest.run('pfctl -q -F states');
    const messages = Array.from({ length: FIRST + ROUNDS }, () => 'x'.repeat(172));
    const times = await ask(client, { from, to, port: 30_000, fresh: true, messages });
    console.log(
      `| ${count} | ${open.toFixed(2)} | ${close.toFixed(2)} | ${median(times.slice(FIRST)).toFixed(0)} |`,
    );
  }
  await guest.run(
    `for a in $(pfctl -q -a pinholed -s Anchors) pinholed; do pfctl -q -a $a -F rules; done; true`,
  );
  server.kill();
  client.kill();
}

const guest = await openGuest();
try {
  await signalling(guest);
  await rules(guest);
} finally {
  for (const child of children) child.kill();
  await guest.close();
}
process.exit(0);
