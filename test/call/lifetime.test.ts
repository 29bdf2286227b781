import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createInspector, type MediaWay } from '../../src/inspector.ts';
import { udpPacket } from '../packets.ts';
import { createScene, type Host, host, networks, type Scene, sdp, settingsWith, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');
const stranger = host('203.0.113.66');
const OFFER = sdp('192.0.2.10', [40000]);
const ANSWER = sdp('198.51.100.20', [20000]);

function invited(scene = createScene(), headers: readonly string[] = []): Scene {
  scene.send(phone, pbx, sip('INVITE', { body: OFFER, headers }));
  return scene;
}

function answered(scene = createScene(), headers: readonly string[] = []): Scene {
  invited(scene);
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER, headers }));
  scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return scene;
}

function ended(scene: Scene): string | null {
  const [call] = [...scene.inspector.calls()];
  return call?.endReason ?? null;
}

describe('BYE', () => {
  test('the request alone closes nothing, its final response closes within a second', () => {
    const scene = answered();
    scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    assert.equal(scene.open().length, 2);
    scene.send(phone, pbx, sip('200 BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'bye');
  });

  test('states go with the rules', () => {
    const scene = answered();
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), true);
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), true, 'media under way drains');
    scene.wait(1_000);
    assert.equal(scene.media('198.51.100.20', 20000, '192.0.2.10', 40000), false);
  });

  for (const status of [408, 481, 500]) {
    test(`answered ${status} it closes (RFC 3261 15.1.1)`, () => {
      const scene = answered();
      scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      scene.send(pbx, phone, sip(`${status} BYE`, { to: 'b', cseq: 2 }));
      scene.wait(1_000);
      assert.deepEqual(scene.open(), []);
    });
  }

  for (const status of [401, 407]) {
    test(`answered ${status} it does not close at once (A22); the authenticated one does`, () => {
      const scene = answered();
      scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      scene.send(pbx, phone, sip(`${status} BYE`, { to: 'b', cseq: 2 }));
      scene.wait(31_000);
      assert.equal(scene.open().length, 2);
      scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 3 }));
      scene.wait(20_000);
      assert.equal(scene.open().length, 2, 'it has 32 s of its own');
      scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 3 }));
      scene.wait(1_000);
      assert.deepEqual(scene.open(), []);
    });
  }

  test('of an outside party, challenged by the host inside, it ends nothing (A22)', () => {
    const scene = answered(createScene({ inside: networks('192.0.2.0/24') }));
    scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(phone, pbx, sip('401 BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.wait(100_000);
    assert.equal(scene.open().length, 1);
    assert.equal([...scene.inspector.calls()][0]?.state, 'confirmed');
  });

  test('of the inside party, challenged from outside: 32 s, whatever the outside party sends', () => {
    const scene = answered(createScene({ inside: networks('192.0.2.0/24') }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('401 BYE', { to: 'b', cseq: 2 }));
    for (let cseq = 5; cseq < 8; cseq++) {
      scene.wait(10_000);
      scene.media('198.51.100.20', 20000, '192.0.2.10', 40000);
      scene.send(pbx, phone, sip('INVITE', { from: 'b', to: 'a', cseq, body: ANSWER }));
      scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 100 + cseq }));
      scene.send(pbx, phone, sip('401 BYE', { to: 'b', cseq: 2 }));
    }
    scene.wait(2_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'bye-timeout');
  });

  test('of both parties, that of the inside one challenged from outside: 32 s, whatever the outside party sends', () => {
    const scene = answered(createScene({ inside: networks('192.0.2.0/24') }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(pbx, phone, sip('401 BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('INVITE', { from: 'b', to: 'a', cseq: 6, body: ANSWER }));
    scene.wait(20_000);
    scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 7 }));
    scene.wait(12_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'bye-timeout');
  });

  for (const isFirst of [true, false]) {
    const order = isFirst ? 'before' : 'after';
    test(`of the outside party, ${order} that of the inside one, challenged inside: 32 s`, () => {
      const scene = answered(createScene({ inside: networks('192.0.2.0/24') }));
      const own = () => scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
      if (!isFirst) own();
      scene.send(pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
      if (isFirst) own();
      scene.send(phone, pbx, sip('401 BYE', { from: 'b', to: 'a', cseq: 5 }));
      scene.wait(32_001);
      assert.deepEqual(scene.open(), []);
      assert.equal(ended(scene), 'bye-timeout');
    });
  }

  test('challenged, and then the party that had hung up tells of its subscription: 32 s (RFC 5057 5.3)', () => {
    const scene = answered(createScene({ inside: networks('192.0.2.0/24') }));
    scene.send(pbx, phone, sip('REFER', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('401 BYE', { to: 'b', cseq: 2 }));
    scene.send(phone, pbx, sip('NOTIFY', { to: 'b', cseq: 3 }));
    scene.wait(32_001);
    assert.deepEqual(scene.open(), []);
  });

  test('of the inside party ends each leg that has its dialog: who has two addresses keeps neither', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    for (const caller of [pbx, stranger]) scene.send(caller, phone, sip('INVITE', { body: ANSWER }));
    for (const caller of [pbx, stranger]) {
      scene.send(phone, caller, sip('200 INVITE', { to: 'b', body: OFFER }));
      scene.send(caller, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    }
    assert.equal(scene.open().length, 2);
    scene.send(phone, pbx, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(pbx, phone, sip('200 BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('challenged, and then the party that had hung up goes on: so does the call', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('401 BYE', { to: 'b', cseq: 2 }));
    scene.send(phone, pbx, sip('UPDATE', { to: 'b', cseq: 3 }));
    scene.wait(100_000);
    assert.equal(scene.open().length, 2);
    assert.equal([...scene.inspector.calls()][0]?.state, 'confirmed');
  });

  test('never answered it closes after 32 s (Timer F)', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.wait(31_000);
    assert.equal(scene.open().length, 2);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'bye-timeout');
  });

  test('with wrong tags, or from a third host, it is ignored (A21)', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('BYE', { to: 'guessed', cseq: 2 }));
    scene.send(stranger, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, stranger, sip('481 BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'guessed', cseq: 2 }));
    scene.wait(60_000);
    assert.equal(scene.open().length, 2);
    assert.deepEqual(scene.refusals(), ['wrong-dialog', 'wrong-dialog']);
  });

  test('a late retransmission of the 200 to the INVITE opens nothing again', () => {
    const scene = answered();
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(1_000);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, pbx, sip('INVITE', { body: OFFER }));
    assert.deepEqual(scene.open(), []);
    scene.wait(60_000);
    assert.equal([...scene.inspector.calls()].length, 0, 'the call is forgotten');
  });
});

describe('a 2xx with another To tag', () => {
  const EVIL = sdp('203.0.113.66', [50000]);
  const inside = { inside: networks('192.0.2.0/24') };
  const fork = (scene: Scene, to = 'evil') => scene.send(pbx, phone, sip('200 INVITE', { to, body: EVIL }));
  const hangUp = (scene: Scene) => {
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(1_000);
  };

  test('is none of the call 64*T1 after the first (RFC 3261 13.2.2.4)', () => {
    const scene = answered(createScene(inside));
    scene.wait(32_001);
    const before = scene.open();
    fork(scene);
    scene.send(pbx, phone, sip('183 INVITE', { to: 'ringing', body: EVIL }));
    assert.deepEqual(scene.open(), before);
    assert.deepEqual(scene.refusals(), ['not-inside', 'late-fork', 'late-fork']);
    hangUp(scene);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'bye');
  });

  test('closes when the caller acknowledges others and never this one', () => {
    const scene = answered(createScene(inside));
    fork(scene);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.66']);
    scene.wait(32_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('stays when the caller acknowledges it, too', () => {
    const scene = answered(createScene(inside));
    fork(scene);
    scene.send(phone, pbx, sip('ACK', { to: 'evil', branch: 'z9hG4bK-other-ack' }));
    hangUp(scene);
    scene.wait(60_000);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.66']);
  });

  test('is over with the BYE of a caller who never acknowledged it', () => {
    const scene = answered(createScene(inside));
    fork(scene);
    hangUp(scene);
    assert.deepEqual(scene.open(), []);
    fork(scene, 'later');
    assert.deepEqual(scene.open(), []);
  });

  test('that rang and is answered after the BYE is over, too', () => {
    const scene = createScene(inside);
    invited(scene);
    scene.send(pbx, phone, sip('180 INVITE', { to: 'evil' }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    hangUp(scene);
    fork(scene);
    assert.deepEqual(scene.open(), []);
  });

  test('is over 32 s after a BYE that gets no answer', () => {
    const scene = answered(createScene(inside));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.wait(31_000);
    fork(scene);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
  });

  test('that rings after the answer is given up with the others, 32 s after it', () => {
    const scene = answered(createScene(inside));
    scene.wait(30_000);
    scene.send(pbx, phone, sip('183 INVITE', { to: 'evil', body: EVIL }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.66']);
    scene.wait(2_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('of another address that was called at the same time closes as well, acknowledged by nobody', () => {
    const scene = createScene(inside);
    for (const callee of [pbx, stranger]) {
      const branch = `z9hG4bK-${callee.address}`;
      scene.send(phone, callee, sip('INVITE', { body: OFFER, branch }));
      const to = callee === pbx ? 'b' : 'evil';
      scene.send(callee, phone, sip('200 INVITE', { to, body: sdp(callee.address, [20000]), branch }));
    }
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.equal(scene.open().length, 2);
    scene.wait(33_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
  });

  test('is kept where no ACK comes past here at all', () => {
    const scene = createScene();
    invited(scene);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'c', body: ANSWER }));
    scene.wait(40_000);
    assert.equal(scene.open().length, 2);
  });
});

describe('a call that does not come about', () => {
  test('no response at all: 32 s', () => {
    const scene = invited();
    scene.wait(31_000);
    assert.equal(scene.open().length, 1);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'no-response');
  });

  test('ringing: 180 s, started anew by each 1xx', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.wait(179_000);
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.wait(179_000);
    assert.equal(scene.open().length, 1);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'ringing-timeout');
  });

  test('Expires of the INVITE ends the ringing earlier (RFC 3261 13.2.1)', () => {
    const scene = invited(createScene(), ['Expires: 60']);
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.wait(93_000);
    assert.deepEqual(scene.open(), []);
  });

  for (const status of [302, 404, 486, 603]) {
    test(`${status} closes what the offer opened`, () => {
      const scene = invited();
      scene.send(pbx, phone, sip(`${status} INVITE`, { to: 'b' }));
      scene.send(phone, pbx, sip('ACK', { to: 'b' }));
      scene.wait(1_000);
      assert.deepEqual(scene.open(), []);
      assert.deepEqual(scene.refusals(), []);
    });
  }

  test('407: the authenticated INVITE continues the leg', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('407 INVITE', { to: 'x' }));
    scene.send(phone, pbx, sip('ACK', { to: 'x' }));
    scene.send(phone, pbx, sip('INVITE', { cseq: 2, body: OFFER }));
    scene.wait(1_500);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20']);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER }));
    assert.equal(scene.open().length, 2);
    assert.equal([...scene.inspector.calls()].length, 1);
  });

  test('407: an authenticated INVITE with the branch of the first one is another attempt, too', () => {
    const branch = 'z9hG4bK-always-the-same';
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { branch, body: OFFER }));
    scene.send(pbx, phone, sip('407 INVITE', { branch, to: 'x' }));
    scene.send(phone, pbx, sip('INVITE', { branch, cseq: 2, body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { branch, to: 'b', cseq: 2, body: ANSWER }));
    assert.equal(scene.open().length, 2);
  });

  test('a proxy that tries one contact after the other sends the same CSeq with another branch', () => {
    const scene = createScene();
    scene.send(phone, pbx, sip('INVITE', { branch: 'z9hG4bK-1', body: OFFER }));
    scene.send(pbx, phone, sip('486 INVITE', { branch: 'z9hG4bK-1', to: 'x' }));
    scene.wait(2_000);
    scene.send(phone, pbx, sip('INVITE', { branch: 'z9hG4bK-2', body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { branch: 'z9hG4bK-2', to: 'b', body: ANSWER }));
    assert.equal(scene.open().length, 2);
    scene.wait(60_000);
    assert.equal(scene.open().length, 2);
  });

  test('a proxy that forks to two phones behind one address: the one that answers has the call', () => {
    const scene = createScene();
    for (const branch of ['z9hG4bK-1', 'z9hG4bK-2']) {
      scene.send(phone, pbx, sip('INVITE', { branch, body: OFFER }));
      scene.send(pbx, phone, sip('180 INVITE', { branch, to: branch }));
    }
    scene.send(pbx, phone, sip('200 INVITE', { branch: 'z9hG4bK-2', to: 'z9hG4bK-2', body: ANSWER }));
    scene.send(phone, pbx, sip('CANCEL', { branch: 'z9hG4bK-1' }));
    scene.send(pbx, phone, sip('487 INVITE', { branch: 'z9hG4bK-1', to: 'z9hG4bK-1' }));
    scene.wait(2_000);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10',
    ]);
    scene.send(phone, pbx, sip('BYE', { to: 'z9hG4bK-2', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'z9hG4bK-2', cseq: 2 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), []);
  });

  test('a call that was over and is tried again has the timers of a new one', () => {
    const scene = createScene({ timers: { maxCall: 600_000 } });
    answered(scene, ['Session-Expires: 90']);
    scene.wait(10_000);
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.send(phone, pbx, sip('INVITE', { cseq: 3, body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { cseq: 3, to: 'c', body: ANSWER }));
    for (let minutes = 0; minutes < 9; minutes++) {
      scene.media('198.51.100.20', 20000, '192.0.2.10', 40000);
      scene.wait(60_000);
    }
    assert.equal(scene.open().length, 2);
  });

  test('1xx after the CANCEL does not put the end off', () => {
    const scene = invited();
    scene.send(phone, pbx, sip('CANCEL'));
    for (let i = 0; i < 3; i++) {
      scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
      scene.wait(10_000);
    }
    assert.equal(scene.open().length, 1);
    scene.wait(2_000);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'cancel-timeout');
  });

  test('a BYE in the early dialog that is challenged leaves a call that rings', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('407 BYE', { to: 'b', cseq: 2 }));
    assert.equal([...scene.inspector.calls()][0]?.state, 'ringing');
    scene.wait(100_000);
    assert.equal(scene.open().length, 1);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.equal(scene.open().length, 2);
  });

  test('CANCEL only marks; 487 closes', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('CANCEL'));
    scene.send(pbx, phone, sip('200 CANCEL', { to: 'b' }));
    assert.equal(scene.open().length, 1);
    scene.send(pbx, phone, sip('487 INVITE', { to: 'b' }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'cancelled');
  });

  test('CANCEL without 487: 32 s', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('CANCEL'));
    scene.wait(32_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'cancel-timeout');
  });

  test('a 200 that crosses the CANCEL confirms the call (A23)', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('CANCEL'));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    scene.wait(60_000);
    assert.equal(scene.open().length, 2);
  });

  test('a 200 after the CANCEL that the caller does not acknowledge: 32 s', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(phone, pbx, sip('CANCEL'));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.wait(31_000);
    assert.equal(scene.open().length, 2);
    scene.wait(2_001);
    assert.deepEqual(scene.open(), []);
  });

  test('rung on and on from outside it holds the port of its caller for timers.one-way', () => {
    const scene = invited(createScene({ inside: networks('192.0.2.0/24') }));
    const ring = () => scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    for (let minutes = 0; minutes < 239; minutes++) {
      ring();
      scene.wait(60_000);
    }
    assert.equal(scene.open().length, 1);
    ring();
    scene.wait(60_000);
    assert.deepEqual(scene.open(), []);
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.deepEqual(scene.open(), []);
    scene.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.equal(scene.open().length, 1, 'its caller goes on with it');
  });

  test('a CANCEL of a third host does nothing', () => {
    const scene = invited();
    scene.send(pbx, phone, sip('180 INVITE', { to: 'b' }));
    scene.send(stranger, pbx, sip('CANCEL'));
    scene.wait(100_000);
    assert.equal(scene.open().length, 1);
  });
});

