import assert from 'node:assert/strict';
import type { Buffer } from 'node:buffer';
import { describe, it } from 'node:test';
import { defaults } from '../../src/config/load.ts';
import { replayPictures } from '../../src/report/page/pictures.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { replayText } from '../../src/report/replay/text.ts';
import { wholeCalls } from '../../src/report/replay/whole.ts';
import { terminalStyle } from '../../src/report/style.ts';
import { udpPacket } from '../packets.ts';
import { type Host, host, sdp, sip } from '../scene.ts';
import { answeredCall, type Film, film, flowOf, rtp } from './film.ts';

const alice = host('192.0.2.10');
const proxy = host('198.51.100.5');
const bob = host('198.51.100.20');
const aliceMedia = host('192.0.2.10', 49170);
const bobMedia = host('198.51.100.20', 40000);
const A = { address: alice.address, port: 49170 };
const B = { address: bob.address, port: 40000 };

function textOf(report: ReplayReport): string {
  return [...replayText(report, 'all', terminalStyle({}, {}))].join('');
}

function headlines(report: ReplayReport): string[] {
  return [...replayPictures(report).pictures()].map(({ verdict }) => verdict.headline);
}

/** Both legs of a call through a proxy that stays in the dialog, as the proxy itself captures them. */
function proxied(): Film {
  const offer = { body: sdp(A.address, [A.port]) };
  const answer = { to: 'b', body: sdp(B.address, [B.port]) };
  const leg = (more: object) => ({ ...more, branch: 'z9hG4bK-second' });
  return film()
    .say(0, alice, proxy, 'INVITE', offer)
    .say(0.01, proxy, bob, 'INVITE', leg(offer))
    .say(0.5, bob, proxy, '200 INVITE', leg(answer))
    .say(0.51, proxy, alice, '200 INVITE', answer)
    .say(0.6, alice, proxy, 'ACK', { to: 'b' })
    .say(0.61, proxy, bob, 'ACK', { to: 'b', branch: 'z9hG4bK-third' });
}

