import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { describeSession } from '../../src/call/description.ts';
import { replayJson } from '../../src/report/replay/json.ts';
import type { ReplayReport } from '../../src/report/replay/model.ts';
import { replayText } from '../../src/report/replay/text.ts';
import { columnsOf, terminalStyle, wrapText } from '../../src/report/style.ts';
import { parseMoment, spanText } from '../../src/report/time.ts';
import { readSdp } from '../../src/sdp/read.ts';
import { host, sdp } from '../scene.ts';
import { answeredCall, film, START } from './film.ts';

const alice = host('192.0.2.10');
const bob = host('198.51.100.20');
const A = { address: alice.address, port: 49170 };
const B = { address: bob.address, port: 40000 };
const plain = terminalStyle({ isTTY: false }, {});
const coloured = terminalStyle({ isTTY: true, columns: 80 }, { TERM: 'xterm' });

function textOf(report: ReplayReport, style = plain): string {
  return [...replayText(report, 'all', style)].join('');
}

function phrase(...lines: Parameters<typeof sdp>[1]): string {
  const session = readSdp(Buffer.from(sdp('192.0.2.10', lines)));
  assert.ok(!('error' in session));
  return describeSession(session);
}

describe('a description in one phrase', () => {
  it('names RTP, RTCP and what is off', () => {
    assert.equal(phrase(49170, { media: 'video', port: 0 }), 'audio 192.0.2.10:49170 rtcp 49171, video off');
  });

  it('names RTCP of its own, on a port or a host', () => {
    assert.equal(
      phrase(
        { port: 4000, attributes: ['rtcp:4100'] },
        { port: 5000, attributes: ['rtcp:5101 IN IP4 192.0.2.11'] },
      ),
      'audio 192.0.2.10:4000 rtcp 4100, audio 192.0.2.10:5000 rtcp 192.0.2.11:5101',
    );
  });

  it('names fax, direction, rtcp-mux and candidates', () => {
    assert.equal(phrase({ media: 'image', port: 4000, proto: 'udptl' }), 'image 192.0.2.10:4000 udptl');
    assert.equal(
      phrase({
        port: 4000,
        attributes: ['rtcp-mux', 'sendonly', 'candidate:1 1 UDP 1 192.0.2.10 4000 typ host'],
      }),
      'audio 192.0.2.10:4000 rtcp-mux sendonly 1 candidate',
    );
  });
});

