import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import fc from 'fast-check';
import type {
  CallResult,
  ExposureResult,
  ListedPinhole,
  PinholeResult,
  StatsResult,
  StatusResult,
  TopResult,
} from '../../src/control/protocol.ts';
import { countText } from '../../src/counted.ts';
import { callsInFull, callsText } from '../../src/report/live/calls.ts';
import { exposureText } from '../../src/report/live/exposure.ts';
import { pinholesText } from '../../src/report/live/pinholes.ts';
import { keysOf } from '../../src/report/live/screen.ts';
import { statsText } from '../../src/report/live/stats.ts';
import { statusText } from '../../src/report/live/status.ts';
import { listLines, tableLines } from '../../src/report/live/table.ts';
import { mostAbove, openedLines, scrolledTo, topLines } from '../../src/report/live/top.ts';
import { ageText, bytesText, largeText, shortSpanText } from '../../src/report/live/words.ts';
import { terminalStyle } from '../../src/report/style.ts';

const plain = terminalStyle({}, {});

const hole: PinholeResult = {
  legIds: ['00000000000000aa', '00000000000000bb'],
  protocol: 'udp',
  address: '10.0.0.5',
  ports: [4000, 4001],
  sources: ['192.0.2.1', '192.0.2.9'],
  sourcePort: null,
  media: 'audio',
  kind: 'rtp+rtcp',
  openedAt: 1_795_425_700,
  agreed: true,
  closing: null,
  packets: 1500,
  bytes: 258_000,
  sent: 1499,
};

const call: CallResult = {
  owner: null,
  codecs: 'audio PCMU, telephone-event',
  legId: '00000000000000aa',
  callId: 'abc@pbx.example',
  from: '"Al" <sip:al@example.com>;tag=1',
  to: '<sip:bo@example.com>',
  parties: ['192.0.2.1', '10.0.0.5'],
  state: 'confirmed',
  endReason: null,
  startedAt: 1_795_425_700,
  answeredAt: 1_795_425_705,
  endedAt: null,
  age: 3725,
  idle: 1.25,
  packets: 1500,
  bytes: 258_000,
  sent: 1499,
  packetsTo: { caller: 1499, callee: 1500 },
  noAudio: null,
  nextTimer: { name: 'media-idle', in: 298.7 },
  pinholes: [hole],
};

/** The cells of a table: columns begin where its heads begin, or end where they end. */
function cells(text: string): Record<string, string>[] {
  const [head, ...rows] = text.trimEnd().split('\n');
  const heads = [...head!.matchAll(/\S+(?: \S+)*/g)];
  return rows.map((row) => {
    const found = [...row.matchAll(/\S+(?: \S+)*/g)];
    assert.equal(found.length, heads.length, row);
    return Object.fromEntries(
      found.map((cell, index) => {
        const [name, start] = [heads[index]![0], heads[index]!.index];
        const end = start + name.length;
        const aligned = cell.index === start || cell.index + cell[0].length === end;
        assert.ok(aligned, `${cell[0]} stands under ${name}`);
        return [name, cell[0]];
      }),
    );
  });
}

describe('tables', () => {
  it('have each column as wide as its widest cell, numbers to the right', () => {
    const lines = tableLines(
      [{ head: 'NAME' }, { head: 'N', right: true }, { head: 'END' }],
      [
        ['a', '1', 'x'],
        ['longer', '1000', ''],
      ],
    );
    assert.deepEqual(lines, ['NAME       N  END', 'a          1  x', 'longer  1000']);
  });

  it('line up whatever is in them', () => {
    const row = fc.tuple(fc.stringMatching(/^[a-z]{1,12}$/), fc.stringMatching(/^[0-9]{1,9}$/));
    fc.assert(
      fc.property(fc.array(row, { maxLength: 10 }), (rows) => {
        const lines = tableLines([{ head: 'TEXT' }, { head: 'NUMBER', right: true }], rows);
        assert.equal(new Set(lines.map(({ length }) => length)).size, 1);
      }),
    );
  });

  it('of names and values have the values under each other', () => {
    assert.deepEqual(
      listLines(
        [
          ['a', '1'],
          ['long', '2'],
          ['', '3'],
        ],
        '  ',
      ),
      ['  a     1', '  long  2', '        3'],
    );
  });
});

