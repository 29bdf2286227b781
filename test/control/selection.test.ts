import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { secondsOf } from '../../src/commands/selecting.ts';
import { press } from '../../src/commands/top/keys.ts';
import { type Request, RequestError } from '../../src/control/protocol.ts';
import { select, selectionOf } from '../../src/control/selection.ts';
import type { CallSummary } from '../../src/daemon/messages.ts';
import { partyName } from '../../src/inspector/party.ts';
import { watchLine } from '../../src/report/live/watch.ts';

const ALL = { sort: null, limit: 1000 } as const;
const passed = {
  trafficOf: () => undefined,
  passedBefore: (call: string) => [{ packets: Number(`0x${call}`), bytes: 0, sent: null }, null] as const,
};

function call(legId: string, leg: Partial<CallSummary['leg']>, mediaAt = 0): CallSummary {
  const common = { fromTag: 'f', endReason: null, endStatus: null, toTags: [] };
  const people = { callId: `${legId}@pbx`, from: '<sip:al@a.example>', to: '<sip:bob@b.example>' };
  const times = { startedAt: 0, answeredAt: 1000, endedAt: null };
  return {
    leg: {
      legId,
      parties: ['192.0.2.1', '10.0.0.5'],
      state: 'confirmed',
      ...common,
      ...people,
      ...times,
      ...leg,
    },
    mediaAt,
    nextTimer: null,
    pinholes: [],
    noAudio: null,
  } as CallSummary;
}

const calls = [
  call('03', { startedAt: 10 }, 9000),
  call('01', { startedAt: 20, to: '"Carol" <sip:+4930@c.example>' }, 2000),
  call('02', { startedAt: 30, state: 'ringing', answeredAt: null }, 3000),
];

function chosen(fields: Record<string, unknown>): string[] {
  const selection = selectionOf({ request: 'calls', ...fields } as Request, ALL);
  return select(calls, selection, passed, 10_000).map(({ leg }) => leg.legId);
}

describe('a selection of calls', () => {
  it('is all of them in the order in which they are, unless something is asked for', () => {
    assert.deepEqual(chosen({}), ['03', '01', '02']);
    assert.deepEqual(chosen({ reverse: true }), ['02', '01', '03']);
    assert.deepEqual(chosen({ limit: 1 }), ['03']);
  });

  it('is sorted by age, idle time or packets', () => {
    assert.deepEqual(chosen({ sort: 'age' }), ['03', '01', '02']);
    assert.deepEqual(chosen({ sort: 'idle' }), ['01', '02', '03']);
    assert.deepEqual(chosen({ sort: 'packets' }), ['03', '02', '01']);
    assert.deepEqual(chosen({ sort: 'packets', reverse: true }), ['01', '02', '03']);
  });

  it('has those with a text, in a state, or without media', () => {
    assert.deepEqual(chosen({ match: 'CAROL' }), ['01']);
    assert.deepEqual(chosen({ match: '02@pbx' }), ['02']);
    assert.deepEqual(chosen({ match: '10.0.0' }), ['03', '01', '02']);
    assert.deepEqual(chosen({ state: 'ringing' }), ['02']);
    assert.deepEqual(chosen({ silent: 8 }), ['01']);
    assert.deepEqual(chosen({ silent: 1 }), ['03', '01']);
  });

  it('is refused by the field that is wrong', () => {
    for (const [field, value] of Object.entries({
      ...{ sort: 'name', state: 'up', silent: -1, limit: 0, reverse: 'yes', match: '' },
    })) {
      assert.throws(
        () => chosen({ [field]: value }),
        (error) => error instanceof RequestError && error.message.startsWith(`${field}: expected`),
      );
    }
  });
});

describe('who calls', () => {
  const NAMES: readonly (readonly [header: string, name: string])[] = [
    ['"Al" <sip:al@a.example;transport=tcp>;tag=1', 'al'],
    ['sip:+4930123;phone-context=de@b.example', '+4930123'],
    ['<tel:+4930123;ext=1>', '+4930123'],
    ['<sips:pbx.example:5061>', 'pbx.example:5061'],
    ['"<sip:fake@x>" <sip:true@y>', 'true'],
    ['nobody', 'nobody'],
    ['', ''],
  ];
  for (const [header, name] of NAMES) it(`of ${header}`, () => assert.equal(partyName(header), name));
});

