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
const WARM = 200;
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

async function signalling(guest: Guest): Promise<void> {
  const server = await launch(guest.namespaces.inside, ['serve', to, '5060', JSON.stringify(KEEPALIVE)]);
  const client = await launch(guest.namespaces.outside, ['ask']);
  const results = new Map<string, Record<string, number>>();

  async function run(mode: string): Promise<void> {
    for (const [name, payload] of Object.entries(payloads)) {
      const messages = Array.from({ length: WARM + ROUNDS }, payload);
      const times = await ask(client, { from, to, port: 5060, fresh: false, messages });
      const row = results.get(name) ?? {};
      row[mode] = median(times.slice(WARM));
      results.set(name, row);
    }
  }

  const plain = ruleset(guest).replaceAll(' divert-to 8668', '');
  await loadRuleset(guest, plain);
  await guest.run('pfctl -q -e 2>/dev/null; pfctl -q -F states');
  await run('no divert');

  await loadRuleset(guest, ruleset(guest));
  await guest.run(
    `test -x ${guest.files}/divert-echo || { cat > ${guest.files}/divert-echo.c <<'END-OF-FILE'\n` +
      `${readFileSync(new URL('./divert-echo.c', import.meta.url), 'utf8')}\nEND-OF-FILE\n` +
      `cc -O2 -o ${guest.files}/divert-echo ${guest.files}/divert-echo.c; }`,
  );
  await guest.run(
    `nohup ${guest.files}/divert-echo 8668 >/dev/null 2>&1 & echo $! > ${guest.files}/divert-echo.pid; sleep 1; pfctl -q -F states`,
  );
  await run('C program');
  await guest.run(`kill $(cat ${guest.files}/divert-echo.pid); sleep 1`);

  const config = CONFIG.replace(', rate: 100000', '').replace('caps: {', 'caps: { calls: 100000,');
  const daemon = await startDaemon(guest, config, ruleset(guest));
  await guest.run('pfctl -q -F states');
  await run('daemon');
  await daemon.stop();
  server.kill();
  client.kill();

  console.log(
    '| one packet, and 4 bytes back: p50 in µs | no divert | C program | daemon | added: daemon to C |',
  );
  console.log('|---|--:|--:|--:|--:|');
  for (const [name, row] of results) {
    const [none, c, own] = [row['no divert']!, row['C program']!, row['daemon']!];
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
    const messages = Array.from({ length: WARM + ROUNDS }, () => 'x'.repeat(172));
    const times = await ask(client, { from, to, port: 30_000, fresh: true, messages });
    console.log(
      `| ${count} | ${open.toFixed(2)} | ${close.toFixed(2)} | ${median(times.slice(WARM)).toFixed(0)} |`,
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
