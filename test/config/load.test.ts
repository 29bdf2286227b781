import assert from 'node:assert/strict';
import { chmodSync, chownSync, mkdtempSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, it } from 'node:test';
import { formatProblem, loadConfig, loadConfigFile, type Settings } from '../../src/config/load.ts';

function problemsOf(text: string): string[] {
  const loaded = loadConfig(text, 'f.yaml');
  assert.ok('problems' in loaded, 'expected problems, found settings');
  return loaded.problems.map(formatProblem);
}

function settingsOf(text: string): Settings {
  const loaded = loadConfig(text, 'f.yaml');
  assert.ok('settings' in loaded, 'problems' in loaded ? loaded.problems.map(formatProblem).join('\n') : '');
  return loaded.settings;
}

describe('a configuration that is right', () => {
  it('gives networks, port pairs, milliseconds and bytes', () => {
    const settings = settingsOf(`
inside: [192.168.10.0/24, 2001:DB8::/48, 203.0.113.7]
media-hosts:
  - 198.51.100.0/25
media-ports: [5004, 10000-20000]
media-source: signalling-peer
symmetric: true
caps: {calls: 25, message-bytes: 16k, reassembly-bytes: 2097152}
timers: {offer: 20, ringing: 2m, drain: 1500ms, max-call: 0}
freebsd: {inside-interfaces: [igb0.100, vtnet2], tag: voip}
linux: {mark: 0x10}
control: {mode: 0660, group: wheel}
metrics: 127.0.0.1:9477
web: "[::1]:8480"
log: {destination: /var/log/pinholed.log}
`);
    assert.deepEqual(
      settings.inside.map(({ text }) => text),
      ['192.168.10.0/24', '2001:db8::/48', '203.0.113.7/32'],
    );
    assert.deepEqual([...settings.inside[0]!.bytes], [192, 168, 10, 0]);
    assert.equal(settings.mediaHosts[0]?.prefix, 25);
    assert.deepEqual(settings.mediaPorts, [
      [5004, 5004],
      [10000, 20000],
    ]);
    assert.equal(settings.mediaSource, 'signalling-peer');
    assert.equal(settings.symmetric, true);
    assert.equal(settings.caps.calls, 25);
    assert.equal(settings.caps.messageBytes, 16384);
    assert.equal(settings.caps.reassemblyBytes, 2 * 1024 * 1024);
    assert.equal(settings.timers.offer, 20_000);
    assert.equal(settings.timers.ringing, 120_000);
    assert.equal(settings.timers.drain, 1500);
    assert.equal(settings.timers.maxCall, 0);
    assert.deepEqual(settings.freebsd.insideInterfaces, ['igb0.100', 'vtnet2']);
    assert.equal(settings.freebsd.tag, 'voip');
    assert.equal(settings.linux.mark, 16);
    assert.equal(settings.control.mode, 0o660);
    assert.deepEqual(settings.metrics, { address: '127.0.0.1', port: 9477 });
    assert.deepEqual(settings.web, { address: '::1', port: 8480 });
    assert.equal(settings.log.destination, '/var/log/pinholed.log');
  });

  it('may be JSON, as another program writes it', () => {
    const json = {
      inside: ['10.1.0.0/16'],
      timers: { ringing: 60 },
      linux: { mark: '0x700000' },
      web: 'off',
    };
    const settings = settingsOf(JSON.stringify(json, null, '\t'));
    assert.equal(settings.inside[0]?.text, '10.1.0.0/16');
    assert.equal(settings.timers.ringing, 60_000);
    assert.equal(settings.linux.mark, 0x700000);
    assert.equal(settings.web, null);
  });

  for (const [what, text] of [
    ['nothing', ''],
    ['comments only', '# inside: [10.0.0.0/8]\n'],
    ['an empty document', '---\n'],
    ['a byte order mark', '\ufeff# x\n'],
    ['an empty mapping', '{}'],
    ['a section whose settings are all commented out', 'timers:\n#  ringing: 60s\n'],
  ] as const) {
    it(`may be ${what}: then all is as it is without a file`, () => {
      const { timers, inside, fail } = settingsOf(text);
      assert.equal(timers.ringing, 180_000);
      assert.equal(inside.length, 4);
      assert.equal(fail, 'closed');
    });
  }
});

