/** Two ways out: what came in by the second is answered by it, and what policy routing sends there stays there. */
import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { after, before, describe, it } from 'node:test';
import { assertMedia, assertSeen, call, type Dialog, hangUp, type Party, party } from './behind.ts';
import { eventually, type GuestDaemon, startDaemon } from './daemon.ts';
import { ADDRESSES, type Guest, withoutGuest } from './guest.ts';
import { type Lab, open, openLab, shut } from './lab.ts';
import { ruleset, UNCAPPED } from './ruleset.ts';

const PBX = ADDRESSES.inside[4];
const FIRST = { external: '198.51.100.1', gateway: ADDRESSES.outside[4] } as const;
const SECOND = { external: '203.0.113.1', gateway: '203.0.113.10' } as const;
/** Beyond both gateways; the default route leads to the first. */
const REMOTE = '198.18.0.5';

const config = ({ interfaces: { outside }, second }: Guest) => `
inside: [192.0.2.0/24]
nat:
  - {external: ${SECOND.external}, hosts: [${PBX}]}
uplinks:
  - {interface: ${outside}, gateway: ${FIRST.gateway}}
  - {interface: ${second}, gateway: ${SECOND.gateway}}
${UNCAPPED}`;

const withoutSecond =
  withoutGuest !== false
    ? withoutGuest
    : process.env['PINHOLED_VM_SHELL'] !== undefined && 'needs a machine of its own, with one more interface';

describe('two uplinks on FreeBSD', { skip: withoutSecond }, () => {
  let lab: Lab;
  let guest: Guest;
  let daemon: GuestDaemon;

  before(async () => {
    lab = await openLab({ second: true });
    guest = lab.guest;
    const { outside } = guest.namespaces;
    const within = (...args: readonly string[]) => command('ip', '-n', outside, ...args);
    within('link', 'set', 'tap1', 'up');
    within('address', 'add', `${SECOND.gateway}/24`, 'dev', 'tap1');
    within('address', 'add', `${REMOTE}/32`, 'dev', 'lo');
    // What comes by the wrong uplink is dropped.
    for (const one of ['tap0', 'tap1']) {
      command('ip', 'netns', 'exec', outside, 'sysctl', '-qw', `net.ipv4.conf.${one}.rp_filter=1`);
    }
    await guest.run(
      `ifconfig ${guest.second} inet ${SECOND.external}/24 -txcsum -rxcsum -tso -lro up && ` +
        `route -q add default ${FIRST.gateway}`,
    );
  });

  after(async () => {
    await daemon?.stop().catch(() => {});
    await lab?.close();
  });

  /** Signalling by the second uplink, and the rest of `last` as the test has it. */
  async function serve(policy: string, last: readonly string[]): Promise<void> {
    await daemon?.stop();
    const sip = 'inet proto { tcp udp } to port 5060';
    const device = guest.second;
    const back = `(${device} ${SECOND.gateway})`;
    const text = ruleset(guest, {
      nat: [
        `nat on ${device} inet proto { tcp udp } from ${PBX} port 5060 to any -> ${SECOND.external} static-port`,
        `nat on ${device} inet from 192.0.2.0/24 to any -> ${SECOND.external}`,
        `nat on ${guest.interfaces.outside} inet from 192.0.2.0/24 to any -> ${FIRST.external}`,
        'binat-anchor "pinholed"',
        'rdr-anchor "pinholed"',
        `rdr on ${device} inet proto { tcp udp } to ${SECOND.external} port 5060 -> ${PBX}`,
      ],
      first: [`pass in quick on ${device} reply-to ${back} ${sip}`, `pass out quick on ${device} ${sip}`],
      last,
    }).replace('state-policy if-bound', `state-policy ${policy}`);
    daemon = await startDaemon(guest, config(guest), text);
  }

  const parties = () => [party(lab.outside, REMOTE), party(lab.inside, PBX, SECOND.external)] as const;

  async function end(dialog: Dialog, ...parties: Party[]): Promise<void> {
    await hangUp(dialog);
    await eventually(async () => (await lab.mediaStates(...parties)).length === 0, 30_000);
    await Promise.all(parties.map(shut));
  }

  for (const policy of ['if-bound', 'floating']) {
    it(`state-policy ${policy}: a call by the second is answered by the second, whichever side sends first`, async () => {
      await serve(policy, []);
      const [remote, pbx] = parties();
      await Promise.all([open(remote), open(pbx)]);
      const dialog = await call(remote, pbx, { caller: 'at once', callee: 'after the ACK' });
      const rules = await lab.rulesAt(pbx.media.port);
      const general = rules.findIndex((rule) => rule.startsWith('pass quick inet'));
      const replies = rules.findIndex((rule) =>
        rule.includes(`reply-to (${guest.second} ${SECOND.gateway})`),
      );
      assert.ok(replies >= 0 && general > replies, rules.join('\n'));
      await assertMedia(remote, pbx);
      await end(dialog, remote, pbx);
    });

    it(`state-policy ${policy}: what policy routing sends out by the second stays there`, async () => {
      const {
        interfaces: { inside },
        second: device,
      } = guest;
      await serve(policy, [
        `pass in quick on ${inside} route-to (${device} ${SECOND.gateway}) inet proto udp from ${PBX} to ${REMOTE}`,
        `pass out quick on ${device} inet proto udp from ${SECOND.external}`,
      ]);
      const [remote, pbx] = parties();
      await Promise.all([open(remote), open(pbx)]);
      const dialog = await call(remote, pbx, { caller: 'never', callee: 'after the ACK' });
      await assertSeen(pbx, remote);
      await assertMedia(remote, pbx);
      await end(dialog, remote, pbx);
    });
  }
});

function command(program: string, ...args: readonly string[]): void {
  execFileSync(program, args, { stdio: ['ignore', 'ignore', 'inherit'] });
}
