import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { deadlineOf, nextTimer } from '../../src/call/expiry.ts';
import { keepHistory } from '../../src/commands/run/services.ts';
import { loadConfig } from '../../src/config/load.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import type { ControlError } from '../../src/control/client.ts';
import { connectControl } from '../../src/control/client.ts';
import type {
  CallResult,
  CallsResult,
  CloseResult,
  ExposureResult,
  FlushResult,
  PinholesResult,
  Request,
  SettingsResult,
  StatsResult,
  StatusResult,
  TopResult,
  VerifyResult,
  WatchResult,
} from '../../src/control/protocol.ts';
import { createHandlers } from '../../src/control/service.ts';
import { MOST_PER_SLICE } from '../../src/daemon/messages.ts';
import type { RunningDaemon } from '../../src/daemon/serve.ts';
import type { Traffic } from '../../src/firewall/firewall.ts';
import { sdp, sip } from '../scene.ts';
import { alice, bob, type InProcess, startInProcess } from './in-process.ts';
import { serve, until } from './socket.ts';

/** Rings, is answered and talks: bob's port `port` is open then. */
function establish(run: InProcess, callId: string, port = 4000): void {
  run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
  run.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [port]) }));
  run.send(alice, bob, sip('ACK', { callId, to: 'b' }));
}

function hangUp(run: InProcess, callId: string): void {
  run.send(alice, bob, sip('BYE', { callId, to: 'b', cseq: 2 }));
  run.send(bob, alice, sip('200 BYE', { callId, to: 'b', cseq: 2 }));
}

/** Asks over a real socket. */
async function ask<T>(run: InProcess, request: Request, most = Number.POSITIVE_INFINITY): Promise<T[]> {
  const server = await serve(
    createHandlers(run.daemon, keepHistory(run.daemon).passedBefore, createAlarmBoard()),
    {
      peerOf: () => ({ uid: 7, gid: 7 }),
    },
  );
  try {
    const client = await connectControl(server.path);
    const parts: T[] = [];
    for await (const part of client.ask<T>(request)) {
      parts.push(part);
      if (parts.length >= most) break;
    }
    client.close();
    assert.deepEqual(server.complaints, []);
    return parts;
  } finally {
    server.stop();
  }
}

async function calls(run: InProcess, call?: string): Promise<CallResult[]> {
  const request = call === undefined ? { request: 'calls' as const } : { request: 'calls' as const, call };
  return (await ask<CallsResult>(run, request)).flatMap((part) => part.calls);
}