describe('words for numbers', () => {
  const AGES: readonly (readonly [number, string])[] = [
    [0, '0.0s'],
    [9.94, '9.9s'],
    [59.9, '59s'],
    [192, '3m12s'],
    [3599, '59m59s'],
    [3725, '1h02m'],
    [86_399, '23h59m'],
    [183_600, '2d03h'],
  ];
  for (const [seconds, text] of AGES)
    it(`${seconds} s is ${text}`, () => assert.equal(ageText(seconds), text));
  const SPANS: readonly (readonly [number, string])[] = [
    [0.000016, '16 µs'],
    [0.001024, '1.02 ms'],
    [0.131072, '131 ms'],
    [2.1, '2.10 s'],
  ];
  for (const [seconds, text] of SPANS)
    it(`${seconds} s is ${text}`, () => assert.equal(shortSpanText(seconds), text));
  it('counts have commas, sizes units, and what is too long an exponent', () => {
    assert.deepEqual([0, 999, 1000, 1234567].map(countText), ['0', '999', '1,000', '1,234,567']);
    assert.deepEqual([0, 1023, 1536, 20 * 2 ** 20, 2 ** 30].map(bytesText), [
      '0 B',
      '1023 B',
      '1.5 KiB',
      '20.0 MiB',
      '1.0 GiB',
    ]);
    assert.deepEqual([12.4, 5e11, 4.294e13].map(largeText), ['12', '500,000,000,000', '42.9 trillion']);
  });
});

describe('pinholed calls', () => {
  it('has a row for each call', () => {
    const ended: CallResult = {
      ...call,
      ...{ legId: '00000000000000bb', state: 'ended', endReason: 'bye', endedAt: 1_795_425_800, age: 100 },
      ...{ idle: 42, packets: 7, pinholes: [], nextTimer: null, callId: 'x\x1b[31m y', codecs: '' },
    };
    assert.deepEqual(cells(callsText([call, ended], plain)), [
      {
        CALL: '00000000000000aa',
        STATE: 'confirmed',
        AGE: '1h02m',
        IDLE: '1.3s',
        PINHOLES: '1',
        PACKETS: '1,500',
        'NEXT TIMER': 'media-idle 4m58s',
        CODECS: 'PCMU, telephone-event',
        WHO: 'al > bo',
        PARTIES: '192.0.2.1 > 10.0.0.5',
        'CALL-ID': 'abc@pbx.example',
      },
      {
        CALL: '00000000000000bb',
        STATE: 'ended (bye)',
        AGE: '1m40s',
        IDLE: '42s',
        PINHOLES: '0',
        PACKETS: '7',
        'NEXT TIMER': '-',
        CODECS: '-',
        WHO: 'al > bo',
        PARTIES: '192.0.2.1 > 10.0.0.5',
        'CALL-ID': 'x\\x1b[31m y',
      },
    ]);
  });

  it('has a column for the firewall of each where calls are shared', () => {
    const taken: CallResult = { ...call, owner: 'fw2' };
    assert.deepEqual(
      cells(callsText([{ ...call, owner: 'fw1' }, taken, call], plain)).map((row) => row['FIREWALL']),
      ['fw1', 'fw2', '-'],
    );
    assert.match(callsInFull([taken], plain), /^ {2}firewall {4}fw2$/m);
    assert.equal(cells(callsText([call], plain))[0]!['FIREWALL'], undefined);
  });

  it('with -v has all there is to say', () => {
    const text = callsInFull([call], plain);
    for (const line of [
      /^ {2}Call-ID {5}abc@pbx\.example$/m,
      /^ {2}from {8}"Al" <sip:al@example\.com>;tag=1$/m,
      /^ {2}started {5}2026-11-23 09:21:40\.000 UTC, 1h02m long$/m,
      /^ {2}answered {4}2026-11-23 09:21:45\.000 UTC$/m,
      /^ {2}media {7}1,500 packets, 252 KiB; 1,499 to the caller, 1,500 to the callee$/m,
      /^ {2}next timer {2}media-idle in 4m58s$/m,
      /^ {2}audio rtp\+rtcp udp 10\.0\.0\.5:4000-4001 from 192\.0\.2\.1, 192\.0\.2\.9, 1,500 packets$/m,
    ]) {
      assert.match(text, line);
    }
  });

  it('says that there are none', () => {
    assert.equal(callsText([], plain), 'No calls.\n');
  });

  it('marks a call that misses audio in one direction, or in both', () => {
    const state = (more: Partial<CallResult>) => cells(callsText([{ ...call, ...more }], plain))[0]!['STATE'];
    const missing = (...to: ('caller' | 'callee')[]) => ({
      noAudio: {
        to,
        since: call.startedAt + 100,
        causes: [{ reason: 'nat' as const, text: 'T.', advice: 'A.' }],
      },
    });
    assert.equal(state(missing('caller')), 'confirmed, one-way (caller hears nothing)');
    assert.equal(state(missing('callee')), 'confirmed, one-way (callee hears nothing)');
    assert.equal(state(missing('caller', 'callee')), 'confirmed, no audio');
    assert.equal(state({ packets: 0, sent: 0 }), 'confirmed', 'it may be on hold');
    assert.match(
      callsInFull([{ ...call, ...missing('callee') }], plain),
      /^ {2}no audio for the callee, since 1h00m\n {4}T\. A\.$/m,
    );
    assert.equal(callsInFull([], plain), 'No calls.\n');
  });
});

