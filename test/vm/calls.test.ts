import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import type { Actor } from '../../lab/actors.ts';
import { close, connect, expect, listen, pause, send, udp, write } from '../../lab/steps.ts';
import { sip } from '../scene.ts';
import { eventually, type GuestDaemon, loadRuleset, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, skipsIPv6, withoutGuest } from './guest.ts';
import {
  type Agent,
  describeMedia,
  hangUp,
  type Lab,
  LONG,
  mediaPasses,
  open,
  openLab,
  PATIENCE,
  passes,
  pauseThere,
  setUp,
  shut,
} from './lab.ts';
import { CONFIG, ruleset } from './ruleset.ts';

/** The daemon's line about rules that it put back. */
const REPAIRED = /as it should be again/;

describe('calls through FreeBSD', { skip: withoutGuest }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;
  let outside: Actor;
  const agents = (family?: 4 | 6) => lab.agents(family);
  const isClosed = (...those: Agent[]) => lab.isClosed(...those);

  before(async () => {
    lab = await openLab();
    ({ guest, outside } = lab);
    daemon = await startDaemon(guest, CONFIG, ruleset(guest));
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  for (const family of [4, 6] as const) {
    it(`UDP over IPv${family}: media from the first packet on, nobody else, nothing left after BYE`, async (context) => {
      if (family === 6 && skipsIPv6(context, guest)) return;
      const { caller, callee } = agents(family);
      await Promise.all([open(caller), open(callee)]);
      const dialog = await setUp(caller, callee);
      assert.ok(await mediaPasses(caller, callee));
      assert.equal((await lab.mediaStates(caller, callee)).length, 2);
      const neighbour = { address: callee.media.address, port: callee.media.port + 4 };
      const other = { ...callee, media: neighbour, mediaSocket: `neighbour${neighbour.port}` };
      await callee.actor.run([udp(other.mediaSocket, neighbour)]);
      assert.equal(await passes(caller.actor, caller.mediaSocket, other), false);
      if (family === 4) {
        await outside.run([
          udp('stranger', { address: ADDRESSES.outside.stranger, port: caller.media.port }),
        ]);
        assert.equal(await passes(outside, 'stranger', callee), false);
        await outside.run([close('stranger')]);
      }
      await hangUp(caller, callee, dialog);
      await isClosed(caller, callee);
      assert.equal(await passes(caller.actor, caller.mediaSocket, callee), false);
      assert.equal(await passes(callee.actor, callee.mediaSocket, caller), false);
      await callee.actor.run([close(other.mediaSocket)]);
      await Promise.all([shut(caller), shut(callee)]);
    });

    it(`TCP over IPv${family}`, async (context) => {
      if (family === 6 && skipsIPv6(context, guest)) return;
      const { caller, callee } = agents(family);
      const callId = `tcp-${family}-${process.pid}@example.com`;
      const tcp = (text: string) => text.replace('SIP/2.0/UDP', 'SIP/2.0/TCP');
      const invite = tcp(sip('INVITE', { callId, body: describeMedia(caller.media) }));
      const ok = tcp(sip('200 INVITE', { callId, to: 'b', body: describeMedia(callee.media) }));
      const ack = tcp(sip('ACK', { callId, to: 'b' }));
      const bye = tcp(sip('BYE', { callId, to: 'b', cseq: 2 }));
      const byeOk = tcp(sip('200 BYE', { callId, to: 'b', cseq: 2 }));
      await callee.actor.run([listen('listener', callee.sip), udp(callee.mediaSocket, callee.media)]);
      await Promise.all([
        callee.actor.run([
          { do: 'accept', socket: 'stream', on: 'listener', within: PATIENCE },
          expect('stream', invite, PATIENCE),
          send(callee.mediaSocket, caller.media, 'early'),
          write('stream', ok),
          expect('stream', ack, PATIENCE),
        ]),
        caller.actor.run([
          udp(caller.mediaSocket, caller.media),
          connect('stream', { ...caller.sip, port: caller.media.port + 5 }, callee.sip),
          write('stream', invite.slice(0, 300)),
          pause(50),
          write('stream', invite.slice(300)),
          expect(caller.mediaSocket, 'early', PATIENCE),
          expect('stream', ok, PATIENCE),
          send(caller.mediaSocket, callee.media, 'first'),
          write('stream', ack),
        ]),
      ]);
      await callee.actor.run([expect(callee.mediaSocket, 'first', PATIENCE)]);
      assert.ok(await mediaPasses(caller, callee));
      await Promise.all([
        callee.actor.run([expect('stream', bye, PATIENCE), write('stream', byeOk)]),
        caller.actor.run([write('stream', bye), expect('stream', byeOk, PATIENCE)]),
      ]);
      await isClosed(caller, callee);
      const sockets = ['stream', 'listener', callee.mediaSocket];
      await callee.actor.run(sockets.map(close));
      await caller.actor.run([close('stream'), close(caller.mediaSocket)]);
    });

    it(`INVITE and 200 in fragments over IPv${family}, byte for byte, and media`, async (context) => {
      if (family === 6 && skipsIPv6(context, guest)) return;
      const { caller, callee } = agents(family);
      await Promise.all([open(caller), open(callee)]);
      const dialog = await setUp(caller, callee, LONG);
      assert.ok(await mediaPasses(caller, callee));
      await hangUp(caller, callee, dialog);
      await isClosed(caller, callee);
      await Promise.all([shut(caller), shut(callee)]);
    });

    it(`INVITE in fragments from inside over IPv${family}`, async (context) => {
      if (family === 6 && skipsIPv6(context, guest)) return;
      const { caller: callee, callee: caller } = agents(family);
      await Promise.all([open(caller), open(callee)]);
      const dialog = await setUp(caller, callee, LONG);
      assert.ok(await mediaPasses(caller, callee));
      await hangUp(caller, callee, dialog);
      await isClosed(caller, callee);
      await Promise.all([shut(caller), shut(callee)]);
    });
  }

  it('re-INVITE: the new port is open at once, the old one closes when media is on the new', async () => {
    const { caller, callee } = agents();
    await Promise.all([open(caller), open(callee)]);
    const { callId } = await setUp(caller, callee);
    const moved = {
      ...caller,
      media: { ...caller.media, port: caller.media.port + 2 },
      mediaSocket: 'moved',
    };
    const invite = sip('INVITE', { callId, to: 'b', cseq: 2, body: describeMedia(moved.media, 2) });
    const ok = sip('200 INVITE', { callId, to: 'b', cseq: 2, body: describeMedia(callee.media, 2) });
    const ack = sip('ACK', { callId, to: 'b', cseq: 2 });
    await caller.actor.run([udp('moved', moved.media)]);
    await Promise.all([
      callee.actor.run([
        expect(callee.sipSocket, invite, PATIENCE),
        send(callee.mediaSocket, moved.media, 'to the new port'),
        send(callee.sipSocket, caller.sip, ok),
        expect(callee.sipSocket, ack, PATIENCE),
      ]),
      caller.actor.run([
        send(caller.sipSocket, callee.sip, invite),
        expect('moved', 'to the new port', PATIENCE),
        expect(caller.sipSocket, ok, PATIENCE),
        send(caller.sipSocket, callee.sip, ack),
      ]),
    ]);
    assert.ok(await mediaPasses(moved, callee));
    await eventually(
      async () => !(await lab.pinholes()).some((rule) => rule.includes(` ${caller.media.port}:`)),
      90_000,
    );
    await eventually(async () => (await lab.mediaStates(caller)).length === 0, 30_000);
    assert.ok(await mediaPasses(moved, callee));
    await hangUp(caller, callee, { callId, cseq: 2 });
    await isClosed(moved, callee);
    await caller.actor.run([close('moved')]);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('a ruleset loaded again, and loaded with other rules, under a call', async () => {
    const { caller, callee } = agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    const before = await lab.pinholes();
    await loadRuleset(guest, ruleset(guest));
    assert.deepEqual(await lab.pinholes(), before);
    assert.ok(await mediaPasses(caller, callee));
    await loadRuleset(guest, ruleset(guest, { first: ['block quick proto tcp to port 12345'] }));
    assert.deepEqual(await lab.pinholes(), before);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await isClosed(caller, callee);
    await loadRuleset(guest, ruleset(guest));
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('flushed anchors are filled again, and their calls go on', async (context) => {
    const { caller, callee } = agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    const before = await lab.pinholes();
    const repaired = async () => (await daemon.log()).split('\n').filter((line) => REPAIRED.test(line));
    const earlier = (await repaired()).length;
    const filled = (
      await guest.run(
        'for a in $(pfctl -q -a pinholed -s Anchors); do pfctl -q -a $a -sr 2>/dev/null | grep -q pass && echo $a; done; true',
      )
    ).trim();
    const flushed = await guest.run(
      `for a in ${filled.replaceAll('\n', ' ')} pinholed; do pfctl -q -a $a -F rules; done; date +%s%N`,
    );
    await eventually(async () => (await repaired()).length > earlier);
    const [at] = (await repaired()).at(-1)!.split(' ', 1);
    const time = Date.parse(at!) - Number(flushed) / 1e6;
    context.diagnostic(`rebuilt ${time.toFixed(0)} ms after the last flush`);
    assert.deepEqual((await lab.pinholes()).sort(), [...before].sort());
    assert.ok(time < 5000, `${time} ms, on a machine that may be emulated`);
    await guest.run('pfctl -q -F states');
    assert.ok(await passes(caller.actor, caller.mediaSocket, callee));
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await isClosed(caller, callee);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('kill -9 of the data path under a call: media goes on, the call is taken up, BYE closes it', async () => {
    const { caller, callee } = agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    const before = await lab.pinholes();
    await pauseThere(guest, 1500);
    const { dataPath } = await daemon.pids();
    await guest.run(`kill -9 ${dataPath}`);
    assert.ok(await mediaPasses(caller, callee));
    await daemon.said(/with [1-9]\d* pinholes taken up/);
    assert.deepEqual((await lab.pinholes()).sort(), [...before].sort());
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await isClosed(caller, callee);
    await Promise.all([shut(caller), shut(callee)]);
  });

  it('kill -9 of everything under a call, and a new start', async () => {
    const { caller, callee } = agents();
    await Promise.all([open(caller), open(callee)]);
    const dialog = await setUp(caller, callee);
    await pauseThere(guest, 1500);
    const { dataPath, supervisor } = await daemon.pids();
    await guest.run(`kill -9 ${supervisor} ${dataPath}`);
    assert.ok(await mediaPasses(caller, callee));
    await daemon.start();
    await daemon.said(/with [1-9]\d* pinholes taken up/);
    assert.ok(await mediaPasses(caller, callee));
    await hangUp(caller, callee, dialog);
    await isClosed(caller, callee);
    await Promise.all([shut(caller), shut(callee)]);
  });
});
