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
    const patience = ', confirm: peers, confirm-timeout: 1s';
    await pair.startDaemon(0, patience);
    await pair.startDaemon(1, patience);
    await pair.together();
  });

  after(() => pair?.close());

  /** But for what could not be confirmed within the longest time that may be waited. */
  async function loseNothing(): Promise<void> {
    const before = await Promise.all(([0, 1] as const).map(pair.standing));
    const { sent, callsHurt } = await race(pair, CALLS);
    const after = await Promise.all(([0, 1] as const).map(pair.standing));
    const since = (what: 'waited' | 'overdue') =>
      after.reduce((sum, one, at) => sum + one[what] - before[at]![what], 0);
    const overdue = since('overdue');
    assert.equal(sent, 4 * CALLS);
    // A machine that gives a firewall no turn for a whole second makes a message go on; only its call may be hurt by that.
    assert.ok(callsHurt <= overdue, `${callsHurt} calls hurt, ${overdue} messages unconfirmed`);
    assert.ok(overdue < CALLS / 10, `${overdue} of ${since('waited')} messages unconfirmed`);
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