describe('pinholed pinholes', () => {
  const { callId, from, to, parties } = call;
  const listed: ListedPinhole = { ...hole, holders: [{ legId: call.legId, callId, from, to, parties }] };

  it('has a row for each', () => {
    const six: ListedPinhole = {
      ...listed,
      ...{ legIds: ['cc'], address: '2001:db8::5', ports: [5000, 5000], sources: ['any'], sourcePort: 7000 },
      ...{
        agreed: false,
        closing: { reason: 'moved', in: 12.3 },
        openedAt: 1_795_425_760,
        packets: 0,
        bytes: 0,
      },
    };
    const rows = cells(pinholesText([listed, { ...listed, agreed: false }, six], 1_795_425_765, plain));
    assert.deepEqual(rows[0], {
      PROTO: 'udp',
      TO: '10.0.0.5:4000-4001',
      FROM: '192.0.2.1, 192.0.2.9',
      MEDIA: 'audio rtp+rtcp',
      OPEN: '1m05s',
      PACKETS: '1,500',
      BYTES: '252 KiB',
      STAGE: 'agreed',
      WHO: 'al > bo, 1 more',
      CALLS: '00000000000000aa 00000000000000bb',
    });
    assert.equal(rows[1]!['STAGE'], 'offered');
    const busy = cells(
      pinholesText([{ ...listed, legIds: ['a', 'b', 'c', 'd', 'e'] }], 1_795_425_765, plain),
    );
    assert.equal(busy[0]!['CALLS'], 'a b c and 2 more');
    assert.equal(rows[2]!['WHO'], 'al > bo');
    const { TO, FROM, OPEN, STAGE } = rows[2]!;
    assert.deepEqual(
      { TO, FROM, OPEN, STAGE },
      {
        ...{ TO: '[2001:db8::5]:5000', FROM: 'any port 7000', OPEN: '5.0s', STAGE: 'moved in 12s' },
      },
    );
  });
});

describe('a list on a narrow terminal', () => {
  const missing = { to: ['callee' as const], since: call.startedAt, causes: [] };
  const long = {
    ...call,
    ...{ legId: '00000000000000bb', from: '<tel:+493012345678>', to: '"x" <sip:+12125550123@example.com>' },
    noAudio: missing,
  };

  it('of calls tells who calls whom and who hears nothing in 80 columns', () => {
    const [heads, ...rows] = callsText([call, long], plain, 80).trimEnd().split('\n');
    assert.deepEqual(heads!.split(/ {2,}/), ['CALL', 'STATE', 'AGE', 'PACKETS', 'HEARS NOTHING', 'WHO']);
    assert.deepEqual(
      rows.map((row) => row.split(/ {2,}/)),
      [
        ['00000000000000a', 'confirmed', '1h02m', '1,500', '-', 'al > bo'],
        ['00000000000000b', 'confirmed', '1h02m', '1,500', 'callee', '+4930123~ > +1212555~'],
      ],
    );
    for (const columns of [20, 40, 60, 80, 120, 200]) {
      const lines = callsText([call, long], plain, columns).trimEnd().split('\n');
      assert.ok(lines.every((line) => line.length <= columns));
    }
  });

  it('of pinholes says who uses them as long as there is room, then where they lead', () => {
    const { callId, from, to, parties } = call;
    const listed = { ...hole, holders: [{ legId: call.legId, callId, from, to, parties }] };
    const heads = (columns: number) =>
      pinholesText([listed], 1_795_425_765, plain, columns).split('\n')[0]!.split(/ {2,}/);
    assert.deepEqual(heads(80), ['TO', 'FROM', 'OPEN', 'PACKETS', 'WHO']);
    assert.deepEqual(heads(40), [
      'PROTO',
      'TO',
      'FROM',
      'MEDIA',
      'OPEN',
      'PACKETS',
      'BYTES',
      'STAGE',
      'WHO',
      'CALLS',
    ]);
  });
});