describe('time', () => {
  test('media idle closes the rules, never the call; a re-INVITE opens them again', () => {
    const scene = answered();
    scene.wait(299_000);
    assert.equal(scene.media('198.51.100.20', 20001, '192.0.2.10', 40001), true, 'RTCP counts as media');
    scene.wait(299_000);
    assert.equal(scene.open().length, 2);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
    scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: OFFER }));
    scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER }));
    assert.equal(scene.open().length, 2);
  });

  test('a session timer that is not refreshed ends the call 32 s later (RFC 4028)', () => {
    const scene = answered(createScene({ timers: { mediaIdle: 3_600_000 } }), [
      'Session-Expires: 1800;refresher=uac',
    ]);
    scene.wait(1_831_000);
    assert.equal(scene.open().length, 2);
    scene.wait(1_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'session-expired');
  });

  test('UPDATE and re-INVITE refresh the session timer', () => {
    const scene = answered(createScene({ timers: { mediaIdle: 36_000_000 } }), ['Session-Expires: 100']);
    for (let cseq = 2; cseq < 12; cseq++) {
      scene.wait(90_000);
      scene.send(phone, pbx, sip('UPDATE', { to: 'b', cseq }));
      scene.send(pbx, phone, sip('200 UPDATE', { to: 'b', cseq, headers: ['Session-Expires: 100'] }));
    }
    assert.equal(scene.open().length, 2);
  });

  for (const value of ['0', '1']) {
    test(`Session-Expires: ${value} counts as 90 s (A45)`, () => {
      const scene = answered(createScene(), [`Session-Expires: ${value}`]);
      scene.wait(121_000);
      assert.equal(scene.open().length, 2);
      scene.wait(1_001);
      assert.deepEqual(scene.open(), []);
    });
  }

  test('a 2xx that names no Session-Expires ends the session timer (RFC 4028 section 7.2)', () => {
    const scene = answered(createScene({ timers: { mediaIdle: 36_000_000 } }), ['Session-Expires: 1800']);
    const update = { from: 'a', to: 'b', cseq: 5 };
    scene.send(phone, pbx, sip('UPDATE', update));
    scene.send(pbx, phone, sip('200 UPDATE', update));
    scene.wait(2_000_000);
    assert.equal(scene.open().length, 2);
    assert.equal(ended(scene), null);
  });

  test('a Session-Expires that is no number is no session timer (A45)', () => {
    const scene = answered(createScene({ timers: { mediaIdle: 3_600_000 } }), [
      'Session-Expires: 4294967296000',
    ]);
    scene.wait(3_000_000);
    assert.equal(scene.open().length, 2);
  });

  test('the hard cap ends any call', () => {
    const scene = answered(createScene({ timers: { maxCall: 600_000, mediaIdle: 3_600_000 } }));
    scene.wait(600_001);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), 'max-duration');
  });
});

