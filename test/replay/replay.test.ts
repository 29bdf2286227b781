import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { host, networks, sdp } from '../scene.ts';
import { answeredCall, film, flowOf, START } from './film.ts';

const alice = host('192.0.2.10');
const bob = host('198.51.100.20');
const aliceMedia = host('192.0.2.10', 49170);
const bobMedia = host('198.51.100.20', 40000);
const A = { address: alice.address, port: 49170 };
const B = { address: bob.address, port: 40000 };

const call = () => answeredCall(film(), alice, bob, A, B);
const at = (seconds: number) => (START + seconds) * 1000;

describe('what a replay lets through', () => {
  it('opens for the message that announces and blocks the packet before it', () => {
    const report = film()
      .talk(0, bobMedia, aliceMedia)
      .say(0.1, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .talk(0.2, bobMedia, aliceMedia, 2)
      .run();
    const { packets, passed, blocked, first, firstAt } = flowOf(report, bobMedia, aliceMedia);
    assert.deepEqual({ packets, passed, blocked }, { packets: 3, passed: 2, blocked: 1 });
    assert.deepEqual({ first, firstAt }, { first: { file: 0, frame: 1 }, firstAt: at(0) });
  });

  for (const [who, both] of [
    ['both talk', true],
    ['one of them alone sends', false],
  ] as const) {
    it(`a call of 13 hours without any SIP ${both ? 'goes on' : 'closes in time'} where ${who}`, () => {
      const long = call();
      for (let minute = 1; minute <= 780; minute++) {
        if (both) long.talk(minute * 60, aliceMedia, bobMedia);
        long.talk(minute * 60 + 1, bobMedia, aliceMedia);
      }
      const { passed, blocked } = flowOf(
        long.run({ inside: networks('192.0.2.0/24') }),
        bobMedia,
        aliceMedia,
      );
      assert.deepEqual(
        { passed, blocked },
        both ? { passed: 780, blocked: 0 } : { passed: 239, blocked: 541 },
      );
    });
  }

  it('closes with the final response to BYE and a second of drain, by the frame of that response', () => {
    const report = call()
      .talk(1, aliceMedia, bobMedia)
      .say(2, alice, bob, 'BYE', { to: 'b', cseq: 2 })
      .say(2.25, bob, alice, '200 BYE', { to: 'b', cseq: 2 })
      .talk(3, aliceMedia, bobMedia)
      .talk(3.3, aliceMedia, bobMedia)
      .run();
    assert.deepEqual(
      report.calls[0]?.pinholes.map(({ address, opened, closed, closedAt, closeReason, packets }) => ({
        ...{ address, opened: opened.frame, closed: closed?.frame, closedAt, closeReason, packets },
      })),
      [
        { address: A.address, opened: 1, closed: 6, closedAt: at(3.25), closeReason: 'bye', packets: 0 },
        { address: B.address, opened: 2, closed: 6, closedAt: at(3.25), closeReason: 'bye', packets: 2 },
      ],
    );
    const flow = flowOf(report, aliceMedia, bobMedia);
    assert.deepEqual([flow.passed, flow.blocked, flow.blocks[0]?.reason], [2, 1, 'closed']);
    assert.match(
      flow.blocks[0]!.text,
      /^It came 0\.050 s after .* the call had ended with BYE \(frame 6\)\.$/,
    );
    assert.equal(report.calls[0]?.endReason, 'bye');
    assert.equal(report.calls[0]?.endedAt, at(2.25));
  });

  it('lets a drain whose cause was seen run out after the last frame', () => {
    const report = call()
      .say(2, alice, bob, 'BYE', { to: 'b', cseq: 2 })
      .say(2.25, bob, alice, '200 BYE', { to: 'b', cseq: 2 })
      .run();
    for (const { closed, closedAt } of report.calls[0]!.pinholes) {
      assert.deepEqual([closed?.frame, closedAt], [5, at(3.25)]);
    }
  });

  it('closes an old port that was still waited for together with the call', () => {
    const report = call()
      .say(1, alice, bob, 'INVITE', { to: 'b', cseq: 2, body: sdp(A.address, [49_180]) })
      .say(1.1, bob, alice, '200 INVITE', { to: 'b', cseq: 2, body: sdp(B.address, [B.port]) })
      .say(2, alice, bob, 'BYE', { to: 'b', cseq: 3 })
      .say(2.25, bob, alice, '200 BYE', { to: 'b', cseq: 3 })
      .run();
    const { pinholes } = report.calls[0]!;
    assert.equal(pinholes.length, 3);
    for (const { closed, closedAt, closeReason } of pinholes) {
      assert.deepEqual([closed?.frame, closedAt, closeReason], [7, at(3.25), 'bye']);
    }
  });

  it('is not kept by a 100 with a tag from knowing that the call is over', () => {
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.1, bob, alice, '100 INVITE', { to: 'a-tag-of-100' })
      .say(0.5, bob, alice, '200 INVITE', { to: 'b', body: sdp(B.address, [B.port]) })
      .say(2, alice, bob, 'BYE', { to: 'b', cseq: 2 })
      .say(2.25, bob, alice, '200 BYE', { to: 'b', cseq: 2 })
      .run();
    assert.deepEqual([report.calls[0]!.state, report.calls[0]!.endReason], ['ended', 'bye']);
  });

  it('leaves open what nothing in the capture closes', () => {
    const report = call().talk(200, aliceMedia, bobMedia).run();
    for (const pinhole of report.calls[0]!.pinholes) {
      assert.deepEqual([pinhole.closed, pinhole.closedAt, pinhole.closeReason], [null, null, null]);
    }
    assert.deepEqual([report.calls[0]!.state, report.calls[0]!.endedAt], ['confirmed', null]);
  });

  it('names no frame for a deadline, and its own time', () => {
    const report = call().talk(1, aliceMedia, bobMedia).talk(400, aliceMedia, bobMedia).run();
    for (const { closed, closedAt, closeReason } of report.calls[0]!.pinholes) {
      assert.deepEqual([closed, closedAt, closeReason], [null, at(301), 'media-idle']);
    }
    assert.match(
      flowOf(report, aliceMedia, bobMedia).blocks[0]!.text,
      /no media had been seen for timers\.media-idle/,
    );
  });

  it('with networks inside, what leaves them passes, what enters needs a pinhole', () => {
    const stray = host('192.0.2.10', 5555);
    const report = call()
      .talk(1, bobMedia, aliceMedia, 2)
      .talk(2, stray, bobMedia, 2)
      .talk(3, bobMedia, stray, 2)
      .run({ inside: networks('198.51.100.0/24') });
    assert.deepEqual(
      report.calls[0]!.pinholes.map(({ address }) => address),
      [B.address],
    );
    const out = flowOf(report, bobMedia, aliceMedia);
    assert.deepEqual([out.passed, out.outbound, out.blocked], [2, 2, 0]);
    const open = flowOf(report, stray, bobMedia);
    assert.deepEqual([open.passed, open.outbound], [2, 0], 'source ports are free');
  });
});

