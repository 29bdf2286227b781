import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { parse } from 'yaml';
import { DENIED_PORTS } from '../../src/config/denied-ports.ts';
import { loadConfig } from '../../src/config/load.ts';
import { formatProblem } from '../../src/config/problem.ts';
import { entries, kebab } from '../../src/config/schema.ts';
import { foreignSettings, hostile, openSettings } from '../pfsense/hostile.ts';
import { php, pluginFiles, withoutPhp } from './plugin.ts';

type Fields = Readonly<Record<string, unknown>>;

const form: Fields = {
  enabled: true,
  mode: 'enforce',
  interfaces: 'lan,opt2',
  sipports: '5060',
  siprules: 'follow',
  position: 'after',
  fail: 'closed',
  inside: '',
  mediaports: '10000-20000',
  mediahosts: '',
  tcpmedia: false,
  outbound: false,
  nat: 'rules',
  uplinks: 'gateways',
  loglevel: 'info',
  plaincallid: false,
  logparties: false,
  blocked: false,
  storeurl: '',
  storesentinel: '',
  storepassword: '',
  storeca: '',
  storeconfirm: 'none',
  hepfrom: '',
  heplisten: '',
  heppassword: '',
  hepspeaksfor: '',
  holdencrypted: '',
  more: '',
  mappings: {},
  peers: {},
};

const machine: Fields = {
  interfaces: {
    wan: { if: 'igb0', networks: ['203.0.113.2/24'] },
    lan: { if: 'igb1', networks: ['192.168.1.0/24', '2001:db8:1::/64'] },
    opt1: { if: 'igb2', networks: ['198.51.100.2/24'] },
    opt2: { if: 'igb1_vlan20', networks: ['198.18.20.0/24'] },
  },
  gateways: [
    { if: 'igb0', gateway: '203.0.113.1', ipprotocol: 'inet' },
    { if: 'igb2', gateway: '198.51.100.1', ipprotocol: 'inet' },
    { if: 'igb0', gateway: '2001:db8::1', ipprotocol: 'inet6' },
    { if: 'igb1', gateway: '192.168.1.254', ipprotocol: 'inet' },
  ],
  external: [
    {
      external: 'interface:igb0',
      hosts: ['192.168.1.10'],
      translation: 'pinhole',
      why: 'port forward "SIP to PBX"',
    },
  ],
};

interface Made {
  readonly text: string;
  readonly same: boolean;
  readonly secrets: Readonly<Record<string, string | null>>;
  /** What the form itself finds wrong with what is written in the daemon’s words. */
  readonly faults: readonly string[];
  /** What may be set so. */
  readonly more: readonly string[];
}

function made(changed: Fields, on: Fields = {}): Made {
  const result = php<Made>({
    task: 'settings',
    form: { ...form, ...changed },
    machine: { ...machine, ...on },
    authority: 'PEM of ours',
  });
  assert.ok(result.same, 'read again it is the same');
  return result;
}

const textOf = (changed: Fields, on: Fields = {}): string => made(changed, on).text;
const keysOf = (text: string) => Object.keys(parse(text) as object);

/** As the daemon reads it. */
function settingsOf(changed: Fields, on: Fields = {}) {
  const loaded = loadConfig(textOf(changed, on), 'pinholed.yaml');
  if ('problems' in loaded) assert.fail(loaded.problems.map(formatProblem).join('\n'));
  return loaded.settings;
}

/** What a field brings into the file that is not there as installed. */
const FURTHER = ['media-hosts', 'peers', 'denied-ports', 'peers-store', 'hep', 'hold-encrypted'];