describe('peers', () => {
  it('are networks, or mappings with a name and settings of their own', () => {
    const { peers } = settingsOf(`
peers:
  - 198.51.100.7
  - {name: itsp, networks: [203.0.113.0/28, 2001:db8::/64], calls: 60, media-source: any}
  - name: sbc
    networks: [198.51.100.0/28]
    early-media-source: any
    offers-per-second: 500
    media-ports: [16384-32767]
`);
    const seen = peers.map(({ networks, ...rest }) => ({
      networks: networks.map(({ text }) => text),
      ...rest,
    }));
    const none = {
      name: null,
      calls: null,
      offersPerSecond: null,
      earlyMediaSource: null,
      mediaSource: null,
      mediaPorts: null,
    };
    assert.deepEqual(seen, [
      { ...none, networks: ['198.51.100.7/32'] },
      { ...none, name: 'itsp', networks: ['203.0.113.0/28', '2001:db8::/64'], calls: 60, mediaSource: 'any' },
      {
        ...none,
        name: 'sbc',
        networks: ['198.51.100.0/28'],
        earlyMediaSource: 'any',
        offersPerSecond: 500,
        mediaPorts: [[16384, 32767]],
      },
    ]);
  });

  it('may be networks alone, as they were before names', () => {
    const { peers } = settingsOf('peers: [203.0.113.0/28, 2001:db8::1]');
    assert.deepEqual(
      peers.map(({ name, networks }) => [name, networks.length]),
      [
        [null, 1],
        [null, 1],
      ],
    );
  });

  it('may have ports of their own inside several ranges of media-ports', () => {
    settingsOf(
      'media-ports: [20000-29999, 10000-19999]\npeers: [{name: a, networks: [192.0.2.1], media-ports: [15000-25000]}]',
    );
  });
});

describe('settings that depend on each other', () => {
  it('may mirror to a port that copies are taken on by the other transport', () => {
    const text =
      'hep: {listen: 192.168.1.1:9060, transports: [tcp], from: [192.168.1.9], send: 192.168.1.1:9060}';
    assert.deepEqual(loadConfig(text, 'f.yaml').ok, true);
  });

  it('need no denied port outside media-ports', () => {
    const settings = settingsOf('denied-ports: []\nmedia-ports: [10000-20000]\nsip-ports: [5060, 20001]');
    assert.deepEqual(settings.deniedPorts, []);
  });
});