describe('a call in which people talk', () => {
  const inside = { inside: networks('192.0.2.0/24') };
  const hour = 3_600_000;
  /** Media every four minutes until `hours` are over; `way` says whose. */
  function talk(scene: Scene, hours: number, ways: readonly MediaWay[]): void {
    const pinholes = [...scene.inspector.pinholes()];
    for (let time = 0; time < hours * hour; time += 240_000) {
      scene.wait(240_000);
      for (const way of ways) for (const { id } of pinholes) scene.inspector.traffic(id, scene.now, way);
    }
  }

  test('goes on past its session timer and timers.max-call, and ends when its media does', () => {
    for (const [timers, reason] of [
      [{ maxCall: 12 * hour }, 'session-expired'],
      [{ maxCall: hour }, 'max-duration'],
    ] as const) {
      const headers = reason === 'session-expired' ? ['Session-Expires: 1800;refresher=uas'] : [];
      const scene = answered(createScene({ ...inside, timers }), headers);
      talk(scene, 11, ['came', 'sent']);
      assert.equal(scene.open().length, 1);
      assert.equal(ended(scene), null);
      scene.wait(300_001);
      assert.deepEqual(scene.open(), []);
      assert.equal(ended(scene), reason);
    }
  });

  test('is none where the party outside alone sends: its pinholes close after timers.one-way', () => {
    const scene = answered(createScene(inside));
    talk(scene, 3.9, ['came']);
    assert.equal(scene.open().length, 1);
    talk(scene, 0.2, ['came']);
    assert.deepEqual(scene.open(), []);
    assert.equal(ended(scene), null);
    const closed = scene.events.flatMap((event) => (event.type === 'pinhole' ? [event.reason] : []));
    assert.equal(closed.at(-1), 'one-way');
  });

  test('may be one where nobody tells who sends, for as long as a call may last', () => {
    const scene = answered(createScene(inside));
    talk(scene, 11.9, ['untold']);
    assert.equal(scene.open().length, 1);
    talk(scene, 0.2, ['untold']);
    assert.deepEqual(scene.open(), []);
  });

  test('is none where somebody told who sent once, and the party outside alone has sent since', () => {
    const scene = answered(createScene(inside));
    talk(scene, 1, ['untold']);
    talk(scene, 3.9, ['came']);
    assert.equal(scene.open().length, 1);
    talk(scene, 0.2, ['came']);
    assert.deepEqual(scene.open(), []);
  });

  test('what the party inside sends is no media that came: the old port of a moved stream stays', () => {
    const scene = answered(createScene(inside));
    const moved = { from: 'a', to: 'b', cseq: 5 };
    scene.send(phone, pbx, sip('INVITE', { ...moved, body: sdp(phone.address, [4100]) }));
    scene.send(pbx, phone, sip('200 INVITE', { ...moved, body: sdp(pbx.address, [6000]) }));
    const both = scene.open();
    assert.equal(both.length, 2);
    for (const { id } of [...scene.inspector.pinholes()]) scene.inspector.traffic(id, scene.now, 'sent');
    scene.wait(1);
    assert.deepEqual(scene.open(), both);
    for (const { id } of [...scene.inspector.pinholes()]) scene.inspector.traffic(id, scene.now, 'came');
    scene.wait(1);
    assert.equal(scene.open().length, 1);
  });

  test('is none where the party outside sends SIP besides', () => {
    const scene = answered(createScene(inside));
    for (let i = 0; i < 5; i++) {
      talk(scene, 1, ['came']);
      scene.send(pbx, phone, sip('UPDATE', { from: 'b', to: 'a', cseq: 10 + i }));
      scene.send(pbx, phone, sip('INVITE', { from: 'b', to: 'a', cseq: 100 + i, body: ANSWER }));
    }
    assert.deepEqual(scene.open(), []);
  });

  test('is one where the party inside sends SIP of its own, or accepts what comes', () => {
    for (const own of [true, false]) {
      const scene = answered(createScene(inside));
      for (let cseq = 2; cseq < 10; cseq++) {
        talk(scene, 1, ['came']);
        if (own) scene.send(phone, pbx, sip('OPTIONS', { to: 'b', cseq }));
        else {
          scene.send(pbx, phone, sip('OPTIONS', { from: 'b', to: 'a', cseq }));
          scene.send(phone, pbx, sip('200 OPTIONS', { from: 'b', to: 'a', cseq, body: OFFER }));
        }
      }
      assert.equal(scene.open().length, 1);
      assert.deepEqual(scene.refusals(), ['not-inside']);
    }
  });
});