describe('a call that was opened in top', () => {
  const text = `\nCall abc\n  from  al\n    ${'word '.repeat(30)}end\n`;

  it('fills the screen, its long lines folded under themselves', () => {
    const lines = openedLines(text, { columns: 40, rows: 8, above: 0 });
    assert.equal(lines.length, 8);
    assert.ok(lines.every((line) => line.length <= 40));
    assert.deepEqual(lines.slice(0, 2), ['Call abc', '  from  al']);
    assert.match(lines[2]!, /^ {4}word/);
    assert.match(lines[3]!, /^ {6}word/);
  });

  it('scrolls to its last line and no further', () => {
    const size = { columns: 40, rows: 5 };
    const most = mostAbove(text, size);
    const last = openedLines(text, { ...size, above: most });
    assert.match(last[3]!, / end$/);
    assert.doesNotMatch(last[4]!, /more line/);
    assert.match(openedLines(text, { ...size, above: most - 1 })[4]!, /^1 more line; j, k/);
    assert.equal(mostAbove('short', size), 0);
  });
});

const status: StatusResult = {
  version: '0.1.0',
  platform: 'freebsd',
  system: 'FreeBSD 15.1-RELEASE',
  runtime: 'node 20.20.2',
  pid: 4711,
  user: '_pinholed',
  startedAt: 1_795_425_700,
  uptime: 93_784,
  mode: {
    observes: false,
    passive: false,
    fail: 'open',
    onFirewallError: 'drop',
    strict: true,
    supervised: true,
    journal: true,
  },
  description: ['divert port 8668: socket buffer 512 KiB', 'pf anchor pinholed'],
  calls: 12,
  callsStarted: 3456,
  staticMedia: [],
  callsWithoutAudio: 0,
  pinholes: 24,
  pinholesMissing: 1,
  adopted: { calls: 2, pinholes: 4 },
  counters: {
    ...{ received: 40_000, released: 39_990, dropped: 10, commits: 7000, retries: 3, commitErrors: 2 },
    ...{
      repairs: 1,
      exceptions: 0,
      eventsLost: 0,
      statesLeft: 0,
      deaths: 0,
      unread: 0,
      waited: 0,
      overdue: 0,
    },
  },
  bytesModified: 0,
  packetsCompared: 625,
  messages: { udp: 39_000, tcp: 900 },
  heard: { inside: { requests: 3, responses: 2 }, outside: { requests: 2, responses: 3 } },
  mirrored: 0,
  malformed: 5,
  refused: 77,
  media: { packets: 9_876_543, bytes: 1_700_000_000 },
  latency: {
    inspection: { median: 0.000032, p99: 0.000128, longest: 0.0021 },
    commit: { median: 0.000512, p99: null, longest: 1.5 },
  },
  group: null,
  platformCounters: { 'lost-queue-full': 3 },
  alarms: [
    {
      name: 'packets-lost',
      text: '3 packets were lost',
      advice: 'Look at the load.',
      since: Date.UTC(2026, 6, 1, 10, 40) / 1000,
      last: Date.UTC(2026, 6, 1, 10, 41) / 1000,
    },
  ],
};

