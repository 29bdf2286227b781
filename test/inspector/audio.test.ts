import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { AudioHappening } from '../../src/inspector/happening.ts';
import { createInspector } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import {
  createScene,
  type Host,
  host,
  networks,
  type Overrides,
  type Scene,
  type SdpLine,
  sdp,
  settingsWith,
  sip,
} from '../scene.ts';

const caller = host('192.0.2.10');
const callee = host('198.51.100.20');
const AFTER = 10_000;
/** The packet filter's counters are read this often. */
const EVERY = 2000;
const inside: Overrides = { inside: networks('192.0.2.0/24'), timers: { noAudio: AFTER } };

interface Spoken {
  readonly callId?: string;
  readonly offer?: SdpLine | number;
  readonly answer?: SdpLine | number;
  readonly at?: string;
}

/** A call that is up: the caller is inside. */
function callUp(overrides = inside, spoken: Spoken = {}): Scene {
  const scene = createScene(overrides);
  begin(scene, spoken);
  return scene;
}

function begin(
  scene: Scene,
  { callId = 'call-1@example.com', offer = 4000, answer = 6000, at = caller.address }: Spoken,
): void {
  scene.send(caller, callee, sip('INVITE', { callId, body: sdp(at, [offer]) }));
  scene.send(callee, caller, sip('200 INVITE', { callId, to: 'b', body: sdp(callee.address, [answer]) }));
  scene.send(caller, callee, sip('ACK', { callId, to: 'b' }));
}

function audio({ events }: Scene): AudioHappening[] {
  return events.flatMap((event) => (event.type === 'audio' ? [event] : []));
}

const missing = (scene: Scene) => audio(scene).map((event) => event.missing.join());

/** Lets `ms` pass; the counters are read all the time, and `every` happens before each time. */
function goOn(scene: Scene, ms: number, every: () => void = () => {}): void {
  for (let passed = 0; passed < ms; passed += EVERY) {
    scene.wait(EVERY);
    every();
    scene.apply(scene.inspector.counted(scene.now));
  }
}

const comes = (scene: Scene) => () => scene.media(callee.address, 6000, caller.address, 4000);

/** As the filter's counters tell what the inside host sends through its pinhole. */
function sends(scene: Scene): () => void {
  return () => {
    for (const { id } of scene.inspector.pinholes()) scene.inspector.traffic(id, scene.now, 'sent');
  };
}

/** As where nobody tells who sends. */
function untold(scene: Scene): () => void {
  return () => {
    for (const { id } of scene.inspector.pinholes()) scene.inspector.traffic(id, scene.now, 'untold');
  };
}

const both =
  (...acts: (() => unknown)[]) =>
  () =>
    void acts.map((act) => act());