describe('a call that was closed for silence', () => {
  const inside = { inside: networks('192.0.2.0/24') };
  const silent = () => {
    const scene = answered(createScene(inside));
    scene.wait(300_001);
    assert.deepEqual(scene.open(), []);
    return scene;
  };
  const OPEN = ['udp 192.0.2.10:40000-40001 < 198.51.100.20'];

  test('opens again with a request of the party inside', () => {
    for (const method of ['UPDATE', 'OPTIONS', 'INFO', 'NOTIFY']) {
      const scene = silent();
      scene.send(phone, pbx, sip(method, { to: 'b', cseq: 2 }));
      assert.deepEqual(scene.open(), OPEN, method);
    }
  });

  test('opens again when the party inside accepts a request, not before', () => {
    for (const method of ['UPDATE', 'INVITE', 'OPTIONS']) {
      const scene = silent();
      const body = method === 'INVITE' ? ANSWER : '';
      scene.send(pbx, phone, sip(method, { from: 'b', to: 'a', cseq: 7, body }));
      assert.deepEqual(scene.open(), [], method);
      const answer = method === 'INVITE' ? OFFER : '';
      scene.send(phone, pbx, sip(`200 ${method}`, { from: 'b', to: 'a', cseq: 7, body: answer }));
      assert.deepEqual(scene.open(), OPEN, method);
    }
  });

  test('stays closed when the party inside refuses, hangs up, or a stranger asks', () => {
    const scene = silent();
    scene.send(pbx, phone, sip('UPDATE', { from: 'b', to: 'a', cseq: 7 }));
    scene.send(phone, pbx, sip('481 UPDATE', { from: 'b', to: 'a', cseq: 7 }));
    scene.send(stranger, phone, sip('OPTIONS', { from: 'b', to: 'a', cseq: 8 }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 9 }));
    assert.deepEqual(scene.open(), []);
  });

  test('SIP of the party inside counts as media does', () => {
    const scene = answered(createScene(inside));
    scene.wait(299_000);
    scene.send(phone, pbx, sip('OPTIONS', { to: 'b', cseq: 2 }));
    scene.wait(299_000);
    assert.deepEqual(scene.open(), OPEN);
  });
});

