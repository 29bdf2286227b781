/** Calls whose two ends are behind the same external address, and an external address that changes under calls. */
import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { arrival, assertMedia, call, hangUp, party } from './behind.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { type Guest, withoutGuest } from './guest.ts';
import { type Lab, open, openLab, shut } from './lab.ts';
import {
  assertClosed,
  EXTERNAL,
  OTHER_PBX,
  OTHER_TRUNK,
  PBX,
  TRUNK,
  translating,
  translationsOf,
} from './natted.ts';
import { egress, ruleset, UNCAPPED } from './ruleset.ts';

/** What the interface outside has after `EXTERNAL`. */
const NEXT = '198.51.100.3';

const config = (external: string) => `
inside: [192.0.2.0/24]
nat:
  - {external: '${external}', hosts: [${PBX}, ${OTHER_PBX}]}
${UNCAPPED}`;

describe('an external address on FreeBSD', { skip: withoutGuest }, () => {
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

  const trunk = () => party(lab.outside, TRUNK);
  const otherTrunk = () => party(lab.outside, OTHER_TRUNK);
  const pbx = (external: string) => party(lab.inside, PBX, external);
  const otherPbx = (external: string) => party(lab.inside, OTHER_PBX, external);

  async function serve(external: string): Promise<void> {
    await daemon?.stop();
    const own = `(${guest.interfaces.outside}:0)`;
    const rules = { nat: translating(guest, own), last: egress(guest, own) };
    daemon = await startDaemon(guest, config(external), ruleset(guest, rules));
  }

  for (const named of ['as an address', 'by its interface']) {
    it(`${named}: a call that comes back in, and its media between two hosts behind it, as each announced it`, async () => {
      await serve(named === 'as an address' ? EXTERNAL : `interface:${guest.interfaces.outside}`);
      const [one, other] = [pbx(EXTERNAL), otherPbx(EXTERNAL)];
      const [back, out] = [trunk(), otherTrunk()];
      await Promise.all([one, other, back, out].map(open));
      // The provider tells each what the other announced: its own media is out of it.
      const silent = { caller: 'never', callee: 'never' } as const;
      const outgoing = await call(other, { ...out, announced: one.announced }, silent);
      const incoming = await call({ ...back, announced: other.announced }, one, silent);
      await assertMedia(one, other);
      assert.equal(await arrival(out, one), null);
      await hangUp(outgoing);
      await hangUp(incoming);
      await assertClosed(lab, one, other);
      assert.equal(await arrival(one, other), null);
      await Promise.all([one, other, back, out].map(shut));
    });
  }

  it('that changes under a call: nothing is left of the old one, and new calls go by the new one', async () => {
    const { outside } = guest.interfaces;
    await serve(`interface:${outside}`);
    const [before, caller] = [pbx(EXTERNAL), trunk()];
    await Promise.all([before, caller].map(open));
    await call(caller, before, { caller: 'at once', callee: 'after the ACK' });
    await assertMedia(caller, before);
    const old = await translationsOf(lab, before);
    assert.equal(old.length, 2);
    assert.ok(old.every((line) => line.includes(EXTERNAL)));
    // As dhclient-script(8) does it: the address goes, then there is another.
    await guest.run(`ifconfig ${outside} inet ${EXTERNAL} -alias`);
    await guest.run(`ifconfig ${outside} inet ${NEXT}/24`);
    try {
      await daemon.said(/the external address of \S+ is .*198\.51\.100\.3/);
      await eventually(async () => (await translationsOf(lab, before)).length === 0);
      await eventually(async () => (await lab.mediaStates(before)).length === 0);
      await guest.run('pfctl -q -F states');
      const [now, others] = [pbx(NEXT), trunk()];
      await Promise.all([before, caller].map(shut));
      await Promise.all([now, others].map(open));
      const dialog = await call(others, now, { caller: 'at once', callee: 'after the ACK' });
      await assertMedia(others, now);
      const translations = await translationsOf(lab, now);
      assert.equal(translations.length, 2);
      assert.ok(translations.every((line) => line.includes(NEXT)));
      assert.ok(!(await guest.run("pfctl -q -a 'pinholed/*' -s nat")).includes(`${EXTERNAL} `));
      await hangUp(dialog);
      await assertClosed(lab, now, others);
      await Promise.all([now, others].map(shut));
    } finally {
      await guest.run(`ifconfig ${outside} inet ${NEXT} -alias; ifconfig ${outside} inet ${EXTERNAL}/24`);
    }
  });
});
