import assert from 'node:assert/strict';
import { test } from 'node:test';
import fc from 'fast-check';
import type { PageFlow } from '../../src/report/page/model.ts';
import { livePicture, replayPictures, rowOf } from '../../src/report/page/pictures.ts';
import { FILTERS } from '../../src/report/page/selection.ts';
import { partyName, readable } from '../../src/report/page/text.ts';
import { verdictOf } from '../../src/report/page/verdict.ts';
import { replayed } from './reports.ts';

function pictureOf(capture: string) {
  const [picture] = replayPictures(replayed(capture)).pictures();
  assert.ok(picture !== undefined);
  return picture;
}

test('a verdict says who cannot hear whom', () => {
  const verdicts: Readonly<Record<string, readonly [string, RegExp]>> = {
    'basic-call': ['passed', /^Audio passed in both directions\.$/],
    'one-way-audio-private-address': ['blocked', /the callee cannot hear the caller/],
    'one-way-audio-unannounced-source': ['blocked', /the caller cannot hear the callee/],
    'ipv6-signalling-ipv4-media': [
      'blocked',
      /^No (audio|media): everything was blocked, in both directions\.$/,
    ],
    'attack-rtp-spray': ['partly', /27 packets from 203\.0\.113\.66 were kept out/],
    'ice-bundle': ['passed', /passed in both directions/],
    busy: ['none', /^Not answered: 486/],
    cancel: ['passed', /^Not answered\. Audio before the answer passed\.$/],
  };
  for (const [capture, [level, headline]] of Object.entries(verdicts)) {
    const { verdict } = pictureOf(capture);
    assert.equal(verdict.level, level, capture);
    assert.match(verdict.headline, headline);
  }
});

test('a verdict tells why and what to do', () => {
  const { verdict } = pictureOf('one-way-audio-private-address');
  assert.equal(verdict.causes.length, 1);
  assert.match(
    verdict.causes[0]!.text,
    /^198\.51\.100\.20 announced 10\.20\.0\.20:40000 in frame 3 \(200 OK\)/,
  );
  assert.match(verdict.causes[0]!.advice, /media-hosts: \[10\.20\.0\.20\]/);
});

test('without flows, what the pinholes let through counts', () => {
  const { call } = pictureOf('basic-call');
  assert.equal(verdictOf(call, null).headline, 'Audio passed in both directions.');
  const [first, second] = call.pinholes;
  const toCaller = { ...call, pinholes: [first!] };
  assert.equal(verdictOf(toCaller, null).headline, 'Audio passed to the caller.');
  const silent = { ...call, pinholes: [first!, { ...second!, packets: 0 }] };
  assert.equal(verdictOf(silent, null).level, 'silent');
});

test('a call of a running daemon has no frames and no media, and lasts until now', () => {
  const [call] = replayed('lost-bye').calls;
  const now = call!.startedAt + 60_000;
  const picture = livePicture(call!, now);
  assert.equal(picture.until, now / 1000);
  assert.equal(picture.verdict.headline, 'Audio passed in both directions.');
  assert.deepEqual(new Set(picture.call.messages.map(({ frame }) => frame)), new Set([0]));
  assert.deepEqual(new Set(picture.call.pinholes.map(({ openedFrame }) => openedFrame)), new Set([0]));
  assert.equal(rowOf(picture).endedAt, null);
});

test('a call that rings, or was answered just now, is not one without media', () => {
  const [call] = replayed('lost-bye').calls;
  const answeredAt = call!.answeredAt!;
  const pinholes = call!.pinholes.map((pinhole) => ({ ...pinhole, packets: 0 }));
  const cases = [
    [{ answeredAt: null }, 'Not answered yet.', false],
    [{}, 'Answered just now.', false],
    [{ pinholes: [] }, 'Answered; no media was agreed on.', true],
    [{ answeredAt: null, endedAt: answeredAt }, 'Not answered.', true],
  ] as const;
  for (const [change, headline, hasNone] of cases) {
    const row = rowOf(livePicture({ ...call!, pinholes, messages: [], ...change }, answeredAt + 1000));
    assert.deepEqual([row.headline, row.level, FILTERS.none(row)], [headline, 'none', hasNone]);
  }
});