describe('text for people', () => {
  const hostile = () =>
    film()
      .say(0, alice, bob, 'INVITE', {
        callId: 'x\x1b[2J@evil',
        headers: [],
        body: sdp(A.address, [{ media: 'au\x07dio', port: A.port }]),
      })
      .talk(0.05, bob, host(alice.address, 40_000), 2)
      .send(0.1, alice, bob, `BYE\x1b[31m sip:x SIP/2.0\r\n\r\n`)
      .run();

  it('holds no control character from the network', () => {
    for (const style of [plain, coloured]) {
      const text = textOf(hostile(), style).replace(/\x1b\[[0-9]+m/g, '');
      assert.doesNotMatch(text, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    }
  });

  it('holds none as JSON either, which says the same', () => {
    const report = film().say(0, alice, bob, 'INVITE', { callId: 'x\x9b2J\x7f\xe4', body: '' }).run();
    const json = [...replayJson(report)].join('');
    assert.doesNotMatch(json, /[\x00-\x09\x0b-\x1f\x7f-\x9f]/);
    assert.equal(JSON.parse(json).calls[0].callId, 'x\x9b2J\x7f\xe4');
  });

  it('fits 80 columns', () => {
    const report = answeredCall(film(), alice, bob, A, { address: '10.0.0.1', port: 40000 })
      .talk(1, host(bob.address, 40000), host(alice.address, 49170), 3)
      .talk(2, host(alice.address, 49170), host('10.0.0.1', 40000), 3)
      .run();
    for (const style of [plain, coloured]) {
      for (const line of textOf(report, style).split('\n')) assert.ok(columnsOf(line) <= 80, line);
    }
  });

  it('is coloured on a terminal alone, and not against NO_COLOR or a dumb one', () => {
    const isColoured = (stream: { isTTY?: boolean }, environment: Record<string, string>) =>
      terminalStyle(stream, environment).bad('x') !== 'x';
    assert.equal(isColoured({ isTTY: true }, {}), true);
    assert.equal(isColoured({}, {}), false);
    assert.equal(isColoured({ isTTY: true }, { NO_COLOR: '1' }), false);
    assert.equal(isColoured({ isTTY: true }, { NO_COLOR: '' }), true, 'no-color.org: when not empty');
    assert.equal(isColoured({ isTTY: true }, { TERM: 'dumb' }), false);
  });

  it('breaks lines at spaces, not counting colours', () => {
    assert.deepEqual(wrapText('aa bb cc', 5), ['aa bb', 'cc']);
    assert.deepEqual(wrapText('\x1b[31maa\x1b[0m bb cc', 5), ['\x1b[31maa\x1b[0m bb', 'cc']);
    assert.deepEqual(wrapText('a longer-than-all', 5), ['a', 'longe', 'r-tha', 'n-all']);
  });
});

describe('JSON', () => {
  it('has frames, seconds and nulls as the contract says', () => {
    const report = answeredCall(film(), alice, bob, A, B)
      .talk(1, host(alice.address, 49170), host(bob.address, 40000))
      .run();
    const json = JSON.parse([...replayJson(report)].join(''));
    assert.deepEqual(json.files, ['film']);
    assert.equal(json.frames, 4);
    assert.deepEqual(
      [json.sip.messages, json.sip.malformed, json.sip.byTransport],
      [3, 0, { udp: 3, tcp: 0 }],
    );
    const [call] = json.calls;
    assert.deepEqual(
      [call.callId, call.fromTag, call.toTags, call.state, call.startedAt, call.endedAt],
      ['call-1@example.com', 'a', ['b'], 'confirmed', START, null],
    );
    assert.deepEqual(call.pinholes[1], {
      ...{
        protocol: 'udp',
        sources: [A.address],
        sourcePort: null,
        address: B.address,
        ports: [40000, 40001],
      },
      ...{ direction: 'in', external: null, slot: '1:0', agreed: true, onTrial: false },
      ...{ kind: 'rtp+rtcp', media: 'audio', openedFrame: 2, openedAt: START + 0.5 },
      ...{ closedFrame: null, closedAt: null, closeReason: null, packets: 1 },
    });
    const [flow] = json.media;
    assert.deepEqual(
      [flow.src, flow.srcPort, flow.dst, flow.dstPort, flow.firstFrame, flow.firstAt, flow.callId],
      [A.address, 49170, B.address, 40000, 4, START + 1, 'call-1@example.com'],
    );
    assert.deepEqual([flow.packets, flow.passed, flow.blocked], [1, 1, 0]);
  });

  it('names the refusal, its frame and its detail', () => {
    const report = answeredCall(film(), alice, bob, A, { address: '203.0.113.1', port: 40000 }).run();
    const json = JSON.parse([...replayJson(report)].join(''));
    const [{ frame, reason, detail }] = json.calls[0].refusals;
    assert.deepEqual([frame, reason], [2, 'foreign-address']);
    assert.match(detail, /203\.0\.113\.1:40000/);
  });
});

describe('times', () => {
  it('are ISO 8601, seconds since the epoch, or seconds after the start', () => {
    const utc = Date.UTC(2026, 6, 1, 12, 0, 0);
    assert.deepEqual(parseMoment('2026-07-01T12:00:00Z'), { since: 'epoch', ms: utc });
    assert.deepEqual(parseMoment('2026-07-01 12:00'), { since: 'epoch', ms: utc });
    assert.deepEqual(parseMoment('2026-07-01T14:00:00.25+02:00'), { since: 'epoch', ms: utc + 250 });
    assert.deepEqual(parseMoment('2026-07-01'), { since: 'epoch', ms: utc - 12 * 3_600_000 });
    assert.deepEqual(parseMoment(String(utc / 1000)), { since: 'epoch', ms: utc });
    assert.deepEqual(parseMoment('+1.5'), { since: 'start', ms: 1500 });
    for (const text of ['', 'noon', '2026-02-30', '2026-07-01T25:00', '-5', '12', '+', '1e9']) {
      assert.equal(parseMoment(text), null, text);
    }
  });

  it('are shown in units that fit', () => {
    assert.deepEqual([420, 42_000, 725_000, 10_920_000].map(spanText), [
      '0.420 s',
      '42.0 s',
      '12 min 5 s',
      '3 h 2 min',
    ]);
  });
});
