import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import { nftablesRules } from '../../src/commands/rules/nftables.ts';
import { pfRules } from '../../src/commands/rules/pf.ts';
import { loadConfig } from '../../src/config/load.ts';

/** Lines that pf would read, without comments. */
function printed(text: string): { readonly rules: readonly string[]; readonly all: string } {
  const loaded = loadConfig(`inside: [192.168.1.0/24]\nmedia-ports: [10000-20000]\n${text}`, 'f');
  assert.ok('settings' in loaded);
  const all = pfRules(loaded.settings, null, ['em1']);
  return { all, rules: all.split('\n').filter((line) => line !== '' && !line.startsWith('#')) };
}

const NAT = 'nat: [{external: 203.0.113.2, hosts: [192.168.1.10]}]';

describe('pinholed rules --platform freebsd', () => {
  it('has the anchors that translate, in the order that pf.conf(5) asks for', () => {
    const { rules, all } = printed(`${NAT}\nfreebsd: {rdr-anchor: userrules/rdr, binat-anchor: b}`);
    const at = (text: string) => rules.findIndex((line) => line.startsWith(text));
    assert.ok(at('set') < at('rdr-anchor "userrules/rdr"'));
    assert.ok(at('rdr-anchor') < at('binat-anchor "b"'));
    assert.ok(at('binat-anchor') < at('pass'));
    assert.match(
      all,
      /# rdr on \$outside proto \{ tcp udp \} to 203\.0\.113\.2 port 5060 -> 192\.168\.1\.10/,
    );
    assert.doesNotMatch(printed('').all, /rdr|binat/);
  });

  it('leaves the translation of media to a ruleset that does it', () => {
    const { rules, all } = printed(NAT.replace('}', ', translation: ruleset}'));
    assert.ok(!rules.some((line) => /^(rdr|binat)-anchor/.test(line)));
    assert.match(all, /# binat on \$outside from 192\.168\.1\.10 to any -> 203\.0\.113\.2/);
    assert.match(all, /# nat on .* port 10000:20000 to any -> 203\.0\.113\.2 static-port/);
  });

  it('translates nothing where packets arrive at the host itself', () => {
    const { all } = printed(NAT.replace('}', ', translation: ruleset, arrives-at: 192.168.1.10}'));
    assert.doesNotMatch(all, /rdr|binat|192\.168\.1\.10/);
    const loaded = loadConfig(NAT.replace('}', ', arrives-at: 192.168.1.10}'), 'f');
    assert.ok('settings' in loaded);
    assert.doesNotMatch(nftablesRules(loaded.settings, null), /dnat|snat/);
  });

  it('lets the anchor see ports of outside parties with outbound: true, and tells of media out without', () => {
    const anchor = (text: string) => printed(text).rules.find((line) => line.startsWith('anchor "pinholed"'));
    assert.equal(anchor(''), 'anchor "pinholed" proto udp to port 10000:20000');
    assert.equal(anchor('outbound: true'), 'anchor "pinholed" proto udp to port 1024:65535');
    assert.match(
      printed('').all,
      /# pass in quick on \$inside proto udp from \{ 192\.168\.1\.0\/24 \} to port 1024:65535/,
    );
  });

  it('has the line that static-media needs where outbound: true is all that lets out', () => {
    const entry =
      'static-media: [{name: trunk, peers: [203.0.113.7, 2001:db8::/64], media-from: [203.0.113.20], hosts: [192.168.1.10], ports: [10000-10099, 10200]}]';
    const { all } = printed(`outbound: true\n${entry}`);
    assert.match(
      all,
      /^# pass in quick on \$inside inet proto udp from \{ 192\.168\.1\.10 \} port \{ 10000:10099 10200 \} to \{ 203\.0\.113\.7\/32 203\.0\.113\.20 \} port 1024:65535$/m,
    );
    assert.doesNotMatch(all, /inet6/);
    assert.doesNotMatch(printed('outbound: true').all, /static-media/);
    assert.doesNotMatch(printed(entry).all, /static-media/, 'the line for all inside hosts has it');
  });

  it('answers by the uplink that SIP came in by', () => {
    const { all } = printed('uplinks: [{interface: igb2, gateway: 198.51.100.1}]');
    assert.match(
      all,
      /# pass in quick on igb2 reply-to \(igb2 198\.51\.100\.1\) proto \{ tcp udp \} to port 5060/,
    );
  });
});
