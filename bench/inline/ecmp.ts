/**
 * Media packets lost between two firewalls where packets of one call take different ones, in calls whose parties send media in
 * the system call right after the one that makes it legal; with and without `confirm: peers`. Needs root, Linux and
 * valkey-server or redis-server; makes network namespaces.
 *
 *   node --import tsx bench/inline/ecmp.ts [CALLS]
 */
import { type RaceOptions, race } from '../../lab/race.ts';
import { createSharingPair, type SharingPair } from '../../lab/sharing.ts';

const calls = Number(process.argv[2] ?? 2000);

type Paths = Parameters<SharingPair['split']>[0];

const PATHS: readonly (readonly [name: string, paths: Paths])[] = [
  ['all by one', { signalling: [0, 0], media: [0, 0] }],
  ['signalling by one, media by the other', { signalling: [0, 0], media: [1, 1] }],
  ['each party by another, media crosswise', { signalling: [0, 1], media: [1, 0] }],
];

const CONFIRM = { none: '', peers: ', confirm: peers, confirm-timeout: 10s' } as const;
const DELAYS: readonly RaceOptions[] = [{}, { delay: 20 }];

console.log(`${''.padEnd(58)}  sent  lost  first of a flow  calls hurt  waited  overdue  ms a call`);
for (const [confirm, keys] of Object.entries(CONFIRM)) {
  const pair = await createSharingPair();
  try {
    await pair.startDaemon(0, keys);
    await pair.startDaemon(1, keys);
    await pair.together();
    for (const [name, paths] of PATHS) {
      pair.split(paths);
      for (const options of confirm === 'none' ? DELAYS : DELAYS.slice(0, 1)) {
        const before = await counted(pair);
        const start = performance.now();
        const { sent, lost, firstLost, callsHurt } = await race(pair, calls, options);
        const each = (performance.now() - start) / calls;
        const after = await counted(pair);
        const late = options.delay === undefined ? '' : `, ${options.delay} ms later`;
        const cells = [
          `confirm: ${confirm}, ${name}${late}`.padEnd(58),
          String(sent).padStart(6),
          String(lost).padStart(6),
          String(firstLost).padStart(17),
          String(callsHurt).padStart(12),
          String(after.waited - before.waited).padStart(8),
          String(after.overdue - before.overdue).padStart(9),
          each.toFixed(1).padStart(11),
        ];
        console.log(cells.join(''));
      }
    }
  } finally {
    await pair.close();
  }
}

async function counted(pair: SharingPair): Promise<{ readonly waited: number; readonly overdue: number }> {
  const [one, other] = await Promise.all([pair.standing(0), pair.standing(1)]);
  return { waited: one.waited + other.waited, overdue: one.overdue + other.overdue };
}
