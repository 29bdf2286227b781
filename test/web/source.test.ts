import assert from 'node:assert/strict';
import { test } from 'node:test';
import { defaults } from '../../src/config/schema.ts';
import { createAlarmBoard } from '../../src/control/alarms.ts';
import { createHistogram } from '../../src/daemon/data-path/histogram.ts';
import type { CallSummary, DataPathStatus } from '../../src/daemon/messages.ts';
import type { GroupStatus } from '../../src/daemon/peers/group.ts';
import { createHistory } from '../../src/history/history.ts';
import type { Leg } from '../../src/inspector/happening.ts';
import { EVERYTHING } from '../../src/report/page/selection.ts';
import { createLiveSource, type LiveSource } from '../../src/web/source.ts';

const CALLS = 10_000;
const ENDED = 600;

const leg = (number: number, endedAt: number | null): Leg => ({
  legId: number.toString(16).padStart(16, '0'),
  callId: `call-${number}`,
  fromTag: 'a',
  parties: ['192.0.2.1', '10.0.0.5'],
  from: 'sip:a@example.com',
  to: 'sip:b@example.com',
  state: endedAt === null ? 'confirmed' : 'ended',
  endReason: endedAt === null ? null : 'bye',
  endStatus: 0,
  startedAt: number,
  answeredAt: number,
  endedAt,
  toTags: [],
  codecs: 'audio PCMU',
});
const summary = (one: Leg): CallSummary => ({
  leg: one,
  mediaAt: 0,
  nextTimer: null,
  pinholes: [],
  noAudio: null,
});

function status(missing = 0): DataPathStatus {
  const commit = createHistogram();
  for (const ms of [0.1, 0.1, 3000]) commit.record(ms);
  return {
    counters: {
      ...{ received: 30, released: 30, dropped: 0, commits: 3, retries: 0, commitErrors: 0 },
      ...{
        repairs: 0,
        exceptions: 0,
        eventsLost: 0,
        statesLeft: 0,
        deaths: 0,
        unread: 0,
        waited: 0,
        overdue: 0,
      },
    },
    inspector: {
      ...{
        packets: 30,
        notSip: 0,
        keepalives: 0,
        malformed: 0,
        spoofed: 0,
        mirrored: 0,
        olderConnections: 0,
        unreadable: {},
        callsStarted: CALLS,
        callsWithoutAudio: 0,
      },
      heard: { inside: { requests: 3, responses: 2 }, outside: { requests: 2, responses: 3 } },
      messages: { udp: 20, tcp: 10 },
      methods: {},
      responses: {},
      refusals: { 'not-inside': 7, 'port-denied': 2 },
    },
    inspection: createHistogram().read(),
    commit: commit.read(),
    fidelity: { modified: 0, compared: 30 } as DataPathStatus['fidelity'],
    exposure: {} as DataPathStatus['exposure'],
    ...{ calls: CALLS, withoutAudio: 0, staticMedia: [], pinholes: 2 * CALLS, missing, platform: {} },
  };
}

let source: LiveSource;

/** What the ruleset dropped: two packets near `call-9999`. */
const dropped = {
  counts: () => new Map([[leg(CALLS - 1, null).legId, 2]]),
  of: async (legId: string) => [
    {
      ...{
        src: '198.51.100.7',
        srcPort: 9000,
        dst: '10.0.0.5',
        dstPort: 4000,
        firstAt: 0,
        lastAt: 1,
        packets: 2,
      },
      ...{ legId, callId: '', from: '', to: '', reason: 'wrong-source', text: 'It came from elsewhere.' },
      ...{ advice: 'Look.', line: 'media-source: any' },
    },
  ],
};

const member = (name: string) => ({ machine: name, name, records: 1, boot: null, start: '' });
const GROUP: GroupStatus = {
  ...{ state: 'joined', since: 40_000, why: null },
  ...{ self: member('fw1'), members: [member('fw1'), member('fw2')] },
  ...{ own: 2, others: 1, waiting: 0, lag: 2, contact: 49_500, refused: 0 },
  owners: [
    { name: 'fw1', calls: 2 },
    { name: 'fw2', calls: 1 },
  ],
};

function withCalls(count = CALLS) {
  const history = createHistory({
    endedCalls: () => ENDED,
    callsUnderWay: () => CALLS,
    trafficOf: () => undefined,
  });
  for (let number = 0; number < count; number++) history.adopt(summary(leg(number, null)));
  for (let number = 0; number < ENDED; number++) {
    history.adopt(summary(leg(CALLS + number, CALLS + 2 * ENDED - number)));
  }
  const questions: string[] = [];
  const state = { missing: 0 };
  source = createLiveSource(
    {
      about: {
        platform: 'freebsd',
        description: [],
        user: 'x',
        startedAt: 0,
        adopted: { calls: 0, pinholes: 0 },
      },
      ask: (question) => {
        questions.push(question.type);
        return Promise.resolve(status(state.missing)) as never;
      },
      clock: () => 50_000,
      group: {
        ownerOf: (legId) => (legId === leg(CALLS - 1, null).legId ? 'fw2' : null),
        status: () => GROUP,
        handOver: () => assert.fail('not asked'),
      },
      settings: defaults,
      supervised: true,
      traffic: () => ({ packets: 5, bytes: 500 }),
    },
    history,
    createAlarmBoard(),
    dropped,
  );
  return { history, questions, state };
}

