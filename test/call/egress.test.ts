import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { createScene, host, networks, type Scene, sdp, sip } from '../scene.ts';

const phone = host('192.0.2.10');
const pbx = host('198.51.100.20');

/** Inside hosts may send wherever they like, and get answers: as on nearly every firewall. */
function scene(): Scene {
  const inside = networks('192.0.2.0/24');
  return createScene({ inside }, { egress: ({ source }) => source.startsWith('192.0.2.') });
}

/** A call in which the phone's media is the first to pass. */
function talking(): Scene {
  const call = scene();
  call.send(phone, pbx, sip('INVITE', { body: sdp('192.0.2.10', [40000]) }));
  call.send(pbx, phone, sip('200 INVITE', { to: 'b', body: sdp('198.51.100.20', [20000]) }));
  call.send(phone, pbx, sip('ACK', { to: 'b', branch: 'z9hG4bK-ack' }));
  assert.equal(call.media('192.0.2.10', 40000, '198.51.100.20', 20000), true);
  assert.equal(call.media('198.51.100.20', 20000, '192.0.2.10', 40000), true);
  return call;
}

describe('with a rule of the ruleset by which inside hosts may send', () => {
  test('a closed call passes nothing from outside any more', () => {
    const call = talking();
    call.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    call.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    call.wait(1_000);
    assert.equal(call.media('198.51.100.20', 20000, '192.0.2.10', 40000), false);
  });

  for (const method of ['INVITE', 'UPDATE']) {
    test(`a port that the phone left by ${method} neither`, () => {
      const call = talking();
      const body = sdp('192.0.2.10', [40010]);
      call.send(phone, pbx, sip(method, { to: 'b', cseq: 2, body }));
      call.send(pbx, phone, sip(`200 ${method}`, { to: 'b', cseq: 2, body: sdp('198.51.100.20', [20000]) }));
      if (method === 'INVITE')
        call.send(phone, pbx, sip('ACK', { to: 'b', cseq: 2, branch: 'z9hG4bK-ack2' }));
      assert.equal(call.media('192.0.2.10', 40010, '198.51.100.20', 20000), true);
      call.wait(60_000);
      assert.equal(call.media('198.51.100.20', 20000, '192.0.2.10', 40010), true);
      assert.equal(call.media('198.51.100.20', 20000, '192.0.2.10', 40000), false);
    });
  }

  test('what another call has open to the same ends goes on', () => {
    const call = talking();
    const more = { callId: 'call-2@example.com', from: 'c' };
    call.send(phone, pbx, sip('INVITE', { ...more, body: sdp('192.0.2.10', [40000]) }));
    call.send(pbx, phone, sip('200 INVITE', { ...more, to: 'd', body: sdp('198.51.100.20', [20000]) }));
    call.send(phone, pbx, sip('BYE', { to: 'b', cseq: 2 }));
    call.send(pbx, phone, sip('200 BYE', { to: 'b', cseq: 2 }));
    call.wait(1_000);
    assert.equal(call.media('198.51.100.20', 20000, '192.0.2.10', 40000), true);
  });
});
