import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { formatProblem, loadConfig, type Settings } from '../../src/config/load.ts';
import { printConfig } from '../../src/config/print.ts';
import { settingChanges } from '../../src/config/reload.ts';
import { cautions } from '../../src/config/rules.ts';

const HEAD = 'inside: [192.168.1.0/24, 2001:db8:1::/64]\nmedia-ports: [10000-20000, 30000]\n';
const ENTRY =
  '{name: trunk, peers: [203.0.113.7, 198.51.100.0/28], hosts: [192.168.1.10], ports: [10000-10999, 30000]}';

function load(text: string): Settings {
  const loaded = loadConfig(`${HEAD}${text}`, 'f.yaml');
  assert.ok('settings' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '');
  return loaded.settings;
}

function problems(text: string): string[] {
  const loaded = loadConfig(`${HEAD}${text}`, 'f.yaml');
  assert.ok('problems' in loaded, text);
  return loaded.problems.map(formatProblem);
}

const entry = (from: string, to: string) => `static-media:\n  - ${ENTRY.replace(from, to)}\n`;

describe('the static-media setting', () => {
  it('is read as the manual shows it, and printed so that it loads again', () => {
    const settings = load(
      `static-media:\n  - ${ENTRY}\n  - ${ENTRY.replace('trunk', 'other').replace('}', ', media-from: [203.0.113.20]}')}`,
    );
    const [trunk, other] = settings.staticMedia;
    assert.deepEqual(
      { ...trunk, peers: trunk!.peers.map(({ text }) => text) },
      {
        name: 'trunk',
        peers: ['203.0.113.7/32', '198.51.100.0/28'],
        mediaFrom: null,
        hosts: ['192.168.1.10'],
        ports: [
          [10_000, 10_999],
          [30_000, 30_000],
        ],
      },
    );
    assert.deepEqual(other!.mediaFrom, ['203.0.113.20']);
    assert.deepEqual(load(printConfig(settings).replace(/^(inside|media-ports):.*\n/gm, '')), settings);
    assert.deepEqual(load('').staticMedia, []);
  });

  it('takes effect at a reload', () => {
    const changes = settingChanges(load(''), load(entry('', '')));
    assert.deepEqual(
      changes.map(({ key, reload }) => [key, reload]),
      [['static-media', 'reload']],
    );
  });

  it('is cautioned of where no port of TLS is handed over, and where outbound does not open its way', () => {
    const about = (text: string) =>
      cautions(load(text)).filter((one) => /^(static-media|hold-encrypted)/.test(one));
    const held = 'hold-encrypted: 5ms\nhep: {listen: 192.168.1.1:9060, from: [192.168.1.10]}\n';
    for (const [text, expected] of [
      [entry('', ''), [/^static-media: sip-ports has 5060 alone: TLS on another port, as 5061, is not seen/]],
      [`sip-ports: [5060, 5061]\n${entry('', '')}`, []],
      [`sip-ports: [5061]\n${entry('', '')}`, []],
      ['', []],
      [held, [/^hold-encrypted: sip-ports has 5060 alone/]],
      [`sip-ports: [5060-5061]\n${held}`, []],
      [
        `sip-ports: [5060, 5061]\noutbound: true\n${entry('', '')}`,
        [/^static-media: trunk: outbound does not open the way to its peers.* 192\.168\.1\.10 sends/],
      ],
    ] as const) {
      const found = about(text);
      assert.equal(found.length, expected.length, `${text}: ${found}`);
      for (const [index, pattern] of expected.entries()) assert.match(found[index]!, pattern);
    }
  });

  it('says of each fault where it is and what was expected', () => {
    const cases: readonly (readonly [string, string])[] = [
      [
        entry('198.51.100.0/28', '192.168.1.0/30'),
        'f.yaml:4:40: static-media[0].peers[1]: expected addresses that are not inside (192.168.1.0/24 is), found 192.168.1.0/30',
      ],
      [
        entry('198.51.100.0/28', '0.0.0.0/0'),
        'f.yaml:4:40: static-media[0].peers[1]: expected addresses that are not inside (192.168.1.0/24 is), found 0.0.0.0/0',
      ],
      [
        entry('[192.168.1.10]', '[192.168.1.10, 203.0.113.9]'),
        'f.yaml:4:80: static-media[0].hosts[1]: expected a host that is inside, found 203.0.113.9',
      ],
      [
        entry('192.168.1.10', '"2001:db8:1::1"'),
        'f.yaml:4:66: static-media[0].hosts[0]: expected a host of the address family of its peers, found 2001:db8:1::1',
      ],
      [
        entry('10000-10999', '9000-10999'),
        'f.yaml:4:89: static-media[0].ports[0]: expected ports inside media-ports (10000-20000, 30000), found 9000-10999',
      ],
      [
        `denied-ports: [5060, 10500-10501]\n${entry('', '')}`,
        'f.yaml:5:89: static-media[0].ports[0]: expected none of denied-ports, of which it has 10500-10501, found 10000-10999: give the ranges beside it',
      ],
      [
        `peers: [203.0.113.0/24]\n${entry('', '')}`,
        'f.yaml:5:40: static-media[0].peers[1]: expected addresses that `peers` admits, found 198.51.100.0/28',
      ],
      [
        entry('}', ', media-from: [192.168.1.9]}'),
        'f.yaml:4:123: static-media[0].media-from[0]: expected an address that is not inside (192.168.1.0/24 is), found 192.168.1.9',
      ],
      [
        `nat: [{external: 203.0.113.7, hosts: [192.168.1.10]}]\n${entry('', '')}`,
        'f.yaml:5:27: static-media[0].peers[0]: expected addresses that stand for no inside host (203.0.113.7 does, in nat), found 203.0.113.7/32',
      ],
      [
        `nat: [{external: 203.0.113.99, hosts: [192.168.1.10], arrives-at: 198.51.100.3}]\n${entry('', '')}`,
        'f.yaml:5:40: static-media[0].peers[1]: expected addresses that stand for no inside host (198.51.100.3 does, in nat), found 198.51.100.0/28',
      ],
      [
        `nat: [{external: 203.0.113.20, hosts: [192.168.1.10]}]\n${entry('}', ', media-from: [203.0.113.20]}')}`,
        'f.yaml:5:123: static-media[0].media-from[0]: expected an address that stands for no inside host, as it does in nat, found 203.0.113.20',
      ],
      [
        entry('name: trunk, ', ''),
        'f.yaml:4:5: static-media[0].name: expected a name of at most 32 letters, digits, _ or -, not beginning with a digit or -, found nothing',
      ],
      [
        `static-media:\n  - ${ENTRY}\n  - ${ENTRY}`,
        'f.yaml:5:5: static-media[1]: expected each name once (trunk is listed too), found a mapping',
      ],
      [
        entry('10000-10999, 30000', '10000-10999, 10500'),
        'f.yaml:4:102: static-media[0].ports[1]: expected ranges that do not overlap (10000-10999 is listed too), found "10500"',
      ],
      [
        `caps: {static-ports: 5000}\n${entry('}', ', media-from: [203.0.113.20, 203.0.113.21, 203.0.113.22, 203.0.113.23]}')}`,
        'f.yaml:5:88: static-media[0].ports: expected at most caps.static-ports (5000), each port counted for each host and for each address that may send, found 5005',
      ],
      [
        entry('203.0.113.7, 198.51.100.0/28', 'sip.example.com'),
        'f.yaml:4:27: static-media[0].peers[0]: expected a network such as 192.0.2.0/24 or 2001:db8::/32, or an address, found "sip.example.com"',
      ],
    ];
    for (const [text, problem] of cases) assert.deepEqual(problems(text), [problem], text);
  });

  const named = (name: string, from: string, to: string) =>
    `  - ${ENTRY.replace('trunk', name).replace(from, to)}\n`;
  const HOST = '[192.168.1.10]';

  it('says where a fault is behind items that are at fault themselves', () => {
    const second = named('b', HOST, '[nobody, 192.168.1.10, 203.0.113.9]');
    const third = named('c', '198.51.100.0/28', '192.168.1.0/30');
    assert.deepEqual(problems(`static-media:\n  - nothing\n${second}${third}`), [
      'f.yaml:4:5: static-media[0]: expected a mapping with name, peers, media-from, hosts, ports, found "nothing"',
      'f.yaml:5:62: static-media[1].hosts[0]: expected an address such as 192.0.2.1 or 2001:db8::1, found "nobody"',
      'f.yaml:5:84: static-media[1].hosts[2]: expected a host that is inside, found 203.0.113.9',
      'f.yaml:6:36: static-media[2].peers[1]: expected addresses that are not inside (192.168.1.0/24 is), found 192.168.1.0/30',
    ]);
    const twice = `${named('a', '', '')}${named('a', '', '')}${named('b', HOST, '[203.0.113.9]')}`;
    assert.deepEqual(problems(`static-media:\n${twice}`), [
      'f.yaml:5:5: static-media[1]: expected each name once (a is listed too), found a mapping',
      'f.yaml:6:62: static-media[2].hosts[0]: expected a host that is inside, found 203.0.113.9',
    ]);
  });

  it('says nothing that another fault may be the reason of', () => {
    const peer = 'expected a network such as 192.0.2.0/24 or 2001:db8::/32, or an address, found';
    assert.deepEqual(problems(`peers: [203.0.113.7, 198.51.100.0.28]\n${entry('', '')}`), [
      `f.yaml:3:22: peers[1]: ${peer} "198.51.100.0.28"`,
    ]);
    assert.equal(problems(`denied-ports: [5060, x]\n${entry('', '')}`).length, 1);
    const ipv6 = '{name: b, peers: [203.0.113.7, 2001.db8::7], hosts: ["2001:db8:1::1"], ports: [10000]}';
    assert.deepEqual(problems(`static-media:\n  - x\n  - ${ipv6}`).slice(1), [
      `f.yaml:5:36: static-media[1].peers[1]: ${peer} "2001.db8::7"`,
    ]);
  });
});
