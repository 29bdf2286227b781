import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createRoot, sources, withoutSource } from '../pfsense/real/root.ts';
import { RULESETS, rulesetOf } from '../pfsense/real/rulesets.ts';
import { write } from './daemon.ts';
import { type Guest, openGuest, withoutGuest } from './guest.ts';

const skip = withoutGuest || withoutSource;

describe('rulesets that pfSense makes with the package, in pf', { skip }, () => {
  let guest: Guest;
  before(async () => {
    guest = await openGuest();
    await guest.run('mkdir -p /etc; : > /etc/bogons; : > /etc/bogonsv6; kldload -n ipdivert');
  });
  after(() => guest?.close());

  for (const source of skip ? [] : sources) {
    const root = createRoot(source);
    after(() => root.remove());
    for (const [name, changes] of Object.entries(RULESETS)) {
      it(`${root.version}: ${name}`, async () => {
        const { rules, rejected } = rulesetOf(root, changes);
        assert.equal(rejected, null);
        const path = `${guest.files}/pfsense.rules`;
        /** A host of a pair and a filter of Ethernet are not what this is about; comments and blanks only take time. */
        await write(
          guest,
          path,
          rules
            .replace(/^set hostid .*$/gm, '')
            .replace(/^ether .*$/gm, '')
            .replace(/^(#.*)?\n/gm, ''),
        );
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