describe('what the daemon answers', () => {
  it('status: who it is, what it counted, what is wrong', async () => {
    const run = startInProcess();
    establish(run, 'one');
    const [status] = await ask<StatusResult>(run, { request: 'status' });
    const { user, platform, mode, calls: now, callsStarted, pinholes, bytesModified, alarms } = status!;
    assert.deepEqual(
      { user, platform, now, callsStarted, pinholes, bytesModified },
      {
        ...{ user: '_pinholed', platform: 'linux', now: 1, callsStarted: 1, pinholes: 1, bytesModified: 0 },
      },
    );
    assert.deepEqual(mode, {
      ...{
        observes: false,
        passive: false,
        fail: 'closed',
        onFirewallError: 'pass',
        strict: false,
        supervised: true,
        journal: true,
      },
    });
    assert.deepEqual(status!.counters.received, 3);
    assert.deepEqual(status!.counters.commits, 1);
    assert.deepEqual(status!.messages, { udp: 3, tcp: 0 });
    assert.equal(status!.packetsCompared, 1);
    assert.deepEqual(status!.platformCounters, { queueFull: 0 });
    assert.deepEqual(alarms, []);
  });

  it('stats: by method, by every reason there is, and histograms', async () => {
    const run = startInProcess();
    establish(run, 'one');
    hangUp(run, 'one');
    const [stats] = await ask<StatsResult>(run, { request: 'stats' });
    const { INVITE, ACK, BYE, OPTIONS } = stats!.methods;
    assert.deepEqual({ INVITE, ACK, BYE, OPTIONS }, { INVITE: 2, ACK: 1, BYE: 2, OPTIONS: 0 });
    assert.deepEqual(stats!.responses, { 200: 2 });
    assert.equal(stats!.refusals['not-inside'], 1);
    assert.equal(stats!.refusals['firewall-error'], 0);
    assert.equal(stats!.inspection.count, 5);
    assert.equal(stats!.commit.count, 2);
    assert.equal(
      stats!.inspection.buckets.reduce((sum, { count }) => sum + count, 0),
      5,
    );
  });

  it('calls: state, parties, age, idle time, media and the next timer', async () => {
    const run = startInProcess();
    establish(run, 'one');
    run.wait(10_000);
    const [held] = run.inspector.held([...run.inspector.calls()][0]!.legId);
    run.media.set(held!.pinhole.id, { packets: 500, bytes: 86_000 });
    const [call] = await calls(run);
    assert.equal(call!.state, 'confirmed');
    assert.deepEqual(call!.parties, [alice.address, bob.address]);
    assert.equal(call!.age, 10.002);
    assert.equal(call!.idle, 10.001);
    assert.deepEqual([call!.packets, call!.bytes], [500, 86_000]);
    assert.deepEqual(call!.nextTimer, { name: 'media-idle', in: 300 - 10.001 });
    const [open] = call!.pinholes;
    assert.deepEqual(
      [open!.address, open!.ports, open!.sources],
      [bob.address, [4000, 4001], [alice.address]],
    );
    assert.deepEqual([open!.agreed, open!.closing], [true, null]);
  });

  it('calls: media stays counted when its pinhole has gone, to another port or with the call', async () => {
    const run = startInProcess();
    const server = await serve(
      createHandlers(run.daemon, keepHistory(run.daemon).passedBefore, createAlarmBoard()),
    );
    establish(run, 'one');
    const [held] = run.inspector.held([...run.inspector.calls()][0]!.legId);
    run.media.set(held!.pinhole.id, { packets: 500, bytes: 86_000 });
    hangUp(run, 'one');
    const client = await connectControl(server.path);
    const { calls: list } = await client.askOnce<CallsResult>({ request: 'calls' });
    client.close();
    server.stop();
    assert.deepEqual(
      list.map(({ state, pinholes, packets, bytes }) => [state, pinholes.length, packets, bytes]),
      [['ended', 0, 500, 86_000]],
    );
  });

  it('calls: packets by who they were on their way to, before the end of the call and after it', async () => {
    const run = startInProcess();
    const server = await serve(
      createHandlers(run.daemon, keepHistory(run.daemon).passedBefore, createAlarmBoard()),
    );
    establish(run, 'in');
    run.send(bob, alice, sip('INVITE', { callId: 'out', body: sdp(bob.address, [4002]) }));
    run.send(alice, bob, sip('200 INVITE', { callId: 'out', to: 'b', body: sdp(alice.address, [6002]) }));
    const client = await connectControl(server.path);
    async function counted(passed: Traffic & { readonly sent?: number }) {
      for (const { legId } of run.inspector.calls()) {
        for (const { pinhole } of run.inspector.held(legId)) run.media.set(pinhole.id, passed);
      }
      // What was read is good for half a second.
      run.wait(1000);
      const { calls: list } = await client.askOnce<CallsResult>({ request: 'calls' });
      return Object.fromEntries(list.map(({ callId, packetsTo }) => [callId, packetsTo]));
    }
    const both = { caller: 490, callee: 500 };
    const swapped = { caller: 500, callee: 490 };
    assert.deepEqual(await counted({ packets: 500, bytes: 86_000 }), {
      in: { caller: null, callee: null },
      out: { caller: null, callee: null },
    });
    assert.deepEqual(await counted({ packets: 500, bytes: 86_000, sent: 0 }), {
      in: { caller: 0, callee: 500 },
      out: { caller: 500, callee: 0 },
    });
    assert.deepEqual(await counted({ packets: 500, bytes: 86_000, sent: 490 }), { in: both, out: swapped });
    hangUp(run, 'in');
    assert.deepEqual(await counted({ packets: 500, bytes: 86_000, sent: 490 }), { in: both, out: swapped });
    client.close();
    server.stop();
  });

  it('calls: where both parties have pinholes, a flow that both count is counted once', async () => {
    const run = startInProcess({ outbound: true });
    establish(run, 'one');
    const held = run.inspector.held([...run.inspector.calls()][0]!.legId);
    assert.deepEqual(held.map(({ slot }) => slot[0]).sort(), ['0', '1']);
    for (const { slot, pinhole } of held) {
      const isCallers = slot.startsWith('0');
      run.media.set(pinhole.id, { packets: isCallers ? 490 : 500, bytes: 1, sent: isCallers ? 498 : 488 });
    }
    const [call] = await calls(run);
    assert.deepEqual(call!.packetsTo, { caller: 490, callee: 500 });
  });

  it('one call by its Call-ID, its name or the first digits of it', async () => {
    const run = startInProcess();
    establish(run, 'one');
    establish(run, 'two', 4002);
    const [one, two] = await calls(run);
    for (const name of ['two', two!.legId, two!.legId.slice(0, 5)]) {
      assert.deepEqual(
        (await calls(run, name)).map(({ callId }) => callId),
        ['two'],
        name,
      );
    }
    const code = async (name: string) => {
      const error = await calls(run, name).catch((reason: ControlError) => reason);
      return (error as ControlError).code;
    };
    assert.equal(await code('three'), 'unknown-call');
    assert.equal(await code(one!.legId.slice(0, 3)), 'unknown-call', 'three digits are too few');
    assert.equal(await code(''), 'bad-request');
  });

  it('pinholes: each once, with all the calls that hold it', async () => {
    const run = startInProcess();
    establish(run, 'one', 4000);
    establish(run, 'leg-two', 4000);
    establish(run, 'other', 4002);
    const parts = await ask<PinholesResult>(run, { request: 'pinholes' });
    const list = parts.flatMap(({ pinholes }) => pinholes);
    assert.deepEqual(
      list.map(({ ports, legIds }) => [ports[0], legIds.length]),
      [
        [4000, 2],
        [4002, 1],
      ],
    );
  });

  it('close: ends a call, says so in the log, and knows what is not there', async () => {
    const run = startInProcess();
    establish(run, 'one');
    const [result] = await ask<CloseResult>(run, { request: 'close', call: 'one' });
    const [call] = await calls(run);
    assert.deepEqual(result, { closed: [call!.legId] });
    assert.deepEqual([call!.state, call!.endReason, call!.pinholes], ['ended', 'administrator', []]);
    assert.deepEqual(run.said, [`info control: user 7 closed leg ${call!.legId}`]);
    assert.deepEqual(await ask<CloseResult>(run, { request: 'close', call: 'one' }), [{ closed: [] }]);
    await assert.rejects(ask(run, { request: 'close', call: 'two' }), { code: 'unknown-call' });
  });

  it('flush: ends all of them', async () => {
    const run = startInProcess();
    for (let one = 0; one < 40; one++) establish(run, `call-${one}`, 4000 + 2 * one);
    hangUp(run, 'call-0');
    const steps = await ask<FlushResult>(run, { request: 'flush' });
    assert.deepEqual(steps.at(-1), { closed: 39, calls: 39 });
    assert.deepEqual([...run.inspector.pinholes()], []);
    assert.deepEqual(await ask<FlushResult>(run, { request: 'flush' }), [{ closed: 0, calls: 0 }]);
  });

  it('exposure: of the range that is asked for', async () => {
    const run = startInProcess();
    establish(run, 'one');
    run.wait(20_000);
    const [exposure] = await ask<ExposureResult>(run, { request: 'exposure', range: '16384-32767' });
    assert.deepEqual(exposure!.range, [16384, 32767]);
    assert.equal(exposure!.hosts, 1);
    // The answer opened it; ACK came 1 ms later.
    assert.equal(exposure!.pinholes.portSeconds, 2 * 20.001);
    assert.equal(exposure!.static.portSeconds, 16384 * 20.003);
    for (const range of ['1', '2-1', '0-5', '1-70000', 'x']) {
      await assert.rejects(ask(run, { request: 'exposure', range }), { code: 'bad-request' }, range);
    }
  });

  it('top: the first calls in the order asked for, again and again', async () => {
    const run = startInProcess();
    for (const [index, name] of ['old', 'mid', 'new'].entries()) {
      establish(run, name, 4000 + 2 * index);
      run.wait(1000);
    }
    const [quiet, , busy] = [...run.inspector.pinholes()];
    run.media.set(busy!.id, { packets: 10, bytes: 1 });
    run.media.set(quiet!.id, { packets: 5, bytes: 1 });
    run.inspector.traffic(quiet!.id, run.now);
    const order = async (sort: 'age' | 'idle' | 'packets') => {
      const [one] = await ask<TopResult>(run, { request: 'top', sort, limit: 2 }, 1);
      assert.equal(one!.calls, 3);
      return one!.top.map(({ callId }) => callId);
    };
    assert.deepEqual(await order('age'), ['old', 'mid']);
    assert.deepEqual(await order('idle'), ['mid', 'new']);
    assert.deepEqual(await order('packets'), ['new', 'old']);
    const twice = await ask<TopResult>(run, { request: 'top', interval: 0.5 }, 2);
    assert.equal(twice.length, 2);
    for (const wrong of [
      { sort: 'name' },
      { limit: 0 },
      { limit: 1e9 },
      { interval: 0 },
      { interval: 'x' },
    ]) {
      const request = { request: 'top', ...wrong } as unknown as Request;
      await assert.rejects(ask(run, request, 1), { code: 'bad-request' }, JSON.stringify(wrong));
    }
  });

  it('watch: what happens from now on', async () => {
    const run = startInProcess();
    const answer = ask<WatchResult>(run, { request: 'watch' }, 1);
    // The history is the other one.
    await until(() => run.listeners === 2);
    establish(run, 'one');
    run.wait(1000);
    const [first] = await answer;
    assert.equal(first!.lost, 0);
    assert.deepEqual(
      first!.events.map(({ type, what, reason }) => what ?? `${String(type)} ${String(reason)}`),
      ['started', 'refused not-inside', 'opened'],
    );
    const now = Date.now() / 1000;
    assert.ok(first!.events.every(({ at }) => Math.abs((at as number) - now) < 60));
  });

  it('calls, pinholes and watch call a leg by one name, legId', async () => {
    const run = startInProcess();
    const told = ask<WatchResult>(run, { request: 'watch' }, 1);
    await until(() => run.listeners === 2);
    establish(run, 'one');
    run.wait(1000);
    const { legId } = [...run.inspector.calls()][0]!;
    const [{ events }] = (await told) as [WatchResult];
    const eventLegs = events.map(({ call }) => (call as { readonly legId: string }).legId);
    assert.deepEqual([...new Set(eventLegs)], [legId]);
    const [{ pinholes }] = (await ask<PinholesResult>(run, { request: 'pinholes' })) as [PinholesResult];
    assert.deepEqual([(await calls(run))[0]!.legId, pinholes[0]!.legIds], [legId, [legId]]);
  });

  it('verify: what the packet filter holds, beside what was committed', async () => {
    const run = startInProcess();
    establish(run, 'one');
    establish(run, 'two', 5000);
    const verify = async () => (await ask<VerifyResult>(run, { request: 'verify' }))[0]!;
    assert.deepEqual(await verify(), { pinholes: 2, rules: 2, missing: 0, unexpected: 0, examples: [] });
    assert.deepEqual(run.said, []);
    const [gone] = run.firewall.list();
    const stranger = { ...gone!, id: 'a rule of somebody else' };
    run.firewall.commit({ open: [stranger], close: [gone!] });
    assert.deepEqual(await verify(), {
      ...{ pinholes: 2, rules: 2, missing: 1, unexpected: 1 },
      examples: [`- ${gone!.id}`, `+ ${stranger.id}`],
    });
    assert.match(run.said.join(), /1 are missing, 1 are not ours: putting them right/);
    run.wait(1);
    assert.deepEqual(await verify(), { pinholes: 2, rules: 2, missing: 0, unexpected: 0, examples: [] });
  });

  it('verify: a pinhole that opens while the filter is read is no difference', async () => {
    const run = startInProcess();
    establish(run, 'one');
    const { compare } = run.daemon;
    let compared = 0;
    const daemon: RunningDaemon = {
      ...run.daemon,
      compare(intended) {
        if (compared++ === 0) establish(run, 'two', 5000);
        return compare(intended);
      },
      repair: () => assert.fail('there is nothing to put right'),
    };
    const [result] = await ask<VerifyResult>({ ...run, daemon }, { request: 'verify' });
    assert.deepEqual(result, { pinholes: 2, rules: 2, missing: 0, unexpected: 0, examples: [] });
    assert.equal(compared, 2);
  });

  it('settings: those in force, as a file has them', async () => {
    const run = startInProcess({ strict: true });
    const [{ file, settings }] = (await ask<SettingsResult>(run, { request: 'settings' })) as [
      SettingsResult,
    ];
    assert.equal(file, null);
    const loaded = loadConfig(JSON.stringify(settings), 'settings');
    assert.deepEqual(loaded, { ok: true, settings: run.settings });
  });

  it('unavailable, when the data path does not answer', async () => {
    const run = startInProcess();
    run.deaf = true;
    for (const request of ['status', 'calls', 'flush', 'top'] as const) {
      await assert.rejects(ask(run, { request }, 1), { code: 'unavailable' }, request);
    }
  });
});

