import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { close, expect, send, udp } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, withoutGuest } from './guest.ts';
import { hangUp, type Lab, mediaPasses, open, openLab, PATIENCE, setUp, shut } from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

describe('fail: open', { skip: withoutGuest }, () => {
  let lab: Lab;
  let daemon: GuestDaemon;
  /** Both ways and both transports, in each family that this kernel diverts. */
  let allRules: number;

  before(async () => {
    lab = await openLab();
    const { guest } = lab;
    allRules = guest.before15 ? 4 : 8;
    const config = `${CONFIG}fail: open\nfreebsd: { inside-interfaces: [${guest.interfaces.inside}] }\n`;
    daemon = await startDaemon(guest, config, ruleset(guest, { failOpen: true }));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  const divertRules = async () =>
    (await lab.guest.run('pfctl -q -a pinholed/divert -sr 2>/dev/null; true')).match(/divert-to 8668/g)
      ?.length ?? 0;

  /** One SIP request from outside to inside. */
  async function request(callId: string): Promise<void> {
    const caller = { address: ADDRESSES.outside[4], port: 5060 };
    const callee = { address: ADDRESSES.inside[4], port: 5060 };
    const options = sip('OPTIONS', { callId });
    await lab.inside.run([udp('callee', callee)]);
    await lab.outside.run([udp('caller', caller), send('caller', callee, options), close('caller')]);
    try {
      await lab.inside.run([expect('callee', options, PATIENCE)]);
    } finally {
      await lab.inside.run([close('callee')]);
    }
  }

  it('loads its divert rules while it takes packets, and calls get their pinholes', async () => {
    await eventually(async () => (await divertRules()) === allRules);
    const before = await lab.diverted();
    const { caller, callee } = lab.agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await lab.isClosed(caller, callee);
    assert.equal((await lab.diverted()) - before, 5);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('removes them when the data path hangs: SIP passes unread; then all is as before', async () => {
    await request('before@example.com');
    const { dataPath } = await daemon.pids();
    await lab.guest.run(`kill -STOP ${dataPath}`);
    await eventually(async () => (await divertRules()) === 0, 20_000);
    const before = await lab.diverted();
    await request('meanwhile@example.com');
    assert.equal(await lab.diverted(), before);
    await eventually(async () => (await divertRules()) === allRules);
    const { caller, callee } = lab.agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await lab.isClosed(caller, callee);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('removes them when the data path is killed', async () => {
    const { dataPath } = await daemon.pids();
    await lab.guest.run(`kill -9 ${dataPath}`);
    await eventually(async () => (await divertRules()) === 0, 20_000);
    await request('killed@example.com');
    await eventually(async () => (await divertRules()) === allRules);
  });

  it('removes them at a stop', async () => {
    await daemon.stop();
    assert.equal(await divertRules(), 0);
    await request('stopped@example.com');
  });
});
