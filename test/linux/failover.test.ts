import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { after, afterEach, before, beforeEach, describe, it } from 'node:test';
import { eventually, kernelState, mediaFlows } from '../../lab/kernel.ts';
import { FIREWALL_ITSELF } from '../../lab/nat.ts';
import { type Number01, SHARED_EXTERNAL, STORE_ADDRESS } from '../../lab/pair.ts';
import { createSharingPair, JOINED, type SharingPair } from '../../lab/sharing.ts';
import { createStage, type Stage } from '../../lab/stage.ts';
import { withoutStore } from '../group/redis-server.ts';
import { withoutRoot } from '../native-bindings/namespace.ts';
import { createPlayedCalls, type PlayedCall } from './played-calls.ts';

const withoutArping = spawnSync('arping', ['-V']).error === undefined ? false : 'needs arping';

/** Calls that are up at the failover. */
const CALLS = Number(process.env['PINHOLED_GROUP_CALLS'] ?? 200);
/** And where the store or the network between is what goes. */
const SOME = Math.ceil(CALLS / 5);

/** SIP to and from the client is translated by the administrator, its media by the pinholes. */
const NAT_RULES = `
table inet nat {
  chain prerouting {
    type nat hook prerouting priority dstnat;
    iifname "outside" ip daddr ${SHARED_EXTERNAL} udp dport 5060 dnat ip to 10.0.1.10
  }
  chain postrouting {
    type nat hook postrouting priority srcnat;
    oifname "outside" ip saddr 10.0.1.10 udp sport 5060 snat ip to ${SHARED_EXTERNAL}
    oifname "outside" ip saddr 10.0.1.10 snat ip to ${SHARED_EXTERNAL} random
  }
}`;

interface Setting {
  readonly name: string;
  readonly external: string | null;
  /** Tried for what goes away beside a firewall, too. */
  readonly isWhole: boolean;
}

const SETTINGS: readonly Setting[] = [
  { name: 'two firewalls with addresses that move between them', external: null, isWhole: false },
  {
    name: 'two firewalls with an external address that moves and stands for the client',
    external: SHARED_EXTERNAL,
    isWhole: true,
  },
];