describe('pinholed status', () => {
  it('counts what is mirrored where somebody mirrors', () => {
    assert.match(
      statusText({ ...status, mirrored: 1200 }, '0.1.0', plain),
      / TCP, 1,200 mirrored, 5 malformed$/m,
    );
  });

  /** The value beside a name. */
  const of = (text: string, name: string) =>
    text
      .split('\n')
      .find((line) => line.startsWith(`${name}  `))
      ?.slice(name.length)
      .trim();

  it('has everything beside its name', () => {
    const text = statusText(status, '0.1.0', plain);
    const expected: Record<string, string> = {
      version: 'pinholed 0.1.0 on FreeBSD 15.1-RELEASE, node 20.20.2',
      up: '1d02h, since 2026-11-23 09:21:40.000 UTC',
      process: 'pid 4711, user _pinholed, supervised',
      platform: 'freebsd',
      mode: 'fail open, on a firewall error drop, strict, with a journal',
      calls: '12 now, 3,456 since the start',
      pinholes: '24 open, 1 missing',
      'taken up': '2 calls with 4 pinholes from the journal',
      packets: '40,000 received, 39,990 released, 10 dropped',
      messages: '39,000 UDP, 900 TCP, 5 malformed',
      'bytes modified': '0 (of 625 packets compared)',
      refused: '77',
      commits: '7,000 confirmed, 3 asked again, 2 failed, 1 repairs',
      'media passed': '9,876,543 packets, 1.6 GiB',
      inspection: 'half at most 32 µs, 99% at most 128 µs, longest 2.10 ms',
      commit: 'half at most 512 µs, 99% over 1 s, longest 1.50 s',
      losses: 'lost-queue-full 3',
    };
    for (const [name, value] of Object.entries(expected)) assert.equal(of(text, name), value, name);
    assert.match(text, /^ +divert port 8668: socket buffer 512 KiB$/m);
    assert.match(
      text,
      /^ALARM {2}3 packets were lost\n {2}at {3}2026-07-01 10:41:00 UTC, since 2026-07-01 10:40:00 UTC \(packets-lost\)\n {2}do {3}Look at the load\.$/m,
    );
  });

  it('has how each entry of static-media stands, where there is one', () => {
    const staticMedia = [
      { name: 'trunk', peers: 1, ports: 2000 },
      { name: 'teams', peers: 0, ports: 0 },
    ];
    const text = statusText({ ...status, staticMedia }, '0.1.0', plain);
    assert.match(text, /^static-media +trunk: 1 peer, 2,000 ports open\n +teams: no peer is there$/m);
    assert.doesNotMatch(statusText(status, '0.1.0', plain), /static-media/);
  });

  it('says how it stands with the firewalls that it shares calls with, and when the store was heard', () => {
    const group = {
      ...({ state: 'joined', for: 7200, why: null, self: 'fw1', others: ['fw2'] } as const),
      calls: { own: 3, others: 40 },
      owners: [
        { name: 'fw1', calls: 3 },
        { name: 'fw2', calls: 40 },
      ],
      ...{ waiting: 0, lag: 0.0012, contact: 0.3, refused: 0, waited: 0, overdue: 0 },
    };
    const [first, second] = [
      'fw1 joined, with fw2, for 2h00m, last answer 0.3s ago',
      '3 calls of its own, 40 of others (fw2 40), 0 not written yet, written and back in 1.20 ms',
    ];
    const text = statusText({ ...status, group }, '0.1.0', plain);
    assert.ok(text.replace(/\n {2,}/g, '\n').includes(`${first}\n${second}\n`), text);
    const away = { ...group, state: 'away', why: 'connection refused', contact: 63 } as const;
    assert.match(
      statusText({ ...status, group: away }, '0.1.0', plain),
      /fw1 the store is away: connection refused, for 2h00m, last answer 1m03s ago/,
    );
  });

  it('of a daemon that only looks on says what that means', () => {
    const passive = { ...status, mode: { ...status.mode, passive: true } };
    assert.match(
      statusText(passive, '0.1.0', plain),
      /^mode +reads copies of packets, so that media may come/m,
    );
    assert.doesNotMatch(statusText(status, '0.1.0', plain), /copies/);
  });

  it('says when the client is of another version, and that all is well', () => {
    const text = statusText({ ...status, alarms: [] }, '0.2.0', plain);
    assert.match(of(text, 'version')!, /^pinholed 0\.1\.0 \(this program is 0\.2\.0\) on/);
    assert.match(text, /^No alarms\.$/m);
  });
});