describe('ten thousand calls', () => {
  it('are read without holding up packets', async () => {
    const run = startInProcess();
    for (let one = 0; one < 10_000; one++) {
      const callId = `call-${one}`;
      run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
    }
    run.load = 1;
    run.turns.length = 0;
    const list = await calls(run);
    assert.equal(new Set(list.map(({ legId }) => legId)).size, 10_000);
    // Between the release of one packet and of the next, the data path looked at one slice of calls at most.
    assert.ok(run.turns.length >= 10_000 / MOST_PER_SLICE);
    assert.ok(run.turns.every(({ released }) => released === 1));
    assert.equal(Math.max(...run.turns.map(({ looked }) => looked)), MOST_PER_SLICE);
    assert.ok(MOST_PER_SLICE <= 200);
  });

  it('are not looked through for the one that is closed', async () => {
    const run = startInProcess();
    for (let one = 0; one < 100; one++) {
      run.send(alice, bob, sip('INVITE', { callId: `call-${one}`, body: sdp(alice.address, [6000]) }));
    }
    run.turns.length = 0;
    assert.deepEqual(await ask<FlushResult>(run, { request: 'flush' }, 1), [{ closed: 16, calls: 100 }]);
    assert.equal(
      run.turns.reduce((sum, { looked }) => sum + looked, 0),
      100,
      'once each, for the list',
    );
  });

  it('are read once for all who ask at the same time', async () => {
    const run = startInProcess();
    for (let one = 0; one < 500; one++) {
      run.send(alice, bob, sip('INVITE', { callId: `call-${one}`, body: sdp(alice.address, [6000]) }));
    }
    const handlers = createHandlers(run.daemon, keepHistory(run.daemon).passedBefore, createAlarmBoard());
    run.turns.length = 0;
    const read = async () => {
      let count = 0;
      const parts = handlers.calls(
        { request: 'calls' },
        null,
        new AbortController().signal,
      ) as AsyncIterable<CallsResult>;
      for await (const part of parts) count += part.calls.length;
      return count;
    };
    assert.deepEqual(await Promise.all([read(), read(), read(), read()]), [500, 500, 500, 500]);
    assert.equal(
      run.turns.reduce((sum, { looked }) => sum + looked, 0),
      500,
    );
  });
});