describe('a configuration that is wrong is told where and what was expected', () => {
  const cases: readonly (readonly [what: string, text: string, expected: string])[] = [
    [
      'an unknown key with a near one',
      'media-host: []',
      'f.yaml:1:1: media-host: unknown key, did you mean media-hosts?',
    ],
    [
      'a key in the spelling of another language',
      '\n\nmediaHosts: []',
      'f.yaml:3:1: mediaHosts: unknown key, did you mean media-hosts?',
    ],
    [
      'letters swapped',
      'timers: {hodl-idle: 1h}',
      'f.yaml:1:10: timers.hodl-idle: unknown key, did you mean hold-idle?',
    ],
    [
      'a key at the wrong level',
      'ringing: 60s',
      'f.yaml:1:1: ringing: unknown key here, did you mean timers.ringing?',
    ],
    [
      'an unknown key near none',
      'control:\n  colour: red',
      'f.yaml:2:3: control.colour: unknown key, expected one of socket, group, mode',
    ],
    [
      'a key of every object',
      'log: {constructor: 1}',
      'f.yaml:1:7: log.constructor: unknown key, expected one of level, format, destination, calls, call-id, parties, rate',
    ],
    [
      'a key twice',
      'strict: true\nice: true\nstrict: false',
      'f.yaml:3:1: strict: expected once, found a second time',
    ],
    ['a key that is a list', '? [a]\n: 1', 'f.yaml:1:3: expected the name of a setting, found a list'],
    [
      'a duration out of range',
      'timers:\n  # seconds\n  ringing: 5',
      'f.yaml:3:12: timers.ringing: expected a duration between 30s and 10m, found "5"',
    ],
    [
      'a duration in another unit',
      'timers: {max-call: 1w}',
      'f.yaml:1:20: timers.max-call: expected a duration between 1m and 30d, or 0 for no limit, found "1w"',
    ],
    [
      'a value left out',
      'timers:\n  offer:\n',
      'f.yaml:2:3: timers.offer: expected a duration between 8s and 3m, found nothing',
    ],
    ['a word for a truth value', 'strict: yes', 'f.yaml:1:9: strict: expected true or false, found "yes"'],
    ['a quoted truth value', 'ice: "true"', 'f.yaml:1:6: ice: expected true or false, found the text "true"'],
    [
      'a quoted number',
      'caps: {calls: "20"}',
      'f.yaml:1:15: caps.calls: expected a whole number between 1 and 1000000, found the text "20"',
    ],
    [
      'a fraction',
      'caps: {calls: 2.5}',
      'f.yaml:1:15: caps.calls: expected a whole number between 1 and 1000000, found "2.5"',
    ],
    [
      'a word of another list',
      'media-source: peer',
      'f.yaml:1:15: media-source: expected exact, signalling-peer or any, found "peer"',
    ],
    [
      'a network that does not parse',
      'inside:\n  - 10.0.0.0/8\n  - 10.0.0.0/33',
      'f.yaml:3:5: inside[1]: expected a network such as 192.0.2.0/24 or 2001:db8::/32, or an address, found "10.0.0.0/33"',
    ],
    [
      'a network with host bits',
      'inside: [192.168.1.7/24]',
      'f.yaml:1:10: inside[0]: expected a network without host bits (192.168.1.0/24) or a single address (192.168.1.7), found "192.168.1.7/24"',
    ],
    [
      'a network twice, written differently',
      'inside: [fc00::/7, FC00:0::/7]',
      'f.yaml:1:20: inside[1]: expected each item once, found "FC00:0::/7"',
    ],
    ['no network at all', 'inside: []', 'f.yaml:1:9: inside: expected 1 to 256 items, found 0'],
    [
      'one value for a list',
      'inside: 10.0.0.0/8',
      'f.yaml:1:9: inside: expected a list of networks, found "10.0.0.0/8", did you mean [10.0.0.0/8]?',
    ],
    ['a list for one value', 'strict: [true]', 'f.yaml:1:9: strict: expected true or false, found a list'],
    [
      'a mapping in a list',
      'inside: [{a: b}]',
      'f.yaml:1:10: inside[0]: expected a network such as 192.0.2.0/24 or 2001:db8::/32, or an address, found a mapping',
    ],
    ['a value for a section', 'log: debug', 'f.yaml:1:6: log: expected a mapping of settings, found "debug"'],
    [
      'a peer without networks',
      'peers:\n  - 192.0.2.1\n  - name: itsp',
      'f.yaml:3:5: peers[1].networks: expected a list of networks, found nothing',
    ],
    [
      'a peer whose key is near one',
      'peers: [{name: itsp, network: [192.0.2.1], networks: [192.0.2.2]}]',
      'f.yaml:1:22: peers[0].network: unknown key, did you mean networks?',
    ],
    [
      'a value of a peer',
      'peers: [{name: itsp, networks: [192.0.2.0/24], calls: 0}]',
      'f.yaml:1:55: peers[0].calls: expected a whole number between 1 and 1000000, found "0"',
    ],
    [
      'a network of a peer',
      'peers: [{name: itsp, networks: [192.0.2.1/24]}]',
      'f.yaml:1:33: peers[0].networks[0]: expected a network without host bits (192.0.2.0/24) or a single address (192.0.2.1), found "192.0.2.1/24"',
    ],
    [
      'copies that would come back',
      'hep: {listen: 192.168.1.1:9060, from: [192.168.1.9], send: 192.168.1.1:9060}',
      'f.yaml:1:60: hep.send: expected another address or port than that of hep.listen: what is mirrored would come back as copies',
    ],
    [
      'no transport, of the two that there are',
      'hep: {transports: []}',
      'f.yaml:1:19: hep.transports: expected 1 to 2 items, found 0',
    ],
    [
      'a list in the place of a peer',
      'peers: [[192.0.2.1]]',
      'f.yaml:1:9: peers[0]: expected a mapping with name, networks, calls, offers-per-second, early-media-source, media-source, media-ports, found a list',
    ],
    [
      'two peers of one name',
      'peers: [{name: a, networks: [192.0.2.1]}, {name: a, networks: [192.0.2.2]}]',
      'f.yaml:1:43: peers[1]: expected each name once (a is listed too), found a mapping',
    ],
    [
      'two peers with one network',
      'peers: [{name: a, networks: [192.0.2.1]}, {name: b, networks: [192.0.2.1/32]}]',
      'f.yaml:1:43: peers[1]: expected networks that are not of a (192.0.2.1/32), found a mapping',
    ],
    [
      'a peer network twice',
      'peers: [192.0.2.1, 192.0.2.1/32]',
      'f.yaml:1:20: peers[1]: expected each item once, found "192.0.2.1/32"',
    ],
    [
      'ports of a peer that the general ones do not have',
      'media-ports: [10000-20000]\npeers: [{name: a, networks: [192.0.2.1], media-ports: [15000-25000]}]',
      'f.yaml:2:8: peers: expected the media-ports of a inside the general media-ports (10000-20000)',
    ],
    [
      'an empty range',
      'media-ports: [20000-10000]',
      'f.yaml:1:15: media-ports[0]: expected a range that is not empty, such as 10000-20000, found "20000-10000"',
    ],
    [
      'overlapping ranges',
      'media-ports: [1024-2000, 3000-4000, 2000-2999]',
      'f.yaml:1:37: media-ports[2]: expected ranges that do not overlap (1024-2000 is listed too), found "2000-2999"',
    ],
    [
      'a port that is none',
      'denied-ports: [0]',
      'f.yaml:1:16: denied-ports[0]: expected a port between 1 and 65535, or a range such as 10000-20000, found "0"',
    ],
    [
      'a live page for everybody',
      'web: 192.0.2.1:8480',
      'f.yaml:1:6: web: expected a loopback address and port such as 127.0.0.1:8480 or [::1]:8480, or off, found "192.0.2.1:8480"',
    ],
    [
      'metrics on all addresses',
      'metrics: 0.0.0.0:9477',
      'f.yaml:1:10: metrics: expected one address and port such as 127.0.0.1:9477 or [::1]:9477, or off, found "0.0.0.0:9477"',
    ],
    [
      'a control socket for everybody',
      'control: {mode: 0666}',
      'f.yaml:1:17: control.mode: expected an octal mode without permissions for others, such as 0600 or 0660, found "0666"',
    ],
    [
      'two listeners on one port',
      'metrics: 127.0.0.1:80\nweb: 127.0.0.1:80',
      'f.yaml:2:6: web: expected another address or port than that of metrics',
    ],
    [
      'a mode for a group that is not named',
      'control: {mode: 0660}',
      'f.yaml:1:17: control.mode: expected control.group to name the group that the mode admits',
    ],
    [
      'rules to be loaded on no interface',
      'platform: freebsd\nfail: open',
      'f.yaml:2:7: fail: open needs inside-interfaces: the daemon loads the divert rules itself and has to know where',
    ],
    [
      'packets to be looked at on no interface',
      'platform: freebsd\nintercept: bpf',
      'f.yaml:2:12: intercept: bpf needs inside-interfaces: bpf(4) reads one interface, and it has to be known which',
    ],
    [
      'packets that only pass by to be held',
      'platform: freebsd\ninside-interfaces: [em1]\nintercept: bpf\non-firewall-error: drop',
      'f.yaml:3:12: intercept: bpf only looks on: expected no on-firewall-error: drop, for which packets have to wait',
    ],
    [
      'signalling ports that media may open',
      'sip-ports: [5060, 5070-5080]\ndenied-ports: [5060, 5070-5072, 5074-5090]',
      'f.yaml:1:12: sip-ports: expected denied-ports to hold 5073, which is in sip-ports and in media-ports: through a pinhole there, signalling would pass unread',
    ],
    [
      'a signalling port no longer denied',
      'denied-ports: []',
      'f.yaml:1:15: denied-ports: expected denied-ports to hold 5060, which is in sip-ports and in media-ports: through a pinhole there, signalling would pass unread',
    ],
    ['a list for the whole', '- inside', 'f.yaml:1:1: expected a mapping of settings, found a list'],
    [
      'what other programs have for the whole',
      'inside = 10.0.0.0/8',
      'f.yaml:1:1: expected a mapping of settings, found "inside = 10.0.0.0/8", did you mean "inside: ..."?',
    ],
    [
      'UTF-16 as UTF-8',
      Buffer.from('\ufeffinside: [10.0.0.0/8]', 'utf16le').toString('utf8'),
      'f.yaml:1:1: expected UTF-8, found UTF-16, or no text',
    ],
    ['a word for the whole', 'inside', 'f.yaml:1:1: expected a mapping of settings, found "inside"'],
    ['two documents', 'ice: true\n---\nice: true', 'f.yaml:2:1: expected one document, found a second one'],
    ['an anchor', 'ice: &a true', 'f.yaml:1:9: expected the value alone, found the anchor "a"'],
    [
      'a tag',
      'ice: !!bool true',
      'f.yaml:1:13: expected the value alone, found the tag "tag:yaml.org,2002:bool"',
    ],
    ['YAML 1.1', '%YAML 1.1\n---\nice: true', 'f.yaml:1:1: expected YAML 1.2, found %YAML 1.1'],
    [
      'escape sequences for the terminal',
      'strict: "\\e[31m\\u202e"',
      'f.yaml:1:9: strict: expected true or false, found the text "\\u001b[31m\\u202e"',
    ],
    [
      'bytes that are not UTF-8',
      'ice: true # \ufffd',
      'f.yaml:1:13: expected UTF-8, found bytes that are not',
    ],
    ['deep nesting', '['.repeat(100_000), 'f.yaml:1:33: expected at most 32 levels of nesting'],
    ['deep nesting of blocks', '- '.repeat(100_000), 'f.yaml:1:65: expected at most 32 levels of nesting'],
    ['too much', '#'.repeat(256 * 1024 + 1), 'f.yaml: expected at most 256 KiB'],
  ];
  for (const [what, text, expected] of cases) {
    it(what, () => assert.deepEqual(problemsOf(text), [expected]));
  }

  it('an alias, and the anchor it takes', () => {
    assert.deepEqual(problemsOf('ice: &a true\nstrict: *a'), [
      'f.yaml:1:9: expected the value alone, found the anchor "a"',
      'f.yaml:2:9: expected the value itself, found the alias "a"',
    ]);
  });

  it('aliases that multiply', () => {
    const bomb = [
      'a: &a [x,x,x,x,x,x,x,x]',
      ...'bcdefghi'.split('').map((key, index) => {
        const alias = `*${'abcdefghi'[index]}`;
        return `${key}: &${key} [${Array.from({ length: 8 }, () => alias).join(',')}]`;
      }),
    ].join('\n');
    const problems = problemsOf(bomb);
    assert.ok(problems.length <= 101);
    assert.ok(problems.some((line) => line.includes('found the alias "a"')));
  });

  it('YAML that does not parse, with the place', () => {
    for (const [text, place] of [
      ['timers: {ringing: 60s', 'f.yaml:1:22: '],
      ['ice: true\n\tstrict: true', 'f.yaml:2:1: '],
      ['ice: "true', 'f.yaml:1:11: '],
      ['ice: @true', 'f.yaml:1:6: '],
    ] as const) {
      const problems = problemsOf(text);
      assert.ok(
        problems.some((line) => line.startsWith(place)),
        `${JSON.stringify(text)}: ${problems.join(' | ')}`,
      );
    }
  });

  it('everything at once, in the order of the file', () => {
    const loaded = loadConfig('web: 1\ntimers:\n  drain: 1h\n  ack: 1ms\nx-y-z: 1\ninside: [a, b]\n', 'f');
    assert.ok('problems' in loaded);
    assert.deepEqual(
      loaded.problems.map(({ at, key }) => [at?.line, at?.column, key]),
      [
        [1, 6, 'web'],
        [3, 10, 'timers.drain'],
        [4, 8, 'timers.ack'],
        [5, 1, 'x-y-z'],
        [6, 10, 'inside[0]'],
        [6, 13, 'inside[1]'],
      ],
    );
  });

  it('but not a million times', () => {
    const problems = problemsOf('a: 1\n'.repeat(40_000));
    assert.equal(problems.length, 101);
    assert.equal(problems.at(-1), 'f.yaml: and 39900 more');
  });
});