test('a 2xx to another request than INVITE or UPDATE does not stop the session timer', () => {
  const scene = answered(createScene({ timers: { mediaIdle: 3_600_000 } }), ['Session-Expires: 1800']);
  scene.send(phone, pbx, sip('OPTIONS', { to: 'b', cseq: 2 }));
  scene.send(pbx, phone, sip('200 OPTIONS', { to: 'b', cseq: 2 }));
  scene.wait(1_832_001);
  assert.equal(ended(scene), 'session-expired');
});

test('Session-Expires beyond timers.max-call does not lengthen the call (A45)', () => {
  const scene = answered(createScene({ timers: { maxCall: 600_000, mediaIdle: 3_600_000 } }), [
    'Session-Expires: 4294967295',
  ]);
  scene.wait(600_001);
  assert.equal(ended(scene), 'max-duration');
});

test('requests in the dialog that open nothing do not push out one that does', () => {
  const scene = answered();
  scene.send(phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [42000]) }));
  for (let cseq = 3; cseq < 40; cseq++) scene.send(phone, pbx, sip('INFO', { to: 'b', cseq }));
  scene.send(pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: sdp('198.51.100.20', [22000]) }));
  assert.ok(scene.open().includes('udp 198.51.100.20:22000-22001 < 192.0.2.10'));
});

