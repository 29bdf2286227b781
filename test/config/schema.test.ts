import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { writtenValue } from '../../src/config/print.ts';
import { settingChanges } from '../../src/config/reload.ts';
import { cautions, missingInterfaces } from '../../src/config/rules.ts';
import {
  defaults,
  type Entries,
  entries,
  initialOn,
  initialValue,
  kebab,
  type Leaf,
  type Settings,
} from '../../src/config/schema.ts';

function leaves(nodes: Entries, path = ''): { key: string; node: Leaf }[] {
  return Object.entries(nodes).flatMap(([name, node]) => {
    const key = `${path}${kebab(name)}`;
    return node.node === 'section' ? leaves(node.entries, `${key}.`) : [{ key, node }];
  });
}

function load(text: string): Settings {
  const loaded = loadConfig(text, 'f');
  assert.ok('settings' in loaded);
  return loaded.settings;
}

describe('the table of settings', () => {
  it('has only defaults that it would accept, in the notation in which they are printed', () => {
    for (const { key, node } of leaves(entries)) {
      for (const system of ['freebsd', 'linux'] as const) {
        const initial = node.node === 'setting' ? initialOn(node.initial, system) : node.initial;
        assert.deepEqual(writtenValue(node, initialValue(key, node, system)), initial, key);
      }
    }
  });

  it('says of each setting in whole sentences what it means', () => {
    for (const { key, node } of leaves(entries)) assert.match(node.about, /^[`a-zA-Z].*\.$/, key);
  });

  it('has the deadlines of RFC 3261 17.1.1.2 (64 * T1), RFC 3261 16.6 (timer C) and RFC 4028 section 4 (90 s)', () => {
    const { timers } = defaults();
    const sixtyFourT1 = 64 * 500;
    for (const name of ['offer', 'ack', 'afterBye', 'afterCancel', 'forks'] as const) {
      assert.equal(timers[name], sixtyFourT1, name);
    }
    assert.ok(timers.ringing >= 3 * 60_000);
    assert.ok(timers.retransmissionMemory > sixtyFourT1);
    assert.equal(timers.sessionFloor, 90_000);
  });

  it('is safe without a file', () => {
    const settings = defaults();
    assert.deepEqual(
      settings.inside.map(({ text }) => text),
      ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'],
    );
    const [desktops, ...others] = cautions(settings);
    assert.match(
      desktops!,
      /every desktop in 10\.0\.0\.0\/8, 172\.16\.0\.0\/12, fc00::\/7 counts as a SIP host/,
    );
    const lines = [...desktops!.matchAll(/"([^"]+)"/g)].map(([, line]) => line);
    assert.deepEqual(cautions(load(lines.join('\n'))), [], 'the two lines that it shows narrow it');
    assert.deepEqual(others, []);
    assert.equal(settings.metrics, null);
    assert.equal(settings.web, null);
    assert.equal(settings.control.mode, 0o600);
    assert.equal(settings.earlyMediaSource, 'signalling-peer');
    assert.equal(settings.mediaSource, 'exact');
    for (const port of [1434, 1719, 1720, 1723, 1900, 2049, 3306, 3389, 5060, 5061, 5353, 5432, 5900, 6379]) {
      assert.ok(
        settings.deniedPorts.some(([first, last]) => first <= port && port <= last),
        `port ${port}`,
      );
    }
  });

  it('gives every caller its own defaults', () => {
    assert.notEqual(defaults().inside, defaults().inside);
  });
});

describe('what is wider than most would want', () => {
  it('is named', () => {
    const settings = load(`
inside: [0.0.0.0/0]
early-media-source: any
media-source: any
media-ports: [80-90]
peers: [{name: itsp, networks: [203.0.113.0/28], media-source: any}]
metrics: 192.0.2.1:9477
daemon: {user: root}
`);
    assert.deepEqual(
      cautions(settings).map((text) => text.split(':')[0]),
      ['inside', 'peers', 'early-media-source', 'media-source', 'media-ports', 'metrics', 'daemon.user'],
    );
  });

  it('is named where TLS is set for a store that is spoken to in clear', () => {
    const store = (scheme: string, tls: string) =>
      cautions(
        load(`{inside: [192.168.1.0/24], peers-store: {url: "${scheme}://10.9.0.1:6379", ${tls}}}`),
      ).map((text) => text.split(':')[0]);
    assert.deepEqual(store('redis', 'tls: {ca-file: /etc/ca.pem}'), ['peers-store.tls']);
    assert.deepEqual(store('redis', 'tls: {server-name: store.example}'), ['peers-store.tls']);
    assert.deepEqual(store('rediss', 'tls: {ca-file: /etc/ca.pem}'), []);
    assert.deepEqual(store('redis', 'group: office'), []);
  });

  const STORE = '10.9.0.1:6379';
  const LISTEN = 'listen: 192.168.1.1:9060';
  const without = 'what is not inside has no ports opened, whoever sends a copy of its calls';
  const useless: readonly (readonly [lines: string, said: readonly string[]])[] = [
    [
      `peers-store: {others: ["redis://${STORE}"], sentinel: voice}`,
      ['peers-store.others, peers-store.sentinel: peers-store.url is off: calls are shared with nobody'],
    ],
    [
      'peers-store: {confirm: peers, password-file: /etc/p, tls: {ca-file: /etc/ca.pem}}',
      [
        'peers-store.password-file, peers-store.tls, peers-store.confirm: peers-store.url is off: calls are shared with nobody',
      ],
    ],
    ['peers-store: {name: a, group: office}', []],
    ...['redis', 'rediss'].map((scheme): readonly [string, readonly string[]] => [
      `peers-store: {url: "${scheme}://${STORE}", others: ["redis://h", "rediss://h"], tls: {ca-file: /etc/ca.pem}}`,
      [
        'peers-store.others: some have redis:// and some rediss://: calls and the password go in clear to the former',
      ],
    ]),
    [`peers-store: {url: "rediss://${STORE}", others: ["rediss://h"], tls: {ca-file: /etc/ca.pem}}`, []],
    [
      'hep: {from: [192.168.1.10], speaks-for: [192.168.1.11], password-file: /etc/p}',
      ['hep.from, hep.speaks-for, hep.password-file: hep.listen is off: no copy will come'],
    ],
    ['hep: {send: 192.168.1.30:9060, password-file: /etc/p}', []],
    [
      `hep: {${LISTEN}, from: [192.168.1.10, 203.0.113.9], password-file: /etc/p}`,
      [`hep.from: 203.0.113.9/32: ${without}`],
    ],
    [
      `hep: {${LISTEN}, from: [192.168.1.10], speaks-for: [192.168.0.0/16, 192.168.1.0/25], password-file: /etc/p}`,
      [`hep.speaks-for: 192.168.0.0/16: ${without}`],
    ],
    ['hep: {listen: 127.0.0.1:5060, from: [127.0.0.1], password-file: /etc/p}', []],
    [
      'hep: {listen: 192.168.1.1:5060, from: [192.168.1.10], send: 192.168.1.30:5060, password-file: /etc/p}',
      ['hep.listen', 'hep.send'].map(
        (key) =>
          `${key}: 5060 is one of sip-ports: what is sent there may be taken for SIP. Take another port`,
      ),
    ],
    ['metrics-hosts: [fw.example]', ['metrics-hosts: metrics is off: nobody is answered']],
  ];
  for (const [lines, said] of useless) {
    it(`is told where it does nothing: ${lines}`, () => {
      assert.deepEqual(cautions(load(`inside: [192.168.1.0/24]\n${lines}`)), said);
    });
  }

  it('needs interfaces where the daemon loads the rules', () => {
    assert.match(missingInterfaces(load('fail: open'), 'freebsd') ?? '', /inside-interfaces/);
    assert.equal(missingInterfaces(load('fail: open'), 'linux'), null);
    assert.equal(missingInterfaces(load('fail: closed'), 'freebsd'), null);
    assert.equal(
      missingInterfaces(load('{fail: open, freebsd: {inside-interfaces: [em0]}}'), 'freebsd'),
      null,
    );
  });
});

describe('a reload', () => {
  it('finds nothing when nothing changed but the spelling', () => {
    const one = load('timers: {ringing: 120}\ninside: [2001:DB8::/32]');
    const other = load('inside: ["2001:db8:0::/32"]\ntimers: {ringing: 2m}');
    assert.deepEqual(settingChanges(one, other), []);
  });

  it('tells what changed, and what of it waits for a restart', () => {
    const other = load('timers: {ringing: 1m}\nfreebsd: {divert-port: 7000}');
    assert.deepEqual(settingChanges(defaults(), other), [
      { key: 'timers.ringing', from: '3m', to: '1m', reload: 'reload' },
      { key: 'freebsd.divert-port', from: '8668', to: '7000', reload: 'restart' },
    ]);
  });

  it('can change all that decides about calls, and nothing that was opened with privileges', () => {
    const restart = leaves(entries)
      .filter(({ node }) => node.reload === 'restart')
      .map(({ key }) => key);
    assert.deepEqual(
      restart.filter((key) =>
        /^(inside|media|denied|early|peers$|symmetric|ice|tcp|strict|caps|timers)/.test(key),
      ),
      [],
    );
    for (const key of [
      'platform',
      'fail',
      'sip-ports',
      'freebsd.divert-port',
      'freebsd.anchor',
      'freebsd.shards',
      'linux.queue',
      'linux.table',
      'linux.mark',
      'daemon.user',
      'daemon.journal',
      'control.socket',
      'log.destination',
    ]) {
      assert.ok(restart.includes(key), key);
    }
  });
});
