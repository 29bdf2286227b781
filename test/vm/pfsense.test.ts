import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRoot, type Root, sources, withoutSource } from '../pfsense/real/root.ts';
import { type Changes, RULESETS, rulesetOf } from '../pfsense/real/rulesets.ts';
import {
  byMapping,
  byPortForward,
  openAppliance,
  outlivesReloads,
  prepare,
  staysBlocked,
  staysRouted,
} from './appliance.ts';
import { type GuestDaemon, startDaemon, write } from './daemon.ts';
import { type Guest, openGuest, withoutGuest } from './guest.ts';
import type { Lab } from './lab.ts';

const skip = withoutGuest || withoutSource;
const roots = skip ? [] : sources.map(createRoot);
after(() => {
  for (const root of roots) root.remove();
});

/** A host of a pair and a filter of Ethernet are not what this is about; comments and blanks only take time. */
function loadable(rules: string): string {
  return rules
    .replace(/^set hostid .*$/gm, '')
    .replace(/^ether .*$/gm, '')
    .replace(/^(#.*)?\n/gm, '');
}

/** Tables that it reads, and the lock that it holds while it loads. */
const LOCK = '/tmp/filter.lock';
const FILES = ['/etc/bogons', '/etc/bogonsv6', LOCK];

describe('rulesets that pfSense makes with the package, in pf', { skip }, () => {
  let guest: Guest;
  before(async () => {
    guest = await openGuest();
    await guest.run(prepare(FILES));
  });
  after(() => guest?.close());

  for (const root of roots) {
    for (const [name, changes] of Object.entries(RULESETS)) {
      it(`${root.version}: ${name}`, async () => {
        const { rules, rejected } = rulesetOf(root, changes);
        assert.equal(rejected, null);
        const path = `${guest.files}/pfsense.rules`;
        await write(guest, path, loadable(rules));
        const said = await guest.run(`pfctl -o basic -f ${path} 2>&1; echo status $?`);
        assert.match(said, /status 0\s*$/, said);
        if (changes.FORM?.includes('<fail>open')) return;
        const loaded = await guest.run('pfctl -q -a "pinholed_in_lan" -s rules');
        assert.match(loaded, /divert-to 8668/);
        const main = await guest.run('pfctl -q -s rules; pfctl -q -s nat');
        assert.match(main, /anchor "pinholed_in_lan" in on igb1 inet proto tcp from any to any port = sip/);
        assert.match(main, /rdr-anchor "pinholed" all/);
      });
    }
  }
});

const withoutSecond =
  skip ||
  (process.env['PINHOLED_VM_SHELL'] !== undefined && 'needs a machine of its own, with one more interface');

const rule = (fields: string) =>
  `<rule><type>pass</type><ipprotocol>inet</ipprotocol><protocol>udp</protocol>${fields}</rule>`;
/** Beside what config.xml has: a PBX with 1:1 NAT, and a telephone of which everything goes out by WAN2. */
const CHANGES: Partial<Changes> = {
  NAT:
    '<onetoone><external>203.0.113.12</external><interface>wan</interface><source><address>192.168.1.12</address></source>' +
    '<destination><any></any></destination><ipprotocol>inet</ipprotocol></onetoone>',
  RULES:
    rule(
      '<tracker>1600000021</tracker><interface>wan</interface><source><address>ITSP</address></source>' +
        '<destination><address>192.168.1.12</address><port>5060</port></destination>',
    ) +
    rule(
      '<tracker>1600000022</tracker><interface>lan</interface><source><address>192.168.1.20</address></source>' +
        '<destination><any></any></destination><gateway>WAN2GW</gateway>',
    ),
};

describe('calls through rulesets that pfSense makes with the package', { skip: withoutSecond }, () => {
  let lab: Lab;
  let daemon: GuestDaemon | null = null;

  before(async () => {
    lab = await openAppliance('igb1.20', FILES);
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  for (const root of roots) {
    for (const name of ['follow my rules, after my rules', 'all SIP, before my rules']) {
      describe(`${root.version}: ${name}`, () => {
        before(async () => {
          await daemon?.stop();
          const { rules, rejected } = rulesetOf(root, { ...CHANGES, ...RULESETS[name] });
          assert.equal(rejected, null);
          daemon = await startDaemon(lab.guest, configurationOf(root), loadable(rules));
        });

        it('a PBX behind a forwarded port', () => byPortForward(lab));
        it('a PBX with 1:1 NAT', () => byMapping(lab));
        it('loaded again under calls', () => outlivesReloads(lab, LOCK));
        if (!name.startsWith('follow')) return;
        it('a telephone that is blocked', () => staysBlocked(lab));
        it('a telephone that goes out by the second gateway', (context) => staysRouted(lab, context));
      });
    }
  }
});

/** The daemon's configuration as the package writes it. */
function configurationOf(root: Root): string {
  return root.run("require_once('/usr/local/pkg/pinholed.inc'); echo pinholed_yaml(pinholed_settings());");
}
