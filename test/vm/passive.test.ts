import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { type Guest, withoutGuest } from './guest.ts';
import {
  hangUp,
  type Lab,
  LONG,
  mediaPasses,
  open,
  openLab,
  passes,
  pauseThere,
  setUpSilently,
  shut,
} from './lab.ts';
import { egress, ruleset, UNCAPPED } from './ruleset.ts';

/** Signalling is read as it passes the inside interface, by bpf(4), and is held up nowhere. */
describe('intercept: bpf on FreeBSD', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab();
    ({ guest } = lab);
    const config = `
inside: [192.0.2.0/24, '2001:db8:2::/64']
inside-interfaces: [${guest.interfaces.inside}]
intercept: bpf
${UNCAPPED}`;
    const rules = ruleset(guest, { divert: false, last: egress(guest) });
    daemon = await startDaemon(guest, config, rules);
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  it('says that it races', async () => {
    const { inside } = guest.interfaces;
    const log = await daemon.log();
    assert.match(log, new RegExp(`bpf on ${inside}: packets pass by, and nothing waits for its pinholes`));
    assert.match(log, /media that comes first is lost/);
    assert.equal(await lab.diverted(), 0);
  });

  for (const [what, headers] of [
    ['one packet', []],
    ['fragments', LONG],
  ] as const) {
    it(`opens what is announced in ${what}, a moment later, and closes it after BYE`, async () => {
      const { caller, callee } = lab.agents();
      await Promise.all([open(caller), open(callee)]);
      const dialog = await setUpSilently(caller, callee, headers);
      await lab.isOpen(callee);
      assert.ok(await mediaPasses(caller, callee));
      const neighbour = { ...callee.media, port: callee.media.port + 4 };
      assert.equal(await passes(caller.actor, caller.mediaSocket, callee, neighbour), false);
      await hangUp(caller, callee, dialog);
      await lab.isClosed(callee);
      assert.equal(await passes(caller.actor, caller.mediaSocket, callee), false);
      await Promise.all([shut(caller), shut(callee)]);
    });
  }

  it('a call from inside', async () => {
    const { caller: callee, callee: caller } = lab.agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUpSilently(caller, callee);
    await lab.isOpen(caller);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await lab.isClosed(caller);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('signalling passes while the data path is gone, and is read again afterwards', async () => {
    const { dataPath } = await daemon.pids();
    await pauseThere(guest, 1500);
    await guest.run(`kill -9 ${dataPath}`);
    const unseen = lab.agents();
    await Promise.all([open(unseen.caller), open(unseen.callee)]);
    const dialog = await setUpSilently(unseen.caller, unseen.callee);
    await hangUp(unseen.caller, unseen.callee, dialog);
    await Promise.all([shut(unseen.caller), shut(unseen.callee)]);
    await eventually(async () => ((await daemon.log()).match(/taken up/g) ?? []).length > 1);
    const { caller, callee } = lab.agents();
    await Promise.all([open(caller), open(callee)]);
    const seen = await setUpSilently(caller, callee);
    await lab.isOpen(callee);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, seen);
    await lab.isClosed(callee);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('doctor: a rule that diverts would lose SIP', async () => {
    const doctor = await guest.run(
      `${guest.files}/pinholed doctor --config ${guest.files}/pinholed.yaml; true`,
    );
    assert.match(doctor, /no rule diverts to port 8668: SIP is read by bpf as it passes/);
  });
});