describe('OPNsense: the daemon’s file', { skip: withoutPhp }, () => {
  it('of a form as installed is what the daemon accepts', () => {
    const settings = settingsOf({});
    assert.deepEqual(
      settings.inside.map(({ text }) => text),
      ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7', '2001:db8:1::/64', '198.18.20.0/24'],
    );
    assert.deepEqual(settings.insideInterfaces, ['igb1', 'igb1_vlan20']);
    assert.deepEqual(settings.freebsd.insideInterfaces, ['igb1', 'igb1_vlan20']);
    assert.deepEqual(settings.mediaPorts, [[10000, 20000]]);
    assert.equal(settings.fail, 'closed');
    assert.deepEqual(settings.uplinks, [
      { interface: 'igb0', gateway: '203.0.113.1' },
      { interface: 'igb2', gateway: '198.51.100.1' },
    ]);
    assert.equal(settings.nat.length, 1);
    assert.deepEqual(settings.nat[0]!.external, { interface: 'igb0' });
    assert.equal(settings.nat[0]!.translation, 'pinhole');
  });

  it('names the divert port, the anchors and the lock that the rules and the system use', () => {
    const { freebsd } = settingsOf({});
    assert.equal(freebsd.divertPort, 8668);
    assert.deepEqual([freebsd.anchor, freebsd.rdrAnchor, freebsd.binatAnchor], Array(3).fill('pinholed'));
    assert.match(textOf({}), /"reload-lock":"\/tmp\/rules\.debug"/);
  });

  it('an interface’s address and its bits are a network', () => {
    for (const [address, bits, network] of [
      ['192.168.1.77', 24, '192.168.1.0/24'],
      ['192.168.1.77', 30, '192.168.1.76/30'],
      ['192.168.1.77', 32, '192.168.1.77/32'],
      ['2001:db8:1::1', 64, '2001:db8:1::/64'],
      ['2001:db8:1:fff::1', 52, '2001:db8:1::/52'],
      ['203.0.113.255', 0, '0.0.0.0/0'],
    ] as const)
      assert.equal(php<string>({ task: 'network', address, bits }), network);
  });

  it('the daemon loads rules itself only for all SIP, passing unread', () => {
    assert.equal(settingsOf({ fail: 'open', siprules: 'all' }).fail, 'open');
    assert.equal(settingsOf({ fail: 'open', siprules: 'follow' }).fail, 'closed');
    assert.equal(settingsOf({ fail: 'closed', siprules: 'all' }).fail, 'closed');
  });

  it('no pinhole where SIP is', () => {
    const ports = settingsOf({ sipports: '5060,5080-5081', mediaports: '1024-65535' }).deniedPorts;
    assert.ok(ports.some(([first, last]) => first === 5080 && last === 5081));
    const known = DENIED_PORTS.map(([text]) => text);
    assert.equal(ports.length, known.length + 1);
  });

  it('the plugin knows the ports that never open', () => {
    const php = readFileSync(
      `${pluginFiles}/opnsense/mvc/app/library/OPNsense/Pinholed/DaemonSettings.php`,
      'utf8',
    );
    const [, list] = /DENIED_PORTS = \[(.*?)\];/s.exec(php)!;
    assert.deepEqual(
      [...list!.matchAll(/'([^']+)'/g)].map(([, port]) => port),
      DENIED_PORTS.map(([text]) => String(text)),
    );
  });

  it('external addresses from the table: addresses and interfaces', () => {
    const mappings = {
      one: { external: 'wan', hosts: '192.168.1.10', translation: 'pinhole', arrivesat: '' },
      two: {
        external: '203.0.113.9',
        hosts: '192.168.1.11,192.168.1.12',
        translation: 'ruleset',
        arrivesat: '192.168.0.2',
      },
    };
    const { nat } = settingsOf({ nat: 'list', mappings });
    assert.deepEqual(nat[0]!.external, { interface: 'igb0' });
    assert.equal(nat[1]!.hosts.length, 2);
    assert.equal(nat[1]!.translation, 'ruleset');
    assert.deepEqual(settingsOf({ nat: 'none', mappings }).nat, []);
  });

  it('peers', () => {
    const peers = { one: { name: 'provider', networks: '192.0.2.0/24,198.51.100.7' } };
    assert.equal(settingsOf({ peers }).peers[0]!.name, 'provider');
  });

  it('one way out needs no uplinks, nor does who wants none', () => {
    const gateways = [{ if: 'igb0', gateway: '203.0.113.1', ipprotocol: 'inet' }];
    assert.deepEqual(settingsOf({}, { gateways }).uplinks, []);
    assert.deepEqual(settingsOf({ uplinks: 'none' }).uplinks, []);
  });

  it('a pair shares its calls: the store, its password and its authority, in files of root’s alone', () => {
    const { text, secrets } = made({
      storeurl: 'rediss://10.9.0.1:6380,rediss://10.9.0.2:6380',
      storesentinel: 'calls',
      storepassword: ' p: "\u00e9 #',
      storeca: '5f01',
      storeconfirm: 'peers',
    });
    const loaded = loadConfig(text, 'pinholed.yaml');
    if ('problems' in loaded) assert.fail(loaded.problems.map(formatProblem).join('\n'));
    const { url, others, sentinel, passwordFile, tls, confirm, name } = loaded.settings.peersStore;
    assert.deepEqual(
      [url, ...others, confirm, name],
      [...['rediss://10.9.0.1:6380', 'rediss://10.9.0.2:6380'], 'peers', null],
    );
    assert.equal(sentinel, 'calls');
    assert.equal(secrets[passwordFile!], ' p: "\u00e9 #\n');
    assert.equal(secrets[tls.caFile!], 'PEM of ours');
    assert.doesNotMatch(text, /p: "/);
    assert.equal(settingsOf({ storeurl: 'redis://10.9.0.1' }).peersStore.passwordFile, null);
    assert.equal(settingsOf({}).peersStore.url, null);
    assert.deepEqual(Object.values(made({}).secrets), [null, null, null]);
  });

  it('copies of encrypted SIP, a look at what is blocked, names in the log', () => {
    const changed = {
      sipports: '5060-5061',
      hepfrom: '192.168.1.10,192.168.1.11',
      heplisten: '192.168.1.1:9060',
      heppassword: 'k',
      hepspeaksfor: '192.168.1.20',
      holdencrypted: '5ms',
      blocked: true,
      logparties: true,
    };
    const { hep, holdEncrypted, blocked, log } = settingsOf(changed);
    assert.deepEqual(hep.listen, { address: '192.168.1.1', port: 9060 });
    assert.equal(hep.from.length, 2);
    assert.deepEqual(
      hep.speaksFor.map(({ text }) => text),
      ['192.168.1.20/32'],
    );
    assert.equal(made(changed).secrets[hep.passwordFile!], 'k\n');
    assert.deepEqual([holdEncrypted, blocked.watch, log.parties], [5, true, 'plain']);
  });

  it('more settings are those that were written', () => {
    const more =
      '# TLS\r\nstatic-media:\r\n  - name: itsp\r\n    peers: [198.51.100.7]\r\n    hosts: [192.168.1.10]\r\n' +
      '    ports: [10000-10019]\r\n\r\ntimers: {no-audio: 20s}\r\nice: false';
    const settings = settingsOf({ more, sipports: '5060-5061' });
    assert.deepEqual(
      [settings.staticMedia[0]!.name, settings.timers.noAudio, settings.ice],
      ['itsp', 20_000, false],
    );
  });

  it('more settings are never anybody else’s', () => {
    const nothing = textOf({});
    for (const [more, lines] of foreignSettings) {
      const { text, faults } = made({ more });
      assert.equal(text, nothing, more);
      assert.deepEqual(
        faults.map((fault) => Number(/^line (\d+): /.exec(fault)?.[1])),
        lines,
        more,
      );
    }
    for (const more of openSettings) {
      const loaded = loadConfig(textOf({ more }), 'pinholed.yaml');
      if (!('problems' in loaded)) assert.fail(`nothing is wrong with ${more}`);
      assert.notEqual(loaded.rest?.mode, 'observe');
      const said = loaded.problems.map(formatProblem).join('\n');
      assert.deepEqual(Object.keys(php<object>({ task: 'problems', said, form: { ...form, more } })), [
        'more',
      ]);
    }
  });

  it('every setting there is can be reached, or is left out for a reason', () => {
    const { text, more } = made({
      mediahosts: '192.0.2.1',
      sipports: '5060,5070',
      storeurl: 'redis://10.9.0.1',
      blocked: true,
      hepfrom: '192.168.1.10',
      holdencrypted: '5ms',
      peers: { one: { name: 'a', networks: '192.0.2.1' } },
    });
    /** The way packets come is the plugin's; what is served, and where it is asked, would be doors of their own. */
    const closed = ['intercept', 'web', 'linux', 'control', 'daemon'];
    assert.deepEqual([...more, ...keysOf(text), ...closed].sort(), Object.keys(entries).map(kebab).sort());
    const form = readFileSync(
      `${pluginFiles}/opnsense/mvc/app/controllers/OPNsense/Pinholed/forms/general.xml`,
      'utf8',
    );
    const [, told] = /Lines of pinholed\.yaml\(5\): (.*)\.<\/help>/.exec(form)!;
    assert.deepEqual(told!.split(', ').sort(), [...more].sort());
  });

  it('hostile text in any field stays a value of its key, which the daemon refuses or takes as it is', () => {
    const own = new Set(keysOf(textOf({})));
    for (const text of hostile) {
      const changed = {
        nat: 'list',
        mappings: { one: { external: text, hosts: text, translation: text, arrivesat: text } },
        peers: { one: { name: text, networks: text } },
      };
      const shared = {
        storeurl: text,
        storesentinel: text,
        storepassword: text,
        storeca: text,
        storeconfirm: text,
      };
      const copied = {
        hepfrom: text,
        heplisten: text,
        heppassword: text,
        hepspeaksfor: text,
        holdencrypted: text,
      };
      const fields = [
        ...[
          'mode',
          'interfaces',
          'sipports',
          'inside',
          'mediaports',
          'mediahosts',
          'loglevel',
          'fail',
          'siprules',
          'more',
        ].map((key) => ({ [key]: text })),
        changed,
        shared,
        copied,
      ];
      for (const one of fields) {
        const made = textOf(one, {
          external: [{ external: text, hosts: [text], translation: text, why: text }],
        });
        assert.equal(
          made.split('\n', 1)[0],
          '# Written by Services: SIP Pinholes. Changes made here are lost.',
        );
        for (const line of made.trimEnd().split('\n').slice(1)) assert.match(line, /^[a-z-]+: \S/);
        for (const key of keysOf(made)) assert.ok(own.has(key) || FURTHER.includes(key), key);
        loadConfig(made, 'pinholed.yaml');
      }
    }
  });
});

describe('OPNsense: what a change needs', { skip: withoutPhp }, () => {
  const step = (before: Fields | null, after: Fields) => php<string>({ task: 'step', before, after });

  it('nothing, a reload, or a restart', () => {
    assert.equal(step({ nat: [], fail: 'open' }, { nat: [], fail: 'open' }), 'unchanged');
    assert.equal(step({ nat: [], fail: 'open' }, { nat: [1], fail: 'open' }), 'reload');
    assert.equal(step({ nat: [], fail: 'open' }, { nat: [1], fail: 'closed' }), 'restart');
    assert.equal(step(null, { nat: [] }), 'restart');
  });

  it('a reload is enough for a key exactly when the table of settings says so', () => {
    for (const key of keysOf(
      textOf({ mediahosts: '192.0.2.1', holdencrypted: '5ms', storeurl: 'redis://x', blocked: true }),
    )) {
      const node = Object.entries(entries).find(([name]) => kebab(name) === key)![1];
      const isLog = key === 'log';
      const reloads = node.node === 'section' ? isLog : node.reload === 'reload';
      assert.equal(step({ [key]: 1 }, { [key]: 2 }), reloads ? 'reload' : 'restart', key);
    }
  });
});

describe('OPNsense: what the daemon finds wrong is said at the field', { skip: withoutPhp }, () => {
  const problems = (changed: Fields) => {
    const made = { ...form, ...changed };
    const loaded = loadConfig(textOf(changed), '/tmp/pinholedAbC');
    assert.ok('problems' in loaded, 'something is wrong');
    const said = loaded.problems.map(formatProblem).join('\n');
    return Object.keys(php<object>({ task: 'problems', said, form: made })).sort();
  };
  const mapping = { external: '203.0.113.2', hosts: '192.168.1.10', translation: 'pinhole', arrivesat: '' };

  for (const [name, changed, fields] of [
    ['media ports', { mediaports: '20000-10000' }, ['mediaports']],
    ['SIP ports', { sipports: '0' }, ['sipports']],
    ['inside networks', { inside: '192.168.1.0/99' }, ['inside']],
    ['media hosts', { mediahosts: 'nobody' }, ['mediahosts']],
    [
      'a host that is not inside',
      { nat: 'list', mappings: { u1: { ...mapping, hosts: '8.8.8.8' } } },
      ['mappings.mapping.u1.hosts'],
    ],
    [
      'the second row',
      { nat: 'list', mappings: { u1: mapping, u2: { ...mapping, external: 'x y' } } },
      ['mappings.mapping.u2.external'],
    ],
    ['the store', { storeurl: 'http://10.9.0.1' }, ['storeurl']],
    ['who mirrors, and nowhere to send it', { hepfrom: '192.168.1.10' }, ['heplisten']],
    [
      'who they speak for',
      { ...{ hepfrom: '192.168.1.10', heplisten: '192.168.1.1:9060' }, hepspeaksfor: 'x' },
      ['hepspeaksfor'],
    ],
    ['how long packets wait', { holdencrypted: '5h' }, ['holdencrypted']],
    ['more settings', { more: 'ice: maybe\nstatic-media: [{name: x}]' }, ['more']],
    ['a peer', { peers: { p1: { name: 'a', networks: '300.1.1.1' } } }, ['peers.peer.p1.networks']],
  ] as const)
    it(name, () => assert.deepEqual(problems(changed), fields));
});

describe('OPNsense: external addresses read from the user’s rules', { skip: withoutPhp }, () => {
  const forward = {
    interface: 'wan',
    protocol: 'udp',
    source: { any: '1' },
    destination: { network: 'wanip', port: '5060' },
    target: '192.168.1.10',
    'local-port': '5060',
    descr: 'SIP to PBX',
  };
  const found = (forwards: readonly Fields[], oneToOne: readonly Fields[] = []) =>
    php<readonly { external: string; hosts: string[]; translation: string }[]>({
      task: 'external',
      interfaces: machine['interfaces'],
      hosts: { PBX: ['192.168.1.20'], MANY: ['192.0.2.1', '192.0.2.2'] },
      ports: { SIP: ['5060:5061'], sip: ['5060'] },
      forwards,
      oneToOne,
      sip: [[5060, 5060]],
    }).map(({ external, hosts, translation }) => `${external} ${hosts.join('+')} ${translation}`);

  for (const [name, rule, expected] of [
    ['the address of an interface', forward, ['interface:igb0 192.168.1.10 pinhole']],
    [
      'an address',
      { ...forward, destination: { address: '203.0.113.9', port: '5060' } },
      ['203.0.113.9 192.168.1.10 pinhole'],
    ],
    ['an alias of one host', { ...forward, target: 'PBX' }, ['interface:igb0 192.168.1.20 pinhole']],
    [
      'a port alias',
      { ...forward, destination: { network: 'wanip', port: 'SIP' } },
      ['interface:igb0 192.168.1.10 pinhole'],
    ],
    [
      'a range with SIP in it',
      { ...forward, destination: { network: 'wanip', port: '5000-5100' } },
      ['interface:igb0 192.168.1.10 pinhole'],
    ],
    ['media alone', { ...forward, destination: { network: 'wanip', port: '10000-20000' } }, []],
    ['an alias of several addresses', { ...forward, destination: { network: 'MANY', port: '5060' } }, []],
    ['disabled', { ...forward, disabled: '1' }, []],
    ['no redirect', { ...forward, nordr: '1' }, []],
    ['all but an address', { ...forward, destination: { network: 'wanip', port: '5060', not: '1' } }, []],
    ['an interface that is not there', { ...forward, destination: { network: 'opt9ip', port: '5060' } }, []],
    ['IPv6', { ...forward, ipprotocol: 'inet6' }, []],
  ] as const)
    it(`port forward: ${name}`, () => assert.deepEqual(found([rule]), expected));

  const mapped = { enabled: '1', type: 'binat', external: '203.0.113.9', source_net: '192.168.1.10' };
  for (const [name, rule, expected] of [
    ['one host', mapped, ['203.0.113.9 192.168.1.10 ruleset']],
    [
      'a network, host by host',
      { ...mapped, external: '203.0.113.8/31', source_net: '192.168.1.10/31' },
      ['203.0.113.8 192.168.1.10 ruleset', '203.0.113.9 192.168.1.11 ruleset'],
    ],
    ['a large network', { ...mapped, external: '203.0.113.0/24', source_net: '192.168.1.0/24' }, []],
    ['disabled', { ...mapped, enabled: '0' }, []],
    ['plain NAT', { ...mapped, type: 'nat' }, []],
  ] as const)
    it(`1:1: ${name}`, () => assert.deepEqual(found([], [rule]), expected));

  it('1:1 wins over a port forward of the same host', () => {
    const rule = { ...forward, destination: { address: '203.0.113.9', port: '5060' } };
    assert.deepEqual(found([rule], [mapped]), ['203.0.113.9 192.168.1.10 ruleset']);
  });

  it('two PBXs behind one address are one entry', () => {
    assert.deepEqual(found([forward, { ...forward, target: 'PBX' }]), [
      'interface:igb0 192.168.1.10+192.168.1.20 pinhole',
    ]);
  });

  it('hostile text is no address', () => {
    for (const text of hostile) {
      assert.deepEqual(found([{ ...forward, target: text }]), []);
      assert.deepEqual(found([{ ...forward, destination: { address: text, port: '5060' } }]), []);
      assert.deepEqual(found([{ ...forward, destination: { network: 'wanip', port: text } }]), []);
      assert.deepEqual(
        found(
          [],
          [
            { ...mapped, external: text },
            { ...mapped, source_net: text },
          ],
        ),
        [],
      );
    }
  });
});

describe('OPNsense: the table of calls', { skip: withoutPhp }, () => {
  const call = {
    legId: '00112233445566ff',
    from: '"Front \\\\ Desk" <sip:a@example.com>;tag=1',
    to: '<sip:b@example.com>',
    parties: ['192.168.1.10:5060', '192.0.2.1:5060'],
    state: 'confirmed',
    endReason: null,
    age: 3725.4,
    packets: 1312,
    packetsTo: { caller: 12, callee: 1300 },
    pinholes: [{ protocol: 'udp', address: '192.168.1.10', ports: [10000, 10001], packets: 12 }],
  };
  const rows = (calls: readonly unknown[]) =>
    php<readonly Record<string, unknown>[]>({ task: 'calls', calls });

  it('says who, in what state, since when and what is open', () => {
    assert.deepEqual(rows([call]), [
      {
        legId: '00112233445566ff',
        from: 'Front \\\\ Desk, sip:a@example.com',
        to: 'sip:b@example.com',
        parties: '192.168.1.10:5060 - 192.0.2.1:5060',
        state: 'confirmed',
        age: '1:02:05',
        pinholes: ['udp 192.168.1.10 port 10000-10001'],
        towards: { caller: '12', callee: '1,300' },
        silent: [],
        ended: false,
      },
    ]);
  });

  it('says how many packets went to each party, and who hears nothing', () => {
    const towards = (more: object) => rows([{ ...call, ...more }])[0]!['towards'];
    assert.deepEqual(towards({ packetsTo: { caller: 0, callee: 7 } }), { caller: '0', callee: '7' });
    const untold = { caller: null, callee: null };
    assert.deepEqual(towards({ packetsTo: untold }), { caller: '', callee: '' });
    assert.deepEqual(towards({ packetsTo: untold, packets: 0 }), { caller: '-', callee: '-' });
    for (const packetsTo of [undefined, 'x', { caller: '9', callee: [1] }])
      assert.deepEqual(towards({ packetsTo }), { caller: '', callee: '' });
    const silent = (noAudio: unknown) => rows([{ ...call, noAudio }])[0]!['silent'];
    const causes = [
      { reason: 'nat', text: 'The caller \u202eannounces.', advice: 'See nat.' },
      { text: 'And', advice: '' },
    ];
    assert.deepEqual(silent({ to: ['caller'], since: 1, causes }), {
      caller: 'The caller announces. See nat. And',
    });
    assert.deepEqual(Object.keys(silent({ to: ['caller', 'callee'], causes: 'x' }) as object), [
      'caller',
      'callee',
    ]);
    for (const noAudio of [null, 'x', {}, { to: 'caller' }, { to: [['caller'], 'other', null], causes: [7] }])
      assert.deepEqual(silent(noAudio), []);
  });

  it('says who was refused, why, and what to do', () => {
    const refused = { ...call, at: 0, reason: 'foreign-address', why: 'not this host', advice: 'see nat' };
    for (const text of ['<b>', ...hostile]) {
      const [row] = php<readonly Record<string, string>[]>({
        task: 'refused',
        refused: [{ ...refused, from: text, advice: text }],
      });
      assert.equal(row!['reason'], 'foreign-address');
      assert.equal(row!['legId'], call.legId);
      assert.match(row!['at']!, /^\d{4}-\d\d-\d\d /);
      assert.doesNotMatch(row!['advice']!, /[\x00-\x1f\x7f\u202e\u2066]/);
    }
  });

  it('hostile names are text without what steers a terminal; a strange answer is no error', () => {
    for (const text of hostile) {
      const [row] = rows([{ ...call, legId: text, from: text, to: text, endReason: text }]);
      assert.equal(row!['legId'], '');
      assert.doesNotMatch(String(row!['from']), /[\x00-\x1f\x7f\u202e\u2066]/);
    }
    assert.deepEqual(
      rows([{ legId: ['a'] }]).map((row) => row['legId']),
      [''],
    );
    assert.deepEqual(rows([null, 7, 'x']), []);
    assert.equal(rows([{}]).length, 1);
    assert.equal(rows([{ pinholes: [{}], parties: 'x', from: ['a'] }]).length, 1);
  });
});
