import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { createScene, host, type Scene, sip } from '../scene.ts';

const alice = host('192.0.2.10');
const bob = host('198.51.100.20');

function body(address: string, ...lines: readonly string[]): string {
  return `${['v=0', `o=- 1 1 IN IP4 ${address}`, 's=-', `c=IN IP4 ${address}`, 't=0 0', ...lines].join('\r\n')}\r\n`;
}

/** What was told of the call last. */
function codecs({ events }: Scene): string {
  return events.flatMap((event) => (event.type === 'call' ? [event.leg.codecs] : [])).at(-1)!;
}

/** An INVITE in a call with its 200 and ACK. */
function exchange(scene: Scene, cseq: number, offer: readonly string[], answer: readonly string[]): void {
  const to = cseq === 1 ? '' : 'b';
  scene.send(alice, bob, sip('INVITE', { cseq, to, body: body(alice.address, ...offer) }));
  scene.send(bob, alice, sip('200 INVITE', { cseq, to: 'b', body: body(bob.address, ...answer) }));
  scene.send(alice, bob, sip('ACK', { cseq, to: 'b', branch: `z9hG4bK-ack-${cseq}` }));
}

describe('codecs that a call has agreed on', () => {
  it('are those of RFC 3264 10.1: one for audio, one for video', () => {
    const scene = createScene();
    const offer = [
      ...['m=audio 49170 RTP/AVP 0 8 97', 'a=rtpmap:0 PCMU/8000', 'a=rtpmap:8 PCMA/8000'],
      ...['a=rtpmap:97 iLBC/8000', 'm=video 51372 RTP/AVP 31 32', 'a=rtpmap:31 H261/90000'],
      'a=rtpmap:32 MPV/90000',
    ];
    scene.send(alice, bob, sip('INVITE', { body: body(alice.address, ...offer) }));
    assert.equal(codecs(scene), '');
    const answer = ['m=audio 49174 RTP/AVP 0', 'm=video 49170 RTP/AVP 32', 'a=rtpmap:32 MPV/90000'];
    scene.send(bob, alice, sip('200 INVITE', { to: 'b', body: body(bob.address, ...answer) }));
    assert.equal(codecs(scene), 'audio PCMU; video MPV');
  });

  it('are several where the answer leaves several, and one after the next offer (RFC 3264 10.2)', () => {
    const scene = createScene();
    const [g723, g729] = ['a=rtpmap:4 G723/8000', 'a=rtpmap:18 G729/8000'];
    exchange(scene, 1, ['m=audio 62986 RTP/AVP 0 4 18', g723, g729], ['m=audio 54344 RTP/AVP 0 4', g723]);
    assert.equal(codecs(scene), 'audio PCMU, G723');
    exchange(scene, 2, ['m=audio 62986 RTP/AVP 4', g723], ['m=audio 54344 RTP/AVP 4', g723]);
    assert.equal(codecs(scene), 'audio G723');
  });

  it('are not those of a stream that is refused, and a fax is T.38', () => {
    const scene = createScene();
    const offer = ['m=audio 40000 RTP/AVP 0', 'm=image 40002 udptl t38'];
    exchange(scene, 1, offer, ['m=audio 0 RTP/AVP 0', 'm=image 20002 udptl t38']);
    assert.equal(codecs(scene), 'image T.38');
  });

  it('are said to be none where both have none in common', () => {
    const scene = createScene();
    exchange(scene, 1, ['m=audio 40000 RTP/AVP 0'], ['m=audio 20000 RTP/AVP 8']);
    assert.equal(codecs(scene), 'audio with no codec in common');
  });

  it('are those of before where the next offer is refused', () => {
    const scene = createScene();
    exchange(scene, 1, ['m=audio 40000 RTP/AVP 8'], ['m=audio 20000 RTP/AVP 8']);
    scene.send(
      alice,
      bob,
      sip('INVITE', { cseq: 2, to: 'b', body: body(alice.address, 'm=audio 40000 RTP/AVP 9') }),
    );
    scene.send(bob, alice, sip('488 INVITE', { cseq: 2, to: 'b' }));
    assert.equal(codecs(scene), 'audio PCMA');
  });
});
