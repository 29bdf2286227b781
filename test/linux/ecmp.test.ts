import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually, kernelState } from '../../lab/kernel.ts';
import { race } from '../../lab/race.ts';
import { createSharingPair, type SharingPair } from '../../lab/sharing.ts';
import { withoutStore } from '../group/redis-server.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

const CALLS = Number(process.env['PINHOLED_ECMP_CALLS'] ?? 250);

/** Each party sends media in the system call right after the one that makes it legal. */
describe('two firewalls that wait for each other’s pinholes', { skip: withoutRoot || withoutStore }, () => {
  let pair: SharingPair;

  before(async () => {
    pair = await createSharingPair();
    // Longer than any machine under load keeps a thread from its turn.
    const patience = ', confirm: peers, confirm-timeout: 10s';
    await pair.startDaemon(0, patience);
    await pair.startDaemon(1, patience);
    await pair.together();
  });

  after(() => pair?.close());

  async function loseNothing(): Promise<void> {
    const before = await Promise.all(([0, 1] as const).map(pair.standing));
    const { sent, lost, callsHurt } = await race(pair, CALLS);
    const after = await Promise.all(([0, 1] as const).map(pair.standing));
    const since = (what: 'waited' | 'overdue') =>
      after.reduce((sum, one, at) => sum + one[what] - before[at]![what], 0);
    assert.deepEqual(
      { sent, lost, callsHurt, overdue: since('overdue') },
      { sent: 4 * CALLS, lost: 0, callsHurt: 0, overdue: 0 },
      pair.daemons.flatMap(({ lines }) => lines.filter((line) => line.includes('peers-store'))).join('\n'),
    );
    assert.ok(since('waited') >= 2 * CALLS, 'each offer and each answer was held');
    for (const firewall of pair.firewalls) {
      await eventually(
        () => kernelState(firewall).elements,
        (left) => left.length === 0,
      );
    }
  }

  it(`lose no media of ${CALLS} calls whose signalling takes one and whose media the other`, async () => {
    pair.split({ signalling: [0, 0], media: [1, 1] });
    await loseNothing();
  });

  it(`nor of ${CALLS} of which each party’s signalling takes another one, and its media the other way round`, async () => {
    pair.split({ signalling: [0, 1], media: [1, 0] });
    await loseNothing();
  });
});
