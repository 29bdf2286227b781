import assert from 'node:assert/strict';
import { describe, it } from 'node:test';
import type { Ran } from '../../src/checks/netfilter/listing.ts';
import { checkConntrackd, checkPfsync } from '../../src/checks/states.ts';
import { defaults, type Settings } from '../../src/config/schema.ts';

const { peersStore } = defaults();
const off: Pick<Settings, 'peersStore'> = { peersStore };
const shared = { peersStore: { ...peersStore, url: 'redis://10.9.0.1:6379' } };
const confirming = { peersStore: { ...shared.peersStore, confirm: 'peers' as const } };

const ran = (status: number, stdout = ''): Ran => ({ status, stdout, stderr: '' });
const heads = (found: readonly { readonly level: string; readonly text: string }[]) =>
  found.map(({ level, text }) => `${level} ${text}`);

describe('doctor, and states at the other firewalls: Linux', () => {
  const found = (settings: typeof off, asked: Ran | null, values: Readonly<Record<string, string>> = {}) =>
    checkConntrackd(
      (path) => {
        const text = values[path.slice('/proc/sys/net/netfilter/nf_conntrack_'.length)];
        return text === undefined ? { ok: false, code: 'ENOENT' } : { ok: true, text: `${text}\n` };
      },
      () => asked,
      settings,
    );

  it('is not looked at where calls are shared with nobody', () => {
    assert.deepEqual(found(off, null), []);
  });

  it('conntrackd, or TCP that is picked up in the middle', () => {
    assert.match(heads(found(shared, ran(0), { tcp_loose: '0' }))[0]!, /^ok conntrackd runs/);
    assert.match(heads(found(shared, null, { tcp_loose: '1' }))[0]!, /^ok conntrackd is not installed/);
    assert.match(heads(found(shared, ran(1), { tcp_loose: '1' }))[0]!, /^ok conntrackd does not run/);
    const [broken] = found(shared, ran(1), { tcp_loose: '0' });
    assert.equal(broken?.level, 'caution');
    assert.match(broken.advice, /^sysctl net\.netfilter\.nf_conntrack_tcp_loose=1/);
  });

  it('packets of one connection through several', () => {
    const values = { tcp_loose: '1', tcp_be_liberal: '0' };
    assert.deepEqual(
      found(confirming, null, values).map(({ level }) => level),
      ['ok', 'caution'],
    );
    assert.equal(found(confirming, null, { ...values, tcp_be_liberal: '1' }).length, 1);
    assert.equal(found(shared, null, values).length, 1);
  });
});

/** As sbin/ifconfig/ifpfsync.c prints it. */
const PFSYNC = `pfsync0: flags=1000041<UP,RUNNING,LOWER_UP> metric 0 mtu 1500
\toptions=0
\tsyncdev: vtnet1 maxupd: 128 defer: off version: 1500
\tsyncok: 1
\tgroups: pfsync
`;

describe('doctor, and states at the other firewalls: FreeBSD', () => {
  const found = (settings: typeof off, asked: Ran | null) => heads(checkPfsync(() => asked, settings));

  it('is not looked at where calls are shared with nobody', () => {
    assert.deepEqual(found(off, null), []);
  });

  it('pfsync0 that is up, not there, without a device, down, or not done yet', () => {
    assert.deepEqual(found(shared, ran(0, PFSYNC)), [
      'ok pfsync0 on vtnet1: states of pf are at the others, too',
    ]);
    assert.match(found(shared, ran(1))[0]!, /^caution there is no pfsync0/);
    for (const [from, to] of [
      ['syncdev: vtnet1 ', ''],
      ['UP,RUNNING,LOWER_UP', ''],
      ['syncok: 1', 'syncok: 0'],
    ] as const) {
      assert.match(found(shared, ran(0, PFSYNC.replace(from, to)))[0]!, /^caution /, from);
    }
    assert.match(found(shared, null)[0]!, /^unknown /);
  });

  it('waits for the others where packets of one connection take several', () => {
    assert.match(found(confirming, ran(0, PFSYNC))[0]!, /^caution .* does not wait for the others$/);
    assert.match(found(confirming, ran(0, PFSYNC.replace('defer: off', 'defer: on')))[0]!, /^ok /);
  });
});
