import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { close, udp } from '../../lab/steps.ts';
import {
  arrival,
  assertMedia,
  assertSeen,
  call,
  callOverTcp,
  type Dialog,
  hangUp,
  moved,
  offerAgain,
  type Party,
  party,
} from './behind.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { type Guest, withoutGuest } from './guest.ts';
import { type Lab, LONG, open, openLab, pauseThere, shut } from './lab.ts';
import {
  assertClosed,
  EXTERNAL,
  OTHER_PBX,
  OTHER_TRUNK,
  PBX,
  rulesOf,
  TRUNK,
  translating,
  translationsOf,
} from './natted.ts';
import { egress, ruleset, UNCAPPED } from './ruleset.ts';

/** Another address of the firewall outside, of a gateway that is not the PBX. */
const GATEWAYS_EXTERNAL = '198.51.100.2';

const config = (more: string, translation = 'pinhole') => `
inside: [192.0.2.0/24]
nat:
  - {external: ${EXTERNAL}, hosts: [${PBX}, ${OTHER_PBX}], translation: ${translation}}
${UNCAPPED}${more}`;

describe('a PBX behind NAT on FreeBSD', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab();
    guest = lab.guest;
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  const behind = (address: string = PBX) => party(lab.inside, address, EXTERNAL);
  const outside = (address: string = TRUNK) => party(lab.outside, address);

  async function serve(
    settings: string,
    rules: { nat: string[]; last?: string[] },
    policy = 'if-bound',
  ): Promise<void> {
    await daemon?.stop();
    const text = ruleset(guest, rules).replace('state-policy if-bound', `state-policy ${policy}`);
    daemon = await startDaemon(guest, settings, text);
  }

  /** A call in which the outer party's media is the first, from before any packet of the PBX. */
  const up = (caller: Party, callee: Party) =>
    caller.actor === lab.outside
      ? call(caller, callee, { caller: 'at once', callee: 'after the ACK' })
      : call(caller, callee, { caller: 'never', callee: 'before its answer' });

  /** One in which the PBX's is. */
  const upFromInside = (caller: Party, callee: Party) =>
    caller.actor === lab.outside
      ? call(caller, callee, { caller: 'never', callee: 'after the ACK' })
      : call(caller, callee, { caller: 'at once', callee: 'never' });

  type Pair = readonly [caller: Party, callee: Party, inner: Party, outer: Party];
  const ways: readonly { readonly name: string; pair(): Pair }[] = [
    {
      name: 'called from outside',
      pair() {
        const [outer, inner] = [outside(), behind()];
        return [outer, inner, inner, outer];
      },
    },
    {
      name: 'calling out',
      pair() {
        const [outer, inner] = [outside(), behind()];
        return [inner, outer, inner, outer];
      },
    },
  ];

  /** Nothing comes in any more, and nothing leaves, where that is not the ruleset's affair. */
  async function end(dialog: Dialog, ...more: Party[]): Promise<void> {
    const { caller, callee } = dialog;
    await hangUp(dialog);
    await assertClosed(lab, caller, callee, ...more);
    const [inner, outer] = caller.actor === lab.inside ? [caller, callee] : [callee, caller];
    assert.equal(await arrival(outer, inner), null);
    if (isOutbound) assert.equal(await arrival(inner, outer), null);
    await Promise.all([caller, callee].map(shut));
  }

  let isOutbound = false;

  /** `outbound`: nothing may leave but SIP, and what calls open. */
  const withPinholes = (policy: string, outbound = false) =>
    describe(`translation: pinhole, state-policy ${policy}, ${
      outbound ? 'nothing may leave but SIP, outbound: true' : 'inside hosts may send'
    }`, () => {
      before(async () => {
        isOutbound = outbound;
        const last = outbound ? [] : egress(guest, EXTERNAL);
        await serve(config(outbound ? 'outbound: true' : ''), { nat: translating(guest), last }, policy);
      });

      after(() => {
        isOutbound = false;
      });

      for (const { name, pair } of ways) {
        it(`${name} over UDP: each is seen where it announced itself, from the first packet on, and nothing is left`, async () => {
          const [caller, callee, inner] = pair();
          await Promise.all([open(caller), open(callee)]);
          const diverted = await lab.diverted();
          const dialog = await up(caller, callee);
          assert.equal((await lab.diverted()) - diverted, 3, 'INVITE, 200 and ACK, each once');
          await assertMedia(caller, callee);
          assert.equal((await translationsOf(lab, inner)).length, 2);
          await end(dialog);
        });

        it(`${name} over TCP`, async () => {
          const [caller, callee] = pair();
          await callOverTcp(caller, callee, () => assertMedia(caller, callee));
          await assertClosed(lab, caller, callee);
          await Promise.all(
            [caller, callee].map(({ actor, mediaSocket }) => actor.run([close(mediaSocket)])),
          );
        });

        it(`${name}, INVITE and 200 in fragments`, async () => {
          const [caller, callee, inner, outer] = pair();
          await Promise.all([open(caller), open(callee)]);
          const dialog = await call(caller, callee, { caller: 'never', callee: 'after the ACK' }, LONG);
          await assertMedia(inner, outer);
          await end(dialog);
        });

        it(`${name}: media of the PBX first, and closed after BYE all the same`, async () => {
          const [caller, callee, inner, outer] = pair();
          await Promise.all([open(caller), open(callee)]);
          const dialog = await upFromInside(caller, callee);
          await assertSeen(inner, outer);
          await assertMedia(caller, callee);
          await hangUp(dialog);
          await assertClosed(lab, caller, callee);
          assert.equal(await arrival(outer, inner), null);
          await Promise.all([caller, callee].map(shut));
        });

        for (const method of ['INVITE', 'UPDATE'] as const) {
          it(`${name}: by ${method} the caller moves to another port, and its old one closes`, async () => {
            const [caller, callee, inner] = pair();
            await Promise.all([open(caller), open(callee)]);
            const dialog = await up(caller, callee);
            await assertMedia(caller, callee);
            const now = moved(caller);
            await now.actor.run([udp(now.mediaSocket, now.media)]);
            const again = await offerAgain(dialog, method, now);
            await assertMedia(now, callee);
            await eventually(async () => (await rulesOf(lab, caller)).length === 0, 90_000);
            // The outside party may send from any port: its old flow is let through still.
            if (inner === caller || outbound) {
              const old = `:${caller.media.port}`;
              await eventually(async () => !(await guest.run('pfctl -q -ss')).includes(old), 30_000);
              assert.equal(await arrival(callee, caller), null);
            }
            await assertMedia(now, callee);
            await now.actor.run([close(caller.mediaSocket)]);
            await end(again, caller).catch(async (error: unknown) => {
              await now.actor.run([udp(caller.mediaSocket, caller.media)]);
              throw error;
            });
          });
        }
      }

      it("media of the PBX before its own answer has passed: its port is right soon, and the other side's", async () => {
        const [trunk, pbx] = [outside(), behind()];
        await Promise.all([open(trunk), open(pbx)]);
        const dialog = await call(trunk, pbx, { caller: 'never', callee: 'before its answer' });
        await assertMedia(pbx, trunk);
        await end(dialog);
      });

      it('strangers do not get in, nor the party to another port; what the PBX sends else has another port', async () => {
        const [trunk, pbx, stranger] = [outside(), behind(), outside(OTHER_TRUNK)];
        await Promise.all([
          open(trunk),
          open(pbx),
          stranger.actor.run([udp(stranger.mediaSocket, stranger.media)]),
        ]);
        const dialog = await up(trunk, pbx);
        await assertMedia(trunk, pbx);
        assert.equal(await arrival(stranger, pbx), null);
        const neighbour = moved(pbx);
        await neighbour.actor.run([udp(neighbour.mediaSocket, neighbour.media)]);
        assert.equal(await arrival(trunk, neighbour), null);
        const seen = await arrival(neighbour, stranger);
        if (outbound) assert.equal(seen, null);
        else {
          assert.equal(seen?.address, EXTERNAL);
          assert.notEqual(seen?.port, neighbour.media.port);
        }
        await neighbour.actor.run([close(neighbour.mediaSocket)]);
        await stranger.actor.run([close(stranger.mediaSocket)]);
        await end(dialog);
      });

      it('two PBXs behind one address, each with a call', async () => {
        const [trunk, pbx] = [outside(), behind()];
        const [otherTrunk, otherPbx] = [outside(OTHER_TRUNK), behind(OTHER_PBX)];
        await Promise.all([trunk, pbx, otherTrunk, otherPbx].map(open));
        const one = await up(trunk, pbx);
        const other = await up(otherPbx, otherTrunk);
        await assertMedia(trunk, pbx);
        await assertMedia(otherTrunk, otherPbx);
        assert.equal(await arrival(otherTrunk, pbx), null);
        await end(one);
        await assertMedia(otherTrunk, otherPbx);
        await end(other);
      });

      it('a ruleset loaded again under a call', async () => {
        const [trunk, pbx] = [outside(), behind()];
        await Promise.all([open(trunk), open(pbx)]);
        const dialog = await up(trunk, pbx);
        const rules = await rulesOf(lab, pbx);
        await guest.run(`pfctl -q -f ${guest.files}/pf.conf && pfctl -q -F states`);
        assert.deepEqual(await rulesOf(lab, pbx), rules);
        await assertMedia(trunk, pbx);
        await end(dialog);
      });

      it('flushed translations are put back', async () => {
        const [trunk, pbx] = [outside(), behind()];
        await Promise.all([open(trunk), open(pbx)]);
        const dialog = await up(trunk, pbx);
        const rules = (await rulesOf(lab, pbx)).sort();
        await guest.run(
          'for a in $(pfctl -q -a pinholed -s Anchors); do pfctl -q -a $a -F nat; done; pfctl -q -F states',
        );
        await eventually(async () => (await rulesOf(lab, pbx)).length === rules.length);
        assert.deepEqual((await rulesOf(lab, pbx)).sort(), rules);
        await assertMedia(trunk, pbx);
        await end(dialog);
      });

      it('kill -9 of everything under a call, and a new start', async () => {
        const [trunk, pbx] = [outside(), behind()];
        await Promise.all([open(trunk), open(pbx)]);
        const dialog = await up(trunk, pbx);
        const rules = (await rulesOf(lab, pbx)).sort();
        await pauseThere(guest, 1500);
        const { dataPath, supervisor } = await daemon.pids();
        await guest.run(`kill -9 ${supervisor} ${dataPath}`);
        await assertMedia(trunk, pbx);
        await daemon.start();
        await daemon.said(/with [1-9]\d* pinholes taken up/);
        assert.deepEqual((await rulesOf(lab, pbx)).sort(), rules);
        await guest.run('pfctl -q -F states');
        await assertMedia(trunk, pbx);
        await end(dialog);
      });
    });

  withPinholes('if-bound');

  describe('a gateway with an external address of its own', () => {
    before(async () => {
      await guest.run(`ifconfig ${guest.interfaces.outside} inet ${GATEWAYS_EXTERNAL}/32 alias`);
      const own = `  - {external: ${GATEWAYS_EXTERNAL}, hosts: [${OTHER_PBX}]}\nmedia-hosts: [${OTHER_PBX}]`;
      const settings = config('').replace(`, ${OTHER_PBX}]`, ']').replace('\ncaps:', `\n${own}\ncaps:`);
      const { outside } = guest.interfaces;
      const last = [
        ...egress(guest, EXTERNAL),
        `pass out quick on ${outside} inet proto udp from ${GATEWAYS_EXTERNAL}`,
      ];
      await serve(settings, { nat: translating(guest), last });
    });

    after(() => guest.run(`ifconfig ${guest.interfaces.outside} inet ${GATEWAYS_EXTERNAL} -alias`));

    for (const { name, pair } of ways) {
      it(`${name}, a re-INVITE moves the PBX's media there, and the old port closes`, async () => {
        const [caller, callee, inner, outer] = pair();
        await Promise.all([open(caller), open(callee)]);
        const dialog = await up(caller, callee);
        await assertMedia(caller, callee);
        const gateway: Party = {
          ...inner,
          media: { ...inner.media, address: OTHER_PBX },
          announced: { ...inner.announced, address: GATEWAYS_EXTERNAL },
          mediaSocket: `gateway${inner.media.port}`,
        };
        await gateway.actor.run([udp(gateway.mediaSocket, gateway.media)]);
        const again = await offerAgain(
          inner === caller ? dialog : { ...dialog, caller: callee, callee: caller, isTurned: true },
          'INVITE',
          gateway,
        );
        await assertMedia(gateway, outer);
        await eventually(async () => !(await rulesOf(lab, inner)).some((line) => line.includes(PBX)), 90_000);
        await assertMedia(gateway, outer);
        await gateway.actor.run([close(inner.mediaSocket)]);
        await end(again);
      });
    }
  });

  describe('translation: pinhole, nothing may leave but SIP, outbound: true', () => {
    before(() => serve(config('outbound: true'), { nat: translating(guest) }));

    for (const { name, pair } of ways) {
      it(`${name}: media both ways, closed both ways`, async () => {
        const [caller, callee, inner, outer] = pair();
        await Promise.all([open(caller), open(callee)]);
        const dialog = await up(caller, callee);
        await assertMedia(caller, callee);
        const elsewhere = moved(outer);
        await elsewhere.actor.run([udp(elsewhere.mediaSocket, elsewhere.media)]);
        assert.equal(await arrival(inner, elsewhere), null);
        await elsewhere.actor.run([close(elsewhere.mediaSocket)]);
        await end(dialog);
      });
    }
  });

  const ofRuleset = {
    '1:1 NAT': ({ interfaces: { outside: device } }: Guest) => [
      `binat on ${device} inet from ${PBX} to any -> ${EXTERNAL}`,
    ],
    'a forwarded range and static ports': ({ interfaces: { outside: device } }: Guest) => [
      `nat on ${device} inet from ${PBX} to any -> ${EXTERNAL} static-port`,
      `rdr on ${device} inet proto { tcp udp } to ${EXTERNAL} port 5060 -> ${PBX}`,
      `rdr on ${device} inet proto udp to ${EXTERNAL} port 20000:40000 -> ${PBX}`,
    ],
  };
  for (const [what, nat] of Object.entries(ofRuleset)) {
    describe(`translation: ruleset, with ${what}`, () => {
      before(() => serve(config('', 'ruleset'), { nat: nat(guest), last: egress(guest, EXTERNAL) }));

      for (const { name, pair } of ways) {
        it(`${name}: media both ways, and nothing is left`, async () => {
          const [caller, callee, inner] = pair();
          await Promise.all([open(caller), open(callee)]);
          const dialog = await up(caller, callee);
          await assertMedia(caller, callee);
          assert.deepEqual(await translationsOf(lab, inner), []);
          await end(dialog);
        });
      }
    });
  }

  withPinholes('floating');
  withPinholes('if-bound', true);
});
