import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { BLOCK_REASONS, type BlockReason } from '../../src/report/replay/block-reasons.ts';
import type { Block } from '../../src/report/replay/model.ts';
import { host, networks, sdp } from '../scene.ts';
import { answeredCall, type Film, film, flowOf } from './film.ts';

const alice = host('192.0.2.10');
const bob = host('198.51.100.20');
const aliceMedia = host('192.0.2.10', 49170);
const bobMedia = host('198.51.100.20', 40000);
const gateway = host('198.51.100.30', 42000);
const A = { address: alice.address, port: 49170 };
const B = { address: bob.address, port: 40000 };
const seen = new Set<BlockReason>();

function first(report: ReturnType<Film['run']>, from: typeof alice, to: typeof alice): Block {
  const block = flowOf(report, from, to).blocks[0];
  assert.ok(block !== undefined, 'something was blocked');
  seen.add(block.reason);
  return block;
}

describe('why media was blocked', () => {
  it('announced only later', () => {
    const report = film()
      .talk(0, bobMedia, aliceMedia)
      .say(0.5, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .run();
    const { reason, text } = first(report, bobMedia, aliceMedia);
    assert.equal(reason, 'announced-later');
    assert.equal(
      text,
      'It came 0.500 s before 192.0.2.10 announced 192.0.2.10:49170, which happened only in frame 2 (INVITE).',
    );
  });

  it('from a host that nobody announced', () => {
    const { reason, text } = first(
      answeredCall(film(), alice, bob, A, B).talk(1, gateway, aliceMedia).run(),
      gateway,
      aliceMedia,
    );
    assert.equal(reason, 'wrong-source');
    assert.equal(
      text,
      'It came from 198.51.100.30, which no SDP names, but only 198.51.100.20 (the signalling peer) ' +
        'may send to 192.0.2.10:49170 (audio, announced in frame 1).',
    );
  });

  it('from a port that a symmetric peer does not have', () => {
    const report = answeredCall(film(), alice, bob, A, B)
      .talk(1, host(bob.address, 40_444), aliceMedia)
      .run({ symmetric: true });
    const { reason, text, advice } = first(report, host(bob.address, 40_444), aliceMedia);
    assert.equal(reason, 'wrong-source');
    assert.match(text, /^It came from port 40444 of 198\.51\.100\.20, but only its port 40000 may send/);
    assert.match(advice, /symmetric: false/);
  });

  it('before the answer that lets it in', () => {
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .talk(0.2, gateway, aliceMedia)
      .say(0.5, bob, alice, '200 INVITE', { to: 'b', body: sdp(gateway.address, [gateway.port]) })
      .talk(0.6, gateway, aliceMedia)
      .run();
    const { reason, text, packets } = first(report, gateway, aliceMedia);
    assert.deepEqual([reason, packets], ['early-media', 1]);
    assert.match(
      text,
      /before the call was answered, when only 198\.51\.100\.20 \(the signalling peer\) may send/,
    );
    assert.match(text, /From frame 4 on it passes\.$/);
  });

  it('announced by a host that is not its owner', () => {
    const report = answeredCall(film(), alice, bob, A, gateway).talk(1, aliceMedia, gateway).run();
    const { reason, text, advice } = first(report, aliceMedia, gateway);
    assert.equal(reason, 'refused');
    assert.match(
      text,
      /^198\.51\.100\.20 announced 198\.51\.100\.30:42000 in frame 2 \(200 Reason\), which is not its own/,
    );
    assert.match(advice, /media-hosts: \[198\.51\.100\.30\]/);
    const advised = answeredCall(film(), alice, bob, A, gateway)
      .talk(1, aliceMedia, gateway)
      .run({ mediaHosts: networks('198.51.100.30') });
    assert.equal(flowOf(advised, aliceMedia, gateway).blocked, 0, 'the advice helps');
  });

  it('refused for another reason, by its name', () => {
    const report = answeredCall(film(), alice, bob, A, { address: bob.address, port: 5060 })
      .talk(1, aliceMedia, host(bob.address, 5060))
      .run();
    const { reason, text } = first(report, aliceMedia, host(bob.address, 5060));
    assert.equal(reason, 'refused');
    assert.match(text, /was refused \(denied-port\)/);
  });

  it('a private address announced from a public one', () => {
    const hidden = host('10.20.0.20', 40000);
    const report = answeredCall(film(), alice, bob, A, hidden).talk(1, aliceMedia, hidden).run();
    const { reason, text } = first(report, aliceMedia, hidden);
    assert.equal(reason, 'nat');
    assert.match(
      text,
      /announced 10\.20\.0\.20:40000 in frame 2 .* a private address, though it signals from 198\.51\.100\.20/,
    );
  });

  it('media to the public address of a phone that announced its private one', () => {
    const report = answeredCall(film(), alice, bob, { address: '10.1.1.10', port: 49170 }, B)
      .talk(1, bobMedia, aliceMedia)
      .run();
    const { reason, text } = first(report, bobMedia, aliceMedia);
    assert.equal(reason, 'nat');
    assert.match(text, /^192\.0\.2\.10 announced the private address 10\.1\.1\.10:49170 in frame 1/);
  });

  it('a peer behind NAT whose media leaves from a third address', () => {
    const exit = host('203.0.113.7', 30000);
    const report = answeredCall(film(), alice, bob, A, { address: '10.20.0.20', port: 40000 })
      .talk(1, exit, aliceMedia)
      .run();
    const { reason, text } = first(report, exit, aliceMedia);
    assert.equal(reason, 'nat');
    assert.match(
      text,
      /It came from 203\.0\.113\.7, but the peer announced the private address 10\.20\.0\.20/,
    );
  });

  it('another port of an announced host', () => {
    const other = host(alice.address, 49180);
    const { reason, text } = first(
      answeredCall(film(), alice, bob, A, B).talk(1, bobMedia, other).run(),
      bobMedia,
      other,
    );
    assert.equal(reason, 'other-port');
    assert.equal(
      text,
      'Nobody announced 192.0.2.10:49180; of this host frame 1 (INVITE) announced audio 192.0.2.10:49170-49171.',
    );
  });

  it('the announced port of another host', () => {
    const wrong = host('192.0.2.99', 49170);
    const { reason, text } = first(
      answeredCall(film(), alice, bob, A, B).talk(1, bobMedia, wrong).run(),
      bobMedia,
      wrong,
    );
    assert.equal(reason, 'other-address');
    assert.match(
      text,
      /^Nobody announced 192\.0\.2\.99:49170; the same port was announced at 192\.0\.2\.10 in frame 1/,
    );
  });

  it('after the pinhole was closed, with what closed it', () => {
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.1, bob, alice, '486 INVITE', { to: 'b' })
      .talk(3.1, bobMedia, aliceMedia)
      .run();
    const { reason, text } = first(report, bobMedia, aliceMedia);
    assert.equal(reason, 'closed');
    assert.equal(
      text,
      'It came 2.0 s after the audio pinhole to 192.0.2.10:49170 was closed: the call had failed (frame 2).',
    );
  });

  it('announced in a message of no call', () => {
    const report = film()
      .say(0, bob, alice, 'ACK', { to: 'b', body: sdp(B.address, [B.port]) })
      .talk(1, aliceMedia, bobMedia)
      .run();
    const { reason, text } = first(report, aliceMedia, bobMedia);
    assert.equal(reason, 'not-opened');
    assert.match(text, /belongs to no call that was seen from its INVITE on\.$/);
  });

  it('an answer without its question', () => {
    const report = film()
      .say(0, bob, alice, '200 INVITE', { to: 'b', body: sdp(B.address, [B.port]) })
      .talk(1, aliceMedia, bobMedia)
      .run();
    const { reason, text } = first(report, aliceMedia, bobMedia);
    assert.equal(reason, 'refused');
    assert.match(text, /response-without-request/);
  });

  it('a host that talks to itself', () => {
    const report = film().talk(0, aliceMedia, host(alice.address, 5000), 2).run();
    assert.equal(first(report, aliceMedia, host(alice.address, 5000)).reason, 'same-host');
  });

  it('no signalling at all', () => {
    const report = film().talk(0, aliceMedia, bobMedia, 2).run();
    const { reason, text, advice } = first(report, aliceMedia, bobMedia);
    assert.equal(reason, 'never-announced');
    assert.match(text, /^No session description in the capture names 198\.51\.100\.20 or 192\.0\.2\.10/);
    assert.match(advice, /encrypted \(TLS\)/);
  });

  it('replies that the other direction lets in later', () => {
    const symmetric = host('192.0.2.77', 9000);
    const report = film()
      .say(0, bob, symmetric, 'INVITE', { body: sdp(B.address, [B.port]) })
      .talk(0.1, bobMedia, symmetric)
      .talk(0.2, symmetric, bobMedia)
      .talk(0.3, bobMedia, symmetric)
      .run();
    const { text, packets } = first(report, bobMedia, symmetric);
    assert.equal(packets, 1);
    assert.match(text, /From frame 4 on it passes as the way back of the other direction, by its state\.$/);
  });

  it('without a pinhole but after a packet from inside, what a stateful rule would do', () => {
    const outside = host('203.0.113.9', 9000);
    const report = answeredCall(film(), alice, bob, A, B)
      .talk(1, bobMedia, outside)
      .talk(2, outside, bobMedia)
      .run({ inside: networks('198.51.100.0/24') });
    const { text } = first(report, outside, bobMedia);
    assert.match(
      text,
      /The host inside had sent to it first \(frame 4\), so a rule of yours that keeps state on the way out/,
    );
  });

  it('every reason there is was seen above', () => {
    assert.deepEqual([...seen].sort(), Object.keys(BLOCK_REASONS).sort());
  });
});

