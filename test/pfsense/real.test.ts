import assert from 'node:assert/strict';
import {
  chmodSync,
  chownSync,
  existsSync,
  readdirSync,
  readFileSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { after, describe, it } from 'node:test';
import { createRoot, GROUP, sources, withoutSource } from './real/root.ts';
import { RULESETS, rulesetOf } from './real/rulesets.ts';

/** Lines with blanks made one; those of our anchors and ours alone apart from the rest. */
function split(text: string): { readonly ours: readonly string[]; readonly rest: readonly string[] } {
  const ours: string[] = [];
  const rest: string[] = [];
  let inside = false;
  for (const raw of text.split('\n')) {
    const line = raw.trim().replace(/\s+/g, ' ');
    if (/^(rdr-|binat-)?anchor "(userrules\/)?pinholed/.test(line)) {
      inside = line.endsWith('{');
      ours.push(line);
    } else if (inside) {
      ours.push(line);
      if (line === '}') inside = false;
    } else if (line !== '') rest.push(line);
  }
  return { ours, rest };
}

/** A rule without what a copy has more or less than it. */
function bare(line: string): string {
  const rule = line.replace(/ (label "[^"]*"|divert-to \d+)/g, '').trim();
  return rule.includes(' quick ')
    ? rule
    : rule.replace(/^((?:pass|block return|block|match)(?: in| out)?(?: log)?) /, '$1 quick ');
}

for (const source of withoutSource ? ['/'] : sources) {
  describe(`pfSense's own code in ${source}, with the package`, { skip: withoutSource }, () => {
    const root = withoutSource ? null! : createRoot(source);
    after(() => root?.remove());

    it('takes the rules, and makes the same of them again', () => {
      for (const [name, changes] of Object.entries(RULESETS)) {
        const first = rulesetOf(root, changes);
        assert.equal(first.rejected, null, name);
        assert.match(first.rules, /anchor "pinholed/, name);
        assert.equal(root.reload().rules, first.rules, name);
      }
    });

    it('has in the rest of the ruleset what it has without the package', () => {
      for (const [name, changes] of Object.entries(RULESETS)) {
        const off = rulesetOf(root, { ...changes, FORM: '' });
        assert.doesNotMatch(off.rules, /pinholed/, name);
        const { rest } = split(rulesetOf(root, changes).rules);
        /** Gateways are said once more for the copies; 2.9 has a heading over rules of packages, and a hash of all. */
        const common = (lines: readonly string[]) =>
          [...new Set(lines)]
            .filter((line) => !/^#|ruleset/.test(line))
            .map((line) => line.replace(/ruleset:\w+/, ''));
        assert.deepEqual(common(rest), common(split(off.rules).rest), name);
      }
    });

    it('has each copy among the rules of the user, in their order', () => {
      const { ours, rest } = split(rulesetOf(root, RULESETS['follow my rules, after my rules']!).rules);
      const copies = ours.filter((line) => /ridentifier 16/.test(line));
      assert.equal(copies.length, 11, copies.join('\n'));
      const users = rest.map(bare);
      for (const copy of copies) assert.ok(users.includes(bare(copy)), copy);
      assert.equal(
        copies.some((line) => line.startsWith('pass') && !line.includes('divert-to 8668')),
        false,
      );
      assert.equal(
        copies.some((line) => !line.startsWith('pass') && line.includes('divert-to')),
        false,
      );
      const lan = ours.slice(ours.findIndex((line) => line.includes('"pinholed_in_lan"')));
      const numbers = lan
        .slice(0, lan.indexOf('}'))
        .flatMap((line) => /ridentifier 16000000(\d\d)/.exec(line)?.[1] ?? []);
      /** Floating, then the group, then LAN's own; 10 is out of its schedule, 13 is for the other interface. */
      assert.deepEqual(numbers, ['08', '14', '12', '04', '05', '09', '06']);
    });

    it('has the anchors where they have to be', () => {
      const { rules } = rulesetOf(root, RULESETS['follow my rules, after my rules']!);
      const places = [
        'nat-anchor "natearly/*"',
        'rdr on igb0 inet proto udp',
        'rdr-anchor "pinholed"',
        'binat-anchor "pinholed"',
        'anchor "pinholed_in_lan"',
        'anchor "pinholed_out_opt2"',
        'anchor "openvpn/*"',
        'anchor "userrules/*"',
        'ridentifier 1600000001 ',
        '\nanchor "tftp-proxy/*"',
        'anchor "pinholed" inet proto udp from any to any port 1024:65535',
      ].map((text) => rules.indexOf(text));
      assert.equal(places.includes(-1), false);
      assert.deepEqual(
        places,
        places.toSorted((one, other) => one - other),
      );
    });

    it('is installed and removed, and leaves nothing but the settings that were to stay', () => {
      for (const keep of ['on', '']) {
        root.configure({ FORM: `<enable>on</enable><keep>${keep}</keep>` });
        root.run(
          "config_del_path('installedpackages/package'); write_config('x'); install_package_xml('pinholed');",
        );
        const config = () => readFileSync(join(root.directory, 'cf/conf/config.xml'), 'utf8');
        for (const part of [
          'filter_rule_function',
          'status_pinholed.php',
          '<rcfile>pinholed.sh',
          'plugin_carp',
          'logfilename',
        ])
          assert.ok(config().includes(part), part);
        for (const path of [
          'usr/local/etc/pinholed.yaml',
          'usr/local/etc/rc.d/pinholed.sh',
          'var/db/pinholed',
        ])
          assert.ok(existsSync(join(root.directory, path)), path);
        for (const when of ['deinstall', 'post-deinstall'])
          root.run(`delete_package_xml('pinholed', '${when}');`);
        const left = config().replace(/<revision>[\s\S]*?<\/revision>/, '');
        if (keep === 'on') assert.match(left, /<pinholed>/);
        assert.doesNotMatch(
          left.replace(/<pinholed>[\s\S]*<\/pinholed>/, keep === 'on' ? '' : '$&'),
          /pinholed/,
        );
        for (const path of [
          'usr/local/etc/pinholed.yaml',
          'usr/local/etc/rc.d/pinholed.sh',
          'var/db/pinholed',
        ])
          assert.equal(existsSync(join(root.directory, path)), false, path);
      }
    });

    it('an old version that makes place for a new one leaves its file, its journal and its passwords', () => {
      const password = `<storeurl>redis://192.168.1.30</storeurl><storepassword>${btoa('of the store')}</storepassword>`;
      root.configure({ FORM: `<enable>on</enable>${password}` });
      root.run(
        "config_del_path('installedpackages/package'); write_config('x'); install_package_xml('pinholed');",
      );
      const journal = join(root.directory, 'var/db/pinholed/journal');
      writeFileSync(journal, 'a call\n');
      const kept = ['usr/local/etc/pinholed.yaml', 'var/db/pinholed/store-password'].map((path) => {
        const file = join(root.directory, path);
        return [file, readFileSync(file, 'utf8')] as const;
      });
      root.run("putenv('PKG_UPGRADE=true'); delete_package_xml('pinholed', 'deinstall');");
      for (const [path, text] of [...kept, [journal, 'a call\n']] as const)
        assert.equal(readFileSync(path, 'utf8'), text, path);
      root.run("putenv('PKG_UPGRADE=true'); install_package_xml('pinholed');");
      const config = readFileSync(join(root.directory, 'cf/conf/config.xml'), 'utf8');
      assert.equal(config.match(/<rcfile>pinholed\.sh/g)?.length, 1);
      assert.equal(config.match(/<url>\/status_pinholed\.php<\/url>\s*<\/menu>/g)?.length, 1);
      assert.ok(existsSync(join(root.directory, 'usr/local/etc/rc.d/pinholed.sh')));
    });

    it('takes part in a pair from its installation on, also while it is off, where the receiver can take it', () => {
      const sound = !root.version.startsWith('2.8');
      for (const form of ['', '<enable>on</enable>']) {
        root.configure({ FORM: form });
        const install = "install_package_xml('pinholed');";
        const hooks = `echo json_encode(array_column(config_get_path('installedpackages/package/0/plugins/item'), 'type'));`;
        root.run(`config_del_path('installedpackages/package'); write_config('x'); ${install}`);
        for (const when of ['installed', 'upgraded']) {
          const registered = JSON.parse(/\[.*\]$/.exec(root.run(hooks))![0]) as string[];
          assert.deepEqual(
            registered,
            [
              'plugin_carp',
              'plugin_gateway',
              ...(sound ? ['plugin_xmlrpc_send', 'plugin_xmlrpc_recv', 'plugin_xmlrpc_recv_done'] : []),
            ],
            `${when}, ${form}`,
          );
          if (when === 'installed') root.run(install);
        }
        const config = readFileSync(join(root.directory, 'cf/conf/config.xml'), 'utf8');
        for (const once of ['<url>/status_pinholed.php</url>\\s*</menu>', '<rcfile>pinholed.sh'])
          assert.equal([...config.matchAll(new RegExp(once, 'g'))].length, 1, once);
        assert.equal(root.run("echo get_package_id('pinholed');").trim(), '0');
      }
    });

    it('switched off, it leaves its settings and passwords in config.xml alone, and its journal', () => {
      const form = `<storeurl>redis://192.168.1.30</storeurl><storepassword>${btoa('of the store')}</storepassword>`;
      const hep =
        `<hepfrom>192.168.1.10</hepfrom><heplisten>192.168.1.1:9060</heplisten>` +
        `<heppassword>${btoa('of HEP')}</heppassword>`;
      const written = ['usr/local/etc/pinholed.yaml', 'store-password', 'hep-password'].map((name) =>
        join(root.directory, name.includes('/') ? name : `var/db/pinholed/${name}`),
      );
      const resync = "require_once('/usr/local/pkg/pinholed.inc'); pinholed_resync();";
      root.configure({ FORM: `<enable>on</enable>${form}${hep}` });
      root.run(resync);
      const access = (path: string) => {
        const { mode, uid, gid } = statSync(path);
        return [(mode & 0o777).toString(8), uid, gid];
      };
      for (const path of written.slice(1)) assert.deepEqual(access(path), ['600', 0, 0], path);
      // The daemon reads it again as its user; one that an older version has left it could not.
      assert.deepEqual(access(written[0]!), ['640', 0, GROUP]);
      chownSync(written[0]!, 0, 0);
      chmodSync(written[0]!, 0o600);
      root.run(resync);
      assert.deepEqual(access(written[0]!), ['640', 0, GROUP]);
      assert.equal(readFileSync(written[1]!, 'utf8'), 'of the store\n');
      writeFileSync(join(root.directory, 'var/db/pinholed/journal'), '');
      root.configure({ FORM: `${form}${hep}` });
      root.run(resync);
      for (const path of written) assert.equal(existsSync(path), false, path);
      assert.deepEqual(readdirSync(join(root.directory, 'var/db/pinholed')), ['journal']);
    });

    it('loads its ruleset without ours when the package stumbles', () => {
      root.configure({ FORM: '<enable>on</enable>' });
      const file = join(root.directory, 'usr/local/pkg/pinholed/rules.inc');
      const text = readFileSync(file, 'utf8');
      writeFileSync(file, text.replace('function pinholed_rules(', 'function pinholed_other_rules('));
      try {
        const { rules } = root.reload();
        assert.match(rules, /Default deny rule IPv4/);
        assert.doesNotMatch(rules, /pinholed/);
      } finally {
        writeFileSync(file, text);
      }
    });
  });
}
