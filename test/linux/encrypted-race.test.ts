/**
 * An encrypted answer that leaves the PBX just before the copy of it: media that the outside party sends at once is not lost
 * where the answer waits for the copy. On a machine that stands still for longer than packets wait some waits are in vain;
 * such a run says nothing, and the next one is asked.
 */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { type Daemon, startDaemon } from '../../lab/daemon.ts';
import {
  ENCRYPTED_RACE,
  type EncryptedRaceOptions,
  encryptedRace,
  encryptedRaceRules,
  heldBy,
} from '../../lab/encrypted-race.ts';
import { eventually, kernelState } from '../../lab/kernel.ts';
import type { RaceResult } from '../../lab/race.ts';
import { createTopology, type Topology } from '../../lab/topology.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';

const CALLS = 20;
const MOST_RUNS = 10;
const WHOLE = { sent: 2 * CALLS, lost: 0, firstLost: 0, callsHurt: 0 };

describe('media at the earliest moment after an encrypted answer', { skip: withoutRoot }, () => {
  let topology: Topology;
  let daemon: Daemon;

  before(async () => {
    topology = await createTopology({ rules: encryptedRaceRules });
    daemon = await startDaemon(topology, { changes: `${ENCRYPTED_RACE}\nhold-encrypted: 100ms` });
  });

  after(async () => {
    await daemon?.close();
    await topology?.close();
  });

  /** The first of some runs in which every copy came in time. */
  async function inTime(options: EncryptedRaceOptions): Promise<RaceResult> {
    for (let runs = 0; runs < MOST_RUNS; runs++) {
      const before = await heldBy(daemon);
      const result = await encryptedRace(topology, CALLS, options);
      if ((await heldBy(daemon)).inVain === before.inVain) return result;
    }
    throw new Error(`in each of ${MOST_RUNS} runs some copy came too late`);
  }

  it('is not lost where the copy follows the answer', async () => {
    assert.deepEqual(await inTime({ first: 'answer' }), WHOLE);
  });

  it('nor where the copy goes first', async () => {
    assert.deepEqual(await inTime({ first: 'copy' }), WHOLE);
  });

  it('nor where it comes behind another in one packet, and the copy of the other comes long before its own', async () => {
    assert.deepEqual(await inTime({ first: 'answer', together: 20 }), WHOLE);
  });

  it('nor through a relay, and nothing is open when the calls are over', async () => {
    assert.deepEqual(await inTime({ first: 'answer', relay: 1 }), WHOLE);
    await eventually(
      () => kernelState(topology).elements,
      (open) => open.length === 0,
    );
  });
});