describe('a line of watch', () => {
  const named = { legId: 'aa', callId: 'x\x1b[2J@pbx', parties: ['192.0.2.1', '10.0.0.5'] };
  it('names the call, what happened and why, and nothing in it moves the cursor', () => {
    const pinhole = {
      protocol: 'udp',
      address: '10.0.0.5',
      ports: [4000, 4001],
      sources: ['192.0.2.1'],
      media: 'audio',
    };
    assert.equal(
      watchLine({ type: 'pinhole', what: 'closed', call: named, pinhole, reason: 'bye', at: 0 }),
      '1970-01-01 00:00:00.000 aa 192.0.2.1 > 10.0.0.5 x\\x1b[2J@pbx closed audio udp 10.0.0.5:4000-4001 from 192.0.2.1: bye',
    );
    assert.equal(
      watchLine({ type: 'refused', call: null, reason: 'no-address', detail: 'a\nb', at: 0 }),
      '1970-01-01 00:00:00.000 - refused (no-address): a\\x0ab',
    );
    assert.equal(
      watchLine({ type: 'call', what: 'started', call: named, reason: null, at: 0 }).endsWith(' started'),
      true,
    );
    const called = { ...named, from: '"Al" <sip:al@a.example>;tag=1', to: '<sip:+4930@b.example>' };
    assert.match(
      watchLine({ type: 'call', what: 'started', call: called, reason: null, at: 0 }),
      /^1970-01-01 00:00:00\.000 aa al > \+4930 \(192\.0\.2\.1 > 10\.0\.0\.5\) x\\x1b/,
    );
    const causes = [{ reason: 'nat', text: 'It is private\x07.', advice: 'Do.' }];
    assert.match(
      watchLine({ type: 'audio', call: named, missing: ['callee'], causes, at: 0 }),
      / no audio for the callee\. It is private\\x07\.$/,
    );
    assert.match(
      watchLine({ type: 'audio', call: named, missing: [], causes: [], at: 0 }),
      / audio is missed no more$/,
    );
    assert.equal(watchLine({ type: 'note', text: 'so\x07' }), 'so\\x07');
  });
});

describe('a key of top', () => {
  const look = () => ({
    ...{ sort: 'age' as const, reverse: false, match: '', typing: false, above: 0, selected: 0, help: false },
    opened: null as { legId: string; above: number } | null,
  });
  const calls = Array.from({ length: 25 }, (_, index) => ({ legId: `call-${index}` }));
  const room = { room: 10, calls, most: 7 };

  it('selects a call, no further than there are some, and scrolls as far as that takes', () => {
    const one = look();
    for (const [key, selected, above] of [
      ...([
        ['k', 0, 0],
        ['j', 1, 0],
        ['down', 2, 0],
        ['page down', 11, 3],
        [' ', 20, 12],
        [' ', 24, 15],
        ['b', 15, 15],
        ['up', 14, 14],
        ['G', 24, 15],
        ['home', 0, 0],
      ] as const),
    ]) {
      assert.equal(press(one, key, room), 'draw');
      assert.deepEqual([one.selected, one.above], [selected, above], key);
    }
    assert.equal(press(one, 'j', { ...room, calls: [] }), 'draw');
    assert.equal(one.selected, 0);
  });

  it('opens the call that is selected, scrolls in it, and comes back from it', () => {
    const one = look();
    for (const key of ['j', 'j', '\r']) assert.equal(press(one, key, room), 'draw');
    assert.deepEqual(one.opened, { legId: 'call-2', above: 0 });
    for (const [key, above] of [
      ['k', 0],
      ['j', 1],
      [' ', 7],
      ['g', 0],
    ] as const) {
      assert.equal(press(one, key, room), 'draw');
      assert.equal(one.opened?.above, above, key);
    }
    assert.equal(press(one, 'p', room), 'none', 'the list that it would sort is not seen');
    assert.equal(press(one, 'q', room), 'draw');
    assert.deepEqual([one.opened, one.selected], [null, 2]);
    assert.equal(press(one, '\r', { ...room, calls: [] }), 'none');
    press(one, '\r', room);
    assert.equal(press(one, '\x03', room), 'quit');
  });

  it('types a filter, in which q is a letter', () => {
    const one = look();
    assert.equal(press(one, '/', room), 'draw');
    for (const key of ['q', 'x', '\x7f', 'up']) press(one, key, room);
    assert.deepEqual([one.match, one.typing], ['q', true]);
    assert.equal(press(one, '\r', room), 'draw');
    assert.equal(press(one, 'escape', room), 'ask');
    assert.equal(one.match, '');
    assert.equal(press(one, 'q', room), 'quit');
  });

  it('sorts anew only when that changes something', () => {
    const one = look();
    assert.equal(press(one, 'a', room), 'none');
    assert.equal(press(one, 'p', room), 'ask');
    assert.equal(press(one, 'r', room), 'ask');
    assert.deepEqual([one.sort, one.reverse], ['packets', true]);
  });
});

describe('a time on the command line', () => {
  it('is seconds, with a unit or without', () => {
    const read = secondsOf('silent');
    assert.deepEqual(['5', '0.5', '30s', '2m', '1h', '1d'].map(read), [5, 0.5, 30, 120, 3600, 86_400]);
    for (const wrong of ['', '5x', '-1', 's', '1m30s', '1e3', '5 s']) {
      assert.throws(
        () => read(wrong),
        /^Error: --silent: expected seconds, or a time such as 30s or 2m, found/,
      );
    }
  });
});
