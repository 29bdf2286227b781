import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, type SdpLine, sdp, sip } from '../scene.ts';

const browser = host('192.0.2.40');
const phone = host('198.51.100.20');
const inside = networks('198.51.100.0/24');

function line(port: number, candidates: readonly string[]): SdpLine {
  const attributes = [
    'rtcp-mux',
    ...candidates.map((text, index) => `candidate:${index} 1 ${text} typ host`),
  ];
  return { port, proto: 'UDP/TLS/RTP/SAVPF', attributes };
}

/** INVITE from the browser, 200 and ACK. */
function call(scene: ReturnType<typeof createScene>, cseq: number, offer: string, answer: string): void {
  const to = cseq === 1 ? '' : 'b';
  scene.send(browser, phone, sip('INVITE', { cseq, to, body: offer }));
  scene.send(phone, browser, sip('200 INVITE', { cseq, to: 'b', body: answer }));
  scene.send(browser, phone, sip('ACK', { cseq, to: 'b' }));
}

describe('a description whose address is in its candidates (RFC 8840 4.1)', () => {
  test('is no hold, and what it names may send', () => {
    const scene = createScene({ inside });
    const answer = sdp(phone.address, [line(40000, [`udp 1 ${phone.address} 40000`])]);
    call(scene, 1, sdp(browser.address, [line(50000, [`udp 1 ${browser.address} 50000`])]), answer);
    assert.ok(scene.media(browser.address, 50000, phone.address, 40000));

    call(scene, 2, sdp('0.0.0.0', [{ ...line(9, []), attributes: ['rtcp-mux', 'sendonly'] }]), answer);
    assert.ok(scene.media(browser.address, 50000, phone.address, 40000), 'a hold keeps what was there');

    const moved = sdp(phone.address, [line(40100, [`udp 1 ${phone.address} 40100`])]);
    call(scene, 3, sdp('0.0.0.0', [line(9, ['udp 1 203.0.113.88 50500'])]), moved);
    assert.ok(scene.media('203.0.113.88', 50500, phone.address, 40100));
    assert.ok(!scene.media('203.0.113.89', 50500, phone.address, 40100));
  });

  test('wants nothing at port 9 of its owner, and complains of nothing', () => {
    const scene = createScene({ inside });
    const offer = sdp(phone.address, [line(9, [`udp 1 ${phone.address} 52000`])]);
    scene.send(phone, browser, sip('INVITE', { body: offer }));
    assert.deepEqual(scene.open(), ['udp 198.51.100.20:52000-52000 < 192.0.2.40']);
    assert.deepEqual(scene.refusals(), []);
  });

  test('without candidates is at port 9, which is out of range', () => {
    const scene = createScene({ inside });
    scene.send(phone, browser, sip('INVITE', { body: sdp(phone.address, [line(9, [])]) }));
    assert.deepEqual(scene.open(), []);
    assert.ok(scene.refusals().some((text) => text.includes('port-out-of-range')));
  });
});

describe('candidates that can never be opened', () => {
  const many = (text: (index: number) => string) => Array.from({ length: 30 }, (_, index) => text(index));

  test('over TCP do not use up the cap, and may not send UDP', () => {
    const scene = createScene({ inside });
    const tcp = many((index) => `tcp 1 192.0.2.${100 + index} 9`);
    const offer = sdp(browser.address, [line(61000, [...tcp, 'udp 1 203.0.113.200 49300'])]);
    call(scene, 1, offer, sdp(phone.address, [line(40000, [])]));
    assert.ok(scene.media('203.0.113.200', 49300, phone.address, 40000), 'the relay is listed last');
    assert.ok(!scene.media('192.0.2.100', 9, phone.address, 40000));
    assert.ok(!scene.refusals().some((text) => text.includes('too-many-streams')));
  });

  test('24 over UDP are read, what is beyond is told', () => {
    const scene = createScene({ inside });
    const udp = many((index) => `udp 1 192.0.2.${100 + index} ${50000 + index}`);
    call(scene, 1, sdp(browser.address, [line(61000, udp)]), sdp(phone.address, [line(40000, [])]));
    assert.ok(scene.media('192.0.2.123', 50023, phone.address, 40000));
    assert.ok(!scene.media('192.0.2.124', 50024, phone.address, 40000));
    assert.ok(scene.refusals().some((text) => text.includes('too-many-streams')));
  });
});
