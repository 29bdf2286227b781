import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { createRoot, type Root, sources, withoutSource } from '../pfsense/real/root.ts';
import { RULESETS, rulesetOf } from '../pfsense/real/rulesets.ts';
import { arrival, assertMedia, call, hangUp, party } from './behind.ts';
import { eventually, type GuestDaemon, startDaemon, write } from './daemon.ts';
import { type Guest, openGuest, withoutGuest } from './guest.ts';
import { type Lab, open, openLab, shut } from './lab.ts';

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

/** Files that pfSense has: tables that it reads, and the lock that it holds while it loads; and what divert rules need. */
const PREPARE =
  'mkdir -p /etc; : > /etc/bogons; : > /etc/bogonsv6; : > /tmp/filter.lock; kldload -n ipdivert';

describe('rulesets that pfSense makes with the package, in pf', { skip }, () => {
  let guest: Guest;
  before(async () => {
    guest = await openGuest();
    await guest.run(PREPARE);
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

/** Of test/pfsense/real/config.xml: SIP of the provider to WAN is forwarded to the PBX, and a telephone is blocked. */
const WAN = '203.0.113.2';
const GATEWAY = '203.0.113.1';
const PROVIDER = '192.0.2.10';
const OTHER = '192.0.2.11';
const PBX = '192.168.1.10';
const BLOCKED = '192.168.1.66';

const withoutSecond =
  skip ||
  (process.env['PINHOLED_VM_SHELL'] !== undefined && 'needs a machine of its own, with one more interface');

describe('calls through rulesets that pfSense makes with the package', { skip: withoutSecond }, () => {
  let lab: Lab;
  let daemon: GuestDaemon | null = null;

  /** The machine gets the interfaces of config.xml, under their names: what pfSense made is not touched. */
  before(async () => {
    lab = await openLab({ second: true });
    const { run, interfaces, second, namespaces } = lab.guest;
    await run(PREPARE);
    for (const [device, name, address] of [
      [interfaces.outside, 'igb0', WAN],
      [interfaces.inside, 'igb1', '192.168.1.1'],
      [second, 'igb2', '198.51.100.2'],
    ]) {
      await run(
        `ifconfig ${device} inet | awk '/inet /{print $2}' | while read a; do ifconfig ${device} inet $a -alias; done; ` +
          `ifconfig ${device} name ${name} && ifconfig ${name} inet ${address}/24 -txcsum -rxcsum -tso -lro up`,
      );
    }
    await run(
      `ifconfig lo9 create && ifconfig lo9 name igb1.20 && ifconfig igb1.20 inet 192.168.20.1/24 up && route -q add default ${GATEWAY}`,
    );
    const within = (namespace: string, words: string) => ip('-n', namespace, ...words.split(' '));
    const { outside, inside } = namespaces;
    within(outside, `address add ${GATEWAY}/24 dev tap0`);
    for (const one of [PROVIDER, OTHER]) within(outside, `address add ${one}/32 dev lo`);
    within(inside, 'address flush dev tap0 scope global');
    for (const one of [PBX, BLOCKED]) within(inside, `address add ${one}/24 dev tap0`);
    within(inside, 'route replace default via 192.168.1.1');
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  for (const root of roots) {
    for (const name of ['follow my rules, after my rules', 'all SIP, before my rules']) {
      it(`${root.version}: ${name}`, async () => {
        await daemon?.stop();
        const { rules, rejected } = rulesetOf(root, RULESETS[name]!);
        assert.equal(rejected, null);
        const { guest } = lab;
        daemon = await startDaemon(guest, configurationOf(root), loadable(rules));

        const provider = party(lab.outside, PROVIDER);
        const pbx = party(lab.inside, PBX, WAN);
        const other = party(lab.outside, OTHER);
        const telephone = party(lab.inside, BLOCKED);
        await Promise.all([provider, pbx].map(open));
        const isLetIn = async () => (await arrival(provider, pbx)) !== null;
        assert.equal(await isLetIn(), false);

        const called = await call(provider, pbx, { caller: 'at once', callee: 'after the ACK' });
        await assertMedia(provider, pbx);
        await open(other);
        assert.equal(await arrival(other, pbx), null);
        assert.equal(await arrival(provider, pbx, { address: WAN, port: pbx.announced.port + 4 }), null);
        await hangUp(called);
        await eventually(async () => !(await isLetIn()));

        const calling = await call(pbx, provider, { caller: 'at once', callee: 'after the ACK' });
        await assertMedia(pbx, provider);
        await hangUp(calling);
        await eventually(async () => !(await isLetIn()));

        await open(telephone);
        assert.equal(await arrival(telephone, provider), null);
        await Promise.all([provider, pbx, other, telephone].map(shut));
      });
    }
  }
});

/** The daemon's configuration as the package writes it. */
function configurationOf(root: Root): string {
  return root.run("require_once('/usr/local/pkg/pinholed.inc'); echo pinholed_yaml(pinholed_settings());");
}

function ip(...args: readonly string[]): void {
  execFileSync('ip', args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
