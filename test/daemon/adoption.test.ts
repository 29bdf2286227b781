import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { readRecord, type Scribe, writeCall } from '../../src/inspector/record.ts';
import { createInspector, type Inspector } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, type Message, sdp, settingsWith, sip } from '../scene.ts';

const settings = settingsWith();
const alice = host('192.0.2.1');
const bob = host('192.0.2.2');

interface Step {
  readonly name: string;
  readonly act: (inspector: Inspector, now: number) => void;
  /** ms since the step before. */
  readonly after?: number;
}

function message(from: Host, to: Host, start: string, what: Message = {}): Step {
  const packet = udpPacket(from, to, sip(start, what));
  return { name: start, act: (inspector, now) => void inspector.inspect(packet, now) };
}

function wait(ms: number): Step {
  return { name: `${ms} ms`, after: ms, act: (inspector, now) => void inspector.tick(now) };
}

const media: Step = {
  name: 'media',
  act(inspector, now) {
    for (const pinhole of inspector.pinholes()) inspector.traffic(pinhole.id, now);
  },
};

const a = (port: number) => sdp(alice.address, [port]);
const b = (port: number) => sdp(bob.address, [port]);
const setUp = [
  message(alice, bob, 'INVITE', { body: a(4000) }),
  message(bob, alice, '180 INVITE', { to: 'b' }),
  message(bob, alice, '200 INVITE', { to: 'b', body: b(5000) }),
  message(alice, bob, 'ACK', { to: 'b' }),
];

const flows: Readonly<Record<string, readonly Step[]>> = {
  'a call with a change of port': [
    ...setUp,
    media,
    wait(10_000),
    message(alice, bob, 'INVITE', { to: 'b', cseq: 2, body: a(4100) }),
    message(bob, alice, '200 INVITE', { to: 'b', cseq: 2, body: b(5000) }),
    message(alice, bob, 'ACK', { to: 'b', cseq: 2 }),
    wait(30_000),
    media,
    wait(40_000),
    message(bob, alice, 'BYE', { from: 'b', to: 'a', cseq: 1 }),
    message(alice, bob, '200 BYE', { from: 'b', to: 'a', cseq: 1 }),
    wait(2000),
  ],
  'a refused change': [
    ...setUp,
    message(bob, alice, 'INVITE', { from: 'b', to: 'a', cseq: 7, body: b(5200) }),
    message(alice, bob, '488 INVITE', { from: 'b', to: 'a', cseq: 7 }),
    message(bob, alice, 'ACK', { from: 'b', to: 'a', cseq: 7 }),
    wait(5000),
  ],
  'a call that is cancelled': [
    message(alice, bob, 'INVITE', { body: a(4000) }),
    message(bob, alice, '180 INVITE', { to: 'b' }),
    message(alice, bob, 'CANCEL', {}),
    message(bob, alice, '200 CANCEL', { to: 'b' }),
    message(bob, alice, '487 INVITE', { to: 'b' }),
    wait(2000),
  ],
  'a call that nobody ends': [...setUp, wait(200_000), wait(200_000), wait(20_000_000), wait(50_000_000)],
  'an INVITE that nobody answers': [
    message(alice, bob, 'INVITE', { body: a(4000) }),
    wait(31_000),
    wait(2000),
  ],
};

/** The ids of what is open after each step. After `cut` steps the inspector is replaced by one from the journal. */
function play(steps: readonly Step[], cut: number | null): string[][] {
  let inspector = createInspector(() => settings);
  let now = 1_000_000;
  return steps.map((step, index) => {
    if (index === cut) inspector = restarted(inspector, now);
    now += step.after ?? 20;
    step.act(inspector, now);
    return [...inspector.pinholes()].map(({ id }) => id).sort();
  });
}

function restarted(before: Inspector, now: number): Inspector {
  const scribe: Scribe = { machine: '0a0b0c0d', boot: null, now: () => now, wall: () => 1.7e12 };
  const journal = [...before.calls()].map((call) => writeCall(before.dump(call.legId)!, scribe));
  const next = createInspector(() => settings);
  for (const bytes of journal) {
    const read = readRecord(bytes, scribe);
    assert.equal(read.what, 'call');
    if (read.what === 'call') next.adopt([read.record], now);
  }
  return next;
}

describe('a daemon that is killed and started again', () => {
  for (const [name, steps] of Object.entries(flows)) {
    it(`opens and closes as if nothing had happened: ${name}`, () => {
      const undisturbed = play(steps, null);
      assert.ok(undisturbed.some((open) => open.length > 0));
      for (let cut = 1; cut < steps.length; cut++) {
        assert.deepEqual(play(steps, cut), undisturbed, `before ${steps[cut]!.name}, step ${cut}`);
      }
    });
  }
});
