import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { close, send, udp } from '../../lab/steps.ts';
import type { BlockedResult } from '../../src/report/live/blocked.ts';
import { eventually, type GuestDaemon, startDaemon, write } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { hangUp, type Lab, mediaPasses, open, openLab, setUp, shut } from './lab.ts';
import { egress, ruleset, UNCAPPED } from './ruleset.ts';

/** What `block log` drops is read from pflog(4). */
describe('media that pf drops near a call', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab();
    ({ guest } = lab);
    await guest.run('kldload -n pflog && { ifconfig pflog0 >/dev/null 2>&1 || ifconfig pflog0 create; }');
    await guest.run('ifconfig pflog0 up');
    const config = `
inside: [192.0.2.0/24, '2001:db8:2::/64']
blocked: { watch: true, rate: 100 }
${UNCAPPED}`;
    daemon = await startDaemon(guest, config, ruleset(guest, { last: egress(guest) }));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  async function blocked(call: string): Promise<BlockedResult[]> {
    const text = await guest.run(
      `${guest.files}/pinholed blocked --json --config ${guest.files}/pinholed.yaml --call ${call}`,
    );
    return (JSON.parse(text) as { blocked: BlockedResult[] }).blocked;
  }

  it('is told with its sender, and with the line that lets it pass; what passes is not', async () => {
    const { caller, callee } = lab.agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    assert.ok(await mediaPasses(caller, callee));
    const { stranger } = ADDRESSES.outside;
    const from = { address: stranger, port: 9000 };
    const elsewhere = { ...callee.media, address: ADDRESSES.inside.stranger };
    await lab.outside.run([
      udp('stranger', from),
      send('stranger', elsewhere, 'to a host of no call'),
      send('stranger', callee.media, 'to the telephone'),
    ]);
    const { address, port } = callee.media;
    await daemon.said(
      new RegExp(`is dropped by the ruleset: ${stranger} port 9000 to ${address} port ${port};`),
    );
    let found: BlockedResult[] = [];
    await eventually(async () => {
      found = await blocked(dialog.callId);
      return found.length > 0;
    });
    assert.deepEqual(
      found.map(({ src, srcPort, dst, dstPort, callId, reason, line }) => ({
        ...{ src, srcPort, dst, dstPort, callId, reason, line },
      })),
      [
        {
          ...{ src: stranger, srcPort: 9000, dst: address, dstPort: port },
          ...{ callId: dialog.callId, reason: 'wrong-source', line: 'media-source: any' },
        },
      ],
    );
    await lab.outside.run([close('stranger')]);
    await hangUp(caller, callee, dialog);
    await lab.isClosed(callee);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('has to have an interface of pflog(4)', async () => {
    await daemon.stop();
    const config = `inside: [192.0.2.0/24]\nblocked: { watch: true, interface: ${guest.interfaces.outside} }\n`;
    await write(guest, `${guest.files}/other.yaml`, config);
    const text = await guest.run(
      `${guest.files}/pinholed run --config ${guest.files}/other.yaml --drop --no-supervisor 2>&1; true`,
    );
    assert.match(
      text,
      new RegExp(`blocked\\.interface: ${guest.interfaces.outside} is not one of pflog\\(4\\)`),
    );
  });
});