describe('the next timer of a call', () => {
  /** What the tracker itself is waiting for. */
  function agrees(run: InProcess, callId: string, name: string): void {
    const call = [...run.inspector.calls()].find((one) => one.callId === callId)!;
    const next = nextTimer(run.settings.timers, call);
    const context = { timers: () => run.settings.timers } as unknown as Parameters<typeof deadlineOf>[0];
    assert.deepEqual(next, { name, at: deadlineOf(context, call) });
  }

  it('is the one that the tracker waits for', () => {
    const callId = 'one';
    const run = startInProcess();
    run.send(alice, bob, sip('INVITE', { callId, body: sdp(alice.address, [6000]) }));
    agrees(run, callId, 'no-response');
    run.send(bob, alice, sip('180 INVITE', { callId, to: 'b' }));
    agrees(run, callId, 'ringing-timeout');
    run.send(bob, alice, sip('200 INVITE', { callId, to: 'b', body: sdp(bob.address, [4000]) }));
    agrees(run, callId, 'missing-ack');
    run.send(alice, bob, sip('ACK', { callId, to: 'b' }));
    agrees(run, callId, 'media-idle');
    run.send(alice, bob, sip('BYE', { callId, to: 'b', cseq: 2 }));
    agrees(run, callId, 'bye-timeout');
    run.send(bob, alice, sip('200 BYE', { callId, to: 'b', cseq: 2 }));
    agrees(run, callId, 'forgotten');
  });

  it('of a session with a timer (RFC 4028), of one on hold, of a cancelled one', () => {
    const run = startInProcess();
    const headers = ['Session-Expires: 90;refresher=uac'];
    run.send(alice, bob, sip('INVITE', { callId: 's', body: sdp(alice.address, [6000]) }));
    run.send(
      bob,
      alice,
      sip('200 INVITE', { callId: 's', to: 'b', headers, body: sdp(bob.address, [4000]) }),
    );
    run.send(alice, bob, sip('ACK', { callId: 's', to: 'b' }));
    agrees(run, 's', 'session-expired');

    const held = startInProcess();
    const inactive = sdp(alice.address, [{ port: 6000, attributes: ['inactive'] }]);
    held.send(alice, bob, sip('INVITE', { callId: 'h', body: inactive }));
    const answer = sdp(bob.address, [{ port: 4000, attributes: ['inactive'] }]);
    held.send(bob, alice, sip('200 INVITE', { callId: 'h', to: 'b', body: answer }));
    held.send(alice, bob, sip('ACK', { callId: 'h', to: 'b' }));
    agrees(held, 'h', 'hold-idle');

    const cancelled = startInProcess();
    cancelled.send(alice, bob, sip('INVITE', { callId: 'c', body: sdp(alice.address, [6000]) }));
    cancelled.send(bob, alice, sip('180 INVITE', { callId: 'c', to: 'b' }));
    cancelled.send(alice, bob, sip('CANCEL', { callId: 'c' }));
    agrees(cancelled, 'c', 'cancel-timeout');
  });
});
