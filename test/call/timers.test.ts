import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { nextTimer } from '../../src/call/expiry.ts';
import { createScene, host, networks, type Scene, sdp, settingsWith, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const OFFER = sdp('192.0.2.10', [40000]);
const ANSWER = sdp('198.51.100.20', [20000]);

test('an UPDATE that is never answered: what it offered closes after 32 s, the call stays', () => {
  const scene = createScene();
  scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  const before = scene.open();
  scene.send(phone, pbx, sip('UPDATE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [44000]) }));
  assert.equal(scene.open().length, 3);
  scene.wait(31_000);
  assert.equal(scene.open().length, 3);
  scene.wait(1_001);
  assert.deepEqual(scene.open(), before);
});

test('a re-INVITE that only ever rings: what it offered closes after 180 s', () => {
  const scene = createScene();
  scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  const before = scene.open();
  scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [44000]) }));
  scene.send(pbx, phone, sip('180 INVITE', { to: 'b', cseq: 2 }));
  scene.wait(179_000);
  assert.equal(scene.open().length, 3);
  scene.wait(1_001);
  assert.deepEqual(scene.open(), before);
});

test('a 2xx without ACK is told after 32 s, and the call is kept', () => {
  const scene = createScene();
  scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
  scene.wait(31_000);
  assert.deepEqual(scene.refusals(), []);
  scene.wait(1_001);
  assert.deepEqual(scene.refusals(), ['missing-ack']);
  assert.equal(scene.open().length, 2);
});

test('a call without a stream in use is not on hold: nothing is held', () => {
  const scene = createScene();
  scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [0]) }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  const [call] = scene.inspector.calls();
  assert.equal(nextTimer(settingsWith().timers, call!)?.name, 'media-idle');
});

describe('an offer in the 2xx to an INVITE that rang for longer than timers.ringing', () => {
  /** The INVITE has no offer (RFC 3261 13.2.1). `early`: what the callee says while it rings. */
  function answeredLate(early: string): Scene {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE'));
    for (let minute = 0; minute < 5; minute++) {
      scene.send(pbx, phone, sip('180 INVITE', { to: 'b', body: early }));
      scene.wait(60_000);
    }
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    return scene;
  }

  for (const [name, early] of [
    ['and said nothing of media', ''],
    ['and told of it in a 180', ANSWER],
  ] as const) {
    test(`${name} is answered by the ACK, which may be late (RFC 3261 13.3.1.4)`, () => {
      const scene = answeredLate(early);
      scene.wait(30_000);
      assert.deepEqual(scene.open(), ['udp 198.51.100.20:20000-20001 < 192.0.2.10']);
      scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: OFFER }));
      scene.wait(200_000);
      assert.deepEqual(scene.open(), [
        'udp 192.0.2.10:40000-40001 < 198.51.100.20',
        'udp 198.51.100.20:20000-20001 < 192.0.2.10',
      ]);
    });
  }

  test('in a 183 that is never answered, is given up after timers.ringing, however long it rings', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    scene.send(pbx, phone, sip('INVITE'));
    const headers = ['Require: 100rel', 'RSeq: 1'];
    scene.send(phone, pbx, sip('183 INVITE', { to: 'b', body: OFFER, headers }));
    for (let minute = 0; minute < 3; minute++) {
      assert.equal(scene.open().length, 1);
      scene.send(phone, pbx, sip('180 INVITE', { to: 'b' }));
      scene.wait(60_001);
    }
    assert.deepEqual(scene.open(), []);
  });

  test('is given up without one, as long after the 2xx', () => {
    const scene = answeredLate('');
    scene.wait(179_000);
    assert.equal(scene.open().length, 1);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
  });
});

describe('a call that rings with early media', () => {
  const inside = { inside: networks('192.0.2.0/24') };
  const OPEN = ['udp 192.0.2.10:40000-40001 < 198.51.100.20'];

  /** One 183 after which nothing is said: a queue that one waits in before the call costs anything. */
  function queued(early = ANSWER, headers: readonly string[] = []): Scene {
    const scene = createScene(inside);
    scene.send(phone, pbx, sip('INVITE', { body: OFFER, headers }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'b', body: early }));
    return scene;
  }

  function listen(scene: Scene, minutes: number): void {
    for (let minute = 0; minute < minutes; minute++) {
      scene.media('198.51.100.20', 20000, '192.0.2.10', 40000);
      scene.wait(60_000);
    }
  }

  for (const headers of [[], ['Expires: 120']]) {
    test(`has its media for as long as it flows ${headers.join()}`, () => {
      const scene = queued(ANSWER, headers);
      listen(scene, 30);
      assert.deepEqual(scene.open(), OPEN);
      scene.wait(239_000);
      assert.deepEqual(scene.open(), OPEN);
      scene.wait(1_001);
      assert.deepEqual(scene.open(), []);
    });
  }

  test('has it from the party outside alone for timers.one-way', () => {
    const scene = queued();
    listen(scene, 239);
    assert.deepEqual(scene.open(), OPEN);
    listen(scene, 2);
    assert.deepEqual(scene.open(), []);
  });

  test('has it for timers.ringing where none comes, or nobody has answered the offer', () => {
    const silent = queued();
    const unanswered = queued('');
    listen(unanswered, 2);
    for (const [scene, wait] of [
      [silent, 180_000],
      [unanswered, 60_000],
    ] as const) {
      scene.wait(wait - 1_000);
      assert.deepEqual(scene.open(), OPEN);
      scene.wait(1_001);
      assert.deepEqual(scene.open(), []);
    }
  });

  test('has it for timers.ringing where the party outside hung up in one dialog and made another, whatever it sends', () => {
    const scene = queued();
    scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(pbx, phone, sip('183 INVITE', { to: 'c', body: ANSWER }));
    listen(scene, 1);
    scene.send(phone, pbx, sip('CANCEL'));
    listen(scene, 3);
    assert.deepEqual(scene.open(), []);
  });

  test('has it for timers.after-cancel once it is cancelled', () => {
    const scene = queued();
    listen(scene, 1);
    scene.send(phone, pbx, sip('CANCEL'));
    scene.media('198.51.100.20', 20000, '192.0.2.10', 40000);
    scene.wait(32_001);
    assert.deepEqual(scene.open(), []);
  });
});
