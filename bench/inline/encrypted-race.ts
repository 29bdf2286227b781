/**
 * Media packets lost to the race between an encrypted answer and the copy of it by HEP, where the outside party sends media in the
 * system call after it has the answer. Needs root and Linux; makes network namespaces.
 *
 *   node --import tsx bench/inline/encrypted-race.ts [CALLS]
 */
import { startDaemon } from '../../lab/daemon.ts';
import {
  ENCRYPTED_RACE,
  type EncryptedRaceOptions,
  encryptedRace,
  encryptedRaceRules,
  heldBy,
} from '../../lab/encrypted-race.ts';
import { createTopology } from '../../lab/topology.ts';

const calls = Number(process.argv[2] ?? 500);
const RELAY = 1;

const holds = ['', 'hold-encrypted: 5ms', 'hold-encrypted: 50ms'];
const ways: readonly (readonly [name: string, options: EncryptedRaceOptions])[] = [
  ['answer first', { first: 'answer' }],
  ['copy first', { first: 'copy' }],
  ['answer first, relay of 1 ms', { first: 'answer', relay: RELAY }],
  ['copy first, relay of 1 ms', { first: 'copy', relay: RELAY }],
];

console.log(`${''.padEnd(54)}  sent  lost  first of a flow  calls hurt  held  in vain  ms a call`);
for (const hold of holds) {
  for (const [name, options] of ways) {
    const topology = await createTopology({ rules: encryptedRaceRules });
    try {
      const daemon = await startDaemon(topology, { changes: `${ENCRYPTED_RACE}\n${hold}` });
      try {
        const began = performance.now();
        const { sent, lost, firstLost, callsHurt } = await encryptedRace(topology, calls, options);
        const took = ((performance.now() - began) / calls).toFixed(1);
        const { held, inVain } = await heldBy(daemon);
        const numbers = [sent, lost, firstLost, callsHurt, held, inVain, took];
        const widths = [6, 6, 17, 12, 6, 9, 11];
        const cells = numbers.map((number, index) => String(number).padStart(widths[index]!));
        console.log(`${`${hold === '' ? 'nothing held' : hold}, ${name}`.padEnd(54)}${cells.join('')}`);
      } finally {
        await daemon.close();
      }
    } finally {
      await topology.close();
    }
  }
}
