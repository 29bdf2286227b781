/**
 * What is lost of the signalling on a TCP connection that was up when the data path is killed (kill -9): a phone sends
 * INVITE after INVITE on one connection, each with a media port of its own, and the data path is killed in the middle.
 * Prints how many of the ports have no pinhole in the kernel once it reads again, and when their INVITEs were sent.
 * Needs root and Linux; makes network namespaces.
 *
 *   npm run build && node --import tsx bench/inline/killed.ts
 */
import { setTimeout as pause } from 'node:timers/promises';
import { startDaemon } from '../../lab/daemon.ts';
import { kernelState } from '../../lab/kernel.ts';
import { accept, connect, listen, write } from '../../lab/steps.ts';
import { addressOf, createTopology } from '../../lab/topology.ts';
import { sdp, sip } from '../../test/scene.ts';

const INVITES = 300;
const KILLED_AT = 120;
const EVERY_MS = 20;
const ROUNDS = 3;
/** ms in which TCP sends again what no data path took. */
const SENT_AGAIN = 15_000;

const phone = addressOf('client');

interface Loss {
  /** When the INVITEs were sent that opened nothing, in ms from the kill. */
  readonly lost: readonly number[];
  /** ms from the kill until another data path reads. */
  readonly away: number;
}

async function round(isSupervised: boolean, name: string, port: number): Promise<Loss> {
  const flags = isSupervised ? [] : ['--no-supervisor'];
  const changes = 'timers: { offer: 3m }';
  const daemon = await startDaemon(topology, { changes, flags, module: '../dist/src/main.js' });
  const { client, server } = topology.actors;
  await Promise.all([
    client.run([connect(name, { address: phone, port }, { address: addressOf('server'), port: 5060 })]),
    server.run([accept(name, 'sip')]),
  ]);
  const sent: number[] = [];
  let killedAt = Number.NaN;
  let away: Promise<number> | null = null;
  const begin = performance.now();
  for (let i = 0; i < INVITES; i++) {
    await pause(Math.max(0, begin + i * EVERY_MS - performance.now()));
    if (i === KILLED_AT) {
      killedAt = performance.now();
      if (isSupervised) process.kill(daemon.dataPathPid(), 'SIGKILL');
      else daemon.signal('SIGKILL');
      const again = isSupervised ? daemon.said(/pinholes taken up/g, 2) : daemon.restart();
      away = again.then(() => performance.now() - killedAt);
    }
    sent.push(performance.now());
    const body = sdp(phone, [portOf(i)]);
    const invite = sip('INVITE', { callId: `${name}-${i}`, from: `${i}`, body });
    await client.run([write(name, invite)]);
  }
  const ms = await away;
  for (let waited = 0; waited < SENT_AGAIN && lostOf(sent).length > 0; waited += 500) await pause(500);
  const lost = lostOf(sent).map((at) => at - killedAt);
  await daemon.close();
  return { lost, away: ms! };
}

function portOf(invite: number): number {
  return 10_000 + 2 * invite;
}

/** When the INVITEs were sent whose ports are not in the kernel's set. */
function lostOf(sent: readonly number[]): number[] {
  const ports = new Set(kernelState(topology).elements.map((element) => Number(element.split(' ').at(-1))));
  return sent.filter((_, index) => !ports.has(portOf(index)));
}

const topology = await createTopology();
await topology.actors.server.run([listen('sip', { address: addressOf('server'), port: 5060 })]);
console.log('| | INVITEs | lost | sent, ms from the kill | read again after, ms |');
console.log('|---|--:|--:|---|--:|');
let connections = 0;
for (const isSupervised of [true, false]) {
  for (let i = 0; i < ROUNDS; i++) {
    const { lost, away } = await round(isSupervised, `t${++connections}`, 20_000 + connections);
    const when = lost.map((at) => at.toFixed(0)).join(', ');
    const who = isSupervised ? 'data path killed' : 'daemon without a supervisor';
    console.log(`| ${who} | ${INVITES} | ${lost.length} | ${when} | ${away.toFixed(0)} |`);
  }
}
await topology.close();
