import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, peer, type Scene, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const trunk = host('198.51.100.20');
const node = host('198.51.100.21');
const inside = { inside: networks('192.0.2.0/24') };
const MOVED = sdp('203.0.113.50', [30000]);
const contact = (address: string, port = 5060) => [`Contact: <sip:x@${address}:${port};transport=udp>`];
const OFFERED = sdp('192.0.2.10', [40000]);
const BY_NODE = 'udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.21,203.0.113.50';
const OPEN = 'udp 192.0.2.10:40000-40001 < 198.51.100.20';

function answered(scene: Scene = createScene(inside)): Scene {
  scene.send(trunk, phone, sip('INVITE', { body: sdp('198.51.100.20', [20000]) }));
  scene.send(phone, trunk, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.10', [40000]) }));
  scene.send(trunk, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return scene;
}

const reinvite = (scene: Scene, status: string) => {
  scene.send(node, phone, sip('INVITE', { to: 'b', cseq: 2, body: MOVED }));
  assert.deepEqual(scene.open(), [OPEN], 'it waits');
  const body = status === '200' ? sdp('192.0.2.10', [41000]) : '';
  scene.send(phone, node, sip(`${status} INVITE`, { to: 'b', cseq: 2, body }));
};

describe("requests from another address than the party's", () => {
  test('count once the host inside has accepted them', () => {
    const scene = answered();
    reinvite(scene, '200');
    scene.wait(60_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:41000-41001 < 198.51.100.20,198.51.100.21,203.0.113.50']);
    scene.send(node, phone, sip('BYE', { to: 'b', cseq: 3 }));
    scene.send(phone, node, sip('200 BYE', { to: 'b', cseq: 3 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.ok(!scene.refusals().includes('wrong-dialog'));
  });

  test('change nothing when it refuses them, or does not answer', () => {
    for (const answer of [true, false]) {
      const scene = answered();
      if (answer) reinvite(scene, '481');
      else scene.send(node, phone, sip('INVITE', { to: 'b', cseq: 2, body: MOVED }));
      scene.send(node, phone, sip('BYE', { to: 'b', cseq: 3 }));
      if (answer) scene.send(phone, node, sip('481 BYE', { to: 'b', cseq: 3 }));
      scene.wait(100_000);
      assert.deepEqual(scene.open(), [OPEN]);
      assert.equal(scene.refusals().filter((reason) => reason === 'wrong-dialog').length, 2);
    }
  });

  test('and an answered BYE ends the call', () => {
    const scene = answered();
    scene.send(node, phone, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(phone, node, sip('200 BYE', { to: 'b', cseq: 2 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('bring the answer in a PRACK as well', () => {
    const scene = createScene(inside);
    scene.send(trunk, phone, sip('INVITE'));
    scene.send(
      phone,
      trunk,
      sip('183 INVITE', { to: 'b', body: OFFERED, headers: ['RSeq: 1', 'Require: 100rel'] }),
    );
    scene.send(node, phone, sip('PRACK', { to: 'b', cseq: 2, headers: ['RAck: 1 1 INVITE'], body: MOVED }));
    assert.deepEqual(scene.open(), [OPEN], 'it waits');
    scene.send(phone, node, sip('200 PRACK', { to: 'b', cseq: 2 }));
    assert.deepEqual(scene.open(), [BY_NODE]);
  });

  test('of a host inside count at once: another one had signalled for it', () => {
    const scene = answered();
    const other = host('192.0.2.11');
    scene.send(
      other,
      trunk,
      sip('INVITE', { from: 'b', to: 'a', cseq: 5, body: sdp('192.0.2.11', [42000]) }),
    );
    scene.send(trunk, other, sip('200 INVITE', { from: 'b', to: 'a', cseq: 5, body: MOVED }));
    scene.send(other, trunk, sip('ACK', { from: 'b', to: 'a', cseq: 5, branch: 'z9hG4bK-ack5' }));
    scene.wait(60_001);
    assert.deepEqual(scene.open(), ['udp 192.0.2.11:42000-42001 < 198.51.100.20,203.0.113.50']);
    scene.send(other, trunk, sip('BYE', { from: 'b', to: 'a', cseq: 6 }));
    scene.send(trunk, other, sip('200 BYE', { from: 'b', to: 'a', cseq: 6 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.ok(!scene.refusals().includes('wrong-dialog'));
  });

  test('a 2xx of a party outside accepts nothing', () => {
    const scene = answered();
    scene.send(host('203.0.113.66'), trunk, sip('BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.send(trunk, host('203.0.113.66'), sip('200 BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.wait(40_000);
    assert.deepEqual(scene.open(), [OPEN]);
  });

  test("count at once where the host inside has sent there itself, or where both are one named peer's", () => {
    const sent = answered();
    sent.send(phone, node, sip('OPTIONS', { from: 'b', to: 'a', cseq: 9 }));
    const named = answered(
      createScene({ ...inside, peers: [peer('itsp', { networks: networks('198.51.100.0/24') })] }),
    );
    for (const scene of [sent, named]) {
      scene.send(node, phone, sip('BYE', { to: 'b', cseq: 2 }));
      scene.wait(32_001);
      assert.deepEqual(scene.open(), [], 'a BYE of the party that gets no answer');
    }
  });

  test('a named peer may answer from another of its addresses', () => {
    const scene = createScene({
      ...inside,
      peers: [peer('itsp', { networks: networks('198.51.100.0/24') })],
    });
    scene.send(phone, trunk, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
    scene.send(node, phone, sip('200 INVITE', { to: 'b', body: MOVED }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.21,203.0.113.50']);
  });
});

describe('responses from an address that was not asked', () => {
  function asked(statuses: readonly string[], scene: Scene = createScene(inside)): Scene {
    scene.send(phone, trunk, sip('INVITE', { body: OFFERED }));
    for (const status of statuses) scene.send(node, phone, sip(`${status} INVITE`, { to: 'b', body: MOVED }));
    assert.deepEqual(scene.open(), [OPEN], 'they wait');
    assert.deepEqual(scene.refusals(), []);
    return scene;
  }

  test('count once the host inside has acknowledged them there', () => {
    const scene = asked(['183', '200']);
    scene.send(phone, node, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.deepEqual(scene.open(), [BY_NODE]);
    scene.send(node, phone, sip('BYE', { from: 'b', to: 'a', cseq: 9 }));
    scene.send(phone, node, sip('200 BYE', { from: 'b', to: 'a', cseq: 9 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['not-inside']);
  });

  test('or elsewhere: the tag, or the 2xx, has come from nowhere else', () => {
    const scene = asked(['200']);
    scene.send(phone, host('198.51.100.22'), sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.10:40000-40001 < 198.51.100.20,198.51.100.21,203.0.113.50']);
  });

  test('a reliable 183 counts with its PRACK', () => {
    const scene = createScene(inside);
    scene.send(phone, trunk, sip('INVITE', { body: OFFERED }));
    scene.send(
      node,
      phone,
      sip('183 INVITE', { to: 'b', body: MOVED, headers: ['RSeq: 1', 'Require: 100rel'] }),
    );
    scene.send(phone, node, sip('PRACK', { to: 'b', cseq: 2, headers: ['RAck: 1 1 INVITE'] }));
    assert.deepEqual(scene.open(), [BY_NODE]);
  });

  test('a refusal that is acknowledged ends the call, one that is not does not', () => {
    for (const [branch, open] of [
      ['z9hG4bK-call-1@example.com-1-INVITE', []],
      ['z9hG4bK-other', [OPEN]],
    ] as const) {
      const scene = createScene(inside);
      scene.send(phone, trunk, sip('INVITE', { body: OFFERED }));
      scene.send(node, phone, sip('486 INVITE', { to: 'b' }));
      scene.send(phone, trunk, sip('ACK', { to: 'b', branch }));
      scene.wait(1_000);
      assert.deepEqual(scene.open(), open);
    }
  });

  test('the answer to a re-INVITE waits for its ACK as well', () => {
    const scene = createScene(inside);
    scene.send(phone, trunk, sip('INVITE', { body: OFFERED }));
    scene.send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000]) }));
    scene.send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    scene.send(phone, trunk, sip('INVITE', { to: 'b', cseq: 2, body: OFFERED }));
    scene.send(node, phone, sip('200 INVITE', { to: 'b', cseq: 2, body: MOVED }));
    assert.deepEqual(scene.open(), [OPEN]);
    scene.send(phone, trunk, sip('ACK', { to: 'b', cseq: 2, branch: 'z9hG4bK-ack2' }));
    assert.deepEqual(scene.open(), [BY_NODE]);
  });

  test('nothing counts that is not acknowledged, or has been answered by the party that was asked', () => {
    const scene = asked(['200']);
    scene.send(trunk, phone, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000]) }));
    scene.send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
    assert.deepEqual(scene.open(), [OPEN]);
    scene.send(trunk, phone, sip('183 INVITE', { to: 'c' }));
    scene.wait(180_001);
    assert.deepEqual(scene.open(), [OPEN]);
    assert.deepEqual(scene.refusals(), ['not-inside', 'wrong-dialog']);
  });

  test('who has hung up inside is done, whoever says so, but for a challenge', () => {
    const scene = answered();
    scene.send(phone, trunk, sip('BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.send(node, phone, sip('401 BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), [OPEN]);
    scene.send(node, phone, sip('200 BYE', { from: 'b', to: 'a', cseq: 5 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });

  test('a host inside with two addresses may answer from either', () => {
    const scene = createScene(inside);
    scene.send(trunk, phone, sip('INVITE', { body: sdp('198.51.100.20', [20000]) }));
    scene.send(host('192.0.2.11'), trunk, sip('200 INVITE', { to: 'b', body: sdp('192.0.2.11', [40000]) }));
    assert.deepEqual(scene.open(), ['udp 192.0.2.11:40000-40001 < 198.51.100.20']);
  });
});

describe('the address of a Contact', () => {
  const invited = (named: string, scene: Scene = createScene(inside)) => {
    scene.send(trunk, phone, sip('INVITE', { headers: contact(named) }));
    scene.send(phone, trunk, sip('200 INVITE', { to: 'b', body: OFFERED }));
    return scene;
  };

  test('is the party that named it: its ACK is the answer, its BYE needs no answer', () => {
    const scene = invited('198.51.100.21');
    scene.send(node, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: MOVED }));
    assert.deepEqual(scene.open(), [BY_NODE]);
    scene.send(node, phone, sip('BYE', { to: 'b', cseq: 2 }));
    scene.wait(32_001);
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['not-inside']);
  });

  test('which somebody else named, or that is inside, is nothing', () => {
    const scene = invited('192.0.2.77');
    scene.send(host('192.0.2.77'), phone, sip('BYE', { to: 'b', cseq: 2 }));
    scene.send(
      node,
      phone,
      sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: MOVED, headers: contact('198.51.100.21') }),
    );
    scene.wait(32_001);
    assert.deepEqual(scene.open(), [OPEN]);
  });

  test('an ACK from elsewhere counts when its sender is accepted later', () => {
    const scene = invited('203.0.113.9');
    scene.send(node, phone, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack', body: MOVED }));
    assert.deepEqual(scene.open(), [OPEN], 'it waits');
    scene.send(node, phone, sip('OPTIONS', { to: 'b', cseq: 2 }));
    scene.send(phone, node, sip('200 OPTIONS', { to: 'b', cseq: 2 }));
    assert.deepEqual(scene.open(), [BY_NODE]);
  });

  test('of a redirect (3xx) is nobody yet', () => {
    const scene = createScene(inside);
    scene.send(phone, trunk, sip('INVITE', { body: OFFERED }));
    scene.send(trunk, phone, sip('302 INVITE', { to: 'b', headers: contact('198.51.100.21') }));
    scene.send(phone, trunk, sip('ACK', { to: 'b', branch: 'z9hG4bK-call-1@example.com-1-INVITE' }));
    scene.send(phone, trunk, sip('INVITE', { cseq: 2, body: OFFERED }));
    scene.send(node, phone, sip('200 INVITE', { to: 'c', cseq: 2, body: MOVED }));
    assert.deepEqual(scene.open(), [OPEN]);
  });
});

describe('a call that is seen on both sides of a translation that leaves Contact as it is', () => {
  const legs = [
    [host('10.2.0.72'), host('10.2.0.100')],
    [host('10.1.0.25'), host('10.1.0.200')],
  ] as const;
  const named = [contact('10.2.0.72'), contact('10.2.0.100')] as const;

  test('is two legs still: what is sent between the parties of one is of that one alone', () => {
    const scene = createScene();
    const answers = (cseq: number, port: number) => {
      for (const [caller, callee] of legs) {
        const body = sdp('10.2.0.100', [port]);
        scene.send(callee, caller, sip('200 INVITE', { to: 'b', cseq, headers: named[1], body }));
        scene.send(caller, callee, sip('ACK', { to: 'b', cseq, branch: `z9hG4bK-ack-${cseq}` }));
      }
    };
    for (const [caller, callee] of legs)
      scene.send(caller, callee, sip('INVITE', { headers: named[0], body: sdp('10.9.0.1', [20000]) }));
    answers(1, 40000);
    for (const [caller, callee] of legs) {
      const body = sdp('10.9.0.1', [20002]);
      scene.send(caller, callee, sip('INVITE', { to: 'b', cseq: 2, headers: named[0], body }));
    }
    answers(2, 40002);
    scene.wait(60_000);
    assert.deepEqual(scene.open(), ['udp 10.2.0.100:40002-40003 < 10.2.0.72,10.9.0.1']);
    assert.deepEqual([...new Set(scene.refusals())], ['foreign-address']);
  });
});