describe('retransmissions', () => {
  test('every message twice makes the same commits as once', () => {
    const messages: [typeof phone, typeof phone, string][] = [
      [phone, pbx, sip('INVITE', { body: OFFER })],
      [pbx, phone, sip('183 INVITE', { to: 'b', body: ANSWER })],
      [pbx, phone, sip('200 INVITE', { to: 'b', body: ANSWER })],
      [phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' })],
      [phone, pbx, sip('INVITE', { to: 'b', cseq: 2, body: sdp('192.0.2.10', [42000]) })],
      [pbx, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: ANSWER })],
      [pbx, phone, sip('BYE', { from: 'b', to: 'a', cseq: 3 })],
      [phone, pbx, sip('200 BYE', { from: 'b', to: 'a', cseq: 3 })],
    ];
    const run = (times: number) => {
      const scene = createScene();
      for (const [from, to, text] of messages) for (let i = 0; i < times; i++) scene.send(from, to, text);
      scene.wait(2_000);
      return { commits: scene.commits, open: scene.open(), refusals: scene.refusals() };
    };
    assert.deepEqual(run(3), run(1));
  });
});

describe('many calls on one pair of addresses', () => {
  test('10,000 calls do not touch each other (row 65)', () => {
    // Two hosts alone may have half of all places.
    const settings = settingsWith({ caps: { calls: 20_000 } });
    const inspector = createInspector(() => settings);
    let now = 0;
    const packet = (from: Host, to: Host, text: string) =>
      inspector.inspect(udpPacket(from, to, text), now++);
    const name = (index: number) => ({ callId: `trunk-${index}@example.com`, from: `f${index}` });
    const port = (index: number) => 10_000 + 4 * index;
    for (let i = 0; i < 10_000; i++) {
      packet(phone, pbx, sip('INVITE', { ...name(i), body: sdp('192.0.2.10', [port(i)]) }));
      packet(pbx, phone, sip('200 INVITE', { ...name(i), to: 'b', body: sdp('198.51.100.20', [port(i)]) }));
    }
    assert.equal([...inspector.pinholes()].length, 20_000);
    for (let i = 0; i < 10_000; i += 2) {
      packet(phone, pbx, sip('BYE', { ...name(i), to: 'b', cseq: 2 }));
      packet(pbx, phone, sip('200 BYE', { ...name(i), to: 'b', cseq: 2 }));
    }
    inspector.tick(now + 1000);
    const left = [...inspector.pinholes()].map(({ ports }) => ports[0]);
    assert.equal(left.length, 10_000);
    assert.ok(left.every((first) => ((first - 10_000) / 4) % 2 === 1));
  });

  test('the same pinhole in two calls closes with the last of them (row 78)', () => {
    const scene = createScene();
    for (const callId of ['leg-1', 'leg-2']) scene.send(phone, pbx, sip('INVITE', { callId, body: OFFER }));
    assert.equal(scene.open().length, 1);
    scene.send(pbx, phone, sip('486 INVITE', { callId: 'leg-1', to: 'b' }));
    scene.wait(1_000);
    assert.equal(scene.open().length, 1);
    scene.send(pbx, phone, sip('486 INVITE', { callId: 'leg-2', to: 'b' }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.equal(scene.commits, 2);
  });

  test('one Call-ID through a proxy is two legs', () => {
    const proxy = host('203.0.113.1');
    const scene = createScene();
    scene.send(phone, proxy, sip('INVITE', { body: OFFER }));
    scene.send(proxy, pbx, sip('INVITE', { body: OFFER, branch: 'z9hG4bK-second-hop' }));
    scene.send(pbx, proxy, sip('200 INVITE', { to: 'b', body: ANSWER, branch: 'z9hG4bK-second-hop' }));
    scene.send(proxy, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    assert.equal([...scene.inspector.calls()].length, 2);
    assert.deepEqual(scene.open(), [
      'udp 192.0.2.10:40000-40001 < 198.51.100.20,203.0.113.1',
      'udp 198.51.100.20:20000-20001 < 192.0.2.10,203.0.113.1',
    ]);
  });

  test('a BYE that bypasses the proxy ends both legs', () => {
    const proxy = host('203.0.113.1');
    const scene = createScene();
    scene.send(phone, proxy, sip('INVITE', { body: OFFER }));
    scene.send(proxy, pbx, sip('INVITE', { body: OFFER, branch: 'z9hG4bK-second-hop' }));
    scene.send(pbx, proxy, sip('200 INVITE', { to: 'b', body: ANSWER, branch: 'z9hG4bK-second-hop' }));
    scene.send(proxy, phone, sip('200 INVITE', { to: 'b', body: ANSWER }));
    scene.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });
});