describe('a call through a proxy', () => {
  const report = proxied().talk(1, aliceMedia, bobMedia, 10).talk(1, bobMedia, aliceMedia, 10).run();

  it('is one call with its hops', () => {
    const { calls, others } = wholeCalls(report);
    assert.equal(report.calls.length, 2);
    assert.equal(calls.length, 1);
    assert.deepEqual(calls[0]!.call.parties, [alice.address, bob.address]);
    assert.equal(calls[0]!.call.messages.length, 6);
    assert.deepEqual([calls[0]!.flows.length, others.length], [2, 0]);
  });

  it('has media in both directions, each for its own side', () => {
    assert.equal(flowOf(report, bobMedia, aliceMedia).side, 0);
    assert.equal(flowOf(report, aliceMedia, bobMedia).side, 1);
    assert.deepEqual(headlines(report), ['Audio passed in both directions.']);
  });

  it('has a ladder with a letter for each host', () => {
    const text = textOf(report);
    assert.match(text, /hosts {3}A 192\.0\.2\.10, B 198\.51\.100\.5, C 198\.51\.100\.20\n/);
    assert.match(text, /#2 {2}B --> C {2}INVITE/);
    assert.match(text, /#4 {2}A <-- B {2}200 Reason/);
  });
});

it('a third host is sender or receiver in the ladder as it was in the capture', () => {
  const stranger = host('203.0.113.66');
  const report = answeredCall(film(), alice, bob, A, B)
    .say(1, stranger, bob, 'BYE', { to: 'b', cseq: 9 })
    .say(1.1, bob, stranger, '481 BYE', { to: 'b', cseq: 9 })
    .run();
  const text = textOf(report);
  assert.match(text, /C 203\.0\.113\.66\s+\(no\s+party of\s+the call\)/);
  assert.match(text, /#4 {2}B <-- C {2}BYE/);
});

it('two parties on one address are told apart by their ports', () => {
  const caller = host('192.0.2.10', 5061);
  const callee = host('192.0.2.10', 5060);
  const other = host('192.0.2.10', 6000);
  const report = answeredCall(film(), caller, callee, A, { address: alice.address, port: 6000 })
    .talk(1, aliceMedia, other, 5)
    .talk(1, other, aliceMedia, 5)
    .run();
  const text = textOf(report);
  assert.match(text, /A, B {4}192\.0\.2\.10:5061, 192\.0\.2\.10:5060/);
  assert.match(text, /#2 {2}A <-- B {2}200/);
  assert.doesNotMatch(text, /nothing came/);
  assert.deepEqual(headlines(report), ['Audio passed in both directions.']);
});

it('a stray datagram is no media where media is known', () => {
  const report = answeredCall(film(), alice, bob, A, B)
    .talk(1, aliceMedia, bobMedia, 5)
    .send(1.2, bobMedia, aliceMedia, 'hello')
    .send(1.3, aliceMedia, aliceMedia, 'hello')
    .run();
  assert.deepEqual(headlines(report), ['Audio passed to the callee; nothing was sent to the caller.']);
});

it('one direction of the signalling alone has a ladder all the same, and is said', () => {
  const report = film()
    .say(0, bob, alice, '180 INVITE', { to: 'b' })
    .say(0.5, bob, alice, '200 INVITE', { to: 'b', body: sdp(B.address, [B.port]) })
    .run();
  assert.equal(report.calls.length, 0);
  assert.deepEqual(
    report.strays[0]!.messages.map(({ summary }) => summary),
    ['180 Reason', '200 Reason'],
  );
  assert.match(report.notes.join(), /^Only messages from 198\.51\.100\.20 to 192\.0\.2\.10 are here \(2\)/);
  const text = textOf(report);
  assert.match(text, /A <-- B {2}180 Reason/);
  assert.doesNotMatch(text, /restart/);
});

/** A datagram with an identification and a TTL, as an IPv4 host sends it and a router passes it on. */
function numbered(from: Host, to: Host, payload: Buffer | string, id: number, ttl = 64): Buffer {
  const bytes = udpPacket(from, to, payload);
  bytes.writeUInt16BE(id, 4);
  bytes[8] = ttl;
  return bytes;
}

describe('a request that comes back to where it was (RFC 3261 16.3)', () => {
  const other = host('198.51.100.6');
  const offer = sdp(A.address, [A.port]);
  const hop = (number: number) => ({ branch: `z9hG4bK-hop-${number}` });

  it('is refused at every hop, opens nothing that stays, and is one call', () => {
    const looped = film().say(0, alice, proxy, 'INVITE', { body: offer, ...hop(0) });
    const ends = [proxy, other] as const;
    for (let i = 1; i <= 6; i++) {
      looped.say(i / 100, ends[(i + 1) % 2]!, ends[i % 2]!, 'INVITE', { body: offer, ...hop(i) });
    }
    for (let i = 6; i >= 1; i--) {
      const at = (20 - i) / 100;
      looped.say(at, ends[i % 2]!, ends[(i + 1) % 2]!, '482 INVITE', { to: 'x', ...hop(i) });
      looped.say(at + 0.001, ends[(i + 1) % 2]!, ends[i % 2]!, 'ACK', { to: 'x', ...hop(i) });
    }
    const report = looped
      .say(0.3, proxy, alice, '482 INVITE', { to: 'x', ...hop(0) })
      .say(0.31, alice, proxy, 'ACK', { to: 'x', ...hop(0) })
      .say(5, host('192.0.2.99'), proxy, 'OPTIONS', { callId: 'another' })
      .run();
    assert.equal(report.sip.messages, 22);
    assert.deepEqual([...new Set(report.calls.map(({ state }) => state))], ['ended']);
    for (const { pinholes } of report.calls) assert.ok(pinholes.every(({ closedAt }) => closedAt !== null));
    assert.equal(wholeCalls(report).calls.length, 1);
  });

  it('may go on from there to somebody else (a spiral): the call has its media', () => {
    const answer = { to: 'b', body: sdp(B.address, [B.port]) };
    const report = film()
      .say(0, alice, proxy, 'INVITE', { body: offer, ...hop(0) })
      .say(0.01, proxy, other, 'INVITE', { body: offer, ...hop(1) })
      .say(0.02, other, proxy, 'INVITE', { body: offer, ...hop(2) })
      .say(0.03, proxy, bob, 'INVITE', { body: offer, ...hop(3) })
      .say(0.1, bob, proxy, '200 INVITE', { ...answer, ...hop(3) })
      .say(0.11, proxy, other, '200 INVITE', { ...answer, ...hop(2) })
      .say(0.12, other, proxy, '200 INVITE', { ...answer, ...hop(1) })
      .say(0.13, proxy, alice, '200 INVITE', { ...answer, ...hop(0) })
      .talk(1, aliceMedia, bobMedia, 10)
      .talk(1, bobMedia, aliceMedia, 10)
      .run();
    assert.deepEqual(headlines(report), ['Audio passed in both directions.']);
    for (const [from, to] of [
      [aliceMedia, bobMedia],
      [bobMedia, aliceMedia],
    ] as const) {
      const { passed, blocked } = flowOf(report, from, to);
      assert.deepEqual([passed, blocked], [10, 0]);
    }
  });
});

describe('what a capture saw twice', () => {
  it('is counted once: the same packet before and behind a router', () => {
    const one = answeredCall(film(), alice, bob, A, B);
    for (let i = 0; i < 5; i++) {
      const at = 1 + i * 0.02;
      one.packet(at, numbered(aliceMedia, bobMedia, rtp(i), 100 + i));
      one.packet(at + 0.001, numbered(aliceMedia, bobMedia, rtp(i), 100 + i, 63));
    }
    const flow = flowOf(one.run(), aliceMedia, bobMedia);
    assert.deepEqual([flow.packets, flow.copies], [5, 5]);
    assert.equal(flow.rtp[0]!.repeated, 0);
  });

  it('is not what was sent twice', () => {
    const one = answeredCall(film(), alice, bob, A, B);
    one.packet(1, numbered(aliceMedia, bobMedia, rtp(0), 100));
    one.packet(1.001, numbered(aliceMedia, bobMedia, rtp(0), 101));
    one.packet(1.002, numbered(aliceMedia, bobMedia, rtp(1), 102));
    const flow = flowOf(one.run(), aliceMedia, bobMedia);
    assert.deepEqual([flow.packets, flow.copies, flow.rtp[0]!.repeated], [3, 0, 1]);
  });

  it('is not known by a number that a sender gives all its packets', () => {
    const one = answeredCall(film(), alice, bob, A, B);
    for (const [index, payload] of [rtp(0), rtp(1), rtp(1), rtp(2), rtp(2)].entries())
      one.packet(1 + index / 100, numbered(aliceMedia, bobMedia, payload, 1));
    const flow = flowOf(one.run(), aliceMedia, bobMedia);
    assert.deepEqual([flow.packets, flow.copies], [5, 0]);
  });

  it('is no retransmission in the ladder', () => {
    const invite = sip('INVITE', { body: sdp(A.address, [A.port]) });
    const report = film()
      .packet(0, numbered(alice, bob, invite, 7))
      .packet(0.001, numbered(alice, bob, invite, 7, 63))
      .packet(0.5, numbered(alice, bob, invite, 8))
      .run();
    const [line] = report.calls[0]!.messages;
    assert.deepEqual([line!.repeats, line!.copies], [1, 1]);
    assert.match(textOf(report), /INVITE \(2 times, seen 2 times\)/);
  });
});

describe('the text of many calls', () => {
  function many(count: number): Film {
    const one = film();
    for (let i = 0; i < count; i++) {
      const message = { callId: `call-${i}@example.com`, from: `f${i}` };
      const offer = { address: A.address, port: 20_000 + 2 * i };
      one
        .say(i, alice, bob, 'INVITE', { ...message, body: sdp(offer.address, [offer.port]) })
        .say(i + 0.1, bob, alice, '200 INVITE', {
          ...message,
          to: 'b',
          body: sdp(B.address, [30_000 + 2 * i]),
        })
        .say(i + 0.2, alice, bob, 'ACK', { ...message, to: 'b' })
        .talk(i + 0.3, host(alice.address, offer.port), host(bob.address, 30_000 + 2 * i), 2)
        .talk(i + 0.3, host(bob.address, 30_000 + 2 * i), host(alice.address, offer.port), 2);
    }
    return one;
  }

  it('is a page when nothing was wrong', () => {
    const text = textOf(many(200).run({ caps: { ...defaults().caps, callsPerHost: 1e6 } }));
    assert.ok(text.split('\n').length < 24, text);
    assert.match(text, /200 {5}Audio passed in both directions\./);
  });

  it('has the calls in trouble first, and in full', () => {
    const report = many(30)
      .say(40, alice, bob, 'INVITE', { callId: 'bad@example.com', from: 'x', body: sdp(A.address, [A.port]) })
      .say(40.1, bob, alice, '200 INVITE', {
        callId: 'bad@example.com',
        from: 'x',
        to: 'b',
        body: sdp('10.0.0.9', [4000]),
      })
      .say(40.2, alice, bob, 'ACK', { callId: 'bad@example.com', from: 'x', to: 'b' })
      .talk(40.3, aliceMedia, host('10.0.0.9', 4000), 4)
      .run();
    const text = textOf(report);
    assert.equal(text.match(/^Call /gm)?.length, 1);
    assert.match(text, /^Call bad@example\.com/m);
    assert.match(text, / 30 {6}Audio passed in both directions\./);
  });

  it('has the calls that are looked for, or all', () => {
    const report = many(30).run();
    const style = terminalStyle({}, {});
    const found = [...replayText(report, 'all', style, { filter: 'call-7@', full: false })].join('');
    assert.deepEqual(found.match(/^Call .*/gm), ['Call call-7@example.com']);
    const all = [...replayText(report, 'all', style, { filter: '', full: true })].join('');
    assert.equal(all.match(/^Call /gm)?.length, 30);
  });
});
