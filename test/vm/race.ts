/**
 * The race between media and its pinhole through the FreeBSD machine, by both designs, with a machine as docs/freebsd-vm.md says;
 * and, where PINHOLED_VM_PROBE says how probe.ts is run in the machine, how long bpf, an ioctl and pfctl take there.
 *
 *   node --import tsx test/vm/race.ts [CALLS] [TOGETHER] [SECONDS]
 *
 * CALLS for each line, 2,000 unless told otherwise; TOGETHER of them begun at once, 1; no more are begun in a line after SECONDS,
 * and the line says how many there were.
 */
import { type Actor, startActor } from '../../lab/actors.ts';
import { PACKETS, race } from '../../lab/race.ts';
import { close, pause, send, udp } from '../../lab/steps.ts';
import { loadRuleset, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, openGuest, withoutGuest } from './guest.ts';
import type { Probed } from './probe.ts';
import { ruleset, UNCAPPED } from './ruleset.ts';

const HOSTS = { client: ADDRESSES.outside[4], server: ADDRESSES.inside[4] } as const;

/** What an outside party announces is opened as well, so that both directions need a pinhole. */
const CONFIG = `
inside: [192.0.2.0/24]
outbound: true
${UNCAPPED}`;

type Design = 'divert' | 'bpf';

/** An emulated processor may not get its turn for longer than a supervisor waits for a heartbeat. */
const ALONE = '--no-supervisor';
/** Without one there is no pid file. */
const STOP = "kill $(pgrep -f 'pinholed run') && while pgrep -qf 'pinholed run'; do sleep 0.2; done";

/** The daemon in the machine, with the rules that it works with. */
function startDesign(guest: Guest, design: Design) {
  if (design === 'divert') return startDaemon(guest, CONFIG, ruleset(guest), ALONE);
  const passive = `${CONFIG}intercept: bpf\ninside-interfaces: [${guest.interfaces.inside}]\n`;
  return startDaemon(guest, passive, ruleset(guest, { divert: false }), ALONE);
}

const [CALLS, TOGETHER, SECONDS] = [2000, 1, Number.POSITIVE_INFINITY].map((usual, at) =>
  Number(process.argv[2 + at] ?? usual),
) as [number, number, number];
/** ms after which a SIP message is lost: the emulated network loses one in some thousands, and nobody sends any again here. */
const LOST_AFTER = 5000;
/** Calls between two looks at the time. */
const PART = 100;
let made = 0;

/** Calls from outside to inside, no Call-ID and no port used twice: see lab/race.ts. */
async function raceThrough(actors: Actors, calls: number, delay: number) {
  const until = performance.now() + SECONDS * 1000;
  const sum = { sent: 0, lost: 0, firstLost: 0, callsHurt: 0, incomplete: 0 };
  for (let left = calls; left > 0 && performance.now() < until; left -= PART) {
    const some = Math.min(left, PART);
    made += some;
    const options = { delay, hosts: HOSTS, start: made - some, together: TOGETHER, within: LOST_AFTER };
    const part = await race({ actors }, some, options);
    for (const key of Object.keys(sum) as (keyof typeof sum)[]) sum[key] += part[key] ?? 0;
  }
  return sum;
}

interface Actors {
  readonly client: Actor;
  readonly server: Actor;
}

async function startActors({ namespaces }: Guest): Promise<Actors> {
  const [client, server] = await Promise.all([startActor(namespaces.outside), startActor(namespaces.inside)]);
  return { client, server };
}

/** Before any call is counted: until then the compiler of the JavaScript is at work. */
const WARM = 50;
const ROWS: readonly (readonly [Design, delays: readonly number[]])[] = [
  ['divert', [0]],
  ['bpf', [0, 20, 100]],
];

async function races(guest: Guest, actors: Actors): Promise<void> {
  console.log('| | calls | sent | lost | first of a flow | calls hurt | without a SIP message | s |');
  console.log('|---|--:|--:|--:|--:|--:|--:|--:|');
  for (const [design, delays] of ROWS) {
    const daemon = await startDesign(guest, design);
    try {
      await raceThrough(actors, WARM, 0);
      for (const delay of delays) {
        const began = performance.now();
        const { sent, lost, firstLost, callsHurt, incomplete } = await raceThrough(actors, CALLS, delay);
        const took = ((performance.now() - began) / 1000).toFixed(0);
        const cells = [sent / (2 * PACKETS), sent, lost, firstLost, callsHurt, incomplete, took];
        console.log(`| ${design}, media ${delay} ms later | ${cells.join(' | ')} |`);
      }
    } catch (error) {
      console.log((await daemon.log()).split('\n').slice(-20).join('\n'));
      console.log(await guest.run('netstat -s -p divert; pfctl -si; sysctl -n vm.loadavg'));
      throw error;
    }
    await guest.run(STOP);
  }
}

/** SIP passes all the time, one packet every 20 ms, for as long as it is measured. */
async function probe(guest: Guest, { client }: Actors): Promise<void> {
  const program = process.env['PINHOLED_VM_PROBE'];
  if (program === undefined) {
    console.log('PINHOLED_VM_PROBE is not set: how probe.ts is run in the machine');
    return;
  }
  await loadRuleset(guest, ruleset(guest, { divert: false }));
  const sip = (port: number) => ({ address: HOSTS.client, port });
  await client.run([udp('sip', sip(5060))]);
  let goesOn = true;
  const traffic = (async () => {
    while (goesOn) {
      const to = { address: HOSTS.server, port: 5060 };
      await client.run(Array.from({ length: 25 }, () => [send('sip', to, '\r\n\r\n'), pause(20)]).flat());
    }
    await client.run([close('sip')]);
  })();
  try {
    const answer = await guest.run(`${program} ${guest.interfaces.outside} 300 200`);
    const { delivery, ...rest } = JSON.parse(answer.trim().split('\n').at(-1)!) as Probed;
    console.log('| ms | median | p99 | longest |');
    console.log('|---|--:|--:|--:|');
    for (const [name, { median, p99, longest }] of Object.entries({ ...delivery, ...rest })) {
      console.log(`| ${name} | ${[median, p99, longest].map((ms) => ms.toFixed(2)).join(' | ')} |`);
    }
  } finally {
    goesOn = false;
    await traffic;
  }
}

if (withoutGuest !== false) {
  console.error(withoutGuest);
  process.exit(1);
}
const guest = await openGuest();
try {
  const actors = await startActors(guest);
  await probe(guest, actors);
  await races(guest, actors);
} finally {
  await guest.close();
}
process.exit(0);
