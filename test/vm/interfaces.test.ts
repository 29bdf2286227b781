import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { send } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { eventually, type GuestDaemon, loadRuleset, startDaemon } from './daemon.ts';
import { type Guest, skipsIPv6, withoutGuest } from './guest.ts';
import { hangUp, type Lab, mediaPasses, open, openLab, setUp, shut } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

/** A name that divert(4) cuts to another that there is. */
const LONG = 'inside0.100';
const CUT = LONG.slice(0, 7);
const CUT_TO_TWO = 'lan0.100';
const TWO = CUT_TO_TWO.slice(0, 7);

describe('interfaces that divert(4) has trouble with', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab();
    ({ guest } = lab);
    daemon = await startDaemon(guest, CONFIG, ruleset(guest));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  async function call(inside: string, family: 4 | 6): Promise<void> {
    await isFound(inside, family);
    for (const turned of [false, true]) {
      const { caller, callee } = lab.agents(family);
      const [from, to] = turned ? [callee, caller] : [caller, callee];
      await Promise.all([open(from), open(to)]);
      const dialog = await setUp(from, to);
      assert.ok(await mediaPasses(from, to));
      await hangUp(from, to, dialog);
      await lab.isClosed(from, to);
      await Promise.all([shut(from), shut(to)]);
    }
  }

  /** Renames the inside interface while `body` runs, beside one that has the cut name. */
  async function renamed(name: string, other: string, body: () => Promise<void>): Promise<void> {
    const { inside } = guest.interfaces;
    // The kernel may say on the console, in between, that the link is up.
    const made = await guest.run('kldload -nq if_epair; ifconfig epair create');
    const pair = /^epair\d+a$/m.exec(made)![0];
    const partner = pair.replace(/a$/, 'b');
    await guest.run(`ifconfig ${pair} name ${other}; ifconfig ${inside} name ${name}`);
    try {
      await guest.run(`ifconfig ${other} inet 203.0.113.1/24 up`);
      await loadRuleset(guest, ruleset({ ...guest, interfaces: { ...guest.interfaces, inside: name } }));
      await body();
    } finally {
      await guest.run(
        `ifconfig ${name} name ${inside}; ifconfig ${partner} destroy; ifconfig ${other} destroy; true`,
      );
      await loadRuleset(guest, ruleset(guest));
    }
  }

  /** What comes from inside has the daemon look at the interfaces, and is not read before that where the other side is inside, too. */
  async function isFound(name: string, family: 4 | 6): Promise<void> {
    const { caller, callee } = lab.agents(family);
    await open(callee);
    await eventually(async () => {
      await callee.actor.run([send(callee.sipSocket, caller.sip, sip('OPTIONS'))]);
      const found = (await daemon.log())
        .split('\n')
        .findLast((line) => line.includes('inside hosts come in'));
      return found?.includes(name) === true;
    });
    await shut(callee);
  }

  it(`calls through ${CUT_TO_TWO}, which comes as ${TWO}, which there is`, async () => {
    await renamed(CUT_TO_TWO, TWO, () => call(CUT_TO_TWO, 4));
  });

  it(`calls through ${LONG}, which comes as ${CUT}, which there is`, async () => {
    await renamed(LONG, CUT, () => call(LONG, 4));
  });

  it('calls over IPv6 through an interface without IPv4', async (context) => {
    if (skipsIPv6(context, guest)) return;
    const { inside } = guest.interfaces;
    await guest.run(`ifconfig ${inside} inet 192.0.2.1 delete`);
    try {
      await call(`${inside} (2001`, 6);
    } finally {
      await guest.run(`ifconfig ${inside} inet 192.0.2.1/24`);
    }
  });
});