test('nobody hears the loss of one packet in a hundred', () => {
  const { call, media } = pictureOf('basic-call');
  const losing = (lost: number) =>
    media.map((flow: PageFlow) => ({
      ...flow,
      passed: flow.packets - (flow.packets > 9 ? lost : 0),
      blocked: lost,
    }));
  assert.equal(verdictOf(call, losing(1)).level, 'passed');
  assert.match(verdictOf(call, losing(1)).headline, /but 2 of 205 packets were blocked/);
  assert.equal(verdictOf(call, losing(5)).level, 'partly');
});

test('every flow is in the picture of a call or among those outside the calls', () => {
  for (const capture of ['attack-answer-without-invite', 'attack-rtp-spray', 'forked', 'trunk-many-calls']) {
    const report = replayed(capture);
    const { page, pictures } = replayPictures(report);
    const drawn = [...pictures()].reduce((sum, { media }) => sum + media.length, 0);
    const outside = page.loose.reduce((sum, { flows }) => sum + flows, 0);
    assert.equal(drawn + outside, report.media.length, capture);
  }
});

test('strips show when packets came', () => {
  const { strips } = rowOf(pictureOf('one-way-audio-private-address'));
  assert.match(strips[0]!, /^\.*p+\.*$/);
  assert.match(strips[1]!, /^\.*b+\.*$/);
  const [toCaller] = rowOf(pictureOf('hold-resume')).strips;
  assert.match(toCaller!, /^\.*p+\.+p+\.*$/, 'a pause while the call is on hold');
});

test('shown text has no control, format or direction characters, and an end', () => {
  fc.assert(
    fc.property(
      fc.string({ unit: 'binary', maxLength: 400 }),
      fc.integer({ min: 1, max: 300 }),
      (text, limit) => {
        const shown = readable(text, limit);
        assert.doesNotMatch(shown, /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u);
        assert.ok([...shown].length <= limit + 1);
      },
    ),
  );
  assert.equal(readable('plain <text> "as it is"'), 'plain <text> "as it is"');
});

test('names are read as UTF-8 when they are', () => {
  const wire = (text: string) => Buffer.from(text).toString('latin1');
  assert.equal(partyName(wire('"Jürgen Weiß" <sip:j@example.com>')), 'Jürgen Weiß');
  assert.equal(
    partyName(Buffer.from('"J\xfcrgen" <sip:j@example.com>', 'latin1').toString('latin1')),
    'Jürgen',
  );
});

test('a party is named by display name, else user, else host (RFC 3261 20.20)', () => {
  assert.equal(partyName('"A. G. Bell" <sip:agb@bell-telephone.com> ;tag=a48s'), 'A. G. Bell');
  assert.equal(partyName('Anonymous <sip:c8oqz84zk7z@privacy.org>;tag=hyh8'), 'Anonymous');
  assert.equal(partyName('sip:+12125551212@server.phone2net.com;tag=887s'), '+12125551212');
  assert.equal(partyName('<sip:gateway.example.com>;tag=1'), 'gateway.example.com');
  assert.equal(partyName('"" <sip:bob@example.com>'), 'bob');
  assert.equal(partyName('"say \\"hi\\"" <sip:b@example.com>'), 'say "hi"');
});

test('a call that failed has the phrase of its answer, whatever that ends in', () => {
  const { call } = pictureOf('busy');
  const of = (...summaries: readonly string[]) => {
    const messages = summaries.map((summary) => ({ summary }));
    return verdictOf({ ...call, messages, pinholes: [], endReason: 'failed' }, null).headline;
  };
  assert.equal(of('INVITE', '486 Busy (DND)', 'ACK'), 'Not answered: 486 Busy (DND).');
  assert.equal(of('INVITE', '603 No (see X-Reason)'), 'Not answered: 603 No (see X-Reason).');
  assert.equal(of('INVITE', '480 Away', '481 Gone (PRACK)'), 'Not answered: 480 Away.');
  assert.equal(of('INVITE', '481 (UPDATE)'), 'Not answered.');
});