test('of ten thousand calls the newest and the last that ended are listed, and the rest is counted', async () => {
  const { history, questions } = withCalls();
  const live = await source.snapshot();
  const underWay = live.rows.filter(({ endedAt }) => endedAt === null);
  assert.deepEqual([underWay.length, live.rows.length - underWay.length], [500, 500]);
  assert.deepEqual([live.rowsOmitted, live.calls], [history.size - 1000, CALLS]);
  assert.deepEqual([underWay[0]?.callId, underWay.at(-1)?.callId], ['call-9999', 'call-9500']);
  assert.ok(
    live.rows.every(({ startedAt }, index) => startedAt <= (live.rows[index - 1]?.startedAt ?? Infinity)),
  );
  assert.deepEqual(
    live.rows.flatMap(({ callId, firewall }) => (firewall === undefined ? [] : [`${callId} ${firewall}`])),
    ['call-9999 fw2'],
  );
  assert.deepEqual(live.group, [
    'fw1 joined, with fw2, for 10s, last answer 0.5s ago',
    '2 calls of its own, 1 of others (fw2 1), 0 not written yet, written and back in 2 ms',
  ]);
  assert.deepEqual(questions, ['status'], 'the data path gives its counters and no calls');
  assert.equal(
    (await source.call(leg(0, null).legId))?.call.callId,
    'call-0',
    'what is not listed has its picture',
  );
});

test('what the ruleset dropped near a call is counted in its row and explained in its picture', async () => {
  withCalls();
  const { rows } = await source.snapshot();
  const marked = rows.filter(({ blocked }) => blocked > 0);
  assert.deepEqual(
    marked.map(({ callId, blocked }) => [callId, blocked]),
    [['call-9999', 2]],
  );
  const picture = await source.call(marked[0]!.legId);
  const [cause] = picture!.verdict.causes;
  assert.equal(cause!.reason, 'wrong-source');
  assert.match(cause!.text, /^198\.51\.100\.7:9000 sends to 10\.0\.0\.5:4000, and your ruleset drops it\./);
  assert.match(cause!.advice, /Would pass with: media-source: any$/);
  assert.deepEqual((await source.call(rows[0]!.legId))!.verdict.causes, []);
});

test('others have their turn while rows are made, and one answer serves all', async () => {
  const { questions } = withCalls();
  let turns = 0;
  let isMade = false;
  const turn = () => {
    turns++;
    if (!isMade) setImmediate(turn);
  };
  setImmediate(turn);
  const [one, other] = await Promise.all([source.snapshot(), source.snapshot()]);
  isMade = true;
  assert.equal(one, other);
  assert.deepEqual(questions, ['status']);
  assert.ok(turns >= 10, `${turns} turns`);
});

test('a search, a filter and an order go through all calls, also those that are not listed', async () => {
  const { history, questions } = withCalls();
  const found = await source.snapshot({ ...EVERYTHING, search: ' CALL-77 192.0.2.1' });
  const expected = Array.from({ length: CALLS }, (_, number) => `call-${number}`)
    .filter((callId) => callId.includes('call-77'))
    .reverse();
  assert.deepEqual(
    found.rows.map(({ callId }) => callId),
    expected,
  );
  assert.deepEqual([found.rowsOmitted, found.remembered], [0, history.size]);

  const longest = await source.snapshot({ ...EVERYTHING, order: 'longest' });
  assert.deepEqual([longest.rows[0]?.callId, longest.rows[999]?.callId], ['call-0', 'call-999']);
  assert.deepEqual([longest.rows.length, longest.rowsOmitted], [1000, history.size - 1000]);

  const silent = await source.snapshot({ ...EVERYTHING, filter: 'silent' });
  assert.deepEqual([silent.rows, silent.rowsOmitted], [[], 0]);
  assert.deepEqual(new Set(questions), new Set(['status']));
});

test('searches wait for each other, and only so many', async () => {
  withCalls(600);
  const searches = Array.from({ length: 20 }, (_, number) =>
    source.snapshot({ ...EVERYTHING, search: `call-${number}` }),
  );
  const results = await Promise.allSettled(searches);
  const refused = results.filter(({ status }) => status === 'rejected');
  assert.ok(refused.length > 0 && refused.length < 20, `${refused.length} refused`);
  assert.ok(refused.every((one) => (one as PromiseRejectedResult).reason.code === 'busy'));
  assert.equal((await source.snapshot()).rows.length, 1000, 'the list itself is there all the same');
});

test('latency is in µs and never beyond what was measured; usual refusals are no refusals', async () => {
  withCalls();
  const { latency, counters } = await source.snapshot();
  assert.equal(latency.inspection, null);
  // 100 µs is in the bucket up to 128, 3 s in that beyond the last bound.
  assert.deepEqual(latency.commit, { p50: 128, p99: 3_000_000, max: 3_000_000 });
  assert.deepEqual([counters.messages, counters.media, counters.refusals], [30, 5, 2]);
});

test('an alarm that puts calls at stake is critical', async () => {
  const { state } = withCalls();
  state.missing = 3;
  const before = Date.now() / 1000;
  const { alarms } = await source.snapshot();
  assert.equal(alarms.length, 1);
  assert.equal(alarms[0]!.severity, 'critical');
  assert.match(alarms[0]!.text, /^3 pinholes are wanted/);
  assert.ok(alarms[0]!.since >= before - 0.001 && alarms[0]!.since <= Date.now() / 1000);
});