describe('audio that a call misses', () => {
  it('is none while media goes both ways', () => {
    const scene = callUp();
    goOn(scene, 60_000, both(comes(scene), sends(scene)));
    assert.deepEqual(audio(scene), []);
  });

  it('is told once, after the time of the setting, with who hears nothing and since when', () => {
    const scene = callUp();
    const answered = scene.now;
    goOn(scene, AFTER - EVERY, sends(scene));
    assert.deepEqual(audio(scene), [], 'not before');
    goOn(scene, 60_000, sends(scene));
    const [event, ...more] = audio(scene);
    assert.deepEqual(more, []);
    assert.deepEqual(event!.missing, [0]);
    assert.ok(event!.since <= answered && answered - event!.since < 10, 'since the answer');
    assert.equal(scene.inspector.withoutAudio, 1);
    assert.equal(scene.inspector.stats.callsWithoutAudio, 1);
  });

  it('names the direction in which an inside host sends nothing', () => {
    const scene = callUp();
    goOn(scene, 20_000, comes(scene));
    assert.deepEqual(missing(scene), ['1']);
    assert.match(audio(scene)[0]!.causes.at(-1)!.text, /^The caller \(192\.0\.2\.10\) sends nothing/);
  });

  it('is over when media comes, and told anew when it stops', () => {
    const scene = callUp();
    goOn(scene, 20_000, sends(scene));
    goOn(scene, 4000, both(comes(scene), sends(scene)));
    assert.deepEqual(missing(scene), ['0', '']);
    assert.equal(scene.inspector.withoutAudio, 0);
    goOn(scene, 20_000, sends(scene));
    assert.deepEqual(missing(scene), ['0', '', '0']);
  });

  it('is none while the settings say never, and is told of when they do again', () => {
    const timed = (noAudio: number) =>
      settingsWith({ ...inside, timers: { noAudio, mediaIdle: 3_600_000, oneWay: 3_600_000 } });
    let settings = timed(AFTER);
    const inspector = createInspector(() => settings);
    const told: string[] = [];
    let now = 1_000_000;
    const pass = (ms: number) => {
      for (const end = now + ms; now < end; ) {
        now += EVERY;
        inspector.tick(now);
        for (const event of inspector.counted(now).events)
          if (event.type === 'audio') told.push(event.missing.join());
      }
    };
    const change = (noAudio: number) => {
      settings = timed(noAudio);
      inspector.reload();
    };
    const say = (from: Host, to: Host, text: string) =>
      inspector.inspect(udpPacket(from, to, text), now, null);
    say(caller, callee, sip('INVITE', { body: sdp(caller.address, [4000]) }));
    say(callee, caller, sip('200 INVITE', { to: 'b', body: sdp(callee.address, [6000]) }));
    say(caller, callee, sip('ACK', { to: 'b' }));
    change(0);
    pass(60_000);
    assert.deepEqual(told, []);
    change(AFTER);
    pass(120_000);
    assert.deepEqual(told, ['0']);
    change(0);
    pass(120_000);
    assert.equal(inspector.withoutAudio, 0);
    change(AFTER);
    pass(120_000);
    assert.deepEqual(told, ['0', '0']);
  });

  it('is told of a few calls at a time, and of the others as soon as there is time', () => {
    const scene = createScene(inside);
    for (let number = 0; number < 5; number++) begin(scene, { callId: `${number}@example.com` });
    scene.wait(AFTER);
    const { inspector, now } = scene;
    assert.deepEqual(inspector.counted(now, 0).events, []);
    const told = () =>
      inspector.tick(now, 2).events.flatMap((event) => (event.type === 'audio' ? [event.call.callId] : []));
    const all: string[] = [];
    for (const many of [2, 2, 1]) {
      assert.ok(inspector.nextDeadline() <= now, 'it is due');
      const some = told();
      assert.equal(some.length, many);
      all.push(...some);
    }
    assert.equal(new Set(all).size, 5);
    assert.ok(inspector.nextDeadline() > now, 'nothing is left');
  });

  it('is nothing that can be said of who sends, where the packet filter does not tell that', () => {
    const scene = callUp();
    goOn(scene, 60_000, untold(scene));
    assert.deepEqual(audio(scene), []);
    goOn(scene, 20_000);
    assert.deepEqual(missing(scene), ['0']);
  });

  it('is none on hold, and awaited again after it', () => {
    const scene = callUp();
    goOn(scene, 4000, both(comes(scene), sends(scene)));
    const hold = { port: 4000, attributes: ['sendonly'] };
    const held = { port: 6000, attributes: ['recvonly'] };
    scene.send(caller, callee, sip('INVITE', { to: 'b', cseq: 2, body: sdp(caller.address, [hold]) }));
    scene.send(callee, caller, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp(callee.address, [held]) }));
    scene.send(caller, callee, sip('ACK', { to: 'b', cseq: 2 }));
    goOn(scene, 60_000, sends(scene));
    assert.deepEqual(audio(scene), [], 'the caller plays music, and hears nothing');
    scene.send(caller, callee, sip('INVITE', { to: 'b', cseq: 3, body: sdp(caller.address, [4000]) }));
    scene.send(callee, caller, sip('200 INVITE', { to: 'b', cseq: 3, body: sdp(callee.address, [6000]) }));
    scene.send(caller, callee, sip('ACK', { to: 'b', cseq: 3 }));
    goOn(scene, 20_000, sends(scene));
    assert.deepEqual(missing(scene), ['0']);
  });

  it('is over with hold, though no media came', () => {
    const scene = callUp();
    goOn(scene, 20_000, sends(scene));
    const hold = { port: 4000, attributes: ['inactive'] };
    const held = { port: 6000, attributes: ['inactive'] };
    scene.send(caller, callee, sip('INVITE', { to: 'b', cseq: 2, body: sdp(caller.address, [hold]) }));
    scene.send(callee, caller, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp(callee.address, [held]) }));
    goOn(scene, EVERY);
    assert.deepEqual(missing(scene), ['0', '']);
  });

  it('is none in a direction that the descriptions leave out', () => {
    const scene = callUp(inside, {
      offer: { port: 4000, attributes: ['sendonly'] },
      answer: { port: 6000, attributes: ['recvonly'] },
    });
    goOn(scene, 60_000, sends(scene));
    assert.deepEqual(audio(scene), []);
    goOn(scene, 20_000);
    assert.deepEqual(missing(scene), ['1'], 'and the other is awaited');
  });

  it('is not missed of what is no audio', () => {
    const scene = callUp(inside, {
      offer: { port: 4000, media: 'image', proto: 'udptl' },
      answer: { port: 6000, media: 'image', proto: 'udptl' },
    });
    goOn(scene, 60_000);
    assert.deepEqual(audio(scene), []);
  });

  it('is not missed while nobody reads the counters, before the answer, after the end and where the setting is 0', () => {
    const uncounted = callUp();
    uncounted.wait(60_000);
    assert.deepEqual(audio(uncounted), []);

    const ringing = createScene(inside);
    ringing.send(caller, callee, sip('INVITE', { body: sdp(caller.address, [4000]) }));
    ringing.send(callee, caller, sip('183 INVITE', { to: 'b', body: sdp(callee.address, [6000]) }));
    goOn(ringing, 60_000);
    assert.deepEqual(audio(ringing), []);

    const over = callUp();
    goOn(over, 20_000, sends(over));
    over.send(caller, callee, sip('BYE', { to: 'b', cseq: 2 }));
    over.send(callee, caller, sip('200 BYE', { to: 'b', cseq: 2 }));
    goOn(over, 20_000);
    assert.deepEqual(missing(over), ['0']);
    assert.equal(over.inspector.withoutAudio, 0);

    const off = callUp({ ...inside, timers: { noAudio: 0 } });
    goOn(off, 60_000);
    assert.deepEqual(audio(off), []);
  });

  it('has as its cause the private address that a party announced, and what was refused', () => {
    const phone = host('192.168.1.20');
    const scene = createScene({ ...inside, inside: networks('192.168.1.0/24') });
    scene.send(phone, callee, sip('INVITE', { body: sdp(phone.address, [4000]) }));
    scene.send(callee, phone, sip('200 INVITE', { to: 'b', body: sdp(callee.address, [6000]) }));
    scene.send(phone, callee, sip('ACK', { to: 'b' }));
    goOn(scene, 20_000, sends(scene));
    const [event] = audio(scene);
    assert.deepEqual(event!.missing, [0]);
    const [nat, seen] = event!.causes;
    assert.equal(nat!.reason, 'nat');
    assert.match(nat!.text, /announced the private address 192\.168\.1\.20:4000 to 198\.51\.100\.20/);
    assert.equal(seen!.reason, 'nothing-came');
    assert.match(seen!.text, /192\.168\.1\.20:4000-4001, is open for 198\.51\.100\.20, and nothing comes/);
  });

  it('names in its cause the pinhole for audio, not one for RTCP, nor one that is closing', () => {
    const rtcpElsewhere = (port: number) => ({ port, attributes: ['rtcp:4999'] });
    const scene = callUp(inside, { offer: rtcpElsewhere(4000) });
    const again = { to: 'b', cseq: 2, branch: 'again' };
    scene.send(caller, callee, sip('INVITE', { ...again, body: sdp(caller.address, [rtcpElsewhere(4010)]) }));
    scene.send(callee, caller, sip('200 INVITE', { ...again, body: sdp(callee.address, [6000]) }));
    scene.send(caller, callee, sip('ACK', { ...again, branch: 'again-ack' }));
    goOn(scene, 20_000, sends(scene));
    const [seen] = audio(scene)[0]!.causes;
    assert.equal(seen!.reason, 'nothing-came');
    assert.match(seen!.text, /The pinhole to the caller, 192\.0\.2\.10:4010, is open for/);
    assert.match(seen!.advice, /whether packets for port 4010 arrive/);
  });

  it('tells of both parties where both are inside', () => {
    const scene = callUp({ timers: { noAudio: AFTER } });
    goOn(scene, 20_000);
    assert.deepEqual(missing(scene), ['0,1']);
    goOn(scene, EVERY, comes(scene));
    assert.deepEqual(missing(scene), ['0,1', '1']);
  });
});