describe('pinholed stats', () => {
  const stats: StatsResult = {
    startedAt: 1_795_425_700,
    ...{ packets: 100, notSip: 1, keepalives: 2, malformed: 3, spoofed: 5, messages: { udp: 90, tcp: 4 } },
    methods: { ACK: 10, INVITE: 80, BYE: 0 },
    responses: { 200: 70, 486: 2 },
    refusals: { 'not-inside': 7, 'denied-port': 0, 'foreign-address': 9 },
    unreadable: { 'ip-truncated': 2 },
    inspection: {
      buckets: [
        { le: 0.000001, count: 0 },
        { le: 0.000002, count: 10 },
        { le: 0.000004, count: 0 },
        { le: 0.000008, count: 30 },
        { le: null, count: 0 },
      ],
      ...{ count: 40, sum: 0.0002, longest: 0.0000075 },
    },
    commit: { buckets: [], count: 0, sum: 0, longest: 0 },
  };

  it('has counts by method and by reason, the most first, without what never was', () => {
    const text = statsText(stats, plain);
    const tables = text.split('\n\n').map((part) => part.split('\n').map((line) => line.split(/ {2,}/)));
    assert.deepEqual(tables[1], [
      ['METHOD', 'MESSAGES'],
      ['INVITE', '80'],
      ['ACK', '10'],
    ]);
    assert.deepEqual(tables[2], [
      ['REFUSED', 'TIMES'],
      ['foreign-address', '9'],
      ['not-inside', '7'],
    ]);
    assert.deepEqual(tables[3], [
      ['UNREADABLE', 'PACKETS'],
      ['ip-truncated', '2'],
    ]);
  });

  it('has histograms from the first to the last that is not empty', () => {
    const text = statsText(stats, plain);
    const rows = [...text.matchAll(/^ +(\S+ µs) +(\d+) +(\S+%) *(#*)$/gm)].map(([, ...row]) => row);
    assert.deepEqual(
      rows.map(([bound, count, sum, bar]) => [bound, count, sum, bar!.length]),
      [
        ['2 µs', '10', '25.0%', 14],
        ['4 µs', '0', '25.0%', 0],
        ['8 µs', '30', '100.0%', 40],
      ],
    );
    assert.match(text, /40 measured, mean 5 µs, longest 7\.50 µs/);
    assert.match(text, /Commit: .*\n {2}nothing measured yet/);
  });
});

describe('pinholed exposure', () => {
  const exposure: ExposureResult = {
    ...{ span: 3600, range: [10_000, 20_000], hosts: 2, atLeast: false },
    static: { portSeconds: 72_007_200, sources: 4_294_967_296, sourcePortSeconds: 3.0927e17 },
    pinholes: {
      ...{ portSeconds: 7200, portsNow: 4, sources: 3, sourcePortSeconds: 9000, anySourcePortSeconds: 0 },
    },
    ratio: { portSeconds: 10_001, sourcePortSeconds: 3.436e13 },
  };

  it('has both numbers, their ratio and how they come about', () => {
    const text = exposureText(exposure, terminalStyle({ columns: 200 }, {}));
    assert.match(text, /^ports x seconds +72,007,200 +7,200 +10,001 to 1$/m);
    assert.match(text, /^sources x ports x seconds +309 quadrillion +9,000 +34\.4 trillion to 1$/m);
    assert.match(text, /^source addresses let in +any of 4,294,967,296 +3$/m);
    assert.match(text, /^ports open now +20,002 +4$/m);
    assert.match(text.replace(/\n/g, ' '), /10,001 ports x 2 inside hosts that had a pinhole x 3600 s/);
    assert.doesNotMatch(text, /open to any source/);
  });

  it('tells of what was open to everybody', () => {
    const pinholes = { ...exposure.pinholes, anySourcePortSeconds: 12 };
    const text = exposureText({ ...exposure, pinholes }, plain).replace(/\n/g, ' ');
    assert.match(text, /12 of the port-seconds were open to any source/);
  });
});

describe('pinholed top', () => {
  const result: TopResult = {
    ...{ at: 0, uptime: 3725, calls: 40, pinholes: 80, packets: 12_345, alarms: [] },
    top: Array.from({ length: 40 }, (_, index) => ({ ...call, callId: `call-${index}` })),
  };
  const view = {
    sort: 'age',
    columns: 80,
    rows: 12,
    strong: plain.strong,
    bad: plain.bad,
    keys: true,
  } as const;

  it('fills the screen exactly', () => {
    const lines = topLines(result, view);
    assert.equal(lines.length, 12);
    assert.ok(lines.every((line) => line.length <= 80));
    assert.equal(lines[0], 'pinholed up 1h02m: 40 calls, 80 pinholes, 12,345 packets');
    assert.equal(lines[1], 'no alarms');
    assert.match(lines[2]!, /^sorted by age {3}q quit/);
    assert.match(lines[4]!, /^CALL +STATE +AGE/);
    assert.match(lines[5]!, /^00000000000000aa +confirmed/);
    assert.equal(lines[11], '34 more');
  });

  it('tells on a narrow screen who talks to whom, before it tells of timers', () => {
    const heads = (columns: number) => topLines(result, { ...view, columns })[4]!.split(/ {2,}/);
    assert.deepEqual(heads(80), ['CALL', 'STATE', 'AGE', 'IDLE', 'PACKETS', 'WHO', 'PARTIES', '']);
    assert.deepEqual(heads(200).slice(4), [
      'PINHOLES',
      'PACKETS',
      'NEXT TIMER',
      'CODECS',
      'WHO',
      'PARTIES',
      'CALL-ID',
    ]);
    assert.match(topLines(result, view)[5]!, / 192\.0\.2\.1 > 10\.0\.0\.5( |$)/);
  });

  it('scrolls, filters and explains its keys', () => {
    const scrolled = topLines(result, { ...view, columns: 300, above: 33 });
    assert.match(scrolled[5]!, / call-33$/);
    assert.match(scrolled[11]!, / call-39$/);
    const filtered = topLines(
      { ...result, top: result.top.slice(0, 2) },
      { ...view, match: 'al', typing: true },
    );
    assert.equal(filtered[3], 'filter: al_');
    assert.equal(filtered[7], '');
    assert.match(topLines(result, { ...view, help: true }).join('\n'), /^\/ +filter: text in Call-ID/m);
  });

  it('fits any terminal', () => {
    const size = fc.tuple(fc.integer({ min: 1, max: 300 }), fc.integer({ min: 1, max: 100 }));
    fc.assert(
      fc.property(size, fc.integer({ min: 0, max: 40 }), ([columns, rows], shown) => {
        const some = { ...result, calls: shown, top: result.top.slice(0, shown) };
        const lines = topLines(some, { ...view, columns, rows });
        assert.equal(lines.length, rows);
        assert.ok(lines.every((line) => line.length <= columns));
      }),
    );
  });

  it('scrolls so that the selected call is among the shown', () => {
    for (const [selected, above, scrolled] of [
      [0, 0, 0],
      [5, 0, 0],
      [6, 0, 1],
      [3, 9, 3],
      [39, 0, 33],
      [38, 0, 33],
      [32, 33, 32],
    ] as const) {
      assert.equal(scrolledTo(selected, above, 7, 40), scrolled, `${selected} from ${above}`);
    }
    assert.equal(scrolledTo(6, 0, 7, 7), 0);
    assert.equal(scrolledTo(4, 0, 1, 9), 4);
  });

  it('marks the call that Enter opens, and never puts a count in its place', () => {
    const mark = (text: string) => `[${text.trim()}]`;
    const marked = (selected: number, above: number) =>
      topLines(result, { ...view, columns: 300, selected, above, mark }).flatMap((line) =>
        line.startsWith('[') ? [line.slice(-8, -1)] : [],
      );
    assert.deepEqual(marked(0, 0), ['call-0'.padStart(7)]);
    assert.deepEqual(marked(5, 0), ['call-5'.padStart(7)]);
    assert.deepEqual(marked(39, 33), ['call-39']);
  });

  it('shows the worst alarm', () => {
    const alarms = [...status.alarms, ...status.alarms];
    const line = topLines({ ...result, alarms }, view)[1];
    assert.equal(line, 'ALARM 3 packets were lost (and 1 more: pinholed status)');
  });

  it('takes characters for keys, and nothing from function keys', () => {
    assert.deepEqual(keysOf('q'), ['q']);
    assert.deepEqual(keysOf('a\x1b[Ap\x1bOQ\x1b[15~i\x03'), ['a', 'up', 'p', 'i', '\x03']);
  });
});
