import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, type SdpLine, sdp, sip } from '../scene.ts';

const pbx = host('192.0.2.10');
const peer = host('198.51.100.20');
const line = (port: number, setup: string | null): SdpLine => ({
  media: 'message',
  port,
  proto: 'TCP/MSRP',
  attributes: setup === null ? [] : [`setup:${setup}`],
});

/** What is open after the offer, and after the answer, of a call over which `from` and `to` agree so. */
function agreed(offer: string | null, answer: string | null, fromInside = true) {
  const scene = createScene({ inside: networks('192.0.2.0/24'), tcpMedia: true });
  const [caller, callee] = fromInside ? [pbx, peer] : [peer, pbx];
  scene.send(caller, callee, sip('INVITE', { body: sdp(caller.address, [line(20_000, offer)]) }));
  const early = scene.open();
  const body = sdp(callee.address, [line(20_000, answer)]);
  scene.send(callee, caller, sip('200 INVITE', { to: 'b', body }));
  scene.send(caller, callee, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  return { early, late: scene.open(), scene };
}

const PINHOLE = 'tcp 192.0.2.10:20000-20000 < 198.51.100.20';

describe('media over TCP opens towards who is connected to (RFC 4145 section 4)', () => {
  for (const [offer, answer, early, late] of [
    ['passive', 'active', true, true],
    ['actpass', 'active', true, true],
    ['actpass', 'passive', true, false],
    ['actpass', null, true, false],
    ['actpass', 'holdconn', true, false],
    ['passive', 'holdconn', true, false],
    ['active', 'passive', false, false],
    [null, null, false, false],
    [null, 'passive', false, false],
    ['holdconn', 'holdconn', false, false],
  ] as const) {
    test(`the inside host offers ${offer ?? 'nothing'}, and is answered ${answer ?? 'nothing'}`, () => {
      const seen = agreed(offer, answer);
      assert.deepEqual(seen.early, early ? [PINHOLE] : []);
      assert.deepEqual(seen.late, late ? [PINHOLE] : []);
    });
  }

  for (const [offer, answer, late] of [
    ['active', 'passive', true],
    ['actpass', 'passive', true],
    [null, null, true],
    ['active', null, true],
    ['actpass', 'active', false],
    ['passive', 'active', false],
    ['active', 'holdconn', false],
    ['holdconn', 'holdconn', false],
    ['passive', 'passive', false],
  ] as const) {
    test(`the inside host is offered ${offer ?? 'nothing'}, and answers ${answer ?? 'nothing'}`, () => {
      const seen = agreed(offer, answer, false);
      assert.deepEqual(seen.early, []);
      assert.deepEqual(seen.late, late ? [PINHOLE] : []);
    });
  }

  test('who is not connected to is told so', () => {
    assert.ok(agreed('active', 'passive').scene.refusals().includes('tcp-media'));
  });

  test('port 9 is nowhere', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24'), mediaPorts: [[1, 65535]], tcpMedia: true });
    scene.send(pbx, peer, sip('INVITE', { body: sdp(pbx.address, [line(9, 'actpass')]) }));
    assert.deepEqual(scene.open(), []);
  });

  test('nothing opens unless tcp-media says so', () => {
    const scene = createScene({ inside: networks('192.0.2.0/24') });
    scene.send(pbx, peer, sip('INVITE', { body: sdp(pbx.address, [line(20_000, 'passive')]) }));
    assert.deepEqual(scene.open(), []);
    assert.deepEqual(scene.refusals(), ['tcp-media']);
  });

  test('it lets TCP pass and no UDP, and closes with the call', () => {
    const { scene } = agreed('passive', 'active');
    assert.equal(scene.media(peer.address, 30_000, pbx.address, 20_000), false);
    scene.send(peer, pbx, sip('BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.send(pbx, peer, sip('200 BYE', { from: 'b', to: 'a', cseq: 2 }));
    scene.wait(1_000);
    assert.deepEqual(scene.open(), []);
  });
});
