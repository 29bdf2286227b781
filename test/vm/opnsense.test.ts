import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { configurationOf, having, rulesetOf, usualConfig, withoutCore } from '../opnsense/real/root.ts';
import {
  byMapping,
  byPortForward,
  openAppliance,
  outlivesReloads,
  staysBlocked,
  staysRouted,
} from './appliance.ts';
import { type GuestDaemon, loadRuleset, startDaemon } from './daemon.ts';
import { withoutGuest } from './guest.ts';
import type { Lab } from './lab.ts';

/** The lock that OPNsense holds while it loads, and the tables that its ruleset reads. */
const LOCK = '/tmp/rules.debug';
const FILES = [LOCK, '/usr/local/etc/bogons', '/usr/local/etc/bogonsv6'];

const skip =
  withoutGuest ||
  withoutCore ||
  (process.env['PINHOLED_VM_SHELL'] !== undefined && 'needs a machine of its own, with one more interface');

const userRule = (id: string, fields: string) =>
  `<rule uuid="5111111${id}-1111-4111-8111-111111111111"><enabled>1</enabled><sequence>2</sequence><action>pass</action>` +
  '<quick>1</quick><direction>in</direction><ipprotocol>inet</ipprotocol><protocol>UDP</protocol>' +
  `${fields}</rule>`;

/**
 * Beside what config.xml has: SIP of the provider passes WAN, the PBX keeps its port there, another has 1:1 NAT, and of one
 * telephone everything goes out by WAN2.
 */
const config = having({ mediaports: '10000-60000' })
  .replace(
    '<mode>automatic</mode>',
    '<mode>hybrid</mode><rule><interface>wan</interface><source><network>192.168.1.10/32</network></source>' +
      '<destination><any>1</any></destination><target/><staticnatport>1</staticnatport></rule>',
  )
  .replace(
    '<Filter version="1.0.5"><rules>',
    '<Filter version="1.0.5"><onetoone><rule uuid="41111111-1111-4111-8111-111111111111"><enabled>1</enabled><sequence>1</sequence>' +
      '<type>binat</type><interface>wan</interface><source_net>192.168.1.12</source_net><destination_net>any</destination_net>' +
      '<external>203.0.113.12</external></rule></onetoone><rules>' +
      ['192.168.1.10', '192.168.1.12']
        .map((host, index) =>
          userRule(
            `${index}`,
            '<interface>wan</interface><source_net>192.0.2.0/24</source_net>' +
              `<destination_net>${host}</destination_net><destination_port>5060</destination_port>`,
          ),
        )
        .join('') +
      userRule(
        '2',
        '<interface>lan</interface><source_net>192.168.1.20</source_net><destination_net>any</destination_net><gateway>WAN2_GW</gateway>',
      ),
  );

const FORMS: Readonly<Record<string, Readonly<Record<string, string>>>> = {
  'follow my rules, after my rules': {},
  'all SIP, before my rules': { siprules: 'all', position: 'before' },
};

describe('rulesets that OPNsense makes with the plugin, in pf', { skip }, () => {
  let lab: Lab;
  let daemon: GuestDaemon | null = null;

  before(async () => {
    lab = await openAppliance('igb1_vlan20', FILES);
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  for (const [name, form] of Object.entries({
    'as installed': {},
    'fail open, all SIP': { siprules: 'all', fail: 'open' },
    'fail open, follow my rules': { fail: 'open' },
  })) {
    it(`load: ${name}`, async () => {
      await loadRuleset(lab.guest, rulesetOf(having(form, usualConfig)).join('\n'));
      assert.match(await lab.guest.run('pfctl -q -s rules'), /^anchor "pinholed" all/m);
      assert.match(await lab.guest.run('pfctl -q -s nat'), /^binat-anchor "pinholed" all/m);
    });
  }

  for (const [name, form] of Object.entries(FORMS)) {
    describe(`calls: ${name}`, () => {
      before(async () => {
        await daemon?.stop();
        const whole = having(form, config);
        daemon = await startDaemon(lab.guest, configurationOf(whole), rulesetOf(whole).join('\n'));
      });

      it('a PBX behind a forwarded port', () => byPortForward(lab));
      it('a PBX with 1:1 NAT', () => byMapping(lab));
      it('loaded again under calls', () => outlivesReloads(lab, LOCK));
      if (!name.startsWith('follow')) return;
      it('a telephone that is blocked', () => staysBlocked(lab));
      it('a telephone that goes out by the second gateway', (context) => staysRouted(lab, context));
    });
  }
});