describe('a configuration file', () => {
  const directory = mkdtempSync(join(tmpdir(), 'pinholed-'));
  const problemOf = (path: string) => {
    const loaded = loadConfigFile(path);
    assert.ok('problems' in loaded);
    return loaded.problems.map(formatProblem).join('\n');
  };

  it('that is missing', () => {
    const path = join(directory, 'missing.yaml');
    assert.equal(problemOf(path), `${path}: cannot be read: there is no such file`);
  });

  it('that is a directory', () => {
    assert.equal(problemOf(directory), `${directory}: cannot be read: expected a file, found a directory`);
  });

  it('that anybody may write, or that belongs to somebody else', () => {
    const path = join(directory, 'open.yaml');
    writeFileSync(path, 'strict: true\n');
    chmodSync(path, 0o646);
    assert.equal(
      problemOf(path),
      `${path}: is not used: expected nobody else to be able to write it, found mode 0646`,
    );
    chmodSync(path, 0o644);
    assert.ok('settings' in loadConfigFile(path));
    if (process.geteuid?.() !== 0) return;
    chownSync(path, 65_534, 65_534);
    assert.equal(problemOf(path), `${path}: is not used: expected root to own it, found user 65534`);
  });

  it('that never ends', { skip: process.platform === 'win32' }, () => {
    assert.equal(problemOf('/dev/zero'), '/dev/zero: expected at most 256 KiB');
  });

  it('in Latin-1', () => {
    const path = join(directory, 'latin1.yaml');
    writeFileSync(path, Buffer.from('ice: true\n# Fernsprechger\xe4t\n', 'latin1'));
    assert.equal(problemOf(path), `${path}:2:16: expected UTF-8, found bytes that are not`);
  });
});