for (const { name, external, isWhole } of SETTINGS) {
  describe(name, { skip: withoutRoot || withoutStore || withoutArping }, () => {
    let pair: SharingPair;
    let stage: Stage;
    const { callsUp, establish, media, hold, resume, moveMedia, hangUp, play } = createPlayedCalls(
      () => stage,
      10_000,
    );

    before(async () => {
      pair = await createSharingPair({
        rules: (firewall) => {
          firewall(
            'nft',
            FIREWALL_ITSELF.replace('policy drop;', 'policy drop; iifname { lo, sync } accept;'),
          );
          if (external !== null) firewall('nft', NAT_RULES);
        },
        changes: external === null ? '' : `nat: [{ external: ${external}, hosts: [10.0.1.10] }]`,
      });
      const theatre = { actors: pair.actors, firewall: pair.firewalls[0].firewall };
      stage = await createStage(theatre, { family: 4, ...(external !== null && { external }) });
    });

    after(() => pair?.close());

    beforeEach(async () => {
      pair.move(0);
      await pair.startDaemon(0);
      await pair.startDaemon(1);
    });

    afterEach(async () => assert.deepEqual(await pair.stopDaemons(), []));

    /** But for the daemon's own connections to the store. */
    const states = (number: Number01) =>
      mediaFlows(pair.firewalls[number]).filter((line) => !line.includes(`dst=${STORE_ADDRESS} `));

    /** First port of each pinhole. */
    const portsAt = (number: Number01) =>
      new Set(
        kernelState(pair.firewalls[number]).records.map((line) => Number(/ (\d+)-\d+( |$)/.exec(line)?.[1])),
      );

    /** Both have the pinholes of these calls, and none of those. */
    async function bothHave(up: readonly PlayedCall[], over: readonly PlayedCall[] = []): Promise<void> {
      const wanted = up.flatMap(({ ports }) => ports);
      const unwanted = over.flatMap(({ ports }) => ports);
      for (const number of [0, 1] as const) {
        await eventually(
          () => {
            const there = portsAt(number);
            return {
              firewall: number + 1,
              missing: wanted.filter((port) => !there.has(port)),
              left: unwanted.filter((port) => there.has(port)),
            };
          },
          ({ missing, left }) => missing.length + left.length === 0,
        );
      }
    }

    /** Neither filter has anything of a call, nor its states. */
    async function nothingIsLeft(): Promise<void> {
      for (const number of [0, 1] as const) {
        await eventually(
          () => [...kernelState(pair.firewalls[number]).elements, ...states(number)],
          (left) => left.length === 0,
        );
      }
    }

    /** Each that is up now, media both ways, then its end; what is over stays so. */
    async function endAll(up: readonly PlayedCall[], over: readonly PlayedCall[]): Promise<void> {
      await play(up, media);
      await play(up, hangUp);
      await nothingIsLeft();
      for (const { ports } of [...up.slice(0, 1), ...over.slice(0, 1)]) {
        await stage.play(stage.blocked(`server:${ports[1]}`, `client:${ports[0]}`));
      }
    }

    it(`${CALLS} calls, half of them on hold, go on when the first firewall loses power, and when it is back`, async () => {
      const calls = callsUp(CALLS);
      const held = calls.filter((_, index) => index % 2 === 1);
      const talking = calls.filter((_, index) => index % 2 === 0);
      await play(calls, establish);
      await play(held, hold);
      await play(talking, media);
      await bothHave(calls);
      pair.firewalls[0].lose();
      await pair.daemons[0]!.ended();
      pair.move(1);
      assert.deepEqual(states(1), [], 'conntrack here knows none of it');
      await play(talking, media);
      await play(held, (call) => [...resume(call), ...media(call)]);
      await play(talking.slice(0, SOME), (call) => [...moveMedia(call), ...media(call)]);
      const ended = [...talking.slice(-SOME), ...held.slice(-SOME)];
      await play(ended, hangUp);
      const later = callsUp(SOME);
      await play(later, (call) => [...establish(call), ...media(call)]);
      const left = [...calls.filter((call) => !ended.includes(call)), ...later];

      pair.firewalls[0].raise();
      await pair.daemons[0]!.restart();
      await pair.daemons[0]!.said(JOINED, 2);
      await bothHave(left, ended);
      pair.move(0);
      await play(left, media);
      await play(left.slice(0, SOME), (call) => [...moveMedia(call), ...media(call)]);
      await endAll(left, ended);
    });

    if (!isWhole) return;

    it('calls go on while the store is gone and the addresses move, and both know all of them once it is back', async () => {
      const calls = callsUp(3 * SOME);
      const [here, there, through] = [
        calls.slice(0, SOME),
        calls.slice(SOME, 2 * SOME),
        calls.slice(2 * SOME),
      ];
      await play(calls, establish);
      await bothHave(calls);
      await pair.store.stop();
      for (const { said } of pair.daemons) await said(/going on alone/g);
      const later = callsUp(SOME);
      await play(later, (call) => [...establish(call), ...media(call)]);
      await play(calls, media);
      await play(here, hangUp);
      pair.move(1);
      await play([...there, ...through], media);
      await play(there, hangUp);
      const latest = callsUp(SOME);
      await play(latest, (call) => [...establish(call), ...media(call)]);
      await pair.store.start();
      for (const { said } of pair.daemons) await said(JOINED, 2);
      const left = [...through, ...later, ...latest];
      await bothHave(left, [...here, ...there]);
      await endAll(left, here);
    });

    it('two halves of a network that was cut end what either has seen end, and go on with the rest', async () => {
      const calls = callsUp(4 * SOME);
      const at = (quarter: number) => calls.slice(quarter * SOME, (quarter + 1) * SOME);
      const [here, there, moved, through] = [at(0), at(1), at(2), at(3)] as const;
      await play(calls, (call) => [...establish(call), ...media(call)]);
      await bothHave(calls);
      pair.firewalls[0].plug(false);
      await pair.daemons[0]!.said(/going on alone/g);
      await play(here, hangUp);
      const ofOne = callsUp(SOME);
      await play(ofOne, (call) => [...establish(call), ...media(call)]);
      pair.move(1);
      await play(there, hangUp);
      await play(moved, (call) => [...moveMedia(call), ...media(call)]);
      const ofOther = callsUp(SOME);
      await play(ofOther, (call) => [...establish(call), ...media(call)]);
      assert.ok(
        there.every(({ ports }) => portsAt(0).has(ports[0])),
        'nobody has told the first',
      );
      pair.firewalls[0].plug(true);
      await pair.daemons[0]!.said(JOINED, 2);
      const left = [...moved, ...through, ...ofOne, ...ofOther];
      await bothHave(left, [...here, ...there]);
      await endAll(left, there);
    });
  });
}