describe('what nobody could know then', () => {
  const node = host('198.51.100.21');
  const inside = { inside: networks('192.0.2.0/24') };

  it('an answer from an address that was not asked, before it was acknowledged', () => {
    const early = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.1, node, alice, '183 INVITE', { to: 'b', body: sdp(gateway.address, [gateway.port]) })
      .talk(0.2, gateway, aliceMedia)
      .say(0.5, node, alice, '200 INVITE', { to: 'b', body: sdp(gateway.address, [gateway.port]) })
      .say(0.6, alice, node, 'ACK', { to: 'b', branch: 'z9hG4bK-ack' })
      .talk(0.7, gateway, aliceMedia)
      .run(inside);
    assert.equal(flowOf(early, gateway, aliceMedia).passed, 1);
    const { text, advice } = first(early, gateway, aliceMedia);
    assert.match(
      text,
      /announced in frame 2 \(183 .*\), which had not been asked, .* the request went to 198\.51\.100\.20/,
    );
    assert.match(advice, /nodes of one provider, name them as one of peers/);
  });

  it('a re-INVITE from an address that is not the party’s, refused inside', () => {
    const report = answeredCall(film(), alice, bob, A, B)
      .say(1, node, alice, 'INVITE', {
        from: 'b',
        to: 'a',
        cseq: 2,
        body: sdp(gateway.address, [gateway.port]),
      })
      .say(1.1, alice, node, '481 INVITE', { from: 'b', to: 'a', cseq: 2 })
      .talk(2, gateway, aliceMedia)
      .run(inside);
    const { text } = first(report, gateway, aliceMedia);
    assert.match(
      text,
      /which is not the address of a party, and the host inside had not accepted what it asked for/,
    );
  });

  it('where media comes from, when the peer wrote no c= line', () => {
    const bare = sdp(B.address, [B.port]).replace(/c=.*\r\n/, '');
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.1, bob, alice, '200 INVITE', { to: 'b', body: bare })
      .talk(0.2, gateway, aliceMedia)
      .run(inside);
    assert.match(
      first(report, gateway, aliceMedia).text,
      /What the peer announced in frame 2 .* \(no-address\)/,
    );
  });

  it('what runs over a transport that is not known', () => {
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [{ port: A.port, proto: 'FOO/BAR' }]) })
      .say(0.1, bob, alice, '200 INVITE', {
        to: 'b',
        body: sdp(B.address, [{ port: B.port, proto: 'FOO/BAR' }]),
      })
      .talk(0.2, bobMedia, aliceMedia)
      .run(inside);
    const { text, reason } = first(report, bobMedia, aliceMedia);
    assert.equal(reason, 'refused');
    assert.match(text, /announced audio at port 49170 in frame 1 .* over FOO\/BAR, .* \(unknown-transport\)/);
  });

  it('the answer to a request of a call that had begun before', () => {
    const report = film()
      .say(0, bob, alice, 'INVITE', { from: 'b', to: 'a', cseq: 7, body: sdp(B.address, [B.port]) })
      .say(0.1, alice, bob, '200 INVITE', { from: 'b', to: 'a', cseq: 7, body: sdp(A.address, [A.port]) })
      .talk(0.2, bobMedia, aliceMedia)
      .run(inside);
    assert.match(first(report, bobMedia, aliceMedia).text, /of a call that had begun before this capture/);
  });
});