describe('which flows a replay lists', () => {
  it('RTP by two packets in sequence, also where no SDP is', () => {
    const report = film().talk(0, host('203.0.113.1', 7000), host('203.0.113.2', 8000), 2).run();
    assert.equal(report.media.length, 1);
    assert.deepEqual([report.media[0]!.callId, report.media[0]!.kinds], [null, { rtp: 2 }]);
  });

  it('not a packet of something else that may look like RTP, and no DNS', () => {
    const resolver = host('203.0.113.53', 53);
    const report = film()
      .talk(0, host('203.0.113.1', 7000), host('203.0.113.2', 8000))
      .talk(1, host('203.0.113.1', 7001), resolver, 3)
      .run();
    assert.deepEqual(report.media, []);
  });

  it('whatever goes to an announced address', () => {
    const report = call().send(1, aliceMedia, bobMedia, 'no media at all').run();
    assert.deepEqual(flowOf(report, aliceMedia, bobMedia).kinds, { other: 1 });
  });

  it('not the keepalives between two SIP endpoints', () => {
    const binding = Buffer.from('000100002112a442000000000000000000000000', 'hex');
    assert.deepEqual(call().send(1, alice, bob, binding).run().media, []);
  });

  it('each under the call whose pinhole passed it or whose SDP names it', () => {
    const report = call().talk(1, aliceMedia, bobMedia).talk(1, host('203.0.113.9', 9000), aliceMedia).run();
    assert.deepEqual(
      report.media.map(({ callId }) => callId),
      ['call-1@example.com', 'call-1@example.com'],
    );
  });
});

describe('ladders', () => {
  it('have each message once, with how often it came', () => {
    const report = film()
      .say(0, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.5, alice, bob, 'INVITE', { body: sdp(A.address, [A.port]) })
      .say(0.6, bob, alice, '486 INVITE', { to: 'b' })
      .say(0.7, alice, bob, 'ACK', { to: 'b', branch: 'z9hG4bK-call-1@example.com-1-INVITE' })
      .run();
    assert.deepEqual(
      report.calls[0]!.messages.map(({ summary, description, repeats, place }) => [
        ...[place.frame, summary, description, repeats],
      ]),
      [
        [1, 'INVITE', 'audio 192.0.2.10:49170 rtcp 49171', 1],
        [3, '486 Reason', null, 0],
        [4, 'ACK', null, 0],
      ],
    );
    assert.deepEqual([report.calls[0]!.endReason, report.calls[0]!.endStatus], ['failed', 486]);
    assert.deepEqual(report.calls[0]!.toTags, ['b']);
  });
});

describe('a window', () => {
  const long = () =>
    call()
      .talk(1, aliceMedia, bobMedia, 3)
      .talk(5, aliceMedia, bobMedia, 3)
      .say(6, alice, bob, 'BYE', { to: 'b', cseq: 2 })
      .say(6.1, bob, alice, '200 BYE', { to: 'b', cseq: 2 })
      .say(20, alice, bob, 'INVITE', { callId: 'later', body: sdp(A.address, [A.port]) });

  it('counts only packets from its start on, of calls that were set up before', () => {
    const report = long().run({}, { window: { from: at(4), to: null } });
    const flow = flowOf(report, aliceMedia, bobMedia);
    assert.deepEqual([flow.packets, flow.passed, flow.firstAt], [3, 3, at(5)]);
    assert.equal(report.calls.length, 2);
  });

  it('leaves out calls that were over before it', () => {
    const report = long().run({}, { window: { from: at(10), to: null } });
    assert.deepEqual(
      report.calls.map(({ callId }) => callId),
      ['later'],
    );
  });
});
