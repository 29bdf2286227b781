import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, it } from 'node:test';
import { DENIED_PORTS } from '../../src/config/denied-ports.ts';
import { loadConfig, type Settings } from '../../src/config/load.ts';
import { entries, kebab } from '../../src/config/schema.ts';
import { foreignSettings, hostile, openSettings } from './hostile.ts';
import { make, packageFiles, type Tree, withoutPhp } from './package.ts';

const base64 = (text: string) => Buffer.from(text).toString('base64');

function settingsOf(yaml: string): Settings {
  const loaded = loadConfig(yaml, 'pinholed.yaml');
  if (!('settings' in loaded))
    assert.fail(loaded.problems.map(({ key, message }) => `${key}: ${message}`).join('\n'));
  return loaded.settings;
}

const texts = (networks: readonly { readonly text: string }[]) => networks.map(({ text }) => text);

describe('pfSense package: the configuration file', { skip: withoutPhp }, () => {
  it('holds what the form holds', () => {
    const form: Tree = {
      interfaces: 'lan,opt1',
      sipports: '5060, 5080-5090',
      mediaports: '10000-20000',
      mediahosts: '198.51.100.7 198.51.100.0/28',
      inside: base64('192.168.1.0/24\n10.9.0.0/16'),
      peers: base64(
        '# our provider\nitsp 192.0.2.0/24, 192.0.2.200\r\n\r\n198.51.100.99 198.51.100.98 # two more\n',
      ),
      nat: 'list',
      row: [
        { external: '203.0.113.2', insidehosts: '192.168.1.10 192.168.1.11', translation: 'pinhole' },
        { external: 'wan', insidehosts: '192.168.1.12', translation: 'ruleset' },
        { external: '', insidehosts: '', translation: 'pinhole' },
      ],
      tcpmedia: 'on',
      outbound: 'on',
      position: 'before',
      loglevel: 'debug',
      plaincallid: 'on',
    };
    const interfaces: Tree = { wan: { if: 'igb0' }, lan: { if: 'igb1' }, opt1: { if: 'igb1.20' } };
    const [made] = make([{ form, interfaces }]);
    const settings = settingsOf(made!.yaml);
    assert.deepEqual(settings.insideInterfaces, ['igb1', 'igb1.20']);
    assert.deepEqual(settings.freebsd.insideInterfaces, ['igb1', 'igb1.20']);
    assert.deepEqual(settings.sipPorts, [
      [5060, 5060],
      [5080, 5090],
    ]);
    assert.deepEqual(settings.mediaPorts, [[10_000, 20_000]]);
    assert.deepEqual(texts(settings.mediaHosts), ['198.51.100.7/32', '198.51.100.0/28']);
    assert.deepEqual(texts(settings.inside), ['192.168.1.0/24', '10.9.0.0/16']);
    assert.deepEqual(
      settings.peers.map(({ name, networks }) => [name, texts(networks)]),
      [
        ['itsp', ['192.0.2.0/24', '192.0.2.200/32']],
        [null, ['198.51.100.99/32']],
        [null, ['198.51.100.98/32']],
      ],
    );
    assert.deepEqual(
      settings.nat.map(({ external, hosts, translation }) => [external, texts(hosts), translation]),
      [
        [{ address: '203.0.113.2' }, ['192.168.1.10/32', '192.168.1.11/32'], 'pinhole'],
        [{ interface: 'igb0' }, ['192.168.1.12/32'], 'ruleset'],
      ],
    );
    assert.equal(settings.tcpMedia, true);
    assert.equal(settings.outbound, true);
    assert.equal(settings.freebsd.anchor, 'userrules/pinholed');
    assert.equal(settings.log.level, 'debug');
    assert.equal(settings.log.callId, 'plain');
    assert.equal(settings.fail, 'closed');
  });

  it('nothing stored is the daemon’s defaults, with the networks of the inside interfaces', () => {
    const interfaces: Tree = {
      lan: { if: 'igb1', ipaddr: '192.168.1.1', subnet: '24', ipaddrv6: '2001:db8:b::1', subnetv6: '64' },
      opt1: { if: 'igb2', ipaddr: '198.51.100.9', subnet: '29', ipaddrv6: 'fd00::1', subnetv6: '64' },
    };
    const [lan, both] = make([{ interfaces }, { interfaces, form: { interfaces: 'lan,opt1' } }]);
    const known = ['10.0.0.0/8', '172.16.0.0/12', '192.168.0.0/16', 'fc00::/7'];
    assert.deepEqual(texts(settingsOf(lan!.yaml).inside), [...known, '2001:db8:b::/64']);
    assert.deepEqual(texts(settingsOf(both!.yaml).inside), [...known, '2001:db8:b::/64', '198.51.100.8/29']);
    const { deniedPorts, sipPorts, mediaPorts } = settingsOf(lan!.yaml);
    assert.deepEqual(
      { deniedPorts, sipPorts, mediaPorts },
      (({ deniedPorts, sipPorts, mediaPorts }) => ({ deniedPorts, sipPorts, mediaPorts }))(settingsOf('{}')),
    );
  });

  it('SIP ports never open for media, beside the daemon’s own list of those', () => {
    const [made] = make([{ form: { sipports: '5060 5070 3300-3310' } }]);
    const own = DENIED_PORTS.map(([ports]) => String(ports)).filter((ports) => ports !== '3306');
    const numbers = (ranges: readonly (readonly [number, number])[]) =>
      ranges.map(([first, last]) => (first === last ? `${first}` : `${first}-${last}`)).sort();
    assert.deepEqual(numbers(settingsOf(made!.yaml).deniedPorts), [...own, '3300-3310', '5070'].sort());
  });

  it('several ways out, read from the gateways; one is none', () => {
    const wan = { interface: 'igb0', gateway: '203.0.113.1', ipprotocol: 'inet' };
    const wan2 = { interface: 'igb2', gateway: '198.51.100.1', ipprotocol: 'inet' };
    const gateways = {
      WANGW: wan,
      WAN6GW: { interface: 'igb0', gateway: '2001:db8:a::1', ipprotocol: 'inet6' },
      WAN2GW: wan2,
      LANGW: { interface: 'igb1', gateway: '192.168.1.254', ipprotocol: 'inet' },
      DOWN: { interface: 'igb3', gateway: 'dynamic', ipprotocol: 'inet' },
    };
    const [two, one, off] = make([
      { machine: { gateways } },
      { machine: { gateways: { WANGW: wan } } },
      { machine: { gateways }, form: { uplinks: 'none' } },
    ]);
    assert.deepEqual(settingsOf(two!.yaml).uplinks, [
      { interface: 'igb0', gateway: '203.0.113.1' },
      { interface: 'igb2', gateway: '198.51.100.1' },
    ]);
    assert.deepEqual(settingsOf(one!.yaml).uplinks, []);
    assert.deepEqual(settingsOf(off!.yaml).uplinks, []);
  });

  it('who stands for whom, read from port forwards of SIP and from 1:1 NAT', () => {
    const forward = (fields: Tree): Tree => ({
      ...{ interface: 'wan', protocol: 'udp', target: '192.168.1.10', ...fields },
    });
    const nat: Tree = {
      rule: [
        forward({ destination: { network: 'wanip', port: '5060' } }),
        forward({
          destination: { address: '203.0.113.7', port: '5000-5100' },
          protocol: 'tcp/udp',
          target: 'PBX',
        }),
        forward({ destination: { address: '203.0.113.8', port: '5060' }, disabled: '' }),
        forward({ destination: { address: '203.0.113.9', port: '443' } }),
        forward({ destination: { address: '203.0.113.10', port: '5060' }, nordr: '' }),
        forward({ destination: { address: '203.0.113.11', port: '5060' }, target: 'MANY' }),
        forward({ destination: { address: '203.0.113.12', port: '5060' }, target: '192.168.1.12' }),
      ],
      onetoone: [
        { external: '203.0.113.12', source: { address: '192.168.1.12' } },
        { external: '203.0.113.13', source: { address: '192.168.1.13' }, disabled: '' },
        { external: '203.0.113.14', source: { network: 'lan' } },
      ],
    };
    const aliases: Tree = {
      alias: [
        { name: 'PBX', type: 'host', address: '192.168.1.11' },
        { name: 'MANY', type: 'host', address: '192.168.1.20 192.168.1.21' },
      ],
    };
    const [made, none] = make([
      { more: { nat, aliases } },
      { more: { nat, aliases }, form: { nat: 'none' } },
    ]);
    assert.deepEqual(
      settingsOf(made!.yaml).nat.map(({ external, hosts, translation }) => [
        external,
        texts(hosts),
        translation,
      ]),
      [
        [{ address: '203.0.113.12' }, ['192.168.1.12/32'], 'ruleset'],
        [{ interface: 'igb0' }, ['192.168.1.10/32'], 'pinhole'],
        [{ address: '203.0.113.7' }, ['192.168.1.11/32'], 'pinhole'],
      ],
    );
    assert.deepEqual(settingsOf(none!.yaml).nat, []);
  });

  it('an error is found at the field that it comes from', () => {
    const cases: readonly (readonly [form: Tree, field: string])[] = [
      [{ sipports: '5060 70000' }, 'sipports'],
      [{ mediaports: '20000-10000' }, 'mediaports'],
      [{ mediahosts: 'pbx.example.net' }, 'mediahosts'],
      [{ inside: base64('192.168.1.0/33') }, 'inside'],
      [{ storeurl: 'http://10.9.0.1' }, 'storeurl'],
      [{ hepfrom: '192.168.1.10' }, 'heplisten'],
      [{ hepfrom: '192.168.1.10', heplisten: '192.168.1.1:9060', hepspeaksfor: 'x' }, 'hepspeaksfor'],
      [{ holdencrypted: '5h' }, 'holdencrypted'],
      [{ peers: base64('192.0.2.1\n\nitsp 192.0.2.300') }, 'peers:3'],
      [
        {
          nat: 'list',
          row: [
            { external: '203.0.113.2', insidehosts: '192.168.1.10' },
            { external: 'wan9', insidehosts: '192.168.1.11' },
          ],
        },
        'external1',
      ],
    ];
    const made = make(cases.map(([form]) => ({ form })));
    for (const [index, [, field]] of cases.entries()) {
      const { yaml, fields } = made[index]!;
      const loaded = loadConfig(yaml, 'pinholed.yaml');
      if (!('problems' in loaded)) assert.fail(`nothing is wrong with ${field}`);
      assert.deepEqual([...new Set(loaded.problems.map(({ at }) => fields[(at?.line ?? 0) - 1]))], [field]);
    }
  });

  it('a pair shares its calls: the store, its password and its authority, in files of root’s alone', () => {
    const more: Tree = {
      ca: [
        { refid: '5f00', descr: 'Other', crt: base64('PEM of another') },
        { refid: '5f01', descr: 'Site CA', crt: base64('PEM of ours') },
      ],
    };
    const form: Tree = {
      storeurl: 'rediss://10.9.0.1:6380 rediss://10.9.0.2:6380',
      storesentinel: 'calls',
      storepassword: base64(' p: "\u00e9 #'),
      storeca: '5f01',
      storeconfirm: 'peers',
    };
    const [made, plain, none, unknown] = make([
      { form, more },
      { form: { storeurl: 'redis://10.9.0.1' } },
      {},
      { form: { ...form, storeca: '5f09' }, more },
    ]);
    const { url, others, sentinel, passwordFile, tls, confirm, name } = settingsOf(made!.yaml).peersStore;
    assert.deepEqual([others, sentinel], [['rediss://10.9.0.2:6380'], 'calls']);
    assert.deepEqual(
      [url, tls.caFile, confirm, name],
      ['rediss://10.9.0.1:6380', '/var/db/pinholed/store-ca.pem', 'peers', null],
    );
    assert.equal(made!.secrets[passwordFile!], ' p: "\u00e9 #\n');
    assert.equal(made!.secrets[tls.caFile!], 'PEM of ours');
    assert.doesNotMatch(made!.yaml, /p: "/);
    assert.deepEqual(made!.faults, []);
    assert.equal(settingsOf(plain!.yaml).peersStore.passwordFile, null);
    assert.equal(settingsOf(none!.yaml).peersStore.url, null);
    assert.deepEqual(Object.values(none!.secrets), [null, null, null]);
    assert.deepEqual(unknown!.faults, [['storeca', 'is no authority of this firewall']]);
  });

  it('copies of encrypted SIP, a look at what is blocked, names in the log', () => {
    const form: Tree = {
      sipports: '5060-5061',
      hepfrom: '192.168.1.10, 192.168.1.11',
      heplisten: '192.168.1.1:9060',
      heppassword: base64('k\nsecond line'),
      hepspeaksfor: '192.168.1.20',
      holdencrypted: '5ms',
      blocked: 'on',
      logparties: 'on',
    };
    const [made] = make([{ form }]);
    const { hep, holdEncrypted, blocked, log } = settingsOf(made!.yaml);
    assert.deepEqual(hep.listen, { address: '192.168.1.1', port: 9060 });
    assert.deepEqual(texts(hep.from), ['192.168.1.10/32', '192.168.1.11/32']);
    assert.deepEqual(texts(hep.speaksFor), ['192.168.1.20/32']);
    assert.equal(made!.secrets[hep.passwordFile!], 'k\n');
    assert.equal(holdEncrypted, 5);
    assert.equal(blocked.watch, true);
    assert.equal(log.parties, 'plain');
  });

  it('more settings are those that were written, at their lines', () => {
    const text =
      '# TLS\r\nstatic-media:\r\n  - name: itsp\r\n    peers: [198.51.100.7]\r\n    hosts: [192.168.1.10]\r\n    ports: [10000-10019]\r\n\r\ntimers: {no-audio: 20s}\r\nice: maybe';
    const [made] = make([{ form: { more: base64(text), sipports: '5060-5061' } }]);
    const loaded = loadConfig(made!.yaml, 'pinholed.yaml');
    if (!('problems' in loaded)) assert.fail('ice: maybe is no setting');
    assert.deepEqual(
      loaded.problems.map(({ key, at }) => [key, made!.fields[(at?.line ?? 0) - 1]]),
      [['ice', 'more:9']],
    );
    const [right] = make([{ form: { more: base64(text.replace('maybe', 'false')), sipports: '5060-5061' } }]);
    const settings = settingsOf(right!.yaml);
    assert.deepEqual(
      [settings.staticMedia[0]!.name, settings.timers.noAudio, settings.ice],
      ['itsp', 20_000, false],
    );
  });

  it('more settings are never anybody else’s', () => {
    const made = make(foreignSettings.map(([text]) => ({ form: { more: base64(text) } })));
    const [nothing] = make([{}]);
    for (const [index, [text, numbers]] of foreignSettings.entries()) {
      assert.deepEqual(
        made[index]!.faults.map(([field]) => field),
        numbers.map((number) => `more:${number}`),
        text,
      );
      assert.equal(made[index]!.yaml, nothing!.yaml, text);
    }
    for (const text of openSettings) {
      const [one] = make([{ form: { more: base64(text) } }]);
      const loaded = loadConfig(one!.yaml, 'pinholed.yaml');
      if (!('problems' in loaded)) assert.fail(`nothing is wrong with ${text}`);
      for (const { at } of loaded.problems)
        assert.match(one!.fields[(at?.line ?? 0) - 1] ?? 'end', /^(more:\d+|end)$/, text);
      assert.notEqual(loaded.rest?.mode, 'observe');
    }
  });

  it('every setting there is can be reached, or is left out for a reason', () => {
    const full: Tree = {
      mediahosts: '192.0.2.1',
      sipports: '5060 5070',
      peers: base64('192.0.2.1'),
      nat: 'list',
      row: [{ external: '203.0.113.2', insidehosts: '192.168.1.10' }],
      storeurl: 'redis://10.9.0.1',
      hepfrom: '192.168.1.10',
      holdencrypted: '5ms',
      blocked: 'on',
    };
    const [made] = make([{ form: full }]);
    const { yaml, more } = made!;
    const fields = [...yaml.matchAll(/^([a-z-]+):/gm)].map(([, key]) => key!);
    /** The way packets come is the package's; where it is asked and what it serves would be a door of its own. */
    const closed = ['intercept', 'web', 'linux', 'control'];
    assert.deepEqual([...more, ...fields, ...closed].sort(), Object.keys(entries).map(kebab).sort());
    const form = readFileSync(`${packageFiles}/usr/local/pkg/pinholed.xml`, 'utf8');
    const [, told] = /pinholed\.yaml\(5\), has them: (.*?)\]\]>/s.exec(form)!;
    assert.deepEqual(
      [...told!.matchAll(/<code>(.*?)<\/code>/g)].map(([, key]) => key!).sort(),
      [...more].sort(),
    );
  });

  it('no text in a field becomes anything but the value of that field', () => {
    const forms = hostile.flatMap((text) => [
      { sipports: text, mediaports: text, mediahosts: text, interfaces: `lan,${text}` },
      { inside: base64(text), peers: base64(text) },
      {
        peers: base64(`name ${text}`),
        nat: 'list',
        row: [{ external: text, insidehosts: text, translation: text }],
      },
      {
        ...{
          storeurl: text,
          storesentinel: text,
          storepassword: base64(text),
          storeca: text,
          storeconfirm: text,
        },
        ...{
          hepfrom: text,
          heplisten: text,
          heppassword: base64(text),
          hepspeaksfor: text,
          holdencrypted: text,
        },
        ...{ blocked: text, logparties: text },
      },
      { more: base64(text) },
      { mode: text, position: text, fail: text, siprules: text, nat: text, uplinks: text, loglevel: text },
    ]);
    const keys = new Set(
      [
        'platform',
        'mode',
        'inside-interfaces',
        'inside',
        'sip-ports',
        'media-ports',
        'denied-ports',
        'media-hosts',
        'peers',
      ]
        .concat([
          'tcp-media',
          'outbound',
          'nat',
          'uplinks',
          'fail',
          'freebsd',
          'divert-port',
          'anchor',
          'rdr-anchor',
          'binat-anchor',
        ])
        .concat(['reload-lock', 'daemon', 'journal', 'log', 'level', 'call-id', 'destination', 'parties'])
        .concat(['peers-store', 'url', 'others', 'sentinel', 'password-file', 'tls', 'confirm'])
        .concat(['hep', 'listen', 'from', 'speaks-for', 'hold-encrypted']),
    );
    for (const { yaml } of make(forms.map((form) => ({ form })))) {
      const loaded = loadConfig(yaml, 'pinholed.yaml');
      /** A value may be refused; a key that is unknown or there twice would be one that the text brought in. */
      for (const { key, message } of 'problems' in loaded ? loaded.problems : []) {
        assert.match(
          key,
          /^(sip-ports|media-ports|media-hosts|inside|peers|nat|peers-store\.(url|others|sentinel)|hep\.[a-z-]+|hold-encrypted)(\[|$)/,
          message,
        );
      }
      for (const line of yaml.trimEnd().split('\n')) {
        assert.match(line, /^( {2})?(- |[a-z-]+:( |$)|# Written)/);
        if (!/^ *(-|#)/.test(line)) assert.ok(keys.has(line.trim().split(':')[0]!), line);
      }
    }
  });
});
