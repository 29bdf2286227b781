import assert from 'node:assert/strict';
import { Buffer } from 'node:buffer';
import { execFileSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { loadConfig } from '../../src/config/load.ts';
import { hostile } from '../pfsense/hostile.ts';
import { pluginFiles } from './plugin.ts';
import { configurationOf, core, having, rulesetOf, run, usualConfig, withoutCore } from './real/root.ts';

const empty = mkdtempSync(join(tmpdir(), 'pinholed-no-plugin-'));
after(() => rmSync(empty, { recursive: true }));

const inLan = (rule: string) => `on igb1 ${rule}`;
const copies = [
  `block in quick ${inLan('inet proto udp from {192.168.1.66} to {any} port {5060}')} label "21111111-1111-4111-8111-111111111111"`,
  `pass in quick ${inLan('route-to ( igb2 198.51.100.1 ) inet proto udp from {192.168.1.20} to {any} port {5060} keep state divert-to 8668')} label "21111111-1111-4111-8111-111111111112"`,
  `pass in quick ${inLan('inet proto {tcp udp} from {(igb1:network)} to {any} port {5060} keep state divert-to 8668')} label "21111111-1111-4111-8111-111111111113"`,
  `pass out quick ${inLan('inet proto {tcp udp} from {any} to {any} port {5060} keep state divert-to 8668')} label "pinholed: SIP"`,
  'pass out quick on igb1_vlan20 inet proto {tcp udp} from {any} to {any} port {5060} keep state divert-to 8668 label "pinholed: SIP"',
];
const userRule = 'block in quick on igb1 inet proto udp from {192.168.1.66} to {any} label "21111111';

describe('OPNsense’s own filter code, with the plugin in it', { skip: withoutCore }, () => {
  it('copies of the user’s rules before them, translation before all, pinholes at the end', () => {
    const lines = rulesetOf(usualConfig);
    const ours = lines.filter((line) => line.includes('pinholed') || line.includes('divert-to'));
    assert.deepEqual(
      lines.filter((line) => copies.includes(line)),
      copies,
    );
    assert.deepEqual(
      ours.filter((line) => !copies.includes(line)),
      ['binat-anchor "pinholed"', 'rdr-anchor "pinholed"', 'anchor "pinholed"'],
    );
    const at = (start: string) => {
      const found = lines.findIndex((line) => line.startsWith(start));
      assert.notEqual(found, -1, start);
      return found;
    };
    assert.ok(at('rdr-anchor "pinholed"') < at('nat on igb0'));
    assert.ok(at('rdr-anchor "pinholed"') < at('rdr on igb0'));
    assert.ok(at('block in log quick on igb0 inet from {<bogons>}') < at(copies[0]!));
    assert.ok(at(copies.at(-1)!) < at(userRule));
    assert.equal(at('anchor "pinholed"'), lines.length - 1);
  });

  it('without it, or with it disabled, the ruleset is the same: nothing is left', () => {
    assert.deepEqual(rulesetOf(having({ enabled: '0' })), rulesetOf(usualConfig, empty));
  });

  it('twice the same: no reload for nothing', () => {
    assert.deepEqual(rulesetOf(usualConfig), rulesetOf(usualConfig));
  });

  it('pinholes before the user’s rules', () => {
    const lines = rulesetOf(having({ position: 'before' }));
    const at = lines.indexOf('anchor "pinholed" from {any} to {any} label "pinholed"');
    assert.ok(at > lines.indexOf(copies.at(-1)!));
    assert.ok(at < lines.findIndex((line) => line.startsWith(userRule)));
    assert.equal(lines.filter((line) => line.startsWith('anchor "pinholed"')).length, 1);
  });

  it('all SIP of the interfaces', () => {
    const diverting = rulesetOf(having({ siprules: 'all' })).filter((line) => line.includes('divert-to'));
    assert.deepEqual(
      diverting.map((line) => line.split(' inet ')[0]),
      ['igb1', 'igb1_vlan20'].flatMap((name) => [`pass in quick on ${name}`, `pass out quick on ${name}`]),
    );
  });

  it('on a pair of firewalls, states of its own rules stay where they were made', () => {
    const config = having({ siprules: 'all' }).replace(
      '</siprules>',
      '</siprules><storeurl>redis://192.168.1.30:6379</storeurl>',
    );
    const own = rulesetOf(config).filter((line) => line.includes('divert-to') && line.includes(' on igb1 '));
    assert.deepEqual(
      own.map((line) => line.replace(/ +/g, ' ')),
      ['in', 'out'].flatMap((direction) => [
        `pass ${direction} quick on igb1 inet proto udp from {any} to {any} port {5060} keep state ( no-sync ) divert-to 8668 label "pinholed: SIP"`,
        `pass ${direction} quick on igb1 inet proto tcp from {any} to {any} port {5060} flags any keep state ( sloppy no-sync ) divert-to 8668 label "pinholed: SIP"`,
      ]),
    );
  });

  it('passing unread: rules of the daemon’s own, or none while it does not run', () => {
    const own = rulesetOf(having({ siprules: 'all', fail: 'open' }));
    assert.ok(
      own.indexOf('anchor "pinholed/divert" from {any} to {any} label "pinholed"') <
        own.findIndex((line) => line.startsWith(userRule)),
    );
    assert.ok(own.includes('anchor "pinholed/divert" from {any} to {any} label "pinholed"'));
    for (const lines of [own, rulesetOf(having({ fail: 'open' }))])
      assert.ok(lines.every((line) => !line.includes('divert-to')));
  });

  it('hostile descriptions add no line and change none', () => {
    const expected = rulesetOf(usualConfig);
    for (const text of hostile.filter((one) => !/[\0-\x08\x0b\x0c\x0e-\x1f]/.test(one))) {
      const escaped = text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;');
      assert.deepEqual(
        rulesetOf(usualConfig.replace(/<description>blocked phone/, () => `<description>${escaped}`)),
        expected,
        JSON.stringify(text),
      );
    }
  });

  it('reads external addresses and uplinks from the rules and gateways', () => {
    const script = '/usr/local/opnsense/scripts/pinholed/settings.php';
    const found = JSON.parse(run(usualConfig, [script, 'found'])) as Record<string, unknown>;
    assert.deepEqual(found, {
      external: [
        {
          external: 'interface:igb0',
          hosts: ['192.168.1.10'],
          translation: 'pinhole',
          why: 'port forward "SIP to PBX"',
        },
      ],
      uplinks: [
        { interface: 'igb0', gateway: '203.0.113.1' },
        { interface: 'igb2', gateway: '198.51.100.1' },
      ],
    });
  });

  it('1:1 NAT of the firewall’s model is an external address that the ruleset translates', () => {
    const config = usualConfig.replace(
      '<Filter version="1.0.5">',
      '<Filter version="1.0.5"><onetoone><rule uuid="41111111-1111-4111-8111-111111111111"><enabled>1</enabled><type>binat</type>' +
        '<interface>wan</interface><source_net>192.168.1.12</source_net><destination_net>any</destination_net>' +
        '<external>203.0.113.12</external></rule></onetoone>',
    );
    assert.ok(rulesetOf(config).includes('binat on igb0 from 192.168.1.12 to any -> 203.0.113.12'));
    const loaded = loadConfig(configurationOf(config), 'pinholed.yaml');
    assert.ok('settings' in loaded, JSON.stringify(loaded));
    const [mapped, forwarded] = loaded.settings.nat;
    assert.deepEqual(mapped!.external, { address: '203.0.113.12' });
    assert.deepEqual([mapped!.translation, forwarded!.translation], ['ruleset', 'pinhole']);
  });

  it('writes a file that the daemon accepts', () => {
    const loaded = loadConfig(configurationOf(usualConfig), 'pinholed.yaml');
    assert.ok('settings' in loaded, JSON.stringify(loaded));
    assert.deepEqual(loaded.settings.freebsd.insideInterfaces, ['igb1', 'igb1_vlan20']);
    assert.deepEqual(loaded.settings.nat[0]!.external, { interface: 'igb0' });
    assert.equal(loaded.settings.uplinks.length, 2);
  });

  it('only root and the daemon read its file, which may hold a password; also one that an older version has left', () => {
    const code = `$file = '/usr/local/etc/pinholed.yaml';
      $seen = function () use ($file) {
        clearstatcache();
        return sprintf('%o %d:%d', fileperms($file) & 0777, fileowner($file), filegroup($file));
      };
      $write = '/usr/local/opnsense/scripts/pinholed/settings.php write';
      $said[] = [exec($write), $seen()];
      chmod($file, 0644);
      chgrp($file, 0);
      $said[] = [exec($write), $seen()];
      file_put_contents('/etc/group', '');
      $said[] = [exec($write), $seen()];
      echo json_encode($said);`;
    assert.deepEqual(JSON.parse(run(usualConfig, ['-r', code])), [
      ['restart', '640 0:64999'],
      ['unchanged', '640 0:64999'],
      ['unchanged', '600 0:64999'],
    ]);
  });

  it('the second firewall of a pair stops what the first has disabled, and goes by what it has changed', () => {
    const code = (file: string) => `require_once '/mnt/keep/framework.php';
      require_once 'config.inc';
      require_once 'util.inc';
      require_once 'interfaces.inc';
      require_once 'filter.inc';
      require_once 'system.inc';
      require_once 'plugins.inc';
      require_once 'xmlrpc/legacy.inc';
      ${file}
      ob_start();
      filter_configure_xmlrpc();
      ob_end_clean();
      $asked = OPNsense\\Core\\Backend::$asked;
      echo json_encode(array_values(array_filter($asked, fn ($one) => preg_match('/^pinholed|^filter reload/', $one))));`;
    const asked = (config: string, file: string) => JSON.parse(run(config, ['-r', code(file)])) as string[];
    const there = "touch('/usr/local/etc/pinholed.yaml');";
    assert.deepEqual(asked(having({ enabled: '0' }), there), ['pinholed stop', 'filter reload']);
    assert.deepEqual(asked(having({ enabled: '0' }), ''), ['filter reload']);
    assert.deepEqual(asked(usualConfig, there), ['pinholed reload', 'filter reload']);
  });

  it('a stop leaves its settings and passwords in files while it is enabled; disabled, only its journal, and nothing open', () => {
    const scripts = '/usr/local/opnsense/scripts/pinholed';
    const passwords =
      '<storeurl>redis://192.168.1.30</storeurl><storepassword>of the store</storepassword>' +
      '<hepfrom>192.168.1.10</hepfrom><heplisten>192.168.1.1:9060</heplisten><heppassword>of HEP</heppassword>';
    const config = usualConfig.replace('</siprules>', `</siprules>${passwords}`);
    const disabled = having({ enabled: '0' }, config);
    const standIn = (path: string) =>
      `file_put_contents('${path}', '#!/bin/sh\necho "\${0##*/} $*" >>/tmp/asked\n'); chmod('${path}', 0755);`;
    const stop = `unlink('/tmp/asked');
      exec('${scripts}/service.sh stop 2>&1', $said, $status);
      $found = array_filter(['/usr/local/etc/pinholed.yaml', ...glob('/var/db/pinholed/*')], 'is_file');
      $modes = array_map(fn ($path) => basename($path) . ' ' . decoct(fileperms($path) & 0777), array_values($found));
      $stops[] = [$status, $said, file('/tmp/asked', FILE_IGNORE_NEW_LINES), $modes];`;
    const code = `$said = [];
      ${['/usr/sbin/service', '/usr/sbin/pfctl', '/usr/local/bin/pinholed'].map(standIn).join('\n')}
      exec('${scripts}/settings.php write');
      touch('/tmp/asked');
      touch('/var/db/pinholed/journal');
      chmod('/var/db/pinholed/journal', 0600);
      ${stop}
      file_put_contents('/conf/config.xml', base64_decode('${Buffer.from(disabled).toString('base64')}'));
      ${stop}
      echo json_encode($stops);`;
    assert.deepEqual(JSON.parse(run(config, ['-r', code])), [
      [
        0,
        [],
        ['service pinholed stop'],
        ['pinholed.yaml 640', 'hep-password 600', 'journal 600', 'store-password 600'],
      ],
      [
        0,
        [],
        [
          ...['service pinholed onestatus', 'pinholed flush', 'service pinholed onestop'],
          ...['pfctl -a pinholed -s Anchors', 'pfctl -q -a pinholed -F rules', 'pfctl -q -a pinholed -F nat'],
        ],
        ['journal 600'],
      ],
    ]);
  });

  it('with the change that is ready to send, a rule of the user’s can divert to the plugin while it is enabled', () => {
    const script = 'opnsense/scripts/filter/list_divert_sockets.php';
    const changed = mkdtempSync(join(tmpdir(), 'pinholed-changed-'));
    try {
      cpSync(pluginFiles, join(changed, 'src'), { recursive: true });
      mkdirSync(join(changed, 'src/opnsense/scripts/filter'), { recursive: true });
      cpSync(join(core!, 'src', script), join(changed, 'src', script));
      const text = readFileSync(
        new URL('../../packaging/opnsense/list-divert-sockets.md', import.meta.url),
        'utf8',
      );
      const [, patch] = /```diff\n(.*?)```/s.exec(text)!;
      execFileSync('patch', ['-p1', '--fuzz=0', '-d', changed], { input: patch! });
      const listed = (config: string, plugin?: string) =>
        JSON.parse(run(config, [`/usr/local/${script}`], plugin)) as unknown;
      const before = { 8000: 'Intrusion Detection' };
      const src = join(changed, 'src');
      assert.deepEqual(listed(usualConfig), before);
      assert.deepEqual(listed(usualConfig, src), { ...before, 8668: 'SIP Pinholes' });
      assert.deepEqual(listed(having({ enabled: '0' }), src), before);
    } finally {
      rmSync(changed, { recursive: true });
    }
  });

  const validate = (fields: Readonly<Record<string, string>>, said = '') =>
    JSON.parse(run(usualConfig, ['/mnt/keep/validate.php', JSON.stringify(fields), said])) as Record<
      string,
      string[]
    >;

  it('the form as installed is valid', () => assert.deepEqual(validate({}), {}));

  it('the form refuses what is no port, no network, no choice', () => {
    for (const [field, text] of [
      ['sipports', '5060 }'],
      ['mediaports', 'rtp'],
      ['inside', '192.168.1.0/99'],
      ['mediahosts', 'x y'],
      ['mode', 'other'],
      ['interfaces', 'opt9'],
    ] as const)
      assert.deepEqual(Object.keys(validate({ [field]: text })), [`general.${field}`]);
  });

  it('a page gets the settings, not every port that there is', () => {
    const nodes = run(usualConfig, [
      '-r',
      'require "config.inc"; echo json_encode((new OPNsense\\Pinholed\\Pinholed())->getNodes());',
    ]);
    assert.ok(nodes.length < 10_000, `${nodes.length} characters`);
  });

  it('what the daemon finds wrong is at the field', () => {
    const said = '/tmp/x:4:3: media-ports[0]: expected a port or a range, found "1-0"';
    assert.deepEqual(validate({}, said), {
      'general.mediaports': ['expected a port or a range, found "1-0"'],
    });
    assert.deepEqual(validate({ enabled: '0' }, said), {});
  });
});
